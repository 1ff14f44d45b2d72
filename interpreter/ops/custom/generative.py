"""LiteRT's operators of language models: attention, and a cache of keys and values that the caller holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec
from ..base import FLOAT, INT32, Op, op
from ..shared.host import integers, known
from ..shared.windows import expect_rank


@op("odml.scaled_dot_product_attention", FLOAT, FLOAT, FLOAT, FLOAT)
class ScaledDotProductAttention(Op):
    """softmax(scale * query @ key + mask) @ value by heads: `query` [b, t, heads, d], `key` and `value` [b, s, g, d].

    `mask` broadcasts to [b, heads, t, s]. Each of the g groups serves heads / g heads that follow each other; `scale`
    is 1 / sqrt(d) unless it is positive. The reference kernel (sdpa.cc) agrees where t or g is 1 and mixes up rows of
    the product otherwise.
    """

    scale: float = 0.0

    def infer(self, query: TensorSpec, key: TensorSpec, value: TensorSpec, mask: TensorSpec) -> TensorSpec:
        q, k = expect_rank(self.name, "query", query, 4), expect_rank(self.name, "key", key, 4)
        v, m = expect_rank(self.name, "value", value, 4), expect_rank(self.name, "mask", mask, 4)
        fits = zip(m, (q[0], q[2], q[1], k[1]), strict=True)
        if (k[0], k[3]) != (q[0], q[3]) or v[:3] != k[:3] or not k[2] or q[2] % k[2] or not k[1]:
            raise KernelError(f"{self.name} got {query}, {key}, {value}, expected [b,t,heads,d] and twice [b,s,g,d].")
        if any(got not in (1, want) for got, want in fits):
            raise KernelError(f"{self.name} got the mask {mask} for {query} and {key}.")
        return TensorSpec(query.type, (*q[:3], v[3]))

    def run(self, xp: Any, query: Array, key: Array, value: Array, mask: Array) -> Array:
        scale = np.float32(self.scale if self.scale > 0 else query.shape[3] ** -0.5)
        heads = query.shape[2] // key.shape[2]
        keys = xp.repeat(key, heads, axis=2).transpose(0, 2, 3, 1)
        values = xp.repeat(value, heads, axis=2).transpose(0, 2, 1, 3)
        logits = xp.matmul((query * scale).transpose(0, 2, 1, 3), keys) + mask
        weights = xp.exp(logits - logits.max(axis=3, keepdims=True))
        attended = xp.matmul(weights / weights.sum(axis=3, keepdims=True), values)
        return attended.transpose(0, 2, 1, 3)


@op("odml.update_external_kv_cache", FLOAT, FLOAT, INT32, FLOAT, FLOAT)
class UpdateExternalKvCache(Op):
    """Both caches [1, s, heads, d] with the slices [1, n, heads, d] at `position` [n], up to where positions fall.

    Reference: external_kvcache.cc.
    """

    def infer(self, key_cache: TensorSpec, value_cache: TensorSpec, position: TensorSpec, key: TensorSpec,
              value: TensorSpec) -> tuple[TensorSpec, TensorSpec]:  # fmt: skip
        cache, new = expect_rank(self.name, "key_cache", key_cache, 4), expect_rank(self.name, "key", key, 4)
        if value_cache.shape != cache or value.shape != new or position.shape != new[1:2]:
            got = f"{key_cache}, {value_cache}, {position}, {key} and {value}"
            raise KernelError(f"{self.name} got {got}, expected caches, positions and slices of equal sizes.")
        if (cache[0], new[0]) != (1, 1) or cache[2:] != new[2:]:
            raise KernelError(
                f"{self.name} got a cache {key_cache} and {key}, expected [1,s,heads,d] and [1,n,heads,d]."
            )
        spec = TensorSpec(key_cache.type, cache)
        return spec, spec

    def run(
        self, xp: Any, key_cache: Array, value_cache: Array, position: Array, key: Array, value: Array
    ) -> tuple[Array, Array]:
        places = integers(known(self.ins[2], position))
        end = next((i for i in range(1, len(places)) if places[i] < places[i - 1]), len(places))
        latest = dict(zip(places[:end], range(end), strict=True))  # of slices for one place the last one stays
        for place in latest:
            if not 0 <= place < key_cache.shape[1]:
                raise KernelError(f"{self.name} got position {place} for a cache of {key_cache.shape[1]} entries.")
        targets, sources = (xp.asarray(np.array(list(at), np.int64)) for at in (latest.keys(), latest.values()))
        keys, values = key_cache.copy(), value_cache.copy()
        keys[:, targets], values[:, targets] = key[:, sources], value[:, sources]
        return keys, values

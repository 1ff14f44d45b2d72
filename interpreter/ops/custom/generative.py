"""LiteRT's operators of language models: attention, and caches of keys and values, the caller's or ours."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec
from ..base import FLOAT, INT32, INT64, Op, StatefulOp, op
from ..shared.host import dimensions, integers, known
from ..shared.resources import Memories
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


_CACHES = -1
"""Stands for the subgraph in the places of what all nodes of a layer share."""


@op("odml.update_kv_cache", INT64, FLOAT, FLOAT)
class UpdateKvCache(StatefulOp):
    """The interpreter's caches of a layer, [1, kv_cache_max, heads, d], with the slices [1, n, heads, d] put in.

    The first of `position` [n] says where; the others follow it. Slices beyond the end push out the oldest entries, and
    from then on positions count from the oldest one left, for this node. All subgraphs share the caches. Reference:
    kvcache.cc, where a node does not see what others wrote after its first call.
    """

    kv_cache_max: int = 0
    num_layers: int = 0
    layer_index: int = 0

    @property
    def _entries(self) -> int:
        return self.kv_cache_max if self.kv_cache_max > 0 else 2048

    def infer(self, position: TensorSpec, key: TensorSpec, value: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
        new, layers = expect_rank(self.name, "key", key, 4), self.num_layers if self.num_layers > 0 else 32
        if value.shape != new or new[0] != 1 or not new[1] or position.shape != new[1:2]:
            got = f"{position}, {key} and {value}"
            raise KernelError(f"{self.name} got {got}, expected positions [n] and twice [1,n,heads,d] with n > 0.")
        if self.layer_index >= layers:
            raise KernelError(f"{self.name} got layer_index {self.layer_index} for {layers} layers.")
        spec = TensorSpec(key.type, dimensions((1, self._entries, *new[2:]), f"{self.name}: a cache"))
        return spec, spec

    def run_with(
        self, state: Memories, position: np.ndarray, key: np.ndarray, value: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        caches = state.memory((_CACHES, max(0, self.layer_index)), self._blank(key))
        oldest = state.memory(self.place, np.zeros((), np.int64))
        first = int(oldest.read())
        place, new = int(position[0]) - first, key.shape[1]
        pushed = min(max(0, place + new - self._entries), self._entries)
        if place < 0 or not 0 <= place - pushed <= self._entries - new:
            raise KernelError(f"{self.name} got position {position[0]} for {new} slices; its {self._entries} entries "
                              f"begin with position {first}.")  # fmt: skip
        held: np.ndarray = caches.read()
        if 0 < pushed < self._entries:
            held = np.concatenate([held[:, :, pushed:], held[:, :, -pushed:]], axis=2)
        else:
            held = held.copy()
        held[:, :, place - pushed : place - pushed + new] = [key, value]
        caches.assign(held)
        oldest.assign(np.int64(first + pushed))
        return held[0], held[1]

    def _blank(self, key: np.ndarray) -> np.ndarray:
        return np.zeros((2, 1, self._entries, *key.shape[2:]), np.float32)

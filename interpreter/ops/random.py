"""Operators that draw random numbers (reference: random_ops.cc).

Each node has a stream of its own: Philox 4x32 with the key `seed` and the counter (0, `seed2`), from where the call
before stopped. With both seeds 0 the stream differs from interpreter to interpreter. For other seeds the numbers are
those of the reference, bit for bit; normal ones within 2 units in the last place, as its C library has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from secrets import randbits
from typing import Any, ClassVar

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec, TensorType
from .base import FLOAT, INDEX, INT32, StatefulOp, op
from .shared.counters import interleaved, philox, words
from .shared.host import dimensions, integers, require_rank, scalar, shape_of
from .shared.resources import Memories

_EPSILON = np.float32(1e-7)
_MANTISSA = np.uint64((1 << 52) - 1)
_SKIPPED = 512  # blocks by which MULTINOMIAL goes on for each sample, four of a row at a time


@dataclass(frozen=True, eq=False, kw_only=True)
class RandomOp(StatefulOp):
    """An op with a stream of random words."""

    writes: ClassVar[bool] = False  # streams go on at any time: which call gets which words means nothing

    seed: int = 0
    seed2: int = 0

    def draw(self, state: Memories, blocks: int, advance: int | None = None) -> np.ndarray:
        """uint32 [4 * blocks]: the next words of the stream, which goes on behind `advance` blocks."""
        seeds = np.array([self.seed, self.seed2], np.int64).astype(np.int32)  # what the reference keeps of them
        key = seeds.astype(np.int64).view(np.uint64) if seeds.any() else [randbits(64), randbits(64)]
        start = np.array([*key, 0], np.uint64)
        step = np.array([0, 0, blocks if advance is None else advance], np.uint64)
        bottom, high, low = state.stream(self.place, start).advance(step)
        counters = low + np.arange(blocks, dtype=np.uint64)
        top = (np.broadcast_to(word, counters.shape) for word in words(high))
        return np.asarray(interleaved(np, philox((*words(counters), *top), words(bottom))))


@dataclass(frozen=True, eq=False, kw_only=True)
class RandomFloats(RandomOp):
    """A float32 tensor of the given shape from independent words."""

    def infer(self, shape: TensorSpec) -> TensorSpec:
        require_rank(shape, (1,), f"{self.name}: shape")
        known = None if shape.value is None else self._dimensions(shape.value)
        return TensorSpec(TensorType.FLOAT32, known)

    def refuses(self, shape: TensorSpec) -> str | None:
        kind = self.outs[0].type
        return None if kind in FLOAT else f"operator {self.name} gives float32, not {kind.name.lower()}."

    def run_with(self, state: Memories, shape: Array) -> Array:
        dims = self._dimensions(shape)
        count = prod(dims)
        return self.floats(self.draw(state, -(-count // 4)))[:count].reshape(dims)

    def floats(self, bits: np.ndarray) -> np.ndarray:
        """As many numbers as words."""
        raise NotImplementedError(type(self).__name__)

    def _dimensions(self, shape: np.ndarray) -> tuple[int, ...]:
        return dimensions(integers(shape), f"{self.name}: shape")


def _unit(bits: np.ndarray) -> np.ndarray:
    """float32 in [0, 1) from 23 bits of each word."""
    return ((bits & np.uint32(0x7FFFFF)) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)


@op("RANDOM_UNIFORM", INT32)
class RandomUniform(RandomFloats):
    """Numbers from [0, 1), all equally likely."""

    def floats(self, bits: np.ndarray) -> np.ndarray:
        return _unit(bits)


@op("RANDOM_STANDARD_NORMAL", INT32)
class RandomStandardNormal(RandomFloats):
    """Numbers of mean 0 and variance 1 from the normal distribution (Box and Muller 1958)."""

    def floats(self, bits: np.ndarray) -> np.ndarray:
        units = _unit(bits)
        radius = np.sqrt(np.float32(-2) * _rounded(np.log, np.maximum(units[0::2], _EPSILON)))
        angle = (2 * np.pi * units[1::2].astype(np.float64)).astype(np.float32)
        return np.stack([_rounded(np.sin, angle) * radius, _rounded(np.cos, angle) * radius], axis=-1).reshape(-1)


def _rounded(function: Any, x: np.ndarray) -> np.ndarray:
    """A function of float32 numbers, rounded from its float64 value."""
    return np.asarray(function(x.astype(np.float64)).astype(np.float32))


@op("MULTINOMIAL", FLOAT, INT32)
class Multinomial(RandomOp):
    """For each row of `logits` [batch, classes], `num_samples` classes: [batch, num_samples].

    Each class has a probability in proportion to the exponential of its logit; that of infinities and NaN
    is 0. With no finite logit at all the result is `classes`, which is none of them (as in the reference).
    """

    def infer(self, logits: TensorSpec, num_samples: TensorSpec) -> TensorSpec:
        require_rank(logits, (2,), "MULTINOMIAL: logits")
        require_rank(num_samples, (0,), "MULTINOMIAL: num_samples")
        batch, classes = shape_of(logits)
        if classes < 1:
            raise KernelError(f"MULTINOMIAL got {logits}, expected at least one class.")
        shape = None if num_samples.value is None else (batch, _samples(num_samples.value))
        return TensorSpec(self.outs[0].type, shape)

    def refuses(self, logits: TensorSpec, num_samples: TensorSpec) -> str | None:
        kind = self.outs[0].type
        return None if kind in INDEX else f"operator MULTINOMIAL gives int32 or int64, not {kind.name.lower()}."

    def run_with(self, state: Memories, logits: Array, num_samples: Array) -> Array:
        batch, count = len(logits), _samples(num_samples)
        bits = self.draw(state, -(-batch * count // 2), advance=batch * -(-count // 4) * 4 * _SKIPPED)
        pairs = bits[: 2 * batch * count].astype(np.uint64).reshape(batch, count, 2)
        mantissa = (pairs[..., 0] << np.uint64(32) | pairs[..., 1]) & _MANTISSA
        units = (mantissa | np.uint64(1023 << 52)).view(np.float64) - 1.0
        finite = np.isfinite(logits)
        lowest = np.finfo(np.float32).min
        greatest = np.max(logits, axis=1, keepdims=True, where=finite, initial=lowest).astype(np.float64)
        weights = np.where(finite, np.exp(np.where(finite, logits, lowest).astype(np.float64) - greatest), 0.0)
        totals = np.cumsum(weights, axis=1)
        rows = (np.searchsorted(t, u * t[-1], side="right") for t, u in zip(totals, units, strict=True))
        return np.array(list(rows), self.outs[0].dtype).reshape(batch, count)


def _samples(count: np.ndarray) -> int:
    return dimensions([scalar(count, "MULTINOMIAL: num_samples")], "MULTINOMIAL: num_samples")[0]

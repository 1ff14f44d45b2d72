"""LSH_PROJECTION and the hash that it is built on."""

from __future__ import annotations

from enum import IntEnum
from math import prod
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec, TensorType
from .base import FLOAT, PACKED, Op, OptionalSpec, op
from .shared.host import FIXED_WIDTH, shape_of

_MASK = 2**64 - 1
_K0, _K1, _K2 = np.uint64(0xC3A5C85C97CB3127), np.uint64(0xB492B66FBE98F273), np.uint64(0x9AE16A3B2F90404F)
"""Odd multipliers that FarmHash prescribes."""
_SEED = 81


def fingerprint64(xp: Any, keys: Array) -> Array:
    """uint64 [...]: FarmHash Fingerprint64 of each key, uint8 [..., n] with n >= 4.

    Source: FarmHash (G. Pike, 2014), `farmhashna::Hash64`, a successor of CityHash64.
    """
    size = keys.shape[-1]
    words = _Words(xp, keys)
    if size <= 16:
        return _up_to_16(words, size)
    if size <= 32:
        return _mixed(*_halves(words, size, _K1), _multiplier(size))
    return _up_to_64(words, size) if size <= 64 else _longer(words, size)


class _Words:
    """Little-endian integers at byte positions of all keys at once; a position < 0 counts from the end."""

    def __init__(self, xp: Any, keys: Array) -> None:
        self._xp, self._keys = xp, keys

    def __call__(self, position: int, kind: Any = np.uint64) -> Array:
        start = position % self._keys.shape[-1]
        part = self._xp.ascontiguousarray(self._keys[..., start : start + np.dtype(kind).itemsize])
        return part.view(kind)[..., 0].astype(np.uint64)


def _multiplier(size: int) -> np.uint64:
    return _word(int(_K2) + 2 * size)


def _word(value: int) -> np.uint64:
    """An integer less its bits above the 64th."""
    return np.uint64(value & _MASK)


def _turned(x: Array, places: int) -> Array:
    """Bits rotated to the right."""
    return (x >> places) | (x << (64 - places))


def _folded(x: Array) -> Array:
    return x ^ (x >> 47)


def _mixed(a: Array, b: Array, multiplier: Any) -> Array:
    """Two words hashed to one (FarmHash: HashLen16)."""
    a = _folded((a ^ b) * multiplier)
    return _folded((b ^ a) * multiplier) * multiplier


def _up_to_16(words: _Words, size: int) -> Array:
    multiplier = _multiplier(size)
    if size < 8:
        return _mixed((words(0, np.uint32) << 3) + size, words(-4, np.uint32), multiplier)
    a, b = words(0) + _K2, words(-8)
    return _mixed(_turned(b, 37) * multiplier + a, (_turned(a, 25) + b) * multiplier, multiplier)


def _halves(words: _Words, size: int, first: np.uint64) -> tuple[Array, Array]:
    """The first and last 16 bytes as two words."""
    a, b = words(0) * first, words(8)
    c, d = words(-8) * _multiplier(size), words(-16) * _K2
    return _turned(a + b, 43) + _turned(c, 30) + d, a + _turned(b + _K2, 18) + c


def _up_to_64(words: _Words, size: int) -> Array:
    multiplier = _multiplier(size)
    y, z = _halves(words, size, _K2)
    z = _mixed(y, z, multiplier)
    e, f = words(16) * multiplier, words(24)
    g, h = (y + words(-32)) * multiplier, (z + words(-24)) * multiplier
    return _mixed(_turned(e + f, 43) + _turned(g, 30) + h, e + _turned(f + words(0) * _K2, 18) + g, multiplier)


def _longer(words: _Words, size: int) -> Array:
    """Blocks of 64 bytes change a state of 56 bytes; the last 64 bytes go in once more, in another way."""
    x = words(0) + _word(_SEED * int(_K2))
    zero = x ^ x
    y = zero + _word(_SEED * int(_K1) + 113)
    z = _folded(y * _K2 + 113) * _K2
    v, w = (zero, zero), (zero, zero)
    for start in range(0, (size - 1) // 64 * 64, 64):
        x = _turned(x + y + v[0] + words(start + 8), 37) * _K1
        y = _turned(y + v[1] + words(start + 48), 42) * _K1
        x = x ^ w[1]
        y = y + v[0] + words(start + 40)
        z = _turned(z + w[0], 33) * _K1
        v = _absorbed(words, start, v[1] * _K1, x + w[0])
        w = _absorbed(words, start + 32, z + w[1], y + words(start + 16))
        x, z = z, x
    multiplier = ((z & 0xFF) << 1) + _K1
    start = size - 64
    w = (w[0] + ((size - 1) & 63), w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    x = _turned(x + y + v[0] + words(start + 8), 37) * multiplier
    y = _turned(y + v[1] + words(start + 48), 42) * multiplier
    x = x ^ (w[1] * 9)
    y = y + v[0] * 9 + words(start + 40)
    z = _turned(z + w[0], 33) * multiplier
    v = _absorbed(words, start, v[1] * multiplier, x + w[0])
    w = _absorbed(words, start + 32, z + w[1], y + words(start + 16))
    first = _mixed(v[0], w[0], multiplier) + _folded(y) * _K0 + x
    return _mixed(first, _mixed(v[1], w[1], multiplier) + z, multiplier)


def _absorbed(words: _Words, start: int, a: Array, b: Array) -> tuple[Array, Array]:
    """32 bytes and two words hashed to two words (FarmHash: WeakHashLen32WithSeeds)."""
    first, last = a + words(start), words(start + 24)
    middle = first + words(start + 8) + words(start + 16)
    return middle + last, _turned(b + first + last, 21) + _turned(middle, 44) + first


class LshProjectionType(IntEnum):
    """How a projection gives its bits: those of a hash function as one number, or each as a number of its own."""

    UNKNOWN = 0
    SPARSE = 1
    DENSE = 2


@op("LSH_PROJECTION", FLOAT, FIXED_WIDTH - PACKED, FLOAT)
class LshProjection(Op):
    """Locality-sensitive hashes of `input` [n, ...]: one bit for each seed of `hash` [functions, bits <= 32].

    A bit says whether the sum over the slices of `input` of the signed Fingerprint64 of seed and slice, times `weight`
    [n] (1 without it), is positive. DENSE gives the bits one by one, int32 [functions * bits]. SPARSE gives one number
    for each function, int32 [functions]: its bits, first one highest, plus 2**bits times the function's position.
    """

    type: LshProjectionType = LshProjectionType.UNKNOWN

    def infer(self, hash: TensorSpec, input: TensorSpec, weight: OptionalSpec = None) -> TensorSpec:
        if hash.rank != 2 or shape_of(hash)[1] > 32:
            raise KernelError(f"LSH_PROJECTION: hash is {hash}, expected a matrix of at most 32 columns.")
        if not input.rank or not shape_of(input)[0]:
            raise KernelError(f"LSH_PROJECTION: input is {input}, expected at least one slice.")
        if weight is not None and weight.shape != shape_of(input)[:1]:
            raise KernelError(f"LSH_PROJECTION: weight is {weight}, expected one for each slice of {input}.")
        functions, bits = shape_of(hash)
        return TensorSpec(TensorType.INT32, (functions * bits if self.type is LshProjectionType.DENSE else functions,))

    def refuses(self, hash: TensorSpec, input: TensorSpec, weight: OptionalSpec = None) -> str | None:
        known = self.type is not LshProjectionType.UNKNOWN
        return None if known else "operator LSH_PROJECTION is not supported with type UNKNOWN."

    def run(self, xp: Any, hash: Array, input: Array, weight: Array | None = None) -> Array:
        count = input.shape[0]
        slices = _bytes(xp, input, (count, prod(input.shape[1:])))
        seeds = _bytes(xp, hash, (hash.size, 1))
        shape = hash.size, count
        keys = [xp.broadcast_to(seeds[:, None], (*shape, 4)), xp.broadcast_to(slices, (*shape, slices.shape[1]))]
        numbers = fingerprint64(xp, xp.concatenate(keys, axis=-1)).view(np.int64).astype(np.float64)
        score = xp.sum(numbers if weight is None else numbers * weight, axis=1)
        bits = (score > 0).astype(np.int32)
        return bits if self.type is LshProjectionType.DENSE else _packed(xp, bits.reshape(hash.shape))


def _bytes(xp: Any, x: Array, shape: tuple[int, int]) -> Array:
    """uint8 [rows, columns * bytes of an element] of the elements of `x`, [rows, columns]."""
    rows, columns = shape
    return xp.ascontiguousarray(x).reshape(-1).view(np.uint8).reshape(rows, columns * x.dtype.itemsize)


def _packed(xp: Any, bits: Array) -> Array:
    functions, width = bits.shape
    values = (bits.astype(np.int64) << xp.arange(width - 1, -1, -1)).sum(axis=1)
    return (values + (xp.arange(functions) << width % 32)).astype(np.int32)  # 32 places are none in a C shift

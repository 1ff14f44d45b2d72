"""Roots, logarithms and gains in integers, bit for bit as TensorFlow Lite Micro's signal library computes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graph import Array
from ..shared.gemmlowp import bit_length

_SEGMENTS = np.arange(129) / 128
_LOG_BEND = np.append(np.rint(65536 * (np.log2(1 + _SEGMENTS) - _SEGMENTS)), 0).astype(np.int64)
"""How far log2(1 + f) is above f at the ends of 128 segments, in 1 / 65536."""

SNR_BITS, GAIN_BITS = 12, 6
"""Fractional bits of a signal-to-noise ratio, and of what `shrink` makes of it."""


def square_root(xp: Any, x: Array) -> Array:
    """uint32: the nearest root of uint64, at most 2**32 - 1, of numbers below 2**32 at most 2**16 - 1 (Sqrt64)."""
    most = xp.where(x >> np.uint64(32) == 0, np.uint64(2**16 - 1), np.uint64(2**32 - 1))
    root = xp.minimum(xp.sqrt(x.astype(np.float64)), 2.0**32 - 1).astype(np.uint64)
    root = root - (root * root > x)
    root = root + (x - root * root > root + root)
    return xp.minimum(root + (x - root * root > root), most).astype(np.uint32)


def natural_log(xp: Any, x: Array, scale: int) -> Array:
    """uint32: log(x) * `scale` for uint32 x > 0, by a table of log2 (Log32)."""
    whole = xp.maximum(bit_length(xp, x), 1).astype(np.int64) - 1
    fraction = ((x.astype(np.int64) - (1 << whole)) << 16) >> whole
    segment = fraction >> 9
    bend = xp.asarray(_LOG_BEND)
    low, high = bend[segment], bend[segment + 1]
    log2 = (whole << 16) + fraction + low + (((high - low) * (fraction - (segment << 9))) >> 16)
    log = ((45426 * log2 + 32768) >> 16).astype(np.uint32)
    return (log * np.uint32(scale & 0xFFFFFFFF) + np.uint32(32768)) >> np.uint32(16)


def wide_dynamic(xp: Any, x: Array, table: Array) -> Array:
    """int16: a function of uint32 by its pieces, parabolas between powers of two, int16 [125] (WideDynamicFunction)."""
    bits = bit_length(xp, x)
    place = xp.where(x <= 2, x.astype(np.int32), 4 * bits - 6)
    wide = x.astype(np.int64)
    fraction = ((wide << xp.maximum(11 - bits, 0)) >> xp.maximum(bits - 11, 0)) & 0x3FF
    table = table.astype(np.int64)
    start, slope, bend = table[place], table[xp.minimum(place + 1, 123)], table[xp.minimum(place + 2, 124)]
    rise = ((((bend * fraction) >> 5) + (slope << 5)) * fraction + (1 << 14)) >> 15
    return xp.where(x <= 2, start, start + rise).astype(np.int16)


def shrink(xp: Any, snr: Array) -> Array:
    """uint32: x**2 / 4 below 2, x - 1 from there, of uint32 ratios with SNR_BITS; has GAIN_BITS (PcanShrink)."""
    wide = snr.astype(np.int64)
    square = (wide * wide) >> (2 + 2 * SNR_BITS - GAIN_BITS)
    line = (wide >> (SNR_BITS - GAIN_BITS)) - (1 << GAIN_BITS)
    return xp.where(wide < 2 << SNR_BITS, square, line).astype(np.uint32)


def loudest(xp: Any, x: Array) -> Array:
    """int32: the greatest magnitude in int16 [n], n > 0, as the reference searches it (MaxAbs16).

    -2**15 has no int16 magnitude: the search starts again after it, and takes rising negative numbers for smaller than
    0. Where that is all it finds, the result is 0.
    """
    place = xp.arange(x.size)
    previous = xp.concatenate([xp.full(1, -(2**15), np.int16), x[:-1]])
    last = xp.max(xp.where(x == -(2**15), place, -1))
    taken = (place > last) & ((last < 0) | (x >= 0) | (x <= previous))
    first = xp.min(xp.where(taken, place, x.size))
    return xp.max(xp.where(place >= first, xp.abs(x.astype(np.int32)), 0))

"""Tables that stand for functions of quantised integers (reference: LUTPopulate, LUTLookup)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...graph import Array, TensorSpec
from .affine import affine
from .fixedpoint import round_half_away, saturate

RealFunction = Callable[[np.ndarray], Array]
"""A real function of float64 arrays; the tables round its results to float32 as the reference's are."""

_STEPS = 512  # intervals of an int16 table: 9 bits of the value pick one, 7 bits interpolate in it


class Resident:
    """A host array with a copy in the memory of each array module that asks for one."""

    def __init__(self, host: np.ndarray) -> None:
        self._copies: dict[Any, Array] = {np: host}

    def on(self, xp: Any) -> Array:
        """The array as one of `xp`."""
        if xp not in self._copies:
            self._copies[xp] = xp.asarray(self._copies[np])
        return self._copies[xp]


def look_up(xp: Any, table: Resident, x: Array) -> Array:
    """Entries of a table of 256 results for 8-bit values, taken as unsigned numbers; in the dtype of the table."""
    entries = table.on(xp)
    if xp is not np or entries.itemsize > 1:
        return xp.take(entries, x.view(np.uint8))
    found = bytearray(np.ascontiguousarray(x)).translate(entries.tobytes())  # five times as fast as an index
    return np.frombuffer(found, entries.dtype).reshape(x.shape)


def bytes_of(dtype: np.dtype[Any]) -> Array:
    """int32 [256]: all values of an 8-bit dtype, in the order of their bytes as unsigned numbers."""
    return np.arange(256, dtype=np.uint8).view(dtype).astype(np.int32)


def stored_function(function: RealFunction, x: np.ndarray, input: TensorSpec, output: TensorSpec) -> Array:
    """Stored results of a real function of 8-bit stored values (reference: LUTPopulateInt8)."""
    (scale, zero_point), (out_scale, out_zero_point) = affine(input), affine(output)
    real = (scale * (x - zero_point).astype(np.float32)).astype(np.float64)
    with np.errstate(all="ignore"):
        result = function(real).astype(np.float32) * (np.float32(1) / out_scale)
        rounded = round_half_away(np, np.clip(result, -(2.0**30), 2.0**30)).astype(np.int32)
    return saturate(np, rounded + out_zero_point, output.dtype)


def int16_table(function: RealFunction, input: TensorSpec, output: TensorSpec) -> Array:
    """int16 [513]: values of a real function at the ends of 512 intervals (reference: LUTPopulateInt16<float>).

    Each is corrected by half the error that interpolation makes in the middle of its interval.
    """
    return sampled(function, affine(input), affine(output), np.float32)


def sampled(function: RealFunction, input: Any, output: Any, kind: Any) -> Array:
    """`int16_table` for (scale, zero point) pairs, computed in float32 or float64 as the reference does."""
    info = np.iinfo(np.int16)
    low, high = (kind(input[0]) * kind(bound - input[1]) for bound in (info.min, info.max))
    bottom, top = (kind(output[0]) * kind(bound - output[1]) for bound in (info.min, info.max))
    step = (high - low) / kind(_STEPS)
    per_unit = kind(2**16) / (top - bottom)
    ends = (low + np.arange(_STEPS + 1, dtype=kind) * step).astype(kind)
    middles = ends[:-1] + step / kind(2)
    with np.errstate(all="ignore"):
        values, middles, last = (
            function(points.astype(np.float64)).astype(kind) * per_unit for points in (ends, middles, np.array([high]))
        )
    samples = round_half_away(np, values[:-1])
    interpolated = round_half_away(np, (values[1:] + samples) / kind(2))
    bias = round_half_away(np, (interpolated - round_half_away(np, middles)) / kind(2))
    return np.clip(np.append(samples - bias, round_half_away(np, last)), info.min, info.max).astype(np.int16)


def interpolate(xp: Any, x: Array, table: Array) -> Array:
    """int16 results for int16-valued integers `x` from a table of 513 values (reference: LUTLookup, int16)."""
    x = x.astype(np.int32)
    index = 256 + (x >> 7)
    base = xp.take(table, index).astype(np.int32)
    slope = (xp.take(table, index + 1) - base).astype(np.int16).astype(np.int32)
    return (base + ((slope * (x & 0x7F) + 64) >> 7)).astype(np.int16)

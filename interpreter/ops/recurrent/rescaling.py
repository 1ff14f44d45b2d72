"""Fixed-point arithmetic of integer layers for small arrays, whose cost is that of calls: few of them, in place.

Bit for bit that of `shared/fixedpoint.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graph import Array
from ..shared.fixedpoint import quantize_multiplier


class Rescaling:
    """int32 numbers times real factors, one for all or one a column, rounded twice: int64 within int32.

    Reference: MultiplyByQuantizedMultiplier.
    """

    def __init__(self, real: float | np.ndarray) -> None:
        mantissa, shift = quantize_multiplier(real)
        self._mantissa = np.asarray(mantissa, np.int64)
        self._left = np.maximum(shift, 0).astype(np.int64) if np.any(np.greater(shift, 0)) else None
        self._right = np.maximum(np.negative(shift), 0).astype(np.int64)
        self._half = (np.int64(1) << self._right) >> 1
        self._is_exact = not self._right.all()  # whether some are not shifted to the right, and so not rounded again

    def __call__(self, x: Array) -> Array:
        wide = x.astype(np.int64)
        if self._left is not None:
            wide = (wide << self._left).astype(np.int32).astype(np.int64)
        wide *= self._mantissa
        wide += 1 << 30
        wide >>= 31
        below = wide < 0
        wide += self._half
        wide -= below & (self._right > 0) if self._is_exact else below
        wide >>= self._right
        return wide


def divided(x: Array, places: int) -> Array:
    """int32 x / 2**places, 1 <= places, rounded, halves away from zero; |x| <= 2**30. Overwrites x."""
    below = x < 0
    x += 1 << (places - 1)
    x -= below
    x >>= places
    return x


def saturated(x: Array, dtype: Any) -> Array:
    """Integers held within the range of `dtype`, in that type. Overwrites x."""
    info = np.iinfo(dtype)
    np.maximum(x, info.min, out=x)
    return np.minimum(x, info.max, out=x).astype(dtype)

"""The activation that an operator applies to its own result (schema: ActivationFunctionType)."""

from __future__ import annotations

from typing import Any

from ...graph import Array
from ..base import Activation


def activate(xp: Any, x: Array, activation: Activation) -> Array:
    """`activation` of each element of `x`, in the dtype of `x`; `x` itself for NONE.

    The quantised counterpart is `fixedpoint.activation_range`.
    """
    if activation is Activation.NONE:
        return x
    if activation is Activation.TANH:
        return xp.tanh(x)
    if activation is Activation.SIGN_BIT:
        return xp.signbit(x).astype(x.dtype)
    return clamp(xp, x, *activation.bounds)


def clamp(xp: Any, x: Array, low: float | None, high: float | None) -> Array:
    """`x` held between two bounds of which either may be None; NaN stays NaN.

    Of unsigned numbers a bound of -1 is the greatest one, above the other bound, which then is the result everywhere.
    """
    kind = x.dtype.type
    if low is not None and x.dtype.kind == "u":
        low = low % 2 ** (8 * x.dtype.itemsize)
    if low is None:
        return x if high is None else xp.minimum(x, kind(high))
    return xp.maximum(x, kind(low)) if high is None else xp.clip(x, kind(low), kind(high))

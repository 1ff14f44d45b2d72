"""Choices that several recipes make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.base import Activation

from ..drafts import SPAN, Chooser, Out, Slot
from ..kinds import KINDS, PER_CHANNEL, PLAIN, Kind, Range

TANH_SCALE = {TensorType.INT8: (1 / 128, 0), TensorType.UINT8: (1 / 128, 128), TensorType.INT16: (1 / 32768, 0)}
SIGMOID_SCALE = {TensorType.INT8: (1 / 256, -128), TensorType.UINT8: (1 / 256, 0), TensorType.INT16: (1 / 32768, 0)}
WEIGHTS: Sequence[Kind | None] = KINDS + PER_CHANNEL
BIAS: Sequence[Kind | None] = (None, *KINDS, *PER_CHANNEL)
INTEGERS: Sequence[Kind | None] = tuple(k for k in PLAIN if k.is_integer or k.type is TensorType.BOOL)
WHOLE_BYTES: Sequence[Kind | None] = tuple(k for k in KINDS if k.type.bits % 8 == 0)
POSITIVE = Range(0.1, 6.0)
CLIPS = (Activation.NONE, Activation.RELU, Activation.RELU_N1_TO_1, Activation.RELU6)


def shape(c: Chooser, low: int = 1, high: int = 4, size: int = 5) -> tuple[int, ...]:
    """A shape of low to high dimensions."""
    return tuple(c.integer(1, size) for _ in range(c.integer(low, high)))


def broadcast_pair(c: Chooser) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes that broadcast against each other."""
    whole = shape(c)
    style = c.pick(("equal", "row", "scalar", "mixed"))
    if style == "row":
        return whole, whole[-1:]
    if style == "scalar":
        return whole, ()
    if style == "mixed":
        first = tuple(1 if c.pick((False, True)) else n for n in whole)
        return first, tuple(n if f == 1 else c.pick((n, 1)) for f, n in zip(first, whole, strict=True))
    return whole, whole


def unary(dims: tuple[int, ...], reach: Range = SPAN, **out: Any) -> tuple[list[Slot], list[Out]]:
    """One operand and one result."""
    return [Slot("x", dims, reach=reach)], [Out("y", **out)]


def moved(dims: tuple[int, ...]) -> tuple[list[Slot], list[Out]]:
    """One operand and one result of its kind."""
    return [Slot("x", dims)], [Out("x")]


def index(variable: str, data: Any, *, constant: bool = True) -> Slot:
    """An operand of given small integers, of a kind that can hold them."""
    array = np.asarray(data)
    kinds = [k for k in INTEGERS if k is not None and k.bounds[0] <= array.min() and array.max() <= k.bounds[1]]
    return Slot(variable, array.shape, data=array, constant=constant, kinds=kinds)


def axis_of(c: Chooser, rank: int) -> int:
    """An axis, negative ones included."""
    return c.integer(-rank, rank - 1)

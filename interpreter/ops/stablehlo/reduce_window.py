"""Reductions of sliding windows: STABLEHLO_REDUCE_WINDOW, and the builtin REDUCE_WINDOW, a special case of it."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from ...errors import KernelError
from ...graph import Array, TensorSpec
from ..base import BOOL, DOUBLE, FLOAT, INDEX, INT8, INT16, INT64, UINT8, Op, op
from ..shared.host import integers, known, shape_of
from ..shared.windows import Axes, Axis
from .bodies import Arrays, Binary, Function
from .elementwise import VALUE
from .geometry import laid_out, laid_out_shape, windows
from .reduction import ReductionOp, arrays_of

MAX_RANK = 6


def reduced(xp: Any, function: Function, arrays: Arrays, starts: Arrays, axes: Axes) -> Arrays:
    """Each window combined with the start values; one dimension after the other."""
    if not all(axis.out for axis in axes):
        return tuple(xp.zeros([axis.out for axis in axes], a.dtype) for a in arrays)
    for dimension, axis in enumerate(axes):
        arrays = _slide(xp, function, arrays, dimension, axis)
    return function(xp, *starts, *arrays)


def _slide(xp: Any, function: Function, arrays: Arrays, dimension: int, axis: Axis) -> Arrays:
    """Windows along one dimension: those of 1, 2, 4, ... elements, joined as the window's binary digits say."""

    def cut(start: int, stop: int | None, step: int = 1) -> Arrays:
        index = (slice(None),) * dimension + (slice(start, stop, step),)
        return tuple(a[index] for a in arrays)

    result: Arrays | None = None
    position, length = 0, 1
    while position < axis.window:
        if axis.window & length:
            first = position * axis.dilation
            part = cut(first, first + (axis.out - 1) * axis.stride + 1, axis.stride)
            result = part if result is None else function(xp, *result, *part)
            position += length
        if 2 * length <= axis.window:
            step = length * axis.dilation
            arrays = function(xp, *cut(0, -step), *cut(step, None))
        length *= 2
    assert result is not None
    return result


@op("STABLEHLO_REDUCE_WINDOW", VALUE)
class StablehloReduceWindow(ReductionOp):
    """Windows of arrays of one shape, combined by a function of two elements of each, from a start value each.

    The arrays are dilated and bordered with the start value first; `padding` holds two numbers for each dimension, and
    negative ones cut off (reference: stablehlo_reduce_window.cc).
    """

    window_dimensions: tuple[int, ...] = ()
    window_strides: tuple[int, ...] = ()
    base_dilations: tuple[int, ...] = ()
    window_dilations: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()

    def infer(self, *inputs: TensorSpec) -> tuple[TensorSpec, ...]:
        operands = arrays_of(self.name, inputs)
        shape = tuple(axis.out for axis in self._windows(shape_of(operands[0])))
        return tuple(TensorSpec(s.type, shape) for s in operands)

    def run(self, xp: Any, *inputs: Array) -> Arrays:
        count = len(inputs) // 2
        starts = tuple(start.reshape(()) for start in inputs[count:])
        axes = self._windows(inputs[0].shape)
        pairs = zip(inputs[:count], starts, strict=True)
        arrays = tuple(laid_out(xp, x, self.base_dilations, self._borders, start) for x, start in pairs)
        return reduced(xp, self._logical, arrays, starts, axes)

    @property
    def _borders(self) -> tuple[tuple[int, int], ...]:
        return tuple(zip(self.padding[::2], self.padding[1::2], strict=True))

    @property
    def _logical(self) -> Function:
        """The reference takes AND and OR of integers as statements about them, with results 0 and 1."""
        names = {"bitwise_and": "logical_and", "bitwise_or": "logical_or"}
        name = names.get(self.applied.operator or "")
        return self.applied if name is None else Logical(name)

    def _windows(self, shape: tuple[int, ...]) -> Axes:
        rank = len(shape)
        if len(self.base_dilations) != rank or len(self.padding) != 2 * rank or min(self.base_dilations, default=1) < 1:
            raise KernelError(f"{self.name} got base_dilations {list(self.base_dilations)} and padding "
                              f"{list(self.padding)} for {rank} dimensions.")  # fmt: skip
        sizes = laid_out_shape(self.name, shape, self.base_dilations, self._borders)
        return windows(self.name, sizes, self.window_dimensions, self.window_strides, self.window_dilations)


class Logical(Binary):
    """`logical_and` or `logical_or`, in the type of the operands."""

    def __call__(self, xp: Any, *arrays: Array) -> Arrays:
        (result,) = super().__call__(xp, *arrays)
        return (xp.asarray(result).astype(arrays[-1].dtype),)


class ReduceWindowFunction(IntEnum):
    """The functions that REDUCE_WINDOW knows."""

    UNSUPPORTED = 0
    ADD = 1
    MUL = 2
    MINIMUM = 3
    MAXIMUM = 4
    ALL = 5
    ANY = 6


_FUNCTIONS = {
    ReduceWindowFunction.ADD: Binary("add"),
    ReduceWindowFunction.MUL: Binary("multiply"),
    ReduceWindowFunction.MINIMUM: Binary("minimum"),
    ReduceWindowFunction.MAXIMUM: Binary("maximum"),
    ReduceWindowFunction.ALL: Logical("logical_and"),
    ReduceWindowFunction.ANY: Logical("logical_or"),
}


_TYPES = FLOAT | DOUBLE | INT8 | UINT8 | INT16 | INDEX | BOOL


@op("REDUCE_WINDOW", _TYPES, _TYPES, INT64)
class ReduceWindow(Op):
    """Windows of `input` combined by `reduce_function`, from `init_value`; without a border."""

    reduce_function: ReduceWindowFunction = ReduceWindowFunction.UNSUPPORTED

    def refuses(self, input: TensorSpec, init_value: TensorSpec, window_shape: TensorSpec, window_strides: TensorSpec,
                window_dilations: TensorSpec) -> str | None:  # fmt: skip
        if self.reduce_function not in _FUNCTIONS:
            return "operator REDUCE_WINDOW is not supported without a reduce function."
        if any(spec.value is None for spec in (window_shape, window_strides, window_dilations)):
            return "operator REDUCE_WINDOW is not supported with windows that are not constant."
        return None

    def infer(self, input: TensorSpec, init_value: TensorSpec, window_shape: TensorSpec, window_strides: TensorSpec,
              window_dilations: TensorSpec) -> TensorSpec:  # fmt: skip
        arrays_of(self.name, (input, init_value))
        if not 1 <= input.rank <= MAX_RANK:
            raise KernelError(f"REDUCE_WINDOW got {input}, expected 1 to {MAX_RANK} dimensions.")
        axes = self._windows(shape_of(input), *(s.value for s in (window_shape, window_strides, window_dilations)))
        return TensorSpec(input.type, tuple(axis.out for axis in axes))

    def run(self, xp: Any, input: Array, init_value: Array, window_shape: Array, window_strides: Array,
            window_dilations: Array) -> Array:  # fmt: skip
        operands = zip(self.ins[2:], (window_shape, window_strides, window_dilations), strict=True)
        axes = self._windows(input.shape, *(known(spec, array) for spec, array in operands))
        return reduced(xp, _FUNCTIONS[self.reduce_function], (input,), (init_value.reshape(()),), axes)[0]

    def _windows(self, shape: tuple[int, ...], *window: Any) -> Axes:
        return windows(self.name, shape, *map(integers, window))

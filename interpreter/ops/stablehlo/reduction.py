"""STABLEHLO_REDUCE, and the ways to combine many elements with a function of two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec
from ..base import op
from ..shared.host import shape_of
from .bodies import Arrays, BodyOp, Function
from .elementwise import VALUE
from .geometry import check_dimensions

_WHOLE = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min"}
_WHOLE_BOOLEAN = {"bitwise_and": "all", "bitwise_or": "any", "maximum": "any", "minimum": "all"}


def combined(xp: Any, function: Function, arrays: Arrays) -> Arrays:
    """Arrays [n, ...] combined over their first dimension, n >= 1, in order: [...]."""
    last: Arrays | None = None  # what the elements from len(arrays[0]) on come to
    while (count := len(arrays[0])) > 1:
        if count % 2:
            odd = tuple(a[-1:] for a in arrays)
            last = odd if last is None else function(xp, *odd, *last)
        even = count - count % 2
        arrays = function(xp, *(a[0:even:2] for a in arrays), *(a[1:even:2] for a in arrays))
    if last is not None:
        arrays = function(xp, *arrays, *last)
    return tuple(a.reshape(a.shape[1:]) for a in arrays)


def whole_reduction(xp: Any, function: Function, dtype: np.dtype[Any]) -> Callable[..., Array] | None:
    """The array module's own reduction by this function, called as f(x, axis=...), where it has one."""
    names = _WHOLE_BOOLEAN if dtype.kind == "b" else _WHOLE
    name = names.get(function.operator or "")
    if name is None:
        return None
    found: Callable[..., Array] = getattr(xp, name)
    return partial(found, dtype=dtype) if name in ("sum", "prod") else found


def arrays_of(name: str, specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """The arrays among the operands, before the start value of each. Raises KernelError where they don't fit."""
    count = len(specs) // 2
    operands, starts = specs[:count], specs[count:]
    if len(specs) % 2 or not operands:
        raise KernelError(f"{name} got {len(specs)} operands, expected a start value for each array.")
    for operand, start in zip(operands, starts, strict=True):
        if operand.shape != operands[0].shape or start.size != 1 or start.type != operand.type:
            raise KernelError(f"{name} got {operand} with the start value {start}, expected one of the same type, "
                              f"and arrays of shape {list(shape_of(operands[0]))}.")  # fmt: skip
    return operands


@dataclass(frozen=True, eq=False, kw_only=True)
class ReductionOp(BodyOp):
    """An op that combines elements of arrays, each with a start value, by a function of two elements of each array."""

    body_subgraph_index: int = 0

    @property
    def body_graph(self) -> int:
        return self.body_subgraph_index

    @property
    def body_takes(self) -> int:
        return len(self.ins)


@op("STABLEHLO_REDUCE", VALUE)
class StablehloReduce(ReductionOp):
    """Arrays of one shape combined over `dimensions` by a function of two elements of each, from a start value each."""

    dimensions: tuple[int, ...] = ()

    def infer(self, *inputs: TensorSpec) -> tuple[TensorSpec, ...]:
        operands = arrays_of(self.name, inputs)
        kept = self._kept(operands[0].rank)
        return tuple(TensorSpec(s.type, tuple(shape_of(s)[axis] for axis in kept)) for s in operands)

    def run(self, xp: Any, *inputs: Array) -> Arrays:
        count = len(inputs) // 2
        kept = self._kept(inputs[0].ndim)
        shape = tuple(inputs[0].shape[axis] for axis in kept)
        rows = prod(inputs[0].shape[axis] for axis in self.dimensions)
        starts = tuple(start.reshape(()) for start in inputs[count:])
        if not rows:
            return tuple(xp.broadcast_to(start, shape) for start in starts)
        return self.applied(xp, *starts, *self._combined(xp, inputs[:count], kept, (rows, *shape)))

    def _combined(self, xp: Any, operands: Arrays, kept: tuple[int, ...], shape: tuple[int, ...]) -> Arrays:
        """The elements without the start values; `shape` is that of an operand with what is combined in front."""
        whole = whole_reduction(xp, self.applied, operands[0].dtype)
        if whole is not None and self.dimensions:
            return (whole(operands[0], axis=self.dimensions),)
        flat = tuple(x.transpose(*self.dimensions, *kept).reshape(shape) for x in operands)
        return combined(xp, self.applied, flat)

    def _kept(self, rank: int) -> tuple[int, ...]:
        """The dimensions that stay. Raises KernelError for some to reduce that are not there or not different."""
        check_dimensions(self.name, "dimensions", self.dimensions, rank)
        return tuple(axis for axis in range(rank) if axis not in self.dimensions)

"""Operators that pick, spread or repeat elements without computing, as C expressions."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ....interpreter.graph import Shape
from ....interpreter.ops.base import Op
from ....interpreter.ops.shared.host import normalize_axis
from ....interpreter.runtime.delegate import BoundNode
from ..tail import Writer, expresses
from .elementwise import of


def _select_reads(bound: BoundNode) -> Sequence[Shape | None]:
    condition, x, y = (spec.shape if spec is not None else None for spec in bound.ins)
    if condition is not None and x is not None and len(condition) == 1:  # one condition for each row
        condition = (*condition, *(1,) * (len(x) - 1))
    return condition, x, y


@expresses(*of("SELECT"), reads=_select_reads)
@expresses(*of("SELECT_V2", "STABLEHLO_SELECT"))
def _select(writer: Writer, op: Op, condition: str, x: str, y: str) -> str:
    return f"({condition} ? {x} : {y})"


def _first_as_result(bound: BoundNode) -> Sequence[Shape | None]:
    return bound.outs[0].shape, *(None for _ in bound.ins[1:])


def _first_alone(bound: BoundNode) -> Sequence[Shape | None]:
    first = bound.ins[0]
    return None if first is None else first.shape, *(None for _ in bound.ins[1:])


@expresses(*of("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "STABLEHLO_RESHAPE"), reads=_first_as_result)
@expresses(*of("BROADCAST_TO"), reads=_first_alone)
def _first(writer: Writer, op: Op, x: str, *shape: None) -> str:
    return x


@expresses(*of("FILL"), reads=lambda bound: (None, ()))
def _filled(writer: Writer, op: Op, dims: None, value: str) -> str:
    return value


@expresses(*of("ZEROS_LIKE"), reads=lambda bound: (None,))
def _zeros(writer: Writer, op: Op, x: None) -> str:
    return "0"


def _one_hot_reads(bound: BoundNode) -> Sequence[Shape | None]:
    indices = bound.ins[0]
    assert indices is not None
    assert indices.shape is not None
    op: Any = bound.op
    axis = normalize_axis(op.axis, len(indices.shape) + 1)
    return (*indices.shape[:axis], 1, *indices.shape[axis:]), None, (), ()


@expresses(*of("ONE_HOT"), reads=_one_hot_reads)
def _one_hot(writer: Writer, op: Any, indices: str, depth: None, on: str, off: str) -> str:
    axis = normalize_axis(op.axis, len(writer.shape))
    position = writer.coordinate(prod(writer.shape[axis + 1 :]), writer.shape[axis])
    return f"({indices} == (long long)({position}) ? {on} : {off})"

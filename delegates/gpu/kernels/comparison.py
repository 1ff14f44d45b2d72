"""Comparisons, logic and bits as C expressions."""

from __future__ import annotations

from typing import Any

from ....interpreter.ops.base import Op
from ....interpreter.ops.stablehlo.compare import CompareType, Direction
from ..kernel import CTYPES
from ..tail import Expression, Writer, expresses, value_type
from .elementwise import is_float, is_integer, of, wrapped


def _infix(sign: str) -> Expression:
    def expression(writer: Writer, op: Op, x: str, y: str) -> str | None:
        return None if op.is_quantized else f"({x} {sign} {y})"

    return expression


_RELATIONS = {
    "EQUAL": "==",
    "NOT_EQUAL": "!=",
    "LESS": "<",
    "LESS_EQUAL": "<=",
    "GREATER": ">",
    "GREATER_EQUAL": ">=",
    "LOGICAL_AND": "&&",
    "LOGICAL_OR": "||",
    "BITWISE_XOR": "^",
    "STABLEHLO_AND": "&",
    "STABLEHLO_OR": "|",
}

for _name, _relation in _RELATIONS.items():
    expresses(*of(_name))(_infix(_relation))

_DIRECTIONS = {
    Direction.EQ: "==",
    Direction.NE: "!=",
    Direction.GE: ">=",
    Direction.GT: ">",
    Direction.LE: "<=",
    Direction.LT: "<",
}


@expresses(*of("STABLEHLO_COMPARE"))
def _compared(writer: Writer, op: Any, x: str, y: str) -> str | None:
    if op.compare_type is CompareType.FLOAT_TOTAL_ORDER:
        return None
    return f"({x} {_DIRECTIONS[op.comparison_direction]} {y})"


@expresses(*of("LOGICAL_NOT"))
def _not(writer: Writer, op: Op, x: str) -> str:
    return f"!{x}"


@expresses(*of("RIGHT_SHIFT"))
def _shift_right(writer: Writer, op: Op, x: str, places: str) -> str:
    dtype = op.outs[0].dtype
    ctype, last = CTYPES[dtype], 8 * dtype.itemsize - 1
    return f"({ctype})({x} >> at_most<{ctype}>(at_least<{ctype}>({places}, 0), {last}))"


@expresses(*of("STABLEHLO_SHIFT_LEFT"))
def _shift_left(writer: Writer, op: Op, x: str, places: str) -> str:
    dtype = op.outs[0].dtype
    bits = 8 * dtype.itemsize
    return f"({places} < 0 || {places} >= {bits} ? 0 : {wrapped(dtype, x, '<<', places)})"


@expresses(*of("STABLEHLO_CLAMP"))
def _clamped(writer: Writer, op: Op, low: str, x: str, high: str) -> str | None:
    kind = value_type(op.outs[0].dtype)
    return f"lesser_of<{kind}>(greater_of<{kind}>({x}, {low}), {high})" if is_float(op) or is_integer(op) else None

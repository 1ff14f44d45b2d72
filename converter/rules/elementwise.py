"""Element by element: arithmetic, comparisons, logic, selection, casts."""

from __future__ import annotations

import numpy as np

from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .types import ARITHMETIC, BF16, BOOL, F16, F32, F64, FIXED, I8, I16, I32, I64, STRING, U8, U16, U32, Table

MAX_BROADCAST_RANK = 6
"""The reference kernels broadcast operands of at most this many dimensions."""

UNARY: Table = {
    "Abs": ("ABS", (F32, I32, I16)),
    "Ceil": ("CEIL", (F32,)),
    "Cos": ("COS", (F32,)),
    "Exp": ("EXP", (F32,)),
    "Floor": ("FLOOR", (F32,)),
    "Log": ("LOG", (F32,)),
    "LogicalNot": ("LOGICAL_NOT", (BOOL,)),
    "Neg": ("NEG", ARITHMETIC),
    "Round": ("ROUND", (F32,)),
    "Rint": ("ROUND", (F32,)),
    "Rsqrt": ("RSQRT", (F32,)),
    "Sign": ("SIGN", (F32,)),
    "Sin": ("SIN", (F32,)),
    "Sqrt": ("SQRT", (F32,)),
    "Square": ("SQUARE", (F32,)),
    "ZerosLike": ("ZEROS_LIKE", ARITHMETIC),
}
BINARY: Table = {
    "Add": ("ADD", ARITHMETIC),
    "AddV2": ("ADD", ARITHMETIC),
    "BitwiseXor": ("BITWISE_XOR", (I8, I16, I32, U8, U16, U32)),
    "Div": ("DIV", (F32, I32)),
    "FloorDiv": ("FLOOR_DIV", (F32, I32)),
    "FloorMod": ("FLOOR_MOD", ARITHMETIC),
    "LogicalAnd": ("LOGICAL_AND", (BOOL,)),
    "LogicalOr": ("LOGICAL_OR", (BOOL,)),
    "Maximum": ("MAXIMUM", ARITHMETIC),
    "Minimum": ("MINIMUM", ARITHMETIC),
    "Mul": ("MUL", ARITHMETIC),
    "Pow": ("POW", (F32, I32)),
    "RealDiv": ("DIV", (F32,)),
    "RightShift": ("RIGHT_SHIFT", (I8, I16, I32, U8, U16, U32)),
    "SquaredDifference": ("SQUARED_DIFFERENCE", (F32, I32)),
    "Sub": ("SUB", ARITHMETIC),
    "TruncateDiv": ("DIV", (I32,)),
}
COMPARISON: Table = {
    "Equal": ("EQUAL", (*ARITHMETIC, BOOL, I16, STRING)),
    "Greater": ("GREATER", ARITHMETIC),
    "GreaterEqual": ("GREATER_EQUAL", ARITHMETIC),
    "Less": ("LESS", ARITHMETIC),
    "LessEqual": ("LESS_EQUAL", ARITHMETIC),
    "NotEqual": ("NOT_EQUAL", (*ARITHMETIC, BOOL, I16, STRING)),
}
CASTS = (F32, I32, I64, BOOL, U8, I8, I16, U16, U32, F16, F64, BF16)


def _unary(op: Lowering) -> DraftTensor:
    name, types = UNARY[op.node.op]
    op.require_type(0, *types)
    return op.emit(name, op.input(0))


def _binary(op: Lowering) -> DraftTensor:
    name, types = (BINARY | COMPARISON)[op.node.op]
    op.require_type(0, *types)
    return broadcast(op, name, op.input(0), op.input(1))


def broadcast(op: Lowering, name: str, x: DraftTensor, y: DraftTensor, out: DraftTensor | None = None) -> DraftTensor:
    """Emit a binary operator, if its operands have equal shapes or few enough dimensions to be broadcast."""
    small = max(x.rank or 0, y.rank or 0) <= MAX_BROADCAST_RANK
    equal = x.static is not None and x.static == y.static
    op.require(small or equal, f"broadcasting is limited to {MAX_BROADCAST_RANK} dimensions")
    return op.emit(name, x, y, out=out)


lowers(*UNARY)(_unary)
lowers(*BINARY, *COMPARISON)(_binary)


@lowers("Atan2")
def atan2(op: Lowering) -> DraftTensor:
    op.require_type(0, F32)
    op.require(len(op.dims(0)) == len(op.dims(1)), "ATAN2 broadcasts operands of the same rank only")
    return op.emit("ATAN2", op.input(0), op.input(1))


@lowers("Inv", "Reciprocal")
def reciprocal(op: Lowering) -> DraftTensor:
    op.require_type(0, F32)
    return op.emit("DIV", np.ones((), np.float32), op.input(0))


@lowers("AddN")
def add_n(op: Lowering) -> DraftTensor:
    op.require_type(0, F32, I32)
    if len(op) == 1:
        return op.input(0)
    return op.emit("ADD_N" if len(op) > 2 else "ADD", *op.inputs)


@lowers("BiasAdd")
def bias_add(op: Lowering) -> DraftTensor:
    op.require_type(0, F32)
    bias = op.input(1)
    if op.attr("data_format", "NHWC") == "NHWC":
        return op.emit("ADD", op.input(0), bias)
    trailing = (1,) * (len(op.dims(0)) - 2)
    column = op.const(1, "the bias in data format NCHW").reshape(-1, *trailing)
    return op.emit("ADD", op.input(0), column)


@lowers("Select", "SelectV2")
def select(op: Lowering) -> DraftTensor:
    op.require_type(1, *FIXED)
    condition, x = op.dims(0), op.dims(1)
    by_row = op.node.op == "Select" and len(condition) == 1 and len(x) > 1
    return op.emit("SELECT" if by_row else "SELECT_V2", *op.inputs)


@lowers("Cast")
def cast(op: Lowering) -> DraftTensor:
    op.require_type(0, *CASTS)
    target = op.graph.type_of(op.output())
    op.require(target in CASTS, f"there is no cast to {target.name.lower()}")
    op.require(not op.attr("Truncate", False), "casts that cut off mantissa bits are not builtin")
    if op.type(0) is target:
        return op.input(0)
    return op.emit("CAST", op.input(0), in_data_type=op.type(0), out_data_type=target)

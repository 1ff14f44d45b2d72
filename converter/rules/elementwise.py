"""Element by element: arithmetic, comparisons, logic, selection, casts."""

from __future__ import annotations

import numpy as np

from ..draft import DraftTensor
from ..kernels import KERNELS, WIDER
from ..lower import Lowering, lowers
from .steps import alike, move, number, pairs, shape_of, spread, step
from .types import BOOL, C64, F32, I32, I64

MAX_BROADCAST_RANK = 6
"""The reference kernels broadcast operands of at most this many dimensions."""

UNARY = {
    "Ceil": "CEIL",
    "ComplexAbs": "COMPLEX_ABS",
    "Cos": "COS",
    "Exp": "EXP",
    "Floor": "FLOOR",
    "Imag": "IMAG",
    "Log": "LOG",
    "LogicalNot": "LOGICAL_NOT",
    "Real": "REAL",
    "Rint": "ROUND",
    "Round": "ROUND",
    "Rsqrt": "RSQRT",
    "Sin": "SIN",
    "Sqrt": "SQRT",
}
BINARY = {
    "Add": "ADD",
    "AddV2": "ADD",
    "BitwiseXor": "BITWISE_XOR",
    "Div": "DIV",
    "Equal": "EQUAL",
    "FloorDiv": "FLOOR_DIV",
    "FloorMod": "FLOOR_MOD",
    "Greater": "GREATER",
    "GreaterEqual": "GREATER_EQUAL",
    "Less": "LESS",
    "LessEqual": "LESS_EQUAL",
    "LogicalAnd": "LOGICAL_AND",
    "LogicalOr": "LOGICAL_OR",
    "Maximum": "MAXIMUM",
    "Minimum": "MINIMUM",
    "Mul": "MUL",
    "NotEqual": "NOT_EQUAL",
    "Pow": "POW",
    "RightShift": "RIGHT_SHIFT",
    "SquaredDifference": "SQUARED_DIFFERENCE",
}
SAME_SHAPE = {
    "ADD": "STABLEHLO_ADD",
    "MAXIMUM": "STABLEHLO_MAXIMUM",
    "MINIMUM": "STABLEHLO_MINIMUM",
    "MUL": "STABLEHLO_MULTIPLY",
}
"""Operators that take more types, of operands of one shape."""


@lowers(*UNARY)
def unary(op: Lowering) -> DraftTensor:
    return op.emit(UNARY[op.node.op], op.input(0))


@lowers(*BINARY)
def binary(op: Lowering) -> DraftTensor:
    return broadcast(op, BINARY[op.node.op], op.input(0), op.input(1))


def broadcast(op: Lowering, name: str, x: DraftTensor, y: DraftTensor, out: DraftTensor | None = None) -> DraftTensor:
    """Emit a binary operator, if its operands have equal shapes or few enough dimensions to be broadcast."""
    small = max(x.rank or 0, y.rank or 0) <= MAX_BROADCAST_RANK
    equal = x.static is not None and x.static == y.static
    op.require(small or equal, f"broadcasting is limited to {MAX_BROADCAST_RANK} dimensions")
    if x.type is C64 and name in ("ADD", "SUB"):
        dims = op.output().dims
        together = move(op, name, pairs(op, x), pairs(op, y), dims=None if dims is None else (*dims, 2))
        return op.emit("BITCAST", together, out=out)
    lacking = x.type not in KERNELS[name].types and x.type not in WIDER
    if lacking and name in SAME_SHAPE and x.type in KERNELS[SAME_SHAPE[name]].types:
        return op.emit(SAME_SHAPE[name], spread(op, x, y), spread(op, y, x), out=out)
    return op.emit(name, x, y, out=out)


@lowers("Sub")
def sub(op: Lowering) -> DraftTensor:
    x, y = op.inputs
    if x.type in KERNELS["SUB"].types or x.type in WIDER or x.type is C64:
        return broadcast(op, "SUB", x, y)
    return broadcast(op, "ADD", x, _negative(op, y))


@lowers("Neg")
def neg(op: Lowering) -> DraftTensor:
    x = op.input(0)
    return op.emit("NEG", x) if x.type in KERNELS["NEG"].types or x.type in WIDER else _negative(op, x)


def _negative(op: Lowering, x: DraftTensor) -> DraftTensor:
    """-1 * x, for types that MUL or STABLEHLO_MULTIPLY alone takes."""
    name = "MUL" if x.type in KERNELS["MUL"].types else SAME_SHAPE["MUL"]
    minus = np.full((), -1, x.type.dtype)
    if name == "MUL":
        return op.emit(name, x, minus, out=op.tensor(x.type, x.dims, "/neg"))
    shape = shape_of(op, x)
    whole = op.emit("BROADCAST_TO", minus, shape, out=op.tensor(x.type, x.dims, "/minus"), version=2)
    return op.emit(name, x, whole, out=op.tensor(x.type, x.dims, "/neg"))


@lowers("RealDiv")
def real_div(op: Lowering) -> DraftTensor:
    op.require(op.type(0) is F32, f"DIV divides no {op.type(0).name.lower()} by its real quotient")
    return broadcast(op, "DIV", *op.inputs)


@lowers("TruncateDiv")
def truncate_div(op: Lowering) -> DraftTensor:
    op.require(op.type(0) is I32, f"no builtin operator truncates quotients of {op.type(0).name.lower()}")
    return broadcast(op, "DIV", *op.inputs)


@lowers("TruncateMod")
def truncate_mod(op: Lowering) -> DraftTensor:
    """What the truncated quotient leaves."""
    op.require(op.type(0) is I32, f"no builtin operator truncates quotients of {op.type(0).name.lower()}")
    x, y = op.inputs
    quotient = broadcast(op, "DIV", x, y, op.tensor(I32, op.output().dims, "/quotient"))
    return op.emit("SUB", x, step(op, "MUL", quotient, y))


@lowers("Abs")
def absolute(op: Lowering) -> DraftTensor:
    x = op.input(0)
    return op.emit("MAXIMUM", x, step(op, "NEG", x)) if x.type is I64 else op.emit("ABS", x)


@lowers("Square")
def square(op: Lowering) -> DraftTensor:
    x = op.input(0)
    return op.emit("SQUARE", x) if x.type is F32 else broadcast(op, "MUL", x, x)


@lowers("Sign")
def sign(op: Lowering) -> DraftTensor:
    """-1, 0 or 1: of int64, the difference of two comparisons."""
    x = op.input(0)
    if x.type is not I64:
        return op.emit("SIGN", x, version=1 if x.type is F32 else 2)
    above, below = (
        op.cast(op.emit(name, x, number(0, I64), out=op.tensor(BOOL, x.dims, f"/{name.lower()}")), I64)
        for name in ("GREATER", "LESS")
    )
    return op.emit("SUB", above, below)


@lowers("ZerosLike", "OnesLike")
def filled_like(op: Lowering) -> DraftTensor:
    x = op.input(0)
    if op.node.op == "ZerosLike" and x.type in KERNELS["ZEROS_LIKE"].types:
        return op.emit("ZEROS_LIKE", x)
    return op.emit("FILL", shape_of(op, x), np.full((), op.node.op == "OnesLike", x.type.dtype))


@lowers("Atan2")
def atan2(op: Lowering) -> DraftTensor:
    """Of operands of one shape: the reference's kernel broadcasts nothing."""
    return op.emit("ATAN2", *alike(op))


@lowers("Inv", "Reciprocal")
def reciprocal(op: Lowering) -> DraftTensor:
    op.require(op.type(0) is F32, f"DIV divides no {op.type(0).name.lower()} by its real quotient")
    return op.emit("DIV", np.ones((), np.float32), op.input(0))


@lowers("AddN", "AccumulateNV2")
def add_n(op: Lowering) -> DraftTensor:
    first, *others = op.inputs
    if not others:
        return first
    if len(others) > 1 and first.type in KERNELS["ADD_N"].types:
        return op.emit("ADD_N", first, *others)
    for other in others[:-1]:
        first = broadcast(op, "ADD", first, other, op.tensor(first.type, op.output().dims, "/sum"))
    return broadcast(op, "ADD", first, others[-1])


@lowers("BiasAdd")
def bias_add(op: Lowering) -> DraftTensor:
    x, bias = op.inputs
    if op.attr("data_format", "NHWC") == "NHWC":
        return broadcast(op, "ADD", x, bias)
    trailing = (1,) * (len(op.dims(0)) - 2)
    column = op.const(1, "the bias in data format NCHW").reshape(-1, *trailing)
    return broadcast(op, "ADD", x, op.constant(column, "/bias"))


@lowers("Select", "SelectV2")
def select(op: Lowering) -> DraftTensor:
    condition, x = op.dims(0), op.dims(1)
    by_row = op.node.op == "Select" and len(condition) == 1 and len(x) > 1
    return op.emit("SELECT" if by_row else "SELECT_V2", *op.inputs)


@lowers("ClipByValue")
def clip(op: Lowering) -> DraftTensor:
    x, low, high = op.inputs
    return op.emit("MINIMUM", step(op, "MAXIMUM", x, low), high)


@lowers("Cast")
def cast(op: Lowering) -> DraftTensor:
    target, types = op.output_type(), KERNELS["CAST"].types
    op.require(target in types, f"there is no cast to {target.name.lower()}")
    op.require(not op.attr("Truncate", False), "casts that cut off mantissa bits are not builtin")
    if op.type(0) is target:
        return op.input(0)
    return op.emit("CAST", op.input(0), in_data_type=op.type(0), out_data_type=target)

"""TensorFlow operators that a few builtin ones spell out, of float32 and element by element."""

from __future__ import annotations

import numpy as np

from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .elementwise import broadcast
from .steps import alike, choose, move, number, spread, step
from .types import BOOL, C64, F32

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
"""Constants of Klambauer et al., "Self-Normalizing Neural Networks" (2017)."""


def require_float(op: Lowering) -> None:
    """Give the node up unless it is one of float32, here or after widening."""
    op.require(op.type(0) is F32, f"no builtin operators spell out {op.node.op} of {op.type(0).name.lower()}")


@lowers("Softplus")
def softplus(op: Lowering) -> DraftTensor:
    """log(1 + exp(x)), as max(x, 0) + log(1 + s) with s = exp(-|x|), which does not overflow.

    What 1 + s loses of s in rounding is added to the logarithm: for x < -17 it is all there is.
    """
    require_float(op)
    x = op.input(0)
    small = step(op, "EXP", step(op, "NEG", step(op, "ABS", x)))
    whole = step(op, "ADD", small, number(1))
    lost = step(op, "SUB", small, step(op, "SUB", whole, number(1)))
    return op.emit("ADD", step(op, "RELU", x), step(op, "ADD", step(op, "LOG", whole), lost))


@lowers("Softsign")
def softsign(op: Lowering) -> DraftTensor:
    require_float(op)
    return op.emit("DIV", op.input(0), step(op, "ADD", step(op, "ABS", op.input(0)), number(1)))


@lowers("Selu")
def selu(op: Lowering) -> DraftTensor:
    """scale * (max(x, 0) + alpha * (exp(min(x, 0)) - 1))."""
    require_float(op)
    x = op.input(0)
    below = step(op, "SUB", step(op, "EXP", step(op, "MINIMUM", x, number(0))), number(1))
    whole = step(op, "ADD", step(op, "RELU", x), step(op, "MUL", below, number(SELU_ALPHA)))
    return op.emit("MUL", whole, number(SELU_SCALE))


@lowers("IsNan")
def is_nan(op: Lowering) -> DraftTensor:
    return op.emit("NOT_EQUAL", op.input(0), op.input(0))


@lowers("IsInf", "IsFinite")
def is_infinite(op: Lowering) -> DraftTensor:
    """|x| against infinity; NaN is neither finite nor infinite."""
    require_float(op)
    name = {"IsInf": "EQUAL", "IsFinite": "LESS"}[op.node.op]
    return op.emit(name, step(op, "ABS", op.input(0), type=F32), number(np.inf))


@lowers("ApproximateEqual")
def approximate_equal(op: Lowering) -> DraftTensor:
    require_float(op)
    distance = step(op, "ABS", step(op, "SUB", *op.inputs, type=F32), type=F32)
    return op.emit("LESS", distance, number(op.attr("tolerance", 1e-5)))


@lowers("DivNoNan", "MulNoNan")
def no_nan(op: Lowering) -> DraftTensor:
    """x / y or x * y, but 0 where y is 0."""
    require_float(op)
    x, y = op.inputs
    zero = op.emit("EQUAL", y, number(0), out=op.tensor(BOOL, y.dims, "/zero"))
    name = {"DivNoNan": "DIV", "MulNoNan": "MUL"}[op.node.op]
    return choose(op, zero, number(0), broadcast(op, name, x, y, op.tensor(F32, op.output().dims, "/result")))


@lowers("Xdivy", "Xlogy", "Xlog1py")
def x_times(op: Lowering) -> DraftTensor:
    """x / y, x * log(y) or x * log(1 + y), but 0 where x is 0."""
    require_float(op)
    x, y = op.inputs
    zero = op.emit("EQUAL", x, number(0), out=op.tensor(BOOL, x.dims, "/zero"))
    if op.node.op == "Xdivy":
        result = broadcast(op, "DIV", x, y, op.tensor(F32, op.output().dims, "/result"))
    else:
        log = log1p_of(op, y) if op.node.op == "Xlog1py" else move(op, "LOG", y, dims=y.dims)
        result = broadcast(op, "MUL", x, log, op.tensor(F32, op.output().dims, "/result"))
    return choose(op, zero, number(0), result)


def log1p_of(op: Lowering, x: DraftTensor) -> DraftTensor:
    """log(1 + x), exact for small x too: u = 1 + x is off by x - (u - 1), which is made up for (Higham 2002)."""
    dims = x.dims
    u = move(op, "ADD", x, number(1), dims=dims)
    log = move(op, "LOG", u, dims=dims)
    lost = move(op, "SUB", x, move(op, "SUB", u, number(1), dims=dims), dims=dims)
    exact = move(op, "ADD", log, move(op, "DIV", lost, u, dims=dims), dims=dims)
    small = move(op, "LESS", move(op, "ABS", x, dims=dims), number(0.5), dims=dims, type=BOOL)
    return move(op, "SELECT_V2", small, exact, log, dims=dims, type=F32)


@lowers("Log1p")
def log1p(op: Lowering) -> DraftTensor:
    require_float(op)
    return log1p_of(op, op.input(0))


@lowers("Expm1")
def expm1(op: Lowering) -> DraftTensor:
    """exp(x) - 1 as tanh(x / 2) * (exp(x) + 1), which is exact for small x too."""
    require_float(op)
    x = op.input(0)
    bell = step(op, "TANH", step(op, "MUL", x, number(0.5)))
    return op.emit("MUL", bell, step(op, "ADD", step(op, "EXP", x), number(1)))


@lowers("Tan")
def tan(op: Lowering) -> DraftTensor:
    require_float(op)
    return op.emit("DIV", step(op, "SIN", op.input(0)), step(op, "COS", op.input(0)))


@lowers("Atan")
def atan(op: Lowering) -> DraftTensor:
    require_float(op)
    x = op.input(0)
    return op.emit("ATAN2", x, spread(op, op.constant(number(1), "/one"), x))


@lowers("Asin", "Acos")
def asin(op: Lowering) -> DraftTensor:
    """The angle of the point (sqrt(1 - x**2), x), or of (x, sqrt(1 - x**2))."""
    require_float(op)
    x, one = op.input(0), number(1)
    square = step(op, "MUL", step(op, "SUB", one, x), step(op, "ADD", one, x))
    other = step(op, "SQRT", square)
    return op.emit("ATAN2", x, other) if op.node.op == "Asin" else op.emit("ATAN2", other, x)


@lowers("Sinh", "Cosh")
def sinh(op: Lowering) -> DraftTensor:
    """cosh(x) = exp(x - log 2) + exp(-x - log 2), which does not overflow early; sinh(x) = tanh(x) * cosh(x)."""
    require_float(op)
    x, log = op.input(0), number(np.log(2))
    grows = step(op, "EXP", step(op, "SUB", x, log))
    falls = step(op, "EXP", step(op, "SUB", step(op, "NEG", x), log))
    if op.node.op == "Cosh":
        return op.emit("ADD", grows, falls)
    return op.emit("MUL", step(op, "TANH", x), step(op, "ADD", grows, falls))


@lowers("Atanh")
def atanh(op: Lowering) -> DraftTensor:
    """log(1 + 2 x / (1 - x)) / 2."""
    require_float(op)
    x = op.input(0)
    ratio = step(op, "DIV", step(op, "MUL", x, number(2)), step(op, "SUB", number(1), x))
    return op.emit("MUL", log1p_of(op, ratio), number(0.5))


@lowers("Acosh")
def acosh(op: Lowering) -> DraftTensor:
    """log(1 + t + sqrt(t) * sqrt(x + 1)) with t = x - 1."""
    require_float(op)
    x = op.input(0)
    t = step(op, "SUB", x, number(1))
    root = step(op, "MUL", step(op, "SQRT", t), step(op, "SQRT", step(op, "ADD", x, number(1))))
    return log1p_of(op, step(op, "ADD", t, root))


@lowers("Asinh")
def asinh(op: Lowering) -> DraftTensor:
    """sign(x) * log(1 + a + a * b / (1 + sqrt(1 + b**2))) with a = |x|, and b = a but small enough to be squared."""
    require_float(op)
    a = step(op, "ABS", op.input(0))
    b = step(op, "MINIMUM", a, number(1e9))
    root = step(op, "SQRT", step(op, "ADD", step(op, "SQUARE", b), number(1)))
    ratio = step(op, "DIV", b, step(op, "ADD", root, number(1)))
    log = log1p_of(op, step(op, "ADD", a, step(op, "MUL", a, ratio)))
    return op.emit("MUL", step(op, "SIGN", op.input(0)), log)


@lowers("Angle")
def angle(op: Lowering) -> DraftTensor:
    op.require(op.type(0) is C64, "the angle is one of complex64")
    return op.emit("ATAN2", step(op, "IMAG", op.input(0)), step(op, "REAL", op.input(0)))


@lowers("BitwiseAnd")
def bitwise_and(op: Lowering) -> DraftTensor:
    return op.emit("STABLEHLO_AND", *alike(op))


@lowers("BitwiseOr")
def bitwise_or(op: Lowering) -> DraftTensor:
    """The bits that differ, or are in both."""
    x, y = alike(op)
    return op.emit("BITWISE_XOR", step(op, "BITWISE_XOR", x, y), step(op, "STABLEHLO_AND", x, y))


@lowers("LeftShift")
def left_shift(op: Lowering) -> DraftTensor:
    return op.emit("STABLEHLO_SHIFT_LEFT", *alike(op))


@lowers("Invert")
def invert(op: Lowering) -> DraftTensor:
    ones = np.array(-1, np.int64).astype(op.type(0).dtype)
    return op.emit("BITWISE_XOR", op.input(0), ones)

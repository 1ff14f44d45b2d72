"""Arithmetic, real functions and activations as C expressions, of which tails and fused chains are made.

The expressions use the names of their operands' values; `{f}` is the suffix of C functions and numbers for float.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ....interpreter.ops.base import OPS, Activation, Op
from ..kernel import CTYPES
from ..tail import Expression, Writer, expresses, value_type


def of(*names: str) -> list[type[Op]]:
    """Operators by name."""
    return [OPS[name] for name in names]


def is_float(op: Op) -> bool:
    """Whether an operator computes in floating point."""
    return not op.is_quantized and all(s is None or s.dtype.kind == "f" for s in (*op.ins, *op.outs))


def is_integer(op: Op) -> bool:
    """Whether an operator computes with integers as they are stored."""
    return not op.is_quantized and all(s is None or s.dtype.kind in "iu" for s in (*op.ins, *op.outs))


def suffix(op: Op) -> str:
    """What C functions and numbers end with for the first result's type."""
    return "" if op.outs[0].dtype == np.float64 else "f"


def constant(op: Op, position: int) -> np.ndarray | None:
    """The value of an operand that is the same in all calls."""
    spec = op.ins[position]
    return None if spec is None else spec.value


def wrapped(dtype: np.dtype[Any], *parts: str) -> str:
    """Integer arithmetic modulo 2**bits: operators at odd places of `parts`, operands between them."""
    wide = "unsigned long long" if dtype.itemsize == 8 else "unsigned"
    terms = " ".join(part if i % 2 else f"({wide})({part})" for i, part in enumerate(parts))
    return f"({CTYPES[dtype]})({terms})"


def clamped(writer: Writer, activation: Activation, value: str, dtype: Any = np.float32) -> str | None:
    """A value after an activation; NaN stays NaN. None for a type that can't have it."""
    kind = np.dtype(dtype)
    if activation in (Activation.TANH, Activation.SIGN_BIT):
        if kind.kind != "f":
            return None
        f = "" if kind == np.float64 else "f"
        return f"tanh{f}({value})" if activation is Activation.TANH else f"(signbit({value}) ? 1.0{f} : 0.0{f})"
    low, high = activation.bounds
    if kind.kind == "u" and (low or 0) < 0:
        return None
    ctype = value_type(kind)
    if low is not None:
        value = f"at_least<{ctype}>({value}, {low:.0f})"
    if high is not None:
        value = f"at_most<{ctype}>({value}, {high:.0f})"
    return value


def _real(template: str) -> Expression:
    def expression(writer: Writer, op: Op, *operands: str) -> str | None:
        return template.format(*operands, f=suffix(op)) if is_float(op) else None

    return expression


_FUNCTIONS = {
    ("EXP", "STABLEHLO_EXPONENTIAL"): "exp{f}({0})",
    ("LOG", "STABLEHLO_LOG"): "log{f}({0})",
    ("SQRT",): "sqrt{f}({0})",
    ("RSQRT", "STABLEHLO_RSQRT"): "1 / sqrt{f}({0})",
    ("STABLEHLO_CBRT",): "cbrt{f}({0})",
    ("SIN",): "sin{f}({0})",
    ("COS", "STABLEHLO_COSINE"): "cos{f}({0})",
    ("ATAN2",): "atan2{f}({0}, {1})",
    ("FLOOR", "STABLEHLO_FLOOR"): "floor{f}({0})",
    ("CEIL",): "ceil{f}({0})",
    ("ROUND",): "rint{f}({0})",
    ("TANH", "STABLEHLO_TANH"): "tanh{f}({0})",
    ("LOGISTIC", "STABLEHLO_LOGISTIC"): "1 / (1 + exp{f}(-{0}))",
    ("RELU",): "at_least({0}, 0.0{f})",
    ("RELU6",): "at_most(at_least({0}, 0.0{f}), 6.0{f})",
    ("RELU_N1_TO_1",): "at_most(at_least({0}, -1.0{f}), 1.0{f})",
    ("RELU_0_TO_1",): "at_most(at_least({0}, 0.0{f}), 1.0{f})",
    ("ELU",): "({0} >= 0 ? {0} : expm1{f}({0}))",
    ("HARD_SWISH",): "at_most(at_least({0} + 3, 0.0{f}), 6.0{f}) * {0} * (1 / 6.0{f})",
    ("PRELU",): "at_most({0}, 0.0{f}) * {1} + at_least({0}, 0.0{f})",
    ("STABLEHLO_POWER",): "pow{f}({0}, {1})",
    ("STABLEHLO_DIVIDE",): "{0} / {1}",
    ("STABLEHLO_REMAINDER",): "fmod{f}({0}, {1})",
}

for _names, _template in _FUNCTIONS.items():
    expresses(*of(*_names))(_real(_template))


def _binary(sign: str) -> Expression:
    def expression(writer: Writer, op: Any, x: str, y: str) -> str | None:
        activation, dtype = getattr(op, "fused_activation_function", Activation.NONE), op.outs[0].dtype
        if is_float(op):
            return clamped(writer, activation, f"({x} {sign} {y})", dtype)
        return clamped(writer, activation, wrapped(dtype, x, sign, y), dtype) if is_integer(op) else None

    return expression


expresses(*of("ADD", "STABLEHLO_ADD"))(_binary("+"))
expresses(*of("SUB", "STABLEHLO_SUBTRACT"))(_binary("-"))
expresses(*of("MUL", "STABLEHLO_MULTIPLY"))(_binary("*"))


@expresses(*of("ADD_N"))
def _sum(writer: Writer, op: Op, *operands: str) -> str | None:
    if is_float(op):
        return " + ".join(operands)
    signs = ["+"] * (2 * len(operands) - 1)
    signs[::2] = operands
    return wrapped(op.outs[0].dtype, *signs) if is_integer(op) else None


@expresses(*of("SQUARE"))
def _square(writer: Writer, op: Op, x: str) -> str | None:
    return f"{x} * {x}" if is_float(op) else wrapped(op.outs[0].dtype, x, "*", x) if is_integer(op) else None


@expresses(*of("SQUARED_DIFFERENCE"))
def _squared_difference(writer: Writer, op: Op, x: str, y: str) -> str | None:
    dtype = op.outs[0].dtype
    if is_float(op):
        difference = writer.line(value_type(dtype), f"{x} - {y}")
        return f"{difference} * {difference}"
    if not is_integer(op):
        return None
    difference = writer.line(CTYPES[dtype], wrapped(dtype, x, "-", y))
    return wrapped(dtype, difference, "*", difference)


@expresses(*of("NEG", "STABLEHLO_NEGATE"))
def _negative(writer: Writer, op: Op, x: str) -> str | None:
    return f"-{x}" if is_float(op) else wrapped(op.outs[0].dtype, "0", "-", x) if is_integer(op) else None


@expresses(*of("ABS", "STABLEHLO_ABS"))
def _magnitude(writer: Writer, op: Op, x: str) -> str | None:
    if is_float(op):
        return f"fabs{suffix(op)}({x})"
    return f"({x} < 0 ? {wrapped(op.outs[0].dtype, '0', '-', x)} : {x})" if is_integer(op) else None


@expresses(*of("SIGN"))
def _sign(writer: Writer, op: Op, x: str) -> str | None:
    return f"sign_of({x})" if is_float(op) or is_integer(op) else None


def _choice(relation: str) -> Expression:
    def expression(writer: Writer, op: Op, x: str, y: str) -> str | None:
        return f"({relation.format(x, y)} ? {x} : {y})" if is_float(op) or is_integer(op) else None

    return expression


expresses(*of("MAXIMUM"))(_choice("{0} > {1}"))
expresses(*of("MINIMUM"))(_choice("{0} < {1}"))
expresses(*of("STABLEHLO_MAXIMUM"))(_choice("!({0} < {1})"))
expresses(*of("STABLEHLO_MINIMUM"))(_choice("!({1} < {0})"))


@expresses(*of("DIV"))
def _quotient(writer: Writer, op: Any, x: str, y: str) -> str | None:
    dtype = op.outs[0].dtype
    if is_float(op):
        return clamped(writer, op.fused_activation_function, f"({x} / {y})", dtype)
    if not _divides(op):
        return None
    return clamped(writer, op.fused_activation_function, f"truncated_quotient<{CTYPES[dtype]}>({x}, {y})", dtype)


@expresses(*of("FLOOR_DIV"))
def _floor_quotient(writer: Writer, op: Op, x: str, y: str) -> str | None:
    if is_float(op):  # in float it might round up to the next integer
        zero_free = (divisors := constant(op, 1)) is not None and bool(np.all(divisors != 0))
        return f"({value_type(op.outs[0].dtype)})floor((double){x} / (double){y})" if zero_free else None
    return f"floor_quotient<{CTYPES[op.outs[0].dtype]}>({x}, {y})" if _divides(op) else None


@expresses(*of("FLOOR_MOD"))
def _floor_modulus(writer: Writer, op: Op, x: str, y: str) -> str | None:
    if is_float(op):
        return f"floor_remainder({x}, {y})"
    return f"floor_modulus<{CTYPES[op.outs[0].dtype]}>({x}, {y})" if _divides(op) else None


def _divides(op: Op) -> bool:
    """Whether an operator divides integers by constants none of which is 0; others might raise an error."""
    divisors = constant(op, 1)
    return is_integer(op) and divisors is not None and bool(np.all(divisors != 0))


_QUICK_POWERS = {2.0: "{0} * {0}", 3.0: "{0} * {0} * {0}", 0.5: "sqrt{f}({0})"}


@expresses(*of("POW"))
def _power(writer: Writer, op: Op, x: str, y: str) -> str | None:
    exponent = constant(op, 1)
    if is_integer(op):
        known = exponent is not None and bool(np.all(exponent >= 0))
        return f"integer_power<{CTYPES[op.outs[0].dtype]}>({x}, (unsigned){y})" if known else None
    if not is_float(op):
        return None
    quick = None if exponent is None or exponent.ndim else _QUICK_POWERS.get(float(exponent))
    return (quick or "pow{f}({0}, {1})").format(x, y, f=suffix(op))


@expresses(*of("LEAKY_RELU"))
def _leaky_relu(writer: Writer, op: Any, x: str) -> str | None:
    if not is_float(op):
        return None
    dtype = op.outs[0].dtype
    alpha = writer.scalar(value_type(dtype), float(dtype.type(op.alpha)))
    return f"({x} > 0 ? {x} : {x} * {alpha})"


_TANH_GELU = "0.5{f} * {0} * (1 + tanh{f}(0.7978845608028654{f} * ({0} + 0.044715{f} * ({0} * {0} * {0}))))"
_ERF_GELU = "0.5{f} * {0} * erfc{f}({0} * -0.7071067811865476{f})"


@expresses(*of("GELU"))
def _gelu(writer: Writer, op: Any, x: str) -> str | None:
    return (_TANH_GELU if op.approximate else _ERF_GELU).format(x, f=suffix(op)) if is_float(op) else None

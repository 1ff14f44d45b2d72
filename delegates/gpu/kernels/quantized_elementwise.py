"""Elementwise operators on quantised integers as C expressions: the integer arithmetic of the bodies, or their tables.

Scales become run-time parameters, so that layers alike share a kernel.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ....interpreter.graph import TensorSpec
from ....interpreter.ops.activation import Prelu
from ....interpreter.ops.arithmetic import Add, Additive, Mul, QuantizedBinary, SquaredDifference, Sub
from ....interpreter.ops.base import INT16, INT32, OPS, Op
from ....interpreter.ops.compare import Comparison, Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual
from ....interpreter.ops.quantize import Quantize
from ....interpreter.ops.shared.affine import affine, log2_of
from ....interpreter.ops.shared.fixedpoint import activation_range, quantize_multiplier
from ....interpreter.ops.shared.pointwise import BYTE, Unary
from ..tail import Writer, expresses

_TABLES: WeakKeyDictionary[Op, np.ndarray] = WeakKeyDictionary()


def scaled(writer: Writer, value: str, factor: float) -> str:
    """An int times a real factor, rounded as the bodies do."""
    mantissa, shift = quantize_multiplier(factor)
    return f"scaled({value}, {writer.scalar('int', mantissa)}, {writer.scalar('int', shift)})"


def stored(writer: Writer, steps: str, output: TensorSpec, limits: tuple[int, int] | None = None) -> str:
    """An int on the scale of the output as it is stored: offset, and held to limits or to what its type holds."""
    info = np.iinfo(output.dtype)
    low, high = limits or (int(info.min), int(info.max))
    values = affine(output).zero_point, low, high
    return f"stored_at({steps}, {', '.join(writer.scalar('int', value) for value in values)})"


def centred(writer: Writer, name: str, spec: TensorSpec | None) -> str:
    """A variable with a stored integer minus its zero point."""
    return writer.line("int", f"{name} - {writer.scalar('int', affine(spec).zero_point)}")


def table_of(op: Op) -> np.ndarray:
    """The results of a unary operator for all values of its operand, in the order of their bits as unsigned numbers."""
    if op not in _TABLES:
        assert op.ins[0] is not None
        dtype = op.ins[0].dtype
        values = np.arange(1 << (8 * dtype.itemsize), dtype=f"u{dtype.itemsize}").view(dtype)
        with np.errstate(all="ignore"):
            _TABLES[op] = np.asarray(op.run_quantized(np, values))
    return _TABLES[op]


def _looked_up(writer: Writer, op: Op, x: str) -> str | None:
    spec = op.ins[0]
    if not op.is_quantized or spec is None or spec.type not in BYTE | INT16:
        return None
    bits = "unsigned char" if spec.dtype.itemsize == 1 else "unsigned short"
    return f"{writer.table(table_of(op))}[({bits}){x}]"


_TABULATED = [
    cls for cls in OPS.values() if issubclass(cls, Unary) and cls.quantized and cls.run_quantized is Unary.run_quantized
]
expresses(*_TABULATED)(_looked_up)


@expresses(Quantize)
def _requantised(writer: Writer, op: Quantize, x: str) -> str | None:
    if not op.is_quantized or op.operand.type not in INT32:
        return None
    writer.include("fixedpoint.cuh")
    factor = float(affine(op.operand).scale) / float(affine(op.outs[0]).scale)
    return stored(writer, scaled(writer, centred(writer, x, op.operand), factor), op.outs[0])


@expresses(Add, Sub)
def _sum(writer: Writer, op: Additive, x: str, y: str) -> str | None:
    if not op.is_quantized:
        return None
    powers = [log2_of(float(scale)) for scale in op.scales]
    is_shifted = op.outs[0].type in INT16 and op.pot_scale_int16 and None not in powers
    if is_shifted and max(p for p in powers[:2] if p is not None) != powers[2]:
        return None
    writer.include("fixedpoint.cuh")
    a, b = (centred(writer, name, spec) for name, spec in zip((x, y), op.ins, strict=True))
    sign = "+" if isinstance(op, Add) else "-"
    if is_shifted:
        places = [writer.scalar("int", powers[2] - power) for power in powers[:2]]  # type: ignore[operator]
        steps = f"(rounded_shift({a}, {places[0]}) {sign} rounded_shift({b}, {places[1]}))"
    else:
        headroom = 15 if op.outs[0].type in INT16 else 20
        a, b, common = _aligned(writer, op, a, b, headroom)
        factor = common / (2.0**headroom * float(op.scales[2]))
        steps = scaled(writer, f"wrapped((long long){a} {sign} {b})", factor)
    return stored(writer, steps, op.outs[0], activation_range(op.activation, op.outs[0]))


def _aligned(writer: Writer, op: QuantizedBinary, a: str, b: str, headroom: int) -> tuple[str, str, float]:
    """Both operands times 2**headroom on twice the greater scale, and that scale."""
    first, second, _ = op.scales
    common = 2.0 * float(max(first, second))
    a, b = (
        scaled(writer, f"wrapped((long long){name} * {1 << headroom})", float(scale) / common)
        for name, scale in ((a, first), (b, second))
    )
    return a, b, common


@expresses(Mul)
def _product(writer: Writer, op: Mul, x: str, y: str) -> str | None:
    if not op.is_quantized or any(spec.type != op.outs[0].type for spec in op.ins if spec is not None):
        return None
    writer.include("fixedpoint.cuh")
    a, b = (centred(writer, name, spec) for name, spec in zip((x, y), op.ins, strict=True))
    first, second, result = op.scales
    steps = scaled(writer, f"wrapped((long long){a} * {b})", float(first * second / result))
    return stored(writer, steps, op.outs[0], activation_range(op.activation, op.outs[0]))


@expresses(SquaredDifference)
def _squared_difference(writer: Writer, op: SquaredDifference, x: str, y: str) -> str | None:
    if not op.is_quantized:
        return None
    writer.include("fixedpoint.cuh")
    headroom = 7
    a, b = (centred(writer, name, spec) for name, spec in zip((x, y), op.ins, strict=True))
    a, b, common = _aligned(writer, op, a, b, headroom)
    difference = writer.line("int", f"{a} - {b}")
    factor = common * common / (4.0**headroom * float(op.scales[2]))
    square = f"wrapped((long long){difference} * {difference})"
    return stored(writer, scaled(writer, square, factor), op.outs[0])


@expresses(Prelu)
def _prelu(writer: Writer, op: Prelu, x: str, alpha: str) -> str | None:
    if not op.is_quantized:
        return None
    writer.include("fixedpoint.cuh")
    first, second, result = (affine(spec).scale for spec in (*op.ins, op.outs[0]))
    a, slope = (centred(writer, name, spec) for name, spec in zip((x, alpha), op.ins, strict=True))
    positive = scaled(writer, a, float(first / result))
    negative = scaled(writer, f"{a} * {slope}", float(first * second / result))
    return stored(writer, f"{a} >= 0 ? {positive} : {negative}", op.outs[0])


def _comparison(relation: str) -> Any:
    def expression(writer: Writer, op: Comparison, x: str, y: str) -> str | None:
        if not op.is_quantized:
            return None
        writer.include("fixedpoint.cuh")
        a, b = (centred(writer, name, spec) for name, spec in zip((x, y), op.ins, strict=True))
        a, b = (
            scaled(writer, f"{name} * 256", float(affine(spec).scale))
            for name, spec in zip((a, b), op.ins, strict=True)
        )
        return f"({a} {relation} {b})"

    return expression


for _relation, _class in {
    "==": Equal, "!=": NotEqual, "<": Less, "<=": LessEqual, ">": Greater, ">=": GreaterEqual,
}.items():  # fmt: skip
    expresses(_class)(_comparison(_relation))

"""Conversions between element types, and between real numbers and quantised integers, as C expressions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....interpreter.graph import TensorSpec
from ....interpreter.ops.base import PACKED, Op
from ....interpreter.ops.shared.affine import stored_range
from ....interpreter.ops.shared.fixedpoint import BELOW_HALF
from ..kernel import CTYPES
from ..tail import Writer, expresses, value_type
from .elementwise import of


@expresses(*of("CAST", "STABLEHLO_CONVERT"))
def _cast(writer: Writer, op: Op, x: str) -> str | None:
    source, kind = op.ins[0], op.outs[0].type
    assert source is not None
    if kind.dtype.kind == "b":
        return f"({x} != 0)"
    if source.dtype.kind == "f" and kind.dtype.kind in "iu":
        return _truncated(x, source.dtype, op.outs[0])
    if kind in PACKED:
        return _truncated(f"(long long){x}", np.dtype(np.int64), op.outs[0]) if source.dtype != np.uint64 else None
    return f"({value_type(kind.dtype)}){x}"


def _truncated(x: str, dtype: np.dtype[Any], result: TensorSpec) -> str:
    """A number held to what the result can store, without its fraction; NaN gives the greatest."""
    low, high = stored_range(result.type)
    least, greatest = _integer(low), _integer(high)
    if dtype.kind == "f":
        f = "" if dtype == np.float64 else "f"
        floor, ceiling = (f"{float(np.dtype('f8' if not f else 'f4').type(n))!r}{f}" for n in (low, high))
    else:
        floor, ceiling = least, greatest
    ctype = CTYPES[result.dtype]
    return f"({x} < {ceiling} ? {x} > {floor} ? ({ctype})({x}) : ({ctype}){least} : ({ctype}){greatest})"


def _integer(value: int) -> str:
    """An integer as C writes it."""
    if value >= 1 << 63:
        return f"{value}ULL"
    suffix = "" if -(1 << 31) <= value < 1 << 31 else "LL"
    return f"{value}{suffix}" if value >= 0 else f"({value + 1}{suffix} - 1)"  # the least has no literal


def _grid(writer: Writer, spec: TensorSpec | None) -> tuple[str, str | None]:
    """Names of the scale and of the zero point, both float, of the element at `index`; None where all are zero."""
    assert spec is not None
    assert spec.quantization is not None
    quantization = spec.quantization
    scales, zero_points = (
        np.ascontiguousarray(values, np.float32) for values in (quantization.scales, quantization.zero_points)
    )
    whole = None
    if quantization.block_size:
        whole = len(scales), quantization.block_size
        scales, zero_points = scales.reshape(-1, 1), zero_points.reshape(-1, 1)
    elif quantization.per_channel:
        shape = [1] * len(writer.shape)
        shape[quantization.axis] = -1
        scales, zero_points = scales.reshape(shape), zero_points.reshape(shape)
    else:
        scales, zero_points = scales[:1], zero_points[:1]
    return writer.array(scales, whole), writer.array(zero_points, whole) if zero_points.any() else None


@expresses(*of("DEQUANTIZE"))
def _dequantized(writer: Writer, op: Op, x: str) -> str:
    source = op.ins[0]
    assert source is not None
    if source.dtype.kind == "f":
        return x
    scale, zero_point = _grid(writer, source)
    return f"(float){x} * {scale}" if zero_point is None else f"((float){x} - {zero_point}) * {scale}"


@expresses(*of("QUANTIZE"))
def _quantized(writer: Writer, op: Op, x: str) -> str | None:
    source, result = op.ins[0], op.outs[0]
    if source is None or source.dtype.kind != "f":
        return None
    scale, zero_point = _grid(writer, result)
    low, high = (f"{n}.0f" if zero_point is None else f"{n}.0f - {zero_point}" for n in stored_range(result.type))
    ratio = writer.line("float", f"{x} / {scale}")
    rounded = f"{ratio} + copysignf({_float(BELOW_HALF)}, {ratio})"  # cut off, that rounds halves away from zero
    steps = f"truncf(at_most(at_least({rounded}, {low}), {high}))"
    return f"({CTYPES[result.dtype]})(int)({steps}{'' if zero_point is None else f' + {zero_point}'})"


def _float(value: Any) -> str:
    return f"{float(value)!r}f"


@expresses(*of("FAKE_QUANT"))
def _fake_quantized(writer: Writer, op: Any, x: str) -> str:
    numbers = (*op.nudged_range, np.float32(1) / op.nudged_range[2])
    low, high, step, per_step = (writer.scalar("float", float(number)) for number in numbers)
    return f"roundf((at_most(at_least({x}, {low}), {high}) - {low}) * {per_step}) * {step} + {low}"

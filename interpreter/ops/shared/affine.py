"""Per-tensor quantisation of an op's operands and results: real = scale * (stored - zero_point)."""

from __future__ import annotations

from math import log2
from typing import Any, NamedTuple, SupportsFloat

import numpy as np

from ...graph import Array, TensorSpec, TensorType
from ..base import INT8, INT16, PACKED, UINT8, Op
from .fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier, saturate

STORED = INT8 | UINT8 | INT16 | PACKED
"""Types whose tensors need a scale wherever an op computes on quantised integers."""


_PACKED_RANGES = {TensorType.INT4: (-8, 7), TensorType.INT2: (-2, 1), TensorType.UINT4: (0, 15)}


def stored_range(kind: TensorType) -> tuple[int, int]:
    """Least and greatest integer that a tensor of an integer type can store."""
    info = np.iinfo(kind.dtype)
    return _PACKED_RANGES.get(kind, (int(info.min), int(info.max)))


class Affine(NamedTuple):
    """Scale and zero point of a tensor."""

    scale: np.float32
    zero_point: int


def affine(spec: TensorSpec | None) -> Affine:
    """The one scale and zero point of a spec that `lacks_affine` has seen."""
    assert spec is not None
    assert spec.quantization is not None
    return Affine(np.float32(spec.quantization.scales[0]), int(spec.quantization.zero_points[0]))


def dequantized(stored: Array, spec: TensorSpec | None) -> Array:
    """float32: what stored integers of 16 bits or fewer stand for."""
    scale, zero_point = affine(spec)
    return (stored.astype(np.float32) - np.float32(zero_point)) * scale


def lacks_affine(op: Op) -> str | None:
    """Sentence that names an operand or result of integer type without one scale and zero point; None if all have."""
    for kind, specs in (("operand", op.ins), ("result", op.outs)):
        for position, spec in enumerate(specs):
            if spec is None or spec.type not in STORED:
                continue
            count = 0 if spec.quantization is None else len(spec.quantization.scales)
            if count != 1:
                name = spec.type.name.lower()
                return f"operator {op.name} needs one scale for its {name} {kind} {position}, which has {count}."
    return None


def has_scale(op: Op) -> str | None:
    """Sentence that names a quantised operand, for an op that has no meaning for it; None if there is none."""
    for position, spec in enumerate(op.ins):
        if spec is not None and spec.type in STORED and spec.quantization is not None:
            return f"operator {op.name} is not supported with quantised {spec.type.name.lower()} operand {position}."
    return None


def lacks_zero_offset(op: Op) -> str | None:
    """Sentence that names an int16 operand or result whose zero point is not 0; None if there is none."""
    for spec in (*op.ins, *op.outs):
        if spec is not None and spec.type is TensorType.INT16 and affine(spec).zero_point:
            return f"operator {op.name} needs zero point 0 for int16, got {affine(spec).zero_point}."
    return None


def log2_of(scale: float) -> int | None:
    """The exponent of a scale within 0.07 % of a power of two, else None (reference: CheckedLog2)."""
    exact = log2(scale)
    return round(exact) if abs(exact - round(exact)) < 1e-3 else None


def requantized(xp: Any, x: Array, factor: SupportsFloat, output: TensorSpec) -> Array:
    """Stored integers of `output` for int32 `x` times a real factor: rescaled, offset by the zero point, saturated."""
    scaled = multiply_by_quantized_multiplier(xp, x, *quantize_multiplier(float(factor)))
    return saturate(xp, scaled + affine(output).zero_point, output.dtype)

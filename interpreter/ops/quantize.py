"""Operators between real numbers and quantised integers."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec, TensorType
from .base import FLOAT, HALF, INT8, INT16, INT32, PACKED, UINT8, Op, op
from .shared.affine import affine, lacks_affine, requantized, stored_range
from .shared.fixedpoint import BELOW_HALF, round_half_away
from .shared.host import normalize_axis, shape_of
from .shared.lookup import Resident
from .shared.pointwise import Unary

_RESULTS = {
    TensorType.FLOAT32: INT8 | UINT8 | INT16 | PACKED,
    TensorType.INT8: INT8 | UINT8 | INT16,
    TensorType.UINT8: INT8 | UINT8 | INT16,
    TensorType.INT16: INT8 | INT16 | INT32,
    TensorType.INT32: INT8 | INT16,
}
"""Types of result that QUANTIZE gives, by type of operand."""


class Grid:
    """Scales and zero points of a tensor, both float32: numbers, or arrays that broadcast against the tensor."""

    def __init__(self, spec: TensorSpec) -> None:
        quantization = spec.quantization
        assert quantization is not None
        self._block_size, self._per_channel = quantization.block_size, quantization.per_channel
        self._axis = 0 if quantization.block_size else quantization.axis
        scales, zero_points = (
            np.asarray(values).astype(np.float32) for values in (quantization.scales, quantization.zero_points)
        )
        self._one = scales[0], zero_points[0]
        self._scales, self._zero_points = Resident(scales), Resident(zero_points)

    def spread(self, x: Array) -> Array:
        """`x`, block by block if there is a scale for each block."""
        return x.reshape(-1, self._block_size) if self._block_size else x

    def on(self, xp: Any, rank: int) -> tuple[Any, Any]:
        """Scales and zero points for a tensor of `rank`."""
        if not self._per_channel:
            return self._one
        shape = [1] * rank
        shape[self._axis] = -1
        return self._scales.on(xp).reshape(shape), self._zero_points.on(xp).reshape(shape)


def require_channels(op: Op, spec: TensorSpec, shape: tuple[int, ...]) -> None:
    """Raise KernelError if a tensor of `shape` can't have the scales of `spec`."""
    quantization = spec.quantization
    if quantization is None:
        return
    if quantization.block_size:
        blocks = len(quantization.scales), quantization.block_size
        if math.prod(shape) != math.prod(blocks):
            raise KernelError(f"{op.name} has {blocks[0]} scales for blocks of {blocks[1]}, got shape {list(shape)}.")
        return
    if not quantization.per_channel:
        return
    axis, count = (
        normalize_axis(quantization.axis, len(shape), f"{op.name}: quantized dimension"),
        len(quantization.scales),
    )
    if shape[axis] != count:
        raise KernelError(
            f"{op.name} has {count} scales for dimension {axis} of {list(shape)}, expected {shape[axis]}."
        )


@op("QUANTIZE", FLOAT, quantized=(INT8 | UINT8 | INT16 | INT32,), versions=6)
class Quantize(Unary):
    """The integer of the result's type that stands for a real or quantised number; halves round away from zero."""

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        require_channels(self, self.outs[0], shape_of(inputs[0]))
        return TensorSpec(self.outs[0].type, inputs[0].shape)

    def refuses(self, *inputs: TensorSpec) -> str | None:
        source, result = inputs[0].type, self.outs[0]
        if result.type not in _RESULTS[source]:
            return f"operator QUANTIZE does not give {result.type.name.lower()} for {source.name.lower()}."
        if result.quantization is not None and result.quantization.block_size:
            return "operator QUANTIZE is not supported with scales of blocks."
        return lacks_affine(self) if self.is_quantized or result.quantization is None else None

    def run(self, xp: Any, input: Array) -> Array:
        scales, zero_points = self._grid.on(xp, input.ndim)
        low, high = stored_range(self.outs[0].type)
        steps = input / scales
        steps += xp.copysign(BELOW_HALF, steps)  # cut off below, this rounds halves away from zero
        steps = xp.trunc(xp.clip(steps, low - zero_points, high - zero_points))
        steps += zero_points
        return steps.astype(self.outs[0].dtype)

    def stored(self, xp: Any, x: Array) -> Array:
        (scale, zero_point), out_scale = affine(self.operand), affine(self.outs[0]).scale
        return requantized(xp, x - zero_point, float(scale) / float(out_scale), self.outs[0])

    @cached_property
    def _grid(self) -> Grid:
        return Grid(self.outs[0])


@op("DEQUANTIZE", INT8 | UINT8 | INT16 | PACKED | HALF, versions=9)
class Dequantize(Op):
    """The real number that a quantised integer or a half-precision number stands for, in float32."""

    def infer(self, input: TensorSpec) -> TensorSpec:
        require_channels(self, input, shape_of(input))
        return TensorSpec(TensorType.FLOAT32, input.shape)

    def refuses(self, input: TensorSpec) -> str | None:
        if input.type in HALF:
            return None
        if input.quantization is None or not len(input.quantization.scales):
            return f"operator DEQUANTIZE needs the scale of its {input.type.name.lower()} operand, which has none."
        return None

    def run(self, xp: Any, input: Array) -> Array:
        if input.dtype.kind not in "iu":
            return input.astype(np.float32)
        real = self._grid.spread(input).astype(np.float32)
        scales, zero_points = self._grid.on(xp, real.ndim)
        real -= zero_points
        real *= scales
        return real.reshape(input.shape)

    @cached_property
    def _grid(self) -> Grid:
        assert self.ins[0] is not None
        return Grid(self.ins[0])


@op("FAKE_QUANT", FLOAT, versions=2)
class FakeQuant(Unary):
    """The nearest of the 2**num_bits numbers that span [min, max], which is moved so that 0 is one of them."""

    min: float = 0.0
    max: float = 0.0
    num_bits: int = 0
    narrow_range: bool = False

    def refuses(self, *inputs: TensorSpec) -> str | None:
        if self.narrow_range:
            return "narrow_range FakeQuant is not currently supported at runtime; it is for weights only."
        if 2 <= self.num_bits <= 16 and self.min < self.max:
            return None
        return f"operator FAKE_QUANT needs 2 to 16 bits and min < max, got {self.num_bits}, {self.min} and {self.max}."

    def run(self, xp: Any, input: Array) -> Array:
        low, high, step = self.nudged_range
        steps = round_half_away(xp, (xp.clip(input, low, high) - low) * (np.float32(1) / step))
        return steps * step + low

    @cached_property
    def nudged_range(self) -> tuple[np.float32, np.float32, np.float32]:
        """Least and greatest number and their distance (reference: NudgeQuantizationRange)."""
        steps = np.float32(2**self.num_bits - 1)
        low, high = np.float32(self.min), np.float32(self.max)
        step = (high - low) / steps
        zero = np.clip(round_half_away(np, -low / step), np.float32(0), steps)
        return -zero * step, (steps - zero) * step, step

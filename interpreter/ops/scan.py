"""Operators that run along one dimension: positions of extremes, running sums, normalisation of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec, TensorType
from .base import BOOL, INDEX, NUMBER, Activation, Op, op
from .shared.affine import Affine, affine, has_scale
from .shared.fixedpoint import saturate, saturating_rounding_doubling_high_mul
from .shared.fused import activate
from .shared.gemmlowp import divide_by_power, inverse_sqrt
from .shared.host import known, normalize_axis, scalar, shape_of
from .shared.pointwise import BYTE, REAL, Unary


@dataclass(frozen=True, eq=False, kw_only=True)
class ArgExtreme(Op):
    """Position along `axis` of the first extreme element, in the type `output_type`."""

    output_type: TensorType = TensorType.INT32

    def infer(self, input: TensorSpec, axis: TensorSpec) -> TensorSpec:
        if axis.value is None:
            return TensorSpec(self.output_type, None)
        shape = shape_of(input)
        along = self._along(axis.value, len(shape))
        if not shape[along]:
            raise KernelError(f"{self.name} has no elements along dimension {along} of {list(shape)}.")
        return TensorSpec(self.output_type, shape[:along] + shape[along + 1 :])

    def refuses(self, input: TensorSpec, axis: TensorSpec) -> str | None:
        if self.output_type in INDEX:
            return None
        return f"operator {self.name} gives int32 or int64, not {self.output_type.name.lower()}."

    def run(self, xp: Any, input: Array, axis: Array) -> Array:
        along = self._along(known(self.ins[1], axis), input.ndim)
        if not input.shape[along]:
            raise KernelError(f"{self.name} has no elements along dimension {along} of {list(input.shape)}.")
        return self.positions(xp, input, along).astype(self.output_type.dtype)

    def positions(self, xp: Any, x: Array, axis: int) -> Array:
        """Positions of the first extreme along `axis`."""
        raise NotImplementedError(type(self).__name__)

    def _along(self, axis: np.ndarray, rank: int) -> int:
        return normalize_axis(int(scalar(axis, f"{self.name}: axis")), rank, f"{self.name}: Invalid axis value: axis")


@op("ARG_MAX", NUMBER | BOOL, INDEX, versions=3)
class ArgMax(ArgExtreme):
    """Position along `axis` of the first greatest element that is not NaN."""

    def positions(self, xp: Any, x: Array, axis: int) -> Array:
        return xp.argmax(x if x.dtype.kind in "iub" else xp.fmax(x, x.dtype.type(-np.inf)), axis=axis)


@op("ARG_MIN", NUMBER | BOOL, INDEX, versions=3)
class ArgMin(ArgExtreme):
    """Position along `axis` of the first least element that is not NaN."""

    def positions(self, xp: Any, x: Array, axis: int) -> Array:
        return xp.argmin(x if x.dtype.kind in "iub" else xp.fmin(x, x.dtype.type(np.inf)), axis=axis)


@op("CUMSUM", NUMBER, INDEX)
class Cumsum(Op):
    """Running sums along `axis`: without the element itself if `exclusive`, from the end if `reverse`."""

    exclusive: bool = False
    reverse: bool = False

    def infer(self, input: TensorSpec, axis: TensorSpec) -> TensorSpec:
        if axis.value is not None:
            self._along(axis.value, input.rank)
        return TensorSpec(input.type, input.shape)

    def refuses(self, input: TensorSpec, axis: TensorSpec) -> str | None:
        return has_scale(self)

    def run(self, xp: Any, input: Array, axis: Array) -> Array:
        along = self._along(known(self.ins[1], axis), input.ndim)
        sums = xp.cumsum(xp.flip(input, along) if self.reverse else input, axis=along, dtype=input.dtype)
        if self.exclusive:
            first, rest = [slice(None)] * input.ndim, [slice(None)] * input.ndim
            first[along], rest[along] = slice(0, 1), slice(0, -1)
            sums = xp.concatenate([xp.zeros_like(sums[tuple(first)]), sums[tuple(rest)]], axis=along)
        return xp.flip(sums, along) if self.reverse else sums

    def _along(self, axis: np.ndarray, rank: int) -> int:
        return normalize_axis(int(scalar(axis, "CUMSUM: axis")), rank, "CUMSUM: Invalid axis: axis")


@op("L2_NORMALIZATION", REAL, quantized=(BYTE,), versions=2)
class L2Normalization(Unary):
    """Each row along the last dimension divided by its Euclidean norm, or by 1e-6 where that is greater."""

    fused_activation_function: Activation = Activation.NONE

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        if inputs[0].rank == 0:
            raise KernelError("L2_NORMALIZATION takes an operand of rank 1 or more, got a scalar.")
        return super().infer(*inputs)

    def refuses(self, *inputs: TensorSpec) -> str | None:
        if (refused := super().refuses(*inputs)) or not self.is_quantized:
            return refused
        got, zero_point = affine(self.outs[0]), 128 if inputs[0].type is TensorType.UINT8 else 0
        if got == Affine(np.float32(2.0**-7), zero_point):
            return None
        return f"operator L2_NORMALIZATION needs a result of scale 2**-7 and zero point {zero_point}, got {got}."

    def run(self, xp: Any, input: Array) -> Array:
        norm = xp.sqrt(xp.sum(input * input, axis=-1, keepdims=True))
        return activate(xp, input / xp.maximum(norm, norm.dtype.type(1e-6)), self.fused_activation_function)

    def run_quantized(self, xp: Any, input: Array) -> Array:
        x = input.astype(np.int32) - affine(self.operand).zero_point
        mantissa, shift = inverse_sqrt(xp, xp.sum(x * x, axis=-1, keepdims=True, dtype=np.int32))
        early = 7 if self.operand.type is TensorType.UINT8 else xp.maximum(shift + 7, 0)
        product = saturating_rounding_doubling_high_mul(xp, x << early, mantissa)
        result = divide_by_power(xp, product, early - 7 - shift)
        return saturate(xp, result + affine(self.outs[0]).zero_point, input.dtype)

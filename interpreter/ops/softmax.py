"""SOFTMAX and LOG_SOFTMAX, along the last dimension.

On 8-bit values both work on gaps: how many stored steps a value lies below the greatest of its row, 0 to 255.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec, TensorType
from .base import INT16, op
from .shared.affine import Affine, affine
from .shared.fixedpoint import (
    INT32_MIN,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturate,
)
from .shared.gemmlowp import bit_length, exp_on_negative, log_of_at_least_one, reciprocal
from .shared.lookup import Resident, interpolate, sampled
from .shared.pointwise import BYTE, REAL, Elementwise

_GAP_BITS = 5  # places before the point of a gap's worth in fixed point
_SUM_BITS = 12  # and of the sum of a row


def greatest(xp: Any, x: Array) -> Array:
    """The greatest element of each row, as rows of one; rows without elements stay empty."""
    return x.max(axis=-1, keepdims=True) if x.shape[-1] else x


@dataclass(frozen=True, eq=False, kw_only=True)
class RowWise(Elementwise):
    """An op on the rows along the last dimension."""

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        if inputs[0].rank == 0:
            raise KernelError(f"{self.name} takes an operand of rank 1 or more, got a scalar.")
        return TensorSpec(self.outs[0].type if self.is_quantized else inputs[0].type, inputs[0].shape)

    def needs_result(self, wanted: Affine) -> str | None:
        """Sentence if the result is not quantised as the fixed-point arithmetic takes for granted."""
        got = affine(self.outs[0])
        if got.zero_point == wanted.zero_point and abs(got.scale - wanted.scale) <= 1e-3 * wanted.scale:
            return None
        return f"operator {self.name} needs a result with {wanted}, got {got}."

    @property
    def factor(self) -> float:
        """What one step of the operand is worth."""
        return float(affine(self.ins[0]).scale)

    @cached_property
    def to_fixed(self) -> tuple[int, int]:
        """Mantissa and shift that bring stored differences to Q5 (reference: PreprocessSoftmaxScaling)."""
        return quantize_multiplier(min(self.factor * 2.0 ** (31 - _GAP_BITS), 2.0**31 - 1))

    @cached_property
    def widest(self) -> int:
        """The greatest gap that Q5 holds (reference: CalculateInputRadius)."""
        return int(((1 << _GAP_BITS) - 1) * 2.0 ** (31 - _GAP_BITS - self.to_fixed[1]))

    @cached_property
    def worth(self) -> Resident:
        """int32 [256]: what a gap is worth, negative, in Q5; that of the widest for all wider ones."""
        below = -np.minimum(np.arange(256), self.widest).astype(np.int32)
        return Resident(multiply_by_quantized_multiplier(np, below, *self.to_fixed))

    @cached_property
    def exp(self) -> Resident:
        """int64 [256]: exp of minus a gap in Q0, 0 beyond the widest."""
        exp = exp_on_negative(np, self.worth.on(np), _GAP_BITS)
        return Resident(np.where(np.arange(256) <= self.widest, exp, 0).astype(np.int64))

    @cached_property
    def exp_term(self) -> Resident:
        """int32 [256]: the same in Q12, to be summed."""
        return Resident(rounding_divide_by_pot(np, self.exp.on(np).astype(np.int32), _SUM_BITS))

    def gaps(self, xp: Any, x: Array) -> tuple[Array, Array]:
        """uint8: the gap of each 8-bit element; and int32: the sum of its row's exp in Q12."""
        gaps = greatest(xp, x).view(np.uint8) - x.view(np.uint8)
        return gaps, xp.take(self.exp_term.on(xp), gaps).sum(axis=-1, keepdims=True, dtype=np.int32)


@op("SOFTMAX", REAL, quantized=(BYTE | INT16,), versions=4)
class Softmax(RowWise):
    """exp(beta * x), divided by the sum of these along the last dimension."""

    beta: float = 1.0

    def refuses(self, *inputs: TensorSpec) -> str | None:
        if (refused := super().refuses(*inputs)) or not self.is_quantized:
            return refused
        kinds = inputs[0].type, self.outs[0].type
        if kinds not in _RESULTS:
            return f"operator SOFTMAX does not give {kinds[1].name.lower()} for {kinds[0].name.lower()}."
        wanted = _RESULTS[kinds]
        return None if wanted is None else self.needs_result(wanted)

    def run(self, xp: Any, input: Array) -> Array:
        below = input - greatest(xp, input)
        exp = xp.exp(below if self.beta == 1 else below * self.beta)
        return exp / exp.sum(axis=-1, keepdims=True)

    def run_quantized(self, xp: Any, input: Array) -> Array:
        return self._of_bytes(xp, input) if input.dtype.itemsize == 1 else self._of_int16(xp, input)

    @property
    def factor(self) -> float:
        return super().factor * self.beta

    def _of_bytes(self, xp: Any, x: Array) -> Array:
        gaps, total = self.gaps(xp, x)
        inverse, over = reciprocal(xp, total, _SUM_BITS)
        info = np.iinfo(self.outs[0].dtype)
        places = over.astype(np.int64) + (31 - info.bits)
        share = xp.take(self.exp.on(xp), gaps) * inverse  # all of it is positive, so shifts round as they should
        share += 1 << 30
        share >>= 31
        share += (1 << places) >> 1
        share >>= places
        return saturate(xp, share + int(info.min), info.dtype)

    def _of_int16(self, xp: Any, x: Array) -> Array:
        """The same by tables of exp and of 1 / (1 + x) (reference: SoftmaxInt16)."""
        below = x.astype(np.int32) - greatest(xp, x)
        factor = float(affine(self.ins[0]).scale * np.float32(self.beta)) / (10 / 65535)
        below = multiply_by_quantized_multiplier(xp, below, *quantize_multiplier(factor))
        exp = interpolate(xp, xp.clip(below + 32767, -32768, 32767), EXP.on(xp)).astype(np.int32)
        total = exp.sum(axis=-1, keepdims=True, dtype=np.int32)
        bits = bit_length(xp, total)
        fraction = (((total.astype(np.int64) << (31 - bits)) + (1 << 13)) >> 14) - (1 << 15) - (1 << 16)
        inverse = interpolate(xp, xp.clip(fraction, -32768, 32767), RECIPROCAL.on(xp)).astype(np.int64)
        half = xp.left_shift(xp.ones_like(bits), bits - 2)
        return xp.clip((exp * inverse + half) >> (bits - 1), 0, 32767).astype(np.int16)


_BYTE_RESULT, _INT16_RESULT = Affine(np.float32(1 / 256), -128), Affine(np.float32(1 / 32768), 0)
_RESULTS: dict[tuple[TensorType, TensorType], Affine | None] = {
    (TensorType.INT8, TensorType.INT8): _BYTE_RESULT,
    (TensorType.INT8, TensorType.INT16): None,
    (TensorType.UINT8, TensorType.UINT8): None,
    (TensorType.UINT8, TensorType.INT16): None,
    (TensorType.INT16, TensorType.INT16): _INT16_RESULT,
}
"""Types of operand and result that SOFTMAX takes, and the quantisation of the result where the reference checks it."""

_UNIT = (2 / 65535, 0)
EXP = Resident(sampled(np.exp, (10 / 65535, 32767), _UNIT, np.float64))
RECIPROCAL = Resident(sampled(lambda x: 1 / (1 + x), (1 / 65535, -32768), _UNIT, np.float64))
"""int16 [513]: exp over [-10, 0], and 1 / (1 + x) over [0, 1], to be interpolated."""


@op("LOG_SOFTMAX", REAL, quantized=(BYTE,), versions=2)
class LogSoftmax(RowWise):
    """The logarithm of SOFTMAX with beta 1."""

    def refuses(self, *inputs: TensorSpec) -> str | None:
        if (refused := super().refuses(*inputs)) or not self.is_quantized:
            return refused
        return self.needs_result(Affine(np.float32(1 / 16), int(np.iinfo(self.outs[0].dtype).max)))

    def run(self, xp: Any, input: Array) -> Array:
        below = input - greatest(xp, input)
        return below - xp.log(xp.exp(below).sum(axis=-1, keepdims=True))

    def run_quantized(self, xp: Any, input: Array) -> Array:
        gaps, total = self.gaps(xp, input)
        log_total = log_of_at_least_one(xp, total, _SUM_BITS, _GAP_BITS)
        mantissa, shift = self.to_fixed
        back = quantize_multiplier(2.0 ** (31 - shift) / mantissa)
        limit = multiply_by_quantized_multiplier(xp, log_total + INT32_MIN, *back)
        worth = xp.take(self.worth.on(xp), gaps)
        info = np.iinfo(self.outs[0].dtype)
        result = rounding_divide_by_pot(xp, worth - log_total, 31 - _GAP_BITS - _LOG_BITS) + int(info.max)
        counts = -gaps.astype(np.int32) > xp.maximum(limit, -self.widest - 1)
        return saturate(xp, xp.where(counts, result, int(info.min)), info.dtype)


_LOG_BITS = 4  # places before the point of a quantised logarithm

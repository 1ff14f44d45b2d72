"""Comparisons of two operands that broadcast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..graph import Array, TensorSpec, TensorType
from .base import BOOL, INT16, NUMBER, STRING, op
from .shared.affine import affine
from .shared.broadcast import broadcast_shapes
from .shared.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from .shared.pointwise import BYTE, Binary


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison(Binary):
    """A truth value for each pair of elements. Quantised ones are compared as the numbers that they stand for."""

    relation: ClassVar[str]  # its name in the array module

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        return TensorSpec(TensorType.BOOL, broadcast_shapes(*inputs))

    def run(self, xp: Any, input1: Array, input2: Array) -> Array:
        return getattr(xp, self.relation)(input1, input2)

    def stored(self, xp: Any, input1: Array, input2: Array) -> Array:
        return self.run(xp, *(self._scaled(xp, x, spec) for x, spec in zip((input1, input2), self.ins, strict=True)))

    def _scaled(self, xp: Any, x: Array, spec: TensorSpec | None) -> Array:
        """int32: the numbers times 2**8 (reference: ComparisonWithScaling)."""
        scale, zero_point = affine(spec)
        shifted = (x.astype(np.int32) - zero_point) << 8
        return multiply_by_quantized_multiplier(xp, shifted, *quantize_multiplier(float(scale)))


@op("EQUAL", NUMBER | BOOL | STRING, quantized=(BYTE | INT16,), versions=5)
class Equal(Comparison):
    """Whether both elements are equal."""

    relation = "equal"


@op("NOT_EQUAL", NUMBER | BOOL | STRING, quantized=(BYTE | INT16,), versions=4)
class NotEqual(Comparison):
    """Whether the elements differ."""

    relation = "not_equal"


@op("LESS", NUMBER, quantized=(BYTE,), versions=3)
class Less(Comparison):
    """Whether the first element is less than the second; int16 is compared as stored."""

    relation = "less"


@op("LESS_EQUAL", NUMBER, quantized=(BYTE,), versions=2)
class LessEqual(Comparison):
    """Whether the first element is no greater than the second; int16 is compared as stored."""

    relation = "less_equal"


@op("GREATER", NUMBER, quantized=(BYTE,), versions=2)
class Greater(Comparison):
    """Whether the first element is greater than the second; int16 is compared as stored."""

    relation = "greater"


@op("GREATER_EQUAL", NUMBER, quantized=(BYTE,), versions=3)
class GreaterEqual(Comparison):
    """Whether the first element is no less than the second; int16 is compared as stored."""

    relation = "greater_equal"

"""Comparison of StableHLO."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from ...graph import Array, TensorSpec, TensorType
from ..base import BOOL, COMPLEX, INDEX, INT8, INT16, INTEGER, op
from ..shared.pointwise import REAL
from .aligned import Aligned, common_shape
from .elementwise import VALUE


class Direction(IntEnum):
    """The relation that is asked for (schema: StablehloComparisonDirection)."""

    EQ = 0
    NE = 1
    GE = 2
    GT = 3
    LE = 4
    LT = 5


class CompareType(IntEnum):
    """How elements are ordered (schema: StablehloComparisonType); NOTYPE: as their type has it."""

    NOTYPE = 0
    FLOAT = 1
    FLOAT_TOTAL_ORDER = 2
    SIGNED = 3
    UNSIGNED = 4


_RELATIONS = {
    Direction.EQ: "equal",
    Direction.NE: "not_equal",
    Direction.GE: "greater_equal",
    Direction.GT: "greater",
    Direction.LE: "less_equal",
    Direction.LT: "less",
}
_SIGNED = INT8 | INT16 | INDEX
_ORDERED = {
    CompareType.NOTYPE: VALUE,
    CompareType.FLOAT: REAL | COMPLEX,
    CompareType.FLOAT_TOTAL_ORDER: REAL,
    CompareType.SIGNED: _SIGNED,
    CompareType.UNSIGNED: INTEGER - _SIGNED | BOOL,
}


@op("STABLEHLO_COMPARE", VALUE)
class StablehloCompare(Aligned):
    """Whether both elements are in the relation `comparison_direction`.

    Complex numbers are ordered by real part, then by imaginary part. FLOAT_TOTAL_ORDER is the totalOrder of IEEE 754:
    -NaN, -inf, ..., -0, 0, ..., inf, NaN.
    """

    comparison_direction: Direction = Direction.EQ
    compare_type: CompareType = CompareType.NOTYPE

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        return TensorSpec(TensorType.BOOL, common_shape(self.name, inputs))

    def refuses(self, *inputs: TensorSpec) -> str | None:
        kind = inputs[0].type
        if kind not in _ORDERED[self.compare_type]:
            return f"operator {self.name} does not compare {kind.name.lower()} as {self.compare_type.name}."
        return super().refuses(*inputs)

    def run(self, xp: Any, input1: Array, input2: Array) -> Array:
        if self.compare_type is CompareType.FLOAT_TOTAL_ORDER:
            input1, input2 = _ranked(xp, input1), _ranked(xp, input2)
        return getattr(xp, _RELATIONS[self.comparison_direction])(input1, input2)


def _ranked(xp: Any, x: Array) -> Array:
    """Integers in the total order of the floating-point numbers `x`."""
    bits = x.view(np.dtype(f"i{x.dtype.itemsize}"))
    return xp.where(bits < 0, bits ^ np.iinfo(bits.dtype).max, bits)

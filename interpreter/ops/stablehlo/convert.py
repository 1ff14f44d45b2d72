"""StableHLO operators that pick elements or give them another type."""

from __future__ import annotations

from typing import Any

from ...errors import KernelError
from ...graph import Array, TensorSpec
from ..base import BOOL, Op, op
from ..convert import VALUE as CASTABLE
from ..convert import Cast
from ..shared.host import VALUES, shape_of
from .aligned import Aligned, common_shape
from .elementwise import VALUE


@op("STABLEHLO_CONVERT", CASTABLE)
class StablehloConvert(Cast):
    """Each element in the type that the result declares, as CAST does it; a boolean is whether it is not 0."""


@op("STABLEHLO_SELECT", BOOL, VALUES)
class StablehloSelect(Op):
    """Elements of `on_true` where `pred` is true, of `on_false` elsewhere; a scalar `pred` picks one of the two."""

    def infer(self, pred: TensorSpec, on_true: TensorSpec, on_false: TensorSpec) -> TensorSpec:
        shape = common_shape(self.name, (on_true, on_false))
        _require_scalar_or(shape, pred, "STABLEHLO_SELECT: pred")
        return TensorSpec(on_true.type, shape)

    def refuses(self, pred: TensorSpec, on_true: TensorSpec, on_false: TensorSpec) -> str | None:
        if on_true.type == on_false.type:
            return None
        names = f"{on_true.type.name.lower()} and {on_false.type.name.lower()}"
        return f"operator {self.name} needs values of one type, got {names}."

    def run(self, xp: Any, pred: Array, on_true: Array, on_false: Array) -> Array:
        return xp.where(pred, on_true, on_false)


@op("STABLEHLO_CLAMP", VALUE)
class StablehloClamp(Aligned):
    """min(max(operand, low), high), where either bound may be a scalar; NaN stays NaN."""

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        low, operand, high = inputs
        shape = shape_of(operand)
        _require_scalar_or(shape, low, "STABLEHLO_CLAMP: low")
        _require_scalar_or(shape, high, "STABLEHLO_CLAMP: high")
        return TensorSpec(operand.type, shape)

    def run(self, xp: Any, low: Array, operand: Array, high: Array) -> Array:
        return xp.minimum(xp.maximum(operand, low), high)


def _require_scalar_or(shape: tuple[int, ...], spec: TensorSpec, what: str) -> None:
    if spec.shape not in ((), shape):
        raise KernelError(f"{what} is {spec}, expected a scalar or the shape {list(shape)}.")

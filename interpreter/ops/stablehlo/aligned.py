"""What elementwise operators of StableHLO share: operands of one type and one shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import KernelError
from ...graph import Shape, TensorSpec
from ..base import INTEGER
from ..shared.host import shape_of
from ..shared.pointwise import Elementwise


@dataclass(frozen=True, eq=False, kw_only=True)
class Stored(Elementwise):
    """An op whose operands have one type and one shape, and so has the result.

    Quantised integers are worked on as they are stored, as the reference kernels do.
    """

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        return TensorSpec(inputs[0].type, common_shape(self.name, inputs))


@dataclass(frozen=True, eq=False, kw_only=True)
class Aligned(Stored):
    """An op of that kind which has no meaning on quantised integers."""

    def refuses(self, *inputs: TensorSpec) -> str | None:
        if any(spec.quantization is not None and spec.type in INTEGER for spec in inputs):
            return f"operator {self.name} is not supported with quantised operands."
        return super().refuses(*inputs)


def common_shape(name: str, specs: Sequence[TensorSpec]) -> Shape:
    """The one shape of all operands. Raises KernelError if there are two."""
    first, *others = (shape_of(spec) for spec in specs)
    for shape in others:
        if shape != first:
            raise KernelError(f"{name} takes operands of one shape, got {list(first)} and {list(shape)}.")
    return first

"""Padding of StableHLO."""

from __future__ import annotations

from typing import Any

from ...errors import KernelError
from ...graph import Array, Shape, TensorSpec
from ..base import Op, op
from ..padding import spread_shape
from ..shared.host import FIXED_WIDTH, dimensions, shape_of
from .geometry import laid_out


@op("STABLEHLO_PAD", FIXED_WIDTH)
class StablehloPad(Op):
    """`operand` with gaps of `interior_padding` between its elements and borders around them, all of `padding_value`.

    A negative border cuts off that much of what the gaps have made. As in the reference (stablehlo_pad.cc), lists
    shorter than the rank go on with zeros, and where a dimension of the result would be 0 or less all of them are 0.
    """

    edge_padding_low: Shape = ()
    edge_padding_high: Shape = ()
    interior_padding: Shape = ()

    def infer(self, operand: TensorSpec, padding_value: TensorSpec) -> TensorSpec:
        if padding_value.type != operand.type or padding_value.size != 1:
            raise KernelError(f"STABLEHLO_PAD: padding_value is {padding_value}, expected one {operand.type.name}.")
        if not len(self.edge_padding_low) == len(self.edge_padding_high) == len(self.interior_padding):
            raise KernelError(f"STABLEHLO_PAD: amounts are {self.attributes}, expected lists of one length.")
        if min(self.interior_padding, default=0) < 0:
            raise KernelError(f"STABLEHLO_PAD: interior_padding is {list(self.interior_padding)}, expected 0 or more.")
        return TensorSpec(operand.type, self._shape(shape_of(operand)))

    def run(self, xp: Any, operand: Array, padding_value: Array) -> Array:
        if 0 in self._shape(operand.shape):
            return xp.empty(self._shape(operand.shape), operand.dtype)
        low, high, steps = self._amounts(operand.ndim)
        return laid_out(xp, operand, steps, tuple(zip(low, high, strict=True)), padding_value.reshape(()))

    def _shape(self, shape: Shape) -> Shape:
        low, high, steps = self._amounts(len(shape))
        sizes = [sum(parts) for parts in zip(spread_shape(shape, steps), low, high, strict=True)]
        return (0,) * len(shape) if min(sizes, default=1) <= 0 else dimensions(sizes, "STABLEHLO_PAD: the result")

    def _amounts(self, rank: int) -> tuple[Shape, Shape, Shape]:
        """Borders before and after, and the distance between elements, for each dimension."""
        zeros = (0,) * rank
        low, high, gaps = (
            (tuple(amounts) + zeros)[:rank]
            for amounts in (self.edge_padding_low, self.edge_padding_high, self.interior_padding)
        )
        return low, high, tuple(gap + 1 for gap in gaps)

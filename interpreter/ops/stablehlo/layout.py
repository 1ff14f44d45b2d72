"""StableHLO operators that give the same elements another shape or order, join them, or count."""

from __future__ import annotations

from math import prod
from typing import Any

from ...errors import KernelError
from ...graph import Array, Shape, TensorSpec
from ..base import COMPLEX, NUMBER, Op, op
from ..layout import joined
from ..shared.host import VALUES, shape_of
from .geometry import check_dimensions


def declared_shape(bound: Op) -> Shape:
    """The shape that the file declares for the result, of which the attributes say nothing."""
    shape = bound.outs[0].shape
    if shape is None:
        raise KernelError(f"{bound.name}: the shape of the result is not declared.")
    return shape


@op("STABLEHLO_RESHAPE", VALUES)
class StablehloReshape(Op):
    """The elements in row-major order with the shape that the result declares. A view without a copy."""

    def infer(self, operand: TensorSpec) -> TensorSpec:
        shape = declared_shape(self)
        if prod(shape) != operand.size:
            raise KernelError(f"STABLEHLO_RESHAPE of {operand} to {list(shape)}, which takes {prod(shape)} elements.")
        return TensorSpec(operand.type, shape)

    def run(self, xp: Any, operand: Array) -> Array:
        return operand.reshape(declared_shape(self))


@op("STABLEHLO_TRANSPOSE", VALUES)
class StablehloTranspose(Op):
    """`operand` with its dimensions in the order `permutation`. A view without a copy."""

    permutation: Shape = ()

    def infer(self, operand: TensorSpec) -> TensorSpec:
        if sorted(self.permutation) != list(range(operand.rank)):
            raise KernelError(f"STABLEHLO_TRANSPOSE: permutation is {list(self.permutation)} for {operand}.")
        return TensorSpec(operand.type, tuple(shape_of(operand)[i] for i in self.permutation))

    def run(self, xp: Any, operand: Array) -> Array:
        return xp.transpose(operand, self.permutation)


@op("STABLEHLO_CONCATENATE", VALUES)
class StablehloConcatenate(Op):
    """The operands one after another along `dimension`."""

    dimension: int = 0

    def infer(self, first: TensorSpec, *others: TensorSpec) -> TensorSpec:
        check_dimensions(self.name, "dimension", (self.dimension,), first.rank)
        return joined(self.name, self.dimension, first, *others)

    def run(self, xp: Any, first: Array, *others: Array) -> Array:
        return xp.concatenate((first, *others), axis=self.dimension)


@op("STABLEHLO_BROADCAST_IN_DIM", VALUES)
class StablehloBroadcastInDim(Op):
    """`operand` stretched to the shape that the result declares, dimension i becoming `broadcast_dimensions[i]` of it.

    A view without a copy.
    """

    broadcast_dimensions: Shape = ()

    def infer(self, operand: TensorSpec) -> TensorSpec:
        shape, targets = declared_shape(self), self.broadcast_dimensions
        check_dimensions(self.name, "broadcast_dimensions", targets, len(shape))
        fits = len(targets) == operand.rank
        if not fits or any(n not in (1, shape[i]) for n, i in zip(shape_of(operand), targets, strict=True)):
            raise KernelError(f"STABLEHLO_BROADCAST_IN_DIM of {operand} to {list(shape)} along {list(targets)}.")
        return TensorSpec(operand.type, shape)

    def run(self, xp: Any, operand: Array) -> Array:
        shape, targets = declared_shape(self), self.broadcast_dimensions
        order = sorted(range(len(targets)), key=targets.__getitem__)
        sizes = dict(zip(targets, operand.shape, strict=True))
        aligned = xp.transpose(operand, order).reshape([sizes.get(i, 1) for i in range(len(shape))])
        return xp.broadcast_to(aligned, shape)


@op("STABLEHLO_IOTA")
class StablehloIota(Op):
    """0, 1, ... along `iota_dimension` in the type and shape that the result declares."""

    iota_dimension: int = 0

    def infer(self) -> TensorSpec:
        shape = declared_shape(self)
        check_dimensions(self.name, "iota_dimension", (self.iota_dimension,), len(shape))
        return TensorSpec(self.outs[0].type, shape)

    def refuses(self) -> str | None:
        kind = self.outs[0].type
        return None if kind in NUMBER | COMPLEX else f"operator STABLEHLO_IOTA gives numbers, not {kind.name.lower()}."

    def run(self, xp: Any) -> Array:
        shape, axis = declared_shape(self), self.iota_dimension
        steps = xp.arange(shape[axis]).astype(self.outs[0].dtype)
        return xp.broadcast_to(steps.reshape((-1,) + (1,) * (len(shape) - axis - 1)), shape)

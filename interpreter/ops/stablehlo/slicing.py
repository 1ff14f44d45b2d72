"""StableHLO operators that cut a box out of a tensor or put one in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import KernelError
from ...graph import Array, Shape, TensorSpec
from ..base import INTEGER, Op, op
from ..shared.host import VALUES, host, known, shape_of
from ..slicing import fits_into, fitting_box, updated


@op("STABLEHLO_SLICE", VALUES)
class StablehloSlice(Op):
    """operand[start_indices[0]:limit_indices[0]:strides[0], ...]. A view without a copy."""

    start_indices: Shape = ()
    limit_indices: Shape = ()
    strides: Shape = ()

    def infer(self, operand: TensorSpec) -> TensorSpec:
        bounds = self.start_indices, self.limit_indices, self.strides
        for values, what in zip(bounds, ("start_indices", "limit_indices", "strides"), strict=True):
            if len(values) != operand.rank:
                raise KernelError(f"STABLEHLO_SLICE: {what} is {list(values)}, expected {operand.rank} numbers.")
        for n, start, limit, stride in zip(shape_of(operand), *bounds, strict=True):
            if not 0 <= start <= limit <= n or stride < 1:
                raise KernelError(f"STABLEHLO_SLICE of {operand} from {start} to {limit} by {stride} of {n}.")
        return TensorSpec(operand.type, tuple(len(range(*limits)) for limits in zip(*bounds, strict=True)))

    def run(self, xp: Any, operand: Array) -> Array:
        return operand[tuple(map(slice, self.start_indices, self.limit_indices, self.strides))]


@op("STABLEHLO_DYNAMIC_SLICE", VALUES, INTEGER)
class StablehloDynamicSlice(Op):
    """The box of `slice_sizes` from `start_indices`, scalars, which are moved so that it fits. A view, no copy."""

    slice_sizes: Shape = ()

    def infer(self, operand: TensorSpec, *start_indices: TensorSpec) -> TensorSpec:
        _require_starts(self.name, operand, start_indices)
        box = TensorSpec(operand.type, tuple(self.slice_sizes))
        if not fits_into(operand, box) or min(self.slice_sizes, default=0) < 0:
            raise KernelError(f"STABLEHLO_DYNAMIC_SLICE of {operand}: slice_sizes is {list(self.slice_sizes)}.")
        return box

    def run(self, xp: Any, operand: Array, *start_indices: Array) -> Array:
        return operand[fitting_box(operand.shape, _starts(xp, self.ins[1:], start_indices), self.slice_sizes)]


@op("STABLEHLO_DYNAMIC_UPDATE_SLICE", VALUES, VALUES, INTEGER)
class StablehloDynamicUpdateSlice(Op):
    """A copy of `operand` with `update` put in at `start_indices`, scalars, which are moved so that it fits."""

    def infer(self, operand: TensorSpec, update: TensorSpec, *start_indices: TensorSpec) -> TensorSpec:
        _require_starts(self.name, operand, start_indices)
        if not fits_into(operand, update):
            raise KernelError(f"STABLEHLO_DYNAMIC_UPDATE_SLICE of {operand} with {update}, which does not fit.")
        return TensorSpec(operand.type, operand.shape)

    def run(self, xp: Any, operand: Array, update: Array, *start_indices: Array) -> Array:
        return updated(operand, update, _starts(xp, self.ins[2:], start_indices))


def _require_starts(name: str, operand: TensorSpec, starts: Sequence[TensorSpec]) -> None:
    if len(starts) != operand.rank or any(start.shape != () for start in starts):
        raise KernelError(
            f"{name} of {operand}: start_indices are {list(starts)}, expected a scalar for each dimension."
        )


def _starts(xp: Any, specs: Sequence[TensorSpec | None], starts: Sequence[Array]) -> Shape:
    """The start indices on the host, fetched at once where some of them are not known before the call."""
    if all(spec is not None and spec.value is not None for spec in specs):
        return tuple(int(known(spec, start)) for spec, start in zip(specs, starts, strict=True))
    return tuple(host(xp.stack(starts)).tolist())

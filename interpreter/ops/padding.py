"""Operators that put a border around a tensor, or gaps between its elements."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec
from .base import BOOL, INDEX, INT8, INT16, INT32, UINT8, Op, op
from .shared.host import FIXED_WIDTH, VALUES, dimensions, integers, known, shape_of

Pads = tuple[tuple[int, int], ...]

_PADDINGS = INDEX | INT8 | INT16 | BOOL


class MirrorPadMode(IntEnum):
    """Whether a mirrored border leaves out the edge element or repeats it."""

    REFLECT = 0
    SYMMETRIC = 1


@op("PAD", FIXED_WIDTH, _PADDINGS, FIXED_WIDTH, versions=6)
class Pad(Op):
    """`tensor` within `paddings` [rank, 2], elements before and after each dimension, that hold a constant.

    Without `constant_values` the constant is zero: the zero point of the output where that is quantised.
    """

    def infer(self, tensor: TensorSpec, paddings: TensorSpec, constant_values: TensorSpec | None = None) -> TensorSpec:
        if constant_values is not None and (constant_values.type != tensor.type or constant_values.size != 1):
            raise KernelError(f"{self.name}: constant_values is {constant_values}, expected one {tensor.type.name}.")
        return _padded_spec(self.name, tensor, paddings)

    def run(self, xp: Any, tensor: Array, paddings: Array, constant_values: Array | None = None) -> Array:
        pads = _pads(self.name, known(self.ins[1], paddings), tensor.ndim)
        zero = zero_point(self.outs[0])
        return padded(xp, tensor, pads, zero if constant_values is None else constant_values.reshape(()))


@op("PADV2", VALUES, _PADDINGS, VALUES, versions=6)
class PadV2(Pad):
    """`tensor` within `paddings` [rank, 2] that hold `constant_values`, a single element of the same quantisation."""


@op("DILATE", FIXED_WIDTH, INT32, FIXED_WIDTH)
class Dilate(Op):
    """`tensor` with its elements `dilations` [rank] positions apart in each dimension; the gaps hold `padding_value`.

    Of more than one padding value the first counts (reference: dilate.cc).
    """

    def infer(self, tensor: TensorSpec, dilations: TensorSpec, padding_value: TensorSpec) -> TensorSpec:
        if not tensor.rank or dilations.shape != (tensor.rank,):
            raise KernelError(f"DILATE: dilations of {tensor} is {dilations}, expected one for each dimension.")
        if padding_value.type != tensor.type or not padding_value.size:
            raise KernelError(f"DILATE: padding_value is {padding_value}, expected one {tensor.type.name}.")
        if dilations.value is None:
            return TensorSpec(tensor.type, None)
        sizes = spread_shape(shape_of(tensor), _steps(dilations.value, shape_of(tensor)))
        return TensorSpec(tensor.type, dimensions(sizes, "DILATE: the result"))

    def run(self, xp: Any, tensor: Array, dilations: Array, padding_value: Array) -> Array:
        steps = _steps(known(self.ins[1], dilations), tensor.shape)
        return spread(xp, tensor, steps, padding_value.reshape(-1)[0])


def _steps(dilations: np.ndarray, shape: tuple[int, ...]) -> tuple[int, ...]:
    steps = integers(dilations)
    for axis, (size, step) in enumerate(zip(shape, steps, strict=True)):
        if step < 1 or (step > 1 and not size):
            raise KernelError(f"DILATE by {step} of dimension {axis}, which is {size}: expected 1 or more, 1 for none.")
    return steps


@op("MIRROR_PAD", VALUES, INDEX, versions=3)
class MirrorPad(Op):
    """`tensor` continued by its own mirror image, `paddings` [rank, 2] elements before and after each dimension."""

    mode: MirrorPadMode = MirrorPadMode.REFLECT

    def infer(self, tensor: TensorSpec, paddings: TensorSpec) -> TensorSpec:
        result = _padded_spec("MIRROR_PAD", tensor, paddings)
        if paddings.value is not None:
            self._mirrors(shape_of(tensor), paddings.value)
        return result

    def run(self, xp: Any, tensor: Array, paddings: Array) -> Array:
        for axis, indices in enumerate(self._mirrors(tensor.shape, known(self.ins[1], paddings))):
            if indices.size != tensor.shape[axis]:
                tensor = xp.take(tensor, xp.asarray(indices), axis=axis)
        return tensor

    def _mirrors(self, shape: tuple[int, ...], paddings: np.ndarray) -> list[np.ndarray]:
        """For each dimension, the position in `tensor` that each position of the result shows."""
        edge = 1 if self.mode is MirrorPadMode.REFLECT else 0
        pads = _pads("MIRROR_PAD", paddings, len(shape))
        for axis, (size, (before, after)) in enumerate(zip(shape, pads, strict=True)):
            if max(before, after) > max(size - edge, 0):
                raise KernelError(
                    f"MIRROR_PAD by {before} and {after} of dimension {axis}: expected at most {size - edge}."
                )
        return [_mirror(size, before, after, edge) for size, (before, after) in zip(shape, pads, strict=True)]


def _mirror(size: int, before: int, after: int, edge: int) -> np.ndarray:
    inside = np.arange(size)
    left = inside[edge : edge + before][::-1]
    right = inside[::-1][edge : edge + after]
    return np.concatenate([left, inside, right])


def zero_point(spec: TensorSpec) -> int:
    """The stored value that means zero in `spec`: not 0 only for quantised tensors of 8 or 16 bits."""
    if spec.quantization is None or spec.type not in INT8 | UINT8 | INT16:
        return 0
    return int(spec.quantization.zero_points[0])


def padded(xp: Any, tensor: Array, pads: Pads, constant: Any) -> Array:
    """A copy of `tensor` amid `pads` that hold `constant`, a number or an array without dimensions."""
    result = xp.empty([n + before + after for n, (before, after) in zip(tensor.shape, pads, strict=True)], tensor.dtype)
    result[...] = constant
    result[tuple(slice(before, before + n) for n, (before, _) in zip(tensor.shape, pads, strict=True))] = tensor
    return result


def spread(xp: Any, tensor: Array, steps: Sequence[int], constant: Any) -> Array:
    """A copy of `tensor` whose elements are `steps` positions apart in each dimension, `constant` between them."""
    if all(step == 1 for step in steps):
        return tensor
    result = xp.empty(spread_shape(tensor.shape, steps), tensor.dtype)
    result[...] = constant
    result[tuple(slice(None, None, step) for step in steps)] = tensor
    return result


def spread_shape(shape: Sequence[int], steps: Sequence[int]) -> tuple[int, ...]:
    """Shape of what `spread` gives."""
    return tuple(n and (n - 1) * step + 1 for n, step in zip(shape, steps, strict=True))


def _padded_spec(name: str, tensor: TensorSpec, paddings: TensorSpec) -> TensorSpec:
    if paddings.shape != (tensor.rank, 2):
        raise KernelError(f"{name}: paddings is {paddings}, expected [{tensor.rank},2].")
    if paddings.value is None:
        return TensorSpec(tensor.type, None)
    pads = _pads(name, paddings.value, tensor.rank)
    sizes = (n + before + after for n, (before, after) in zip(shape_of(tensor), pads, strict=True))
    return TensorSpec(tensor.type, dimensions(sizes, f"{name}: the result"))


def _pads(name: str, paddings: np.ndarray, rank: int) -> Pads:
    pads = tuple((int(before), int(after)) for before, after in paddings.reshape(rank, 2))
    for axis, pair in enumerate(pads):
        if min(pair) < 0:
            raise KernelError(f"{name}: Pad value has to be greater than equal to 0: got {pair} for dimension {axis}.")
    return pads

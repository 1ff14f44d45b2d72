"""Operators that put the same elements in another order, or join, split and repeat tensors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, Shape, TensorSpec
from .base import BOOL, FLOAT, INDEX, INT8, INT16, INT32, INTEGER, PACKED, UINT8, Activation, Op, op
from .shared.affine import STORED
from .shared.fixedpoint import activation_range, round_half_away, saturate
from .shared.fused import activate
from .shared.host import (
    VALUES,
    dimensions,
    integers,
    known,
    normalize_axes,
    normalize_axis,
    require_indices,
    require_rank,
    scalar,
    shape_of,
)


@op("TRANSPOSE", VALUES, INTEGER, versions=9)
class Transpose(Op):
    """`tensor` with its dimensions in the order `perm`, whose entries may be negative. A view without a copy."""

    def infer(self, tensor: TensorSpec, perm: TensorSpec) -> TensorSpec:
        require_rank(perm, (1,), "TRANSPOSE: perm")
        if perm.value is None:
            return TensorSpec(tensor.type, None)
        shape = shape_of(tensor)
        return TensorSpec(tensor.type, tuple(shape[i] for i in _permutation(perm.value, tensor.rank)))

    def run(self, xp: Any, tensor: Array, perm: Array) -> Array:
        return xp.transpose(tensor, _permutation(known(self.ins[1], perm), tensor.ndim))


def _permutation(perm: np.ndarray, rank: int) -> Shape:
    axes = normalize_axes(integers(perm), rank, "TRANSPOSE: perm entry")
    if sorted(axes) != list(range(rank)):
        raise KernelError(f"TRANSPOSE: perm is {list(integers(perm))}, expected a permutation of {rank} dimensions.")
    return axes


@op("CONCATENATION", VALUES, quantized=(INT8 | UINT8 | INT16 | INT32 | PACKED,), versions=7)
class Concatenation(Op):
    """The `values` one after another along `axis`; scalars form a vector.

    Quantised bytes are brought to the scale of the output (reference kernel: ConcatenationWithScaling); wider integers
    stay as they are, as there.
    """

    axis: int = 0
    fused_activation_function: Activation = Activation.NONE

    def infer(self, first: TensorSpec, *others: TensorSpec) -> TensorSpec:
        axis = normalize_axis(self.axis, max(first.rank, 1), "CONCATENATION: axis")
        return joined("CONCATENATION", axis, first, *others)

    def refuses(self, *values: TensorSpec) -> str | None:
        if self.fused_activation_function is Activation.NONE or self.is_quantized or values[0].type in FLOAT:
            return None
        return f"operator CONCATENATION is not supported with an activation on {values[0].type.name.lower()}."

    def run(self, xp: Any, first: Array, *others: Array) -> Array:
        return activate(xp, self._joined(xp, (first, *others)), self.fused_activation_function)

    def run_quantized(self, xp: Any, first: Array, *others: Array) -> Array:
        values = (first, *others)
        joined = self._joined(xp, [_rescaled(xp, v, s, self.outs[0]) for v, s in zip(values, self.ins, strict=True)])
        if self.fused_activation_function is Activation.NONE or self.outs[0].quantization is None:
            return joined
        return xp.clip(joined, *activation_range(self.fused_activation_function, self.outs[0]))

    def _joined(self, xp: Any, values: Sequence[Array]) -> Array:
        return xp.concatenate(values, axis=self.axis) if values[0].ndim else xp.stack(values)


def joined(name: str, axis: int, first: TensorSpec, *others: TensorSpec) -> TensorSpec:
    """Spec of values one after another along `axis`. Raises KernelError unless they agree in all but that."""
    rest = _without(shape_of(first), axis)
    for other in others:
        if (other.type, other.rank, _without(shape_of(other), axis)) != (first.type, first.rank, rest):
            raise KernelError(f"{name} along axis {axis} got {first} and {other}, which do not fit.")
    length = sum(shape_of(value)[axis] if value.rank else 1 for value in (first, *others))
    return TensorSpec(first.type, _with(shape_of(first), axis, length))


def _rescaled(xp: Any, value: Array, spec: TensorSpec | None, out: TensorSpec) -> Array:
    """Stored integers of scale and zero point `spec` as such of `out`, through float32 as the reference does."""
    if spec is None or spec.quantization is None or out.quantization is None or out.type not in INT8 | UINT8:
        return value
    scale, zero = spec.quantization.scales[0], spec.quantization.zero_points[0]
    out_scale, out_zero = out.quantization.scales[0], out.quantization.zero_points[0]
    if scale == out_scale and zero == out_zero:
        return value
    factor = np.float32(scale) * (np.float32(1) / np.float32(out_scale))
    bias = np.float32(-zero) * factor
    steps = round_half_away(xp, value.astype(np.float32) * factor + bias)
    return saturate(xp, steps.astype(np.int32) + int(out_zero), out.dtype)


@op("PACK", VALUES, versions=5)
class Pack(Op):
    """The `values`, all of one shape, stacked along a new dimension `axis`."""

    values_count: int = 0
    axis: int = 0

    def infer(self, first: TensorSpec, *others: TensorSpec) -> TensorSpec:
        axis = normalize_axis(self.axis, first.rank + 1, "PACK: axis")
        for other in others:
            if other.type != first.type or other.shape != first.shape:
                raise KernelError(f"PACK got {first} and {other}, expected equal types and shapes.")
        shape = shape_of(first)
        return TensorSpec(first.type, (*shape[:axis], 1 + len(others), *shape[axis:]))

    def refuses(self, *values: TensorSpec) -> str | None:
        steps = {_steps(spec) for spec in (*self.ins, self.outs[0])}
        return None if len(steps) == 1 else "operator PACK needs operands of the scale and zero point of its result."

    def run(self, xp: Any, first: Array, *others: Array) -> Array:
        return xp.stack((first, *others), axis=self.axis)


def _steps(spec: TensorSpec | None) -> tuple[float, ...]:
    """Scales and zero points of a tensor whose values they give a meaning; nothing for others."""
    if spec is None or spec.type not in STORED or spec.quantization is None:
        return ()
    return (*spec.quantization.scales.tolist(), *spec.quantization.zero_points.tolist())


@op("UNPACK", VALUES, versions=6)
class Unpack(Op):
    """The `num` slices of `value` along `axis`, each without that dimension. Views without copies."""

    num: int = 0
    axis: int = 0

    def infer(self, value: TensorSpec) -> tuple[TensorSpec, ...]:
        axis = normalize_axis(self.axis, value.rank, "UNPACK: axis")
        if not shape_of(value)[axis] == self.num == len(self.outs):
            raise KernelError(f"UNPACK of {value} along {axis} into {self.num} slices has {len(self.outs)} outputs.")
        return (TensorSpec(value.type, _without(shape_of(value), axis)),) * self.num

    def run(self, xp: Any, value: Array) -> tuple[Array, ...]:
        front = xp.moveaxis(value, self.axis, 0)
        return tuple(front[i, ...] for i in range(self.num))


@op("SPLIT", INTEGER | PACKED | BOOL, VALUES, versions=5)
class Split(Op):
    """`value` cut into `num_splits` equal parts along `axis`. Views without copies."""

    num_splits: int = 0

    def infer(self, axis: TensorSpec, value: TensorSpec) -> tuple[TensorSpec, ...]:
        if axis.value is None:
            return (TensorSpec(value.type, None),) * len(self.outs)
        at = _axis("SPLIT", axis.value, value.rank)
        sizes = self._sizes(shape_of(value)[at])
        return tuple(TensorSpec(value.type, _with(shape_of(value), at, size)) for size in sizes)

    def run(self, xp: Any, axis: Array, value: Array) -> tuple[Array, ...]:
        at = _axis("SPLIT", known(self.ins[0], axis), value.ndim)
        return _cut(value, at, self._sizes(value.shape[at]))

    def _sizes(self, length: int) -> list[int]:
        parts = len(self.outs)
        if parts != self.num_splits:
            raise KernelError(f"SPLIT into {self.num_splits} parts has {parts} outputs.")
        if length % parts:
            raise KernelError(f"Not an even split: SPLIT of {length} into {parts} parts.")
        return [length // parts] * parts


@op("SPLIT_V", VALUES, INDEX, INTEGER | PACKED | BOOL, versions=3)
class SplitV(Op):
    """`value` cut along `axis` into parts of `size_splits`, of which one may be -1 for the rest. Views."""

    num_splits: int = 0

    def infer(self, value: TensorSpec, size_splits: TensorSpec, axis: TensorSpec) -> tuple[TensorSpec, ...]:
        require_rank(size_splits, (1,), "SPLIT_V: size_splits")
        if axis.value is None or size_splits.value is None:
            return (TensorSpec(value.type, None),) * len(self.outs)
        at = _axis("SPLIT_V", axis.value, value.rank)
        sizes = _parts(integers(size_splits.value), shape_of(value)[at])
        return tuple(TensorSpec(value.type, _with(shape_of(value), at, size)) for size in sizes)

    def run(self, xp: Any, value: Array, size_splits: Array, axis: Array) -> tuple[Array, ...]:
        at = _axis("SPLIT_V", known(self.ins[2], axis), value.ndim)
        return _cut(value, at, _parts(integers(known(self.ins[1], size_splits)), value.shape[at]))


def _parts(sizes: Shape, length: int) -> Shape:
    """`sizes` with a -1 replaced by what they leave of `length`."""
    rest = length - sum(n for n in sizes if n != -1)
    if sizes.count(-1) > 1:
        raise KernelError(f"SPLIT_V: size_splits {list(sizes)} contains more than one -1.")
    if rest < 0 or (rest > 0 and -1 not in sizes):
        raise KernelError(f"SPLIT_V: size_splits {list(sizes)} must sum to the dimension along axis, {length}.")
    return dimensions((rest if n == -1 else n for n in sizes), "SPLIT_V: size_splits")


def _axis(name: str, axis: np.ndarray, rank: int) -> int:
    return normalize_axis(scalar(axis, f"{name}: axis"), rank, f"{name}: axis")


def _cut(value: Array, axis: int, sizes: Sequence[int]) -> tuple[Array, ...]:
    before = (slice(None),) * axis
    return tuple(value[(*before, slice(end - size, end))] for size, end in zip(sizes, accumulate(sizes), strict=True))


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


def _with(shape: Shape, axis: int, size: int) -> Shape:
    return (*shape[:axis], size, *shape[axis + 1 :])


@op("TILE", VALUES, INDEX, versions=3)
class Tile(Op):
    """`tensor` repeated `multiples[i]` times along each dimension i."""

    def infer(self, tensor: TensorSpec, multiples: TensorSpec) -> TensorSpec:
        if multiples.value is None:
            return TensorSpec(tensor.type, None)
        counts = _counts(multiples.value, tensor.rank)
        sizes = (n * count for n, count in zip(shape_of(tensor), counts, strict=True))
        return TensorSpec(tensor.type, dimensions(sizes, "TILE: the result"))

    def run(self, xp: Any, tensor: Array, multiples: Array) -> Array:
        return xp.tile(tensor, _counts(known(self.ins[1], multiples), tensor.ndim))


def _counts(multiples: np.ndarray, rank: int) -> Shape:
    counts = dimensions(integers(multiples), "TILE: multiples")
    if len(counts) != rank:
        raise KernelError(f"TILE: multiples has {len(counts)} elements, expected one for each of {rank} dimensions.")
    return counts


@op("REVERSE_V2", VALUES, INDEX, versions=4)
class Reverse(Op):
    """`tensor` with the order along each of the dimensions `axis` turned around. A view without a copy."""

    def infer(self, tensor: TensorSpec, axis: TensorSpec) -> TensorSpec:
        require_rank(axis, (1,), "REVERSE_V2: axis")
        if axis.value is not None:
            _distinct_axes(axis.value, tensor.rank)
        return TensorSpec(tensor.type, tensor.shape)

    def run(self, xp: Any, tensor: Array, axis: Array) -> Array:
        return xp.flip(tensor, _distinct_axes(known(self.ins[1], axis), tensor.ndim))


def _distinct_axes(axis: np.ndarray, rank: int) -> Shape:
    axes = normalize_axes(integers(axis), rank, "REVERSE_V2: axis")
    if len(set(axes)) != len(axes):
        raise KernelError(f"REVERSE_V2: axis is {list(integers(axis))}, expected each dimension at most once.")
    return axes


@op("REVERSE_SEQUENCE", VALUES, INDEX)
class ReverseSequence(Op):
    """Along `seq_dim`, the first `seq_lengths[b]` elements of each slice b of `batch_dim` turned around."""

    seq_dim: int = 0
    batch_dim: int = 0

    def infer(self, tensor: TensorSpec, seq_lengths: TensorSpec) -> TensorSpec:
        shape = shape_of(tensor)
        seq_dim = normalize_axis(self.seq_dim, tensor.rank, "REVERSE_SEQUENCE: seq_dim")
        batch_dim = normalize_axis(self.batch_dim, tensor.rank, "REVERSE_SEQUENCE: batch_dim")
        if seq_dim == batch_dim:
            raise KernelError(f"REVERSE_SEQUENCE: seq_dim and batch_dim are both {seq_dim}.")
        if seq_lengths.shape != (shape[batch_dim],):
            raise KernelError(f"REVERSE_SEQUENCE: seq_lengths is {seq_lengths}, expected [{shape[batch_dim]}].")
        return TensorSpec(tensor.type, shape)

    def run(self, xp: Any, tensor: Array, seq_lengths: Array) -> Array:
        length = tensor.shape[self.seq_dim]
        require_indices(xp, self.ins[1], seq_lengths, length + 1, "REVERSE_SEQUENCE: seq_lengths")
        forward = _along(xp.arange(length), self.seq_dim, tensor.ndim)
        lengths = _along(seq_lengths, self.batch_dim, tensor.ndim)
        order = xp.where(forward < lengths, lengths - 1 - forward, forward)
        return xp.take_along_axis(tensor, order, axis=self.seq_dim)


def _along(vector: Array, axis: int, rank: int) -> Array:
    shape = [1] * rank
    shape[axis] = -1
    return vector.reshape(shape)

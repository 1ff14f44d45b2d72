"""Einsum of two operands: transposed and reshaped into one matrix product, then back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...interpreter.graph import TensorType
from ..draft import DraftTensor
from ..lower import Lowering, lowers
from ..tfapi import Dims
from .types import F32


class Labels(NamedTuple):
    """Indices of an equation by role, each in the order in which it is multiplied."""

    batch: str
    left: str
    contracted: str
    right: str


@lowers("Einsum")
def einsum(op: Lowering) -> DraftTensor:
    op.require_type(0, F32)
    op.require(len(op) == 2, f"an Einsum of {len(op)} operands has no builtin form")
    inputs, _, result = op.attr("equation").replace(" ", "").partition("->")
    x, y = inputs.split(",")
    labels = _labels(op, x, y, result)
    sizes = _sizes(op, x, y)
    if not labels.batch and op.known(1) is not None:
        product = _with_weights(op, x, y, labels, sizes)
    else:
        product = _of_batches(op, x, y, labels, sizes)
    return _finish(op, product, labels, result, sizes)


def _labels(op: Lowering, x: str, y: str, result: str) -> Labels:
    plain = all(len(set(term)) == len(term) and "." not in term for term in (x, y, result))
    op.require(plain, "an Einsum of diagonals or ellipses has no builtin form")
    shared = [n for n in x if n in y]
    labels = Labels(
        "".join(n for n in result if n in shared),
        "".join(n for n in result if n in x and n not in y),
        "".join(n for n in shared if n not in result),
        "".join(n for n in result if n in y and n not in x),
    )
    whole = set(x) | set(y) == set("".join(labels))
    op.require(whole, "an Einsum that sums over an index of one operand has no builtin form")
    return labels


def _sizes(op: Lowering, x: str, y: str) -> dict[str, int | None]:
    sizes: dict[str, int | None] = {}
    for term, dims in ((x, op.dims(0)), (y, op.dims(1))):
        for name, size in zip(term, dims, strict=True):
            sizes[name] = size if sizes.get(name) is None else sizes[name]
    return sizes


def _with_weights(op: Lowering, x: str, y: str, labels: Labels, sizes: dict[str, int | None]) -> DraftTensor:
    """Rows times a constant matrix: FULLY_CONNECTED, whose leading dimensions stay as they are."""
    weights = op.const(1, "the right operand")
    order = [y.index(n) for n in labels.right + labels.contracted]
    depth = math.prod(sizes[n] or 1 for n in labels.contracted)
    matrix = op.graph.conversion.transposed(weights, tuple(order)).reshape(-1, depth)
    rows = _grouped(op, op.input(0), x, [*labels.left, labels.contracted], sizes)
    dims = (*(sizes[n] for n in labels.left), matrix.shape[0])
    out = op.tensor(TensorType.FLOAT32, dims, "/product")
    return op.emit("FULLY_CONNECTED", rows, op.constant(matrix, "/weights"), None, out=out, keep_num_dims=True,
                   fused_activation_function=0, version=6)  # fmt: skip


def _of_batches(op: Lowering, x: str, y: str, labels: Labels, sizes: dict[str, int | None]) -> DraftTensor:
    left = _grouped(op, op.input(0), x, [*labels.batch, labels.left, labels.contracted], sizes)
    right = _grouped(op, op.input(1), y, [*labels.batch, labels.contracted, labels.right], sizes)
    dims = (*(sizes[n] for n in labels.batch), _size(labels.left, sizes), _size(labels.right, sizes))
    out = op.tensor(TensorType.FLOAT32, dims, "/product")
    return op.emit("BATCH_MATMUL", left, right, out=out, adj_x=False, adj_y=False)


def _grouped(
    op: Lowering, tensor: DraftTensor, term: str, groups: Sequence[str], sizes: dict[str, int | None]
) -> DraftTensor:
    """A tensor with its dimensions in the order of `groups`, each group flattened into one dimension."""
    order = "".join(groups)
    moved = transpose(op, tensor, [term.index(n) for n in order])
    if all(len(group) == 1 for group in groups):
        return moved
    return reshape(op, moved, tuple(_size(group, sizes) for group in groups))


def _finish(
    op: Lowering, product: DraftTensor, labels: Labels, result: str, sizes: dict[str, int | None]
) -> DraftTensor:
    order = labels.batch + labels.left + labels.right
    dims = tuple(sizes[n] for n in order)
    if product.rank != len(order):
        product = reshape(op, product, dims)
    return transpose(op, product, [order.index(n) for n in result])


def _size(group: str, sizes: dict[str, int | None]) -> int | None:
    known = [sizes[n] for n in group]
    return None if None in known else math.prod(n for n in known if n is not None)


def transpose(op: Lowering, tensor: DraftTensor, order: Sequence[int]) -> DraftTensor:
    """A tensor with its dimensions reordered; itself if they stay."""
    if list(order) == sorted(order):
        return tensor
    dims: Dims = tuple((tensor.dims or ())[i] for i in order)
    return op.emit("TRANSPOSE", tensor, np.array(order, np.int32), out=op.tensor(tensor.type, dims, "/transposed"))


def reshape(op: Lowering, tensor: DraftTensor, dims: tuple[int | None, ...]) -> DraftTensor:
    """A tensor reshaped to dimensions of which at most one is unknown."""
    op.require(dims.count(None) <= 1, "it needs a shape of two unknown dimensions")
    shape = np.array([-1 if n is None else n for n in dims], np.int32)
    out = op.tensor(tensor.type, dims, "/reshaped")
    return op.emit("RESHAPE", tensor, shape, out=out, new_shape=tuple(shape.tolist()))

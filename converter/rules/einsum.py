"""Einsum of one or two operands: summed, transposed and reshaped into one matrix product, then back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from string import ascii_letters
from typing import NamedTuple

import numpy as np

from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .steps import dims_of, move, reshape, transpose, vector
from .types import F32

Sizes = dict[str, int | None]


class Labels(NamedTuple):
    """Indices of an equation by role, each in the order in which it is multiplied."""

    batch: str
    left: str
    contracted: str
    right: str


class Term(NamedTuple):
    """An operand and the names of its dimensions."""

    labels: str
    tensor: DraftTensor
    value: np.ndarray | None  # if it is constant


@lowers("Einsum")
def einsum(op: Lowering) -> DraftTensor:
    op.require(op.type(0) is F32, f"an Einsum of {op.type(0).name.lower()} has no builtin form")
    op.require(len(op) in (1, 2), f"an Einsum of {len(op)} operands has no builtin form")
    names, result = _names(op)
    op.require(all(len(set(t)) == len(t) for t in (*names, result)), "an Einsum of diagonals has no builtin form")
    terms = [Term(t, op.input(i), op.known(i)) for i, t in enumerate(names)]
    sizes = _sizes(op, terms)
    terms = [_summed(op, t, "".join(n for n in t.labels if n in result or _shared(n, terms))) for t in terms]
    if len(terms) == 1:
        return transpose(op, terms[0].tensor, [terms[0].labels.index(n) for n in result])
    left, right = terms if terms[0].value is None else terms[::-1]
    labels = _labels(left.labels, right.labels, result)
    if not labels.batch and right.value is not None:
        product = _with_weights(op, left, right, labels, sizes)
    else:
        product = _of_batches(op, left, right, labels, sizes)
    return _finish(op, product, labels, result, sizes)


def _names(op: Lowering) -> tuple[list[str], str]:
    """Names of the dimensions of operands and result; an ellipsis stands for as many as are left over."""
    inputs, _, result = op.attr("equation").replace(" ", "").partition("->")
    operands = inputs.split(",")
    free = "".join(n for n in ascii_letters if n not in inputs)
    lengths = [len(op.dims(i)) - len(t.replace("...", "")) for i, t in enumerate(operands) if "..." in t]
    longest = max(lengths, default=0)
    filled = [
        t.replace("...", free[longest - (len(op.dims(i)) - len(t) + 3) : longest]) for i, t in enumerate(operands)
    ]
    return filled, result.replace("...", free[:longest])


def _shared(name: str, terms: Sequence[Term]) -> bool:
    return all(name in t.labels for t in terms) and len(terms) > 1


def _summed(op: Lowering, term: Term, kept: str) -> Term:
    """A term without the indices that neither the result nor the other term has."""
    if kept == term.labels:
        return term
    dims = dims_of(term.tensor)
    axes = vector([i for i, n in enumerate(term.labels) if n not in kept])
    left = tuple(size for size, n in zip(dims, term.labels, strict=True) if n in kept)
    return Term(kept, move(op, "SUM", term.tensor, axes, dims=left, keep_dims=False), None)


def _labels(x: str, y: str, result: str) -> Labels:
    shared = [n for n in x if n in y]
    return Labels(
        "".join(n for n in result if n in shared),
        "".join(n for n in result if n in x and n not in y),
        "".join(n for n in shared if n not in result),
        "".join(n for n in result if n in y and n not in x),
    )


def _sizes(op: Lowering, terms: Sequence[Term]) -> Sizes:
    sizes: Sizes = {}
    for term in terms:
        for name, size in zip(term.labels, dims_of(term.tensor), strict=True):
            known = sizes.get(name)
            op.require(None in (known, size) or known == size, "an Einsum that broadcasts has no builtin form")
            sizes[name] = size if known is None else known
    return sizes


def _with_weights(op: Lowering, x: Term, y: Term, labels: Labels, sizes: Sizes) -> DraftTensor:
    """Rows times a constant matrix: FULLY_CONNECTED, whose leading dimensions stay as they are."""
    assert y.value is not None
    order = [y.labels.index(n) for n in labels.right + labels.contracted]
    depth = math.prod(sizes[n] or 1 for n in labels.contracted)
    matrix = op.graph.conversion.transposed(y.value, tuple(order)).reshape(-1, depth)
    rows = _grouped(op, x, [*labels.left, labels.contracted], sizes)
    dims = (*(sizes[n] for n in labels.left), matrix.shape[0])
    return move(op, "FULLY_CONNECTED", rows, op.constant(matrix, "/weights"), None, dims=dims, keep_num_dims=True,
                fused_activation_function=0, version=6)  # fmt: skip


def _of_batches(op: Lowering, x: Term, y: Term, labels: Labels, sizes: Sizes) -> DraftTensor:
    left = _grouped(op, x, [*labels.batch, labels.left, labels.contracted], sizes)
    right = _grouped(op, y, [*labels.batch, labels.contracted, labels.right], sizes)
    dims = (*(sizes[n] for n in labels.batch), _size(labels.left, sizes), _size(labels.right, sizes))
    return move(op, "BATCH_MATMUL", left, right, dims=dims, adj_x=False, adj_y=False)


def _grouped(op: Lowering, term: Term, groups: Sequence[str], sizes: Sizes) -> DraftTensor:
    """A tensor with its dimensions in the order of `groups`, each group flattened into one dimension."""
    order = "".join(groups)
    moved = transpose(op, term.tensor, [term.labels.index(n) for n in order])
    if all(len(group) == 1 for group in groups):
        return moved
    return reshape(op, moved, tuple(_size(group, sizes) for group in groups))


def _finish(op: Lowering, product: DraftTensor, labels: Labels, result: str, sizes: Sizes) -> DraftTensor:
    order = labels.batch + labels.left + labels.right
    dims = tuple(sizes[n] for n in order)
    if product.rank != len(order):
        product = reshape(op, product, dims)
    return transpose(op, product, [order.index(n) for n in result])


def _size(group: str, sizes: Sizes) -> int | None:
    known = [sizes[n] for n in group]
    return None if None in known else math.prod(n for n in known if n is not None)

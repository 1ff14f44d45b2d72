"""Stacks of matrices: batch dimensions of products as two numbers, (outer, inner), with even strides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ....interpreter.graph import Shape
from ..listing import Operand
from ..walk import Walk
from .products import Strides
from .strided import shaped


class Stack(NamedTuple):
    """How many matrices there are, and each operand's strides."""

    outer: int
    inner: int
    strides: list[Strides]

    @property
    def pairs(self) -> int:
        return self.outer * self.inner


class Layer(NamedTuple):
    """An operand of a product as a walk in its own shape, [*batch, rows, columns]; `batch` is that of the result."""

    walk: Walk
    batch: Shape
    swapped: bool = False  # whether rows and columns trade places


def stacked(layers: Sequence[Layer]) -> Stack | None:
    """Operands whose batches have as many matrices each, in the same order; None where their strides are uneven."""
    for batch in dict.fromkeys(layer.batch for layer in layers):
        walks = [_in_batch(layer, batch) for layer in layers]
        if any(walk is None for walk in walks):
            continue
        steps = [[stride for _, stride in walk.dims] for walk in walks if walk is not None]
        merged = merge_batch(batch, steps)
        if merged is not None:
            (outer, inner), pairs = merged
            ends = ((s[-1], s[-2]) if layer.swapped else (s[-2], s[-1]) for s, layer in zip(steps, layers, strict=True))
            return Stack(outer, inner, [Strides(*inside, *pair) for inside, pair in zip(ends, pairs, strict=True)])
    return None


def _in_batch(layer: Layer, batch: Shape) -> Walk | None:
    *own, row, column = layer.walk.dims
    missing = len(layer.batch) - len(own)
    padded = [(1, 0)] * missing + own
    whole = [(n, stride if size == n else 0) for n, (size, stride) in zip(layer.batch, padded, strict=True)]
    walk = Walk([*whole, row, column], layer.walk.start)
    return walk if batch == layer.batch else shaped(walk, (*batch, row[0], column[0]))


def operand_at(operand: Operand, walk: Walk) -> Operand:
    """The elements of an operand from a walk's start on."""
    return operand.reshaped((operand.size - walk.start,), skip=walk.start) if walk.start else operand


def merge_batch(
    sizes: Sequence[int], strides: Sequence[Sequence[int]]
) -> tuple[tuple[int, int], list[tuple[int, int]]] | None:
    """Batch dimensions as two, (outer, inner): their sizes, and each operand's strides over them; None if two won't do.

    strides: of each operand, per dimension. Neighbours merge where every operand steps through them evenly.
    """
    runs: list[tuple[int, list[int]]] = []
    for position, size in enumerate(sizes):
        steps = [s[position] for s in strides]
        if size == 1:
            continue
        if runs and all(last == step * size for last, step in zip(runs[-1][1], steps, strict=True)):
            runs[-1] = runs[-1][0] * size, steps
        else:
            runs.append((size, steps))
    if len(runs) > 2:
        return None
    none = (1, [0] * len(strides))
    (outer, outers), (inner, inners) = ([none] * 2 + runs)[-2:]
    return (outer, inner), list(zip(outers, inners, strict=True))

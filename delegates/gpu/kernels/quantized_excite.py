"""Two small layers of 8-bit integers in a row on a few vectors, as squeeze-and-excite has them: one launch.

[CONV_2D 1x1 or FULLY_CONNECTED] -> elementwise nodes -> another one; what follows is the tail. Before them there may be
a MEAN over height and width of images, which each block then makes anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ....interpreter.graph import ABSENT
from ....interpreter.ops.conv import Conv2D
from ....interpreter.ops.matmul import FullyConnected
from ....interpreter.ops.reduction import Mean
from ....interpreter.ops.shape import Reshape
from ....interpreter.ops.shared.host import integers, normalize_axes
from ....interpreter.runtime.delegate import BoundNode
from ..groups import Lowering, Matcher, pattern
from ..kernel import CTYPES, kernel
from ..listing import Argument, Operand, Work
from ..lowering import Site
from ..tail import Writer, is_expressible, write_nodes
from .quantized_products import flip_of, words_of
from .quantized_rows import limits_of, mean_scale
from .quantized_stored import ending_of
from .squeeze_excite import BLOCKS, MOST_IMAGES, MOST_ROWS, MOST_UNITS, SHARE, THREADS

MOST_DEPTH = 4096
MOST_BYTES = 1 << 17
"""Of the first layer's weights, and of an image: each block reads both."""

BYTES = np.dtype(np.int8), np.dtype(np.uint8)


@pattern
def squeezed_layers(matcher: Matcher, position: int) -> tuple[Sequence[int], Lowering] | None:
    """MEAN over height and width, perhaps RESHAPE, and the layers."""
    mean = matcher.nodes[position]
    start = matcher.reader(mean.node.outputs[0]) if _is_small_mean(mean) else None
    if start is None:
        return None
    before = [position]
    if isinstance(matcher.nodes[start].op, Reshape):
        before.append(start)
        start = matcher.reader(matcher.nodes[start].node.outputs[0])
    return None if start is None else _matched(matcher, before, start, MOST_IMAGES)


@pattern
def two_layers(matcher: Matcher, position: int) -> tuple[Sequence[int], Lowering] | None:
    """The layers alone."""
    return _matched(matcher, [], position, MOST_ROWS)


def _matched(
    matcher: Matcher, before: Sequence[int], position: int, most: int
) -> tuple[Sequence[int], Lowering] | None:
    """Layers from a position on, of `most` rows at most, after nodes that make their vectors."""
    first = matcher.nodes[position]
    if not _is_layer(first) or _rows(first) > most or not _is_small(first):
        return None
    between = _between(matcher, first)
    last = matcher.reader((matcher.nodes[between[-1]] if between else first).node.outputs[0])
    second = None if last is None else matcher.nodes[last]
    if last is None or second is None or not _is_layer(second) or type(second.op) is not type(first.op):
        return None
    positions = (*before, position, *between, last)
    specs = [matcher.nodes[before[0] if before else position].ins[0], *(matcher.nodes[p].outs[0] for p in positions)]
    is_alike = len({spec.dtype for spec in specs if spec is not None}) == 1 and _rows(second) == _rows(first)
    if not is_alike or (before and _rows(matcher.nodes[before[0]]) != _rows(first)):
        return None
    plan = _Plan(first, [matcher.nodes[p] for p in between], second, bool(before))
    return (positions, Lowering(plan.lower, tail=True)) if matcher.stays(set(positions)) else None


def _is_small_mean(bound: BoundNode) -> bool:
    """Whether a node is the mean of quantised images over their pixels."""
    image, axes = (*bound.ins, None)[:2]
    if not isinstance(bound.op, Mean) or not bound.op.is_quantized or image is None or axes is None:
        return False
    shape = image.shape or ()
    if axes.value is None or len(shape) != 4 or image.dtype not in BYTES or shape[3] > MOST_DEPTH:
        return False
    return set(normalize_axes(integers(axes.value), 4)) == {1, 2} and math.prod(shape[1:]) <= MOST_BYTES


def _is_layer(bound: BoundNode) -> bool:
    """Whether a node multiplies vectors of quantised bytes by a matrix of constants, stored by rows."""
    op, out = bound.op, bound.outs[0]
    if not isinstance(op, Conv2D | FullyConnected) or not op.is_quantized or op.hybrid:
        return False
    if isinstance(op, FullyConnected) and op.weights_format:
        return False
    x, weights, *bias = bound.ins
    if x is None or weights is None or weights.value is None or any(s is not None and s.value is None for s in bias):
        return False
    if x.dtype not in BYTES or out.dtype != x.dtype or weights.dtype != x.dtype:
        return False
    shapes = [spec.shape or () for spec in (x, weights, out)]
    is_plain = all(shape[1:3] == (1, 1) for shape in shapes) and shapes[1][3:] == shapes[0][3:]
    return isinstance(op, FullyConnected) or is_plain


def _is_small(bound: BoundNode) -> bool:
    """Whether a node is a first layer that each block may compute anew."""
    weights = bound.ins[1]
    shape = () if weights is None else weights.shape or ()
    return shape[0] <= MOST_UNITS and math.prod(shape) <= min(MOST_BYTES, shape[0] * MOST_DEPTH)


def _rows(bound: BoundNode) -> int:
    return math.prod((bound.outs[0].shape or ())[:-1])


def _between(matcher: Matcher, first: BoundNode) -> list[int]:
    """Positions of the elementwise nodes between a layer and the next one; several may read the layer's result."""
    found: list[int] = []
    made = set(first.node.outputs)
    while True:
        readers = sorted({p for t in made for p in matcher.readers.get(t, ())} - set(found))
        if not readers or not is_expressible(matcher.nodes[readers[0]]) or _is_layer(matcher.nodes[readers[0]]):
            return found
        bound = matcher.nodes[readers[0]]
        others = [t for t in bound.node.inputs if t not in made and t != ABSENT]
        if any(t in matcher.makers for t in others) or bound.outs[0].shape != first.outs[0].shape:
            return found
        found.append(readers[0])
        made.update(bound.node.outputs)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    first: BoundNode
    between: Sequence[BoundNode]
    second: BoundNode
    is_mean: bool

    def lower(self, site: Site) -> str | None:
        """Emit the launch; a sentence where there is none."""
        x = site.ins[0]
        sites = [_inner(site, bound) for bound in (self.first, self.second)]
        endings = [ending_of(inner) for inner in sites]
        if any(e.defines != endings[0].defines for e in endings):
            return "its layers are requantised in different ways."
        units, results = ((bound.outs[0].shape or ())[-1] for bound in (self.first, self.second))
        rows, depth = _rows(self.second), site.operands(self.first)[1].size // units
        pixels = math.prod(x.known_shape[1:3]) if self.is_mean else 1
        slices = min(-(-results // SHARE), max(BLOCKS // rows, 1))
        share = -(-results // slices)
        weights = [_words(inner) for inner in sites]
        (first_bias, first_factors, *of_first), (second_bias, second_factors, *of_second) = (
            e.arguments for e in endings
        )
        writer = Writer(self.first.outs[0].shape or (), "hidden_")
        code = site.tail.code + self._hidden_code(site, writer)
        defines = {
            "ELEMENT": CTYPES[x.dtype], "ACCUMULATOR": "int", "LANES": 4, "MEANS": int(self.is_mean),
            "IS_ALIGNED": int(depth % 4 == 0 == x.offset % 4), "MOST_DEPTH": MOST_DEPTH, "MOST_UNITS": MOST_UNITS,
            "HAS_WEIGHTS_ZERO": int(any(e.weights_zero for e in endings)), **endings[0].defines,
        }  # fmt: skip
        read = pixels * depth + weights[0].nbytes + share * units
        ceilings = site.options.ceilings
        seconds = 3 * ceilings.latency + read / ceilings.per_multiprocessor
        site.launch(
            kernel("quantized_excite", "quantized_excite.cu", defines=defines, code=code), (slices, rows), THREADS,
            *(x, weights[0], first_bias, first_factors, weights[1], second_bias, second_factors, site.out),
            *map(np.int32, (depth, units, results, share, pixels, flip_of(x.dtype))), *self._mean(site),
            *(*of_first, *of_second, *writer.arguments, *site.tail.arguments),
            work=Work(2 * rows * units * (depth + results), "dp4a", seconds),
        )  # fmt: skip
        return None

    def _mean(self, site: Site) -> list[Argument]:
        """Mantissa, shift, offset, zero point and bounds of the means."""
        if not self.is_mean:
            return [np.int32(0)] * 6
        _, scales = mean_scale(site.op, math.prod(site.ins[0].known_shape[1:3]))
        return [*scales, *limits_of(site.op)]

    def _hidden_code(self, site: Site, writer: Writer) -> str:
        names = {self.first.node.outputs[0]: "value"}
        write_nodes(writer, self.between, names, site.tensor)
        last = names[self.between[-1].node.outputs[0]] if self.between else "value"
        return writer.function("hidden", "VALUE", last)


def _inner(site: Site, bound: BoundNode) -> Site:
    """A site whose first node is one of the layers."""
    return replace(site, nodes=(bound, *(other for other in site.nodes if other is not bound)))


def _words(inner: Site) -> Operand:
    """The weights of a layer, four in a word."""
    return inner.packed(1, "words of 4", lambda w: words_of(inner.op.dense(np, w), 4))

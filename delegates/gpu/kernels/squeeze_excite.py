"""Two small layers in a row on a few vectors, as squeeze-and-excite has them: one launch.

[CONV_2D 1x1 or FULLY_CONNECTED] -> activation -> [CONV_2D 1x1 or FULLY_CONNECTED]; what follows is the tail. Of a MEAN
over height and width before them the launch brings sums together that the image's own launch has left, or one between.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ....interpreter.ops.base import Activation
from ....interpreter.ops.conv import Conv2D
from ....interpreter.ops.matmul import FullyConnected
from ....interpreter.ops.shape import Reshape
from ....interpreter.runtime.delegate import BoundNode
from ..groups import Lowering, Matcher, pattern
from ..kernel import CTYPES
from ..listing import UNREAD, Operand, Work
from ..lowering import Site
from .depthwise import limits
from .reduction import is_pixel_mean, pixel_sums

MOST_ROWS, MOST_IMAGES = 8, 64
"""Vectors that are given, or means of images: those save launches for their sums, too."""

MOST_UNITS, MOST_DEPTH = 1024, 4096
MOST_WEIGHTS = 3 << 15
"""Elements of the first layer's weights, which each block reads."""

SHARE = 128
"""Results that a block makes at least."""

BLOCKS = 132
THREADS = 1024

ACTIVATIONS = {
    (): "h",
    ("RELU",): "at_least(h, 0.0f)",
    ("RELU6",): "at_most(at_least(h, 0.0f), 6.0f)",
    ("HARD_SWISH",): "at_most(at_least(h + 3.0f, 0.0f), 6.0f) * h / 6.0f",
    ("LOGISTIC", "MUL"): "h * (1.0f / (1.0f + expf(-h)))",
}
"""Expressions of h, by the operators that stand between the layers."""


@pattern
def squeezed_layers(matcher: Matcher, position: int) -> tuple[Sequence[int], Lowering] | None:
    """MEAN over height and width, perhaps RESHAPE, and the layers."""
    mean = matcher.nodes[position]
    start = matcher.reader(mean.node.outputs[0]) if is_pixel_mean(mean) else None
    if start is None:
        return None
    between = [position]
    if isinstance(matcher.nodes[start].op, Reshape):
        between.append(start)
        start = matcher.reader(matcher.nodes[start].node.outputs[0])
    found = None if start is None else _layers(matcher, start, MOST_IMAGES)
    if found is None or _rows(matcher.nodes[found[0][0]]) != _rows(mean):
        return None
    positions, activation = (*between, *found[0]), found[1]
    if not matcher.stays(set(positions)):
        return None
    return positions, Lowering(lambda site: _emit(site, activation, site.nodes[len(between)]), tail=True, half=True)


@pattern
def two_layers(matcher: Matcher, position: int) -> tuple[Sequence[int], Lowering] | None:
    """The layers alone."""
    found = _layers(matcher, position, MOST_ROWS)
    if found is None:
        return None
    positions, activation = found
    return positions, Lowering(lambda site: _emit(site, activation, site.nodes[0]), tail=True, half=True)


def _layers(matcher: Matcher, position: int, most: int) -> tuple[tuple[int, ...], str] | None:
    """Positions of two layers and what stands between them, and the activation that this amounts to; of `most` rows at
    most."""
    first = matcher.nodes[position]
    if not _is_small(first) or _rows(first) > most:
        return None
    between = activation_after(matcher, first.node.outputs[0])
    last = matcher.reader(matcher.nodes[between[-1]].node.outputs[0] if between else first.node.outputs[0])
    names = tuple(matcher.nodes[p].op.name for p in between)
    if last is None:
        return None
    second, hidden = matcher.nodes[last], between[-1] if between else position
    if not _is_layer(second) or second.node.inputs[0] != matcher.nodes[hidden].node.outputs[0]:
        return None
    positions = (position, *between, last)
    if _rows(second) != _rows(first) or not matcher.stays(set(positions)):
        return None
    return positions, ACTIVATIONS[names]


def _is_small(bound: BoundNode) -> bool:
    """Whether a node is a first layer that each block may compute anew."""
    if not _is_layer(bound):
        return False
    weights = bound.ins[1]
    shape = () if weights is None or weights.shape is None else weights.shape
    return shape[0] <= MOST_UNITS and math.prod(shape) <= MOST_WEIGHTS and math.prod(shape) <= shape[0] * MOST_DEPTH


def _is_layer(bound: BoundNode) -> bool:
    """Whether a node multiplies vectors by a float32 matrix, stored by rows."""
    op, out = bound.op, bound.outs[0]
    if not isinstance(op, Conv2D | FullyConnected) or limits(op.fused_activation_function) is None:
        return False
    specs = [s for s in (*bound.ins, out) if s is not None]
    if any(s.dtype != np.float32 or not s.shape for s in specs):
        return False
    x, weights, result = (s.shape or () for s in (specs[0], specs[1], out))
    return isinstance(op, FullyConnected) or (x[1:3] == weights[1:3] == result[1:3] == (1, 1) and weights[3:] == x[3:])


def _rows(bound: BoundNode) -> int:
    assert bound.outs[0].shape is not None
    return math.prod(bound.outs[0].shape[:-1])


def activation_after(matcher: Matcher, tensor: int) -> tuple[int, ...]:
    """Positions of the elementwise nodes that are one of `ACTIVATIONS` of a tensor; none if there are none."""
    readers = matcher.readers.get(tensor, [])
    if len(readers) == 2:
        gate, product = readers
        inputs = {tensor, *matcher.nodes[gate].node.outputs}
        found: tuple[int, ...] = (gate, product) if set(matcher.nodes[product].node.inputs) == inputs else ()
    else:
        following = matcher.reader(tensor)
        found = () if following is None else (following,)
    ops = [matcher.nodes[p].op for p in found]
    is_plain = all(getattr(op, "fused_activation_function", Activation.NONE) is Activation.NONE for op in ops)
    return found if is_plain and tuple(op.name for op in ops) in ACTIVATIONS else ()


def _sums(site: Site) -> tuple[Operand, int, int]:
    """Sums over the pixels of the image, how many of them make up a vector, and how many pixels there are."""
    image = site.ins[0]
    sums = pixel_sums(site, image)
    _, height, width, _ = image.known_shape
    return sums, sums.known_shape[1], height * width


def _limits(bound: BoundNode) -> tuple[np.float32, np.float32]:
    """The bounds of a layer's own results."""
    assert isinstance(bound.op, Conv2D | FullyConnected)
    clamp = limits(bound.op.fused_activation_function)
    assert clamp is not None
    return clamp


def _work(site: Site, read: Sequence[Operand], parts: int, share: int) -> Work:
    """A block waits three times for memory, and reads the sums of a row, all of the first layer and its share of the
    second."""
    (x, first, second), rows = read, _rows(site.nodes[-1])
    results, units = second.known_shape[0], first.known_shape[0]
    row = x.nbytes // max(rows, 1) if parts == 1 else parts * (first.size // units) * x.dtype.itemsize
    seconds = 3 * site.options.ceilings.latency
    seconds += (row + first.nbytes + share * units * second.dtype.itemsize) / site.options.ceilings.per_multiprocessor
    return Work(2 * rows * (first.size + results * units), "strict", seconds)


def _emit(site: Site, activation: str, first: BoundNode) -> str | None:
    second = site.nodes[-1]
    vectors, weights, bias, *_ = (*site.operands(first), None)
    _, last_weights, last_bias, *_ = (*site.operands(second), None)
    if any(o is not None and o.dtype != np.float32 for o in (weights, bias, last_weights, last_bias)):
        return "its weights or biases are kept in float16."
    weights, last_weights = site.in_half(weights), site.in_half(last_weights)
    if weights.dtype != last_weights.dtype:
        return "its layers' weights have types of their own."
    x, parts, count = (vectors, 1, 1) if first is site.nodes[0] else _sums(site)
    units, results, rows = weights.known_shape[0], last_weights.known_shape[0], _rows(second)
    depth = weights.size // units
    slices = min(-(-results // SHARE), max(BLOCKS // rows, 1))
    share = -(-results // slices)
    biases = (bias is not None) + 2 * (last_bias is not None)
    what = site.kernel("squeeze_excite", "squeeze_excite.cu", ACTIVATION=activation, MOST_UNITS=MOST_UNITS,
                       MOST_DEPTH=MOST_DEPTH, ELEMENT=CTYPES[x.dtype], WEIGHT=CTYPES[weights.dtype])  # fmt: skip
    site.launch(
        what, (slices, rows), THREADS,
        *(x, weights, bias or UNREAD, last_weights, last_bias or UNREAD, site.out),
        *map(np.int32, (depth, units, results, share, biases, parts)), np.float32(count),
        *(*_limits(first), *_limits(second), *site.tail.arguments),
        work=_work(site, (x, weights, last_weights), parts, share),
    )  # fmt: skip
    return None

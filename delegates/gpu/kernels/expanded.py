"""A pointwise CONV_2D and the DEPTHWISE_CONV_2D that alone reads it as one launch: inverted residual blocks begin so.
Only where that should take less time than two, by `patches`.

CONV_2D 1x1 -> activation -> PAD with zeros -> DEPTHWISE_CONV_2D; what follows is the tail. Where a MEAN over the pixels
of the result reads it, the launch leaves sums for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ....interpreter.ops.base import Padding
from ....interpreter.ops.conv import Conv2D, DepthwiseConv2D
from ....interpreter.runtime.delegate import BoundNode
from ..groups import Lowering, Matcher, pattern
from ..kernel import CTYPES
from ..listing import UNREAD, Work
from ..lowering import Options, Site
from ..tail import WIDTH
from .conv import is_pointwise
from .depthwise import MAX_IMAGES, WINDOWS, is_averaged, limits
from .geometry import margins
from .patches import RUNS, Axis, Expansion, Layout, dynamic_bytes, layouts, pays
from .products import PIPELINE_ARCH, weights_of
from .squeeze_excite import ACTIVATIONS, activation_after
from .tiles import PRECISIONS

ALIGNED = 8
"""Channels that are copied at once, where they are float16."""


@pattern
def expanded(matcher: Matcher, position: int) -> tuple[Sequence[int], Lowering] | None:
    """Both convolutions, and what stands between them."""
    first, options = matcher.nodes[position], matcher.options
    if options is None or options.arch < PIPELINE_ARCH or not _is_expansion(first):
        return None
    between = activation_after(matcher, first.node.outputs[0])
    positions = (position, *between)
    following = matcher.reader(matcher.nodes[positions[-1]].node.outputs[0])
    before = None if following is None else margins(matcher.nodes[following])
    if following is not None and before is not None:
        positions = (*positions, following)
        following = matcher.reader(matcher.nodes[following].node.outputs[0])
    last = None if following is None else matcher.nodes[following]
    if following is None or last is None or not _is_depthwise(last, before is not None):
        return None
    positions = (*positions, following)
    names = tuple(matcher.nodes[p].op.name for p in between)
    what = _expansion(first, last, before, names, options)
    is_one = last.node.inputs[0] == matcher.nodes[positions[-2]].node.outputs[0] and matcher.stays(set(positions))
    if not is_one or not pays(what, options.products, options.ceilings):
        return None
    return positions, Lowering(_Plan(first, last, what, ACTIVATIONS[names]).lower, tail=True, half=True)


def _is_expansion(bound: BoundNode) -> bool:
    """Whether a node is a pointwise convolution of float32 whose filters lie side by side in memory."""
    op = bound.op
    if not isinstance(op, Conv2D) or not _is_plain(bound) or limits(op.fused_activation_function) is None:
        return False
    depth, channels = _shape(bound, 0)[3], (bound.outs[0].shape or ())[3]
    return is_pointwise(bound) and _shape(bound, 1)[3] == depth and not depth % ALIGNED and not channels % WIDTH


def _is_depthwise(bound: BoundNode, is_padded: bool) -> bool:
    """Whether a node is a depthwise convolution with windows that have a kernel."""
    op = bound.op
    if not isinstance(op, DepthwiseConv2D) or not _is_plain(bound) or limits(op.fused_activation_function) is None:
        return False
    x, (_, height, width, channels) = _shape(bound, 0), _shape(bound, 1)
    steps = op.stride_h, op.stride_w, op.dilation_h_factor, op.dilation_w_factor
    is_regular = height == width and height in WINDOWS and steps in ((1, 1, 1, 1), (2, 2, 1, 1))
    is_valid = not is_padded or op.padding is Padding.VALID
    return is_regular and is_valid and channels == x[3] and x[0] <= MAX_IMAGES


def _is_plain(bound: BoundNode) -> bool:
    """Whether all is float32, and filters and biases are constants."""
    specs = [s for s in (*bound.ins, *bound.outs) if s is not None]
    constants = [s for s in bound.ins[1:] if s is not None]
    return all(s.dtype == np.float32 and s.shape for s in specs) and all(s.value is not None for s in constants)


def _shape(bound: BoundNode, position: int) -> tuple[int, ...]:
    spec = bound.ins[position]
    assert spec is not None
    return spec.shape or ()


def _expansion(
    first: BoundNode, last: BoundNode, before: tuple[int, int] | None, names: Sequence[str], options: Options
) -> Expansion:
    op, (images, height, width, depth), image = last.op, _shape(first, 0), _shape(last, 0)
    assert isinstance(op, DepthwiseConv2D)
    axes = op.axes(image, _shape(last, 1))
    top, left = before or (axes[0].before, axes[1].before)
    nbytes = 2 if options.products == "fp16" else 4
    return Expansion(
        images, Axis(height, axes[0].out, top), Axis(width, axes[1].out, left), depth, image[3], axes[0].window,
        axes[0].stride, names in ((), ("RELU",), ("RELU6",)), nbytes, nbytes,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    first: BoundNode
    last: BoundNode
    what: Expansion
    activation: str

    def lower(self, site: Site) -> str | None:
        """Emit the launch; a sentence where it has no kernel."""
        if site.ins[0].offset % 16:
            return "its image does not start at a multiple of 16 bytes."
        precision, what = site.options.products, self._what(site)
        ways: dict[str, Callable[[Site], object]] = {
            str(layout): partial(self._launch, layout=layout)
            for layout in layouts(what, precision, site.options.ceilings)
        }
        site.either(f"expanded {precision} {what} {len(site.tail.nodes)}", ways)
        return None

    def _what(self, site: Site) -> Expansion:
        """With the element type that the image has in memory."""
        return self.what._replace(a_bytes=site.ins[0].dtype.itemsize)

    def _launch(self, site: Site, layout: Layout) -> None:
        what, tile, precision = self._what(site), layout.tile, site.options.products
        x, _, bias = (*site.operands(self.first), None)[:3]
        _, filters, offset = (*site.operands(self.last), None)[:3]
        weights = weights_of(site, 1, self.first)
        tiles = -(-what.rows.out // layout.height) * -(-what.columns.out // layout.width)
        defines = {
            "PRECISION": PRECISIONS.index(precision), "SUM": "float", "SCALED": 0, "A_MODE": 0,
            "A_TYPE": CTYPES[x.dtype], "B_TYPE": CTYPES[weights.dtype], "WINDOW": what.window, "STRIDE": what.stride,
            "RUN": RUNS[what.stride], "ACTIVATION": self.activation, "STEP": site.tail.width, "SUMMED": 0,
            "TOTALS_PARAMETERS": "", **tile.defines(precision),
        }  # fmt: skip
        totals = []
        if is_averaged(site):
            totals.append(site.scratch((what.images, tiles, what.channels), np.float32))
            site.keep_sums(totals[0])
            defines |= {"SUMMED": 1, "TOTALS_PARAMETERS": "float* __restrict__ totals,"}
        arithmetic = "fma.cuh" if precision == "strict" else "fragments.cuh"
        site.launch(
            site.kernel("expanded", arithmetic, "patch.cuh", "pipelined.cuh", "expanded.cu", **defines),
            (tiles, -(-what.channels // tile.columns), what.images), tile.threads(precision),
            *(site.out, *totals, x, weights, bias or UNREAD, filters),
            *(offset or UNREAD, *map(np.int32, (what.depth, what.channels))),
            *map(np.int32, (what.rows.size, what.columns.size, what.rows.out, what.columns.out)),
            *map(np.int32, (layout.height, layout.width, what.rows.before, what.columns.before)),
            np.int32((bias is not None) + 2 * (offset is not None)),
            *(*_limits(self.first), *_limits(self.last), *site.tail.arguments),
            shared=dynamic_bytes(tile, what, precision), work=Work(what.operations, precision, layout.seconds),
        )  # fmt: skip


def _limits(bound: BoundNode) -> tuple[np.float32, np.float32]:
    """The bounds of a convolution's own results."""
    assert isinstance(bound.op, Conv2D | DepthwiseConv2D)
    clamp = limits(bound.op.fused_activation_function)
    assert clamp is not None
    return clamp

"""DEPTHWISE_CONV_2D of float32, perhaps with sums over the pixels of its results for a MEAN that reads these."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ....interpreter.ops.base import Activation
from ....interpreter.ops.conv import DepthwiseConv2D
from ....interpreter.runtime.delegate import BoundNode
from ..groups import lowers
from ..kernel import CTYPES, Kernel
from ..listing import UNREAD, Argument, Operand, Work
from ..lowering import Site
from ..storage import are_single
from ..tail import WIDTH
from .geometry import takes_margins
from .reduction import is_pixel_mean

BLOCK = 128
MAX_IMAGES = 65535
WINDOWS = (3, 5, 7)
"""Sizes of square windows that have a kernel of their own."""

SUMMING, SUMMING_BLOCKS, MOST_SUMS = 256, 1056, 264
"""Threads of a block that leaves sums, how many such blocks fill a GPU, and parts of an image at most."""

BUSY = 1 << 16
"""So many threads keep a GPU busy; where there are more, each takes several columns."""


def limits(activation: Activation) -> tuple[np.float32, np.float32] | None:
    """The bounds that a kernel clamps to, infinite where there is none; None for an activation of another kind."""
    if activation in (Activation.TANH, Activation.SIGN_BIT):
        return None
    low, high = activation.bounds
    return np.float32(-np.inf if low is None else low), np.float32(np.inf if high is None else high)


@lowers(DepthwiseConv2D, tail=True, half=True)
def depthwise(site: Site) -> str | None:
    bound = site.nodes[0]
    x, weights, *_ = site.ins
    if not are_single(*bound.ins):
        return "its element type has no kernel."
    rows, columns = site.op.axes(x.shape, weights.shape)
    return launch_depthwise(site, bound, x, (rows.before, columns.before))


@takes_margins(DepthwiseConv2D)
def launch_depthwise(site: Site, bound: BoundNode, x: Operand, before: tuple[int, int]) -> str | None:
    """Emit a depthwise convolution of `x` that starts `before` rows and columns outside of it.

    All else is as `bound` says, a DEPTHWISE_CONV_2D; it ends the head. A sentence if there is no kernel.
    """
    op, shape = bound.op, bound.outs[0].shape
    _, weights, bias, *_ = (*site.operands(bound), None)
    assert isinstance(op, DepthwiseConv2D)
    assert shape is not None
    assert x.shape is not None
    clamp = limits(op.fused_activation_function)
    if clamp is None:
        return "its activation has no kernel."
    if not are_single(*bound.ins) or (bias is not None and bias.dtype != np.float32):
        return "its element type has no kernel."
    weights = site.in_half(weights)
    channels, multiplier = shape[3], shape[3] // x.shape[3]
    steps = op.stride_h, op.stride_w, op.dilation_h_factor, op.dilation_w_factor
    operands = [o for o in (x, weights, bias) if o is not None]
    vectors = multiplier == 1 and channels % WIDTH == 0 == sum(o.offset % 16 for o in operands)
    lanes = WIDTH if vectors and site.tail.width == WIDTH else 1
    height, width = weights.known_shape[1:3]
    window = height if height == width and height in WINDOWS else 0
    tile = _columns(steps, window, shape[2], math.prod(shape) // lanes)
    defines = {"LANES": lanes, "COLUMNS": tile, "WINDOW": window, "STRIDE": steps[0] if tile > 1 else 0,
               "ELEMENT": CTYPES[x.dtype], "WEIGHT": CTYPES[weights.dtype]}  # fmt: skip
    runs = shape[0], shape[1] * -(-shape[2] // tile), channels // lanes
    how = (_summed if is_averaged(site) else _plain)(site, runs, defines)
    site.launch(
        how.kernel, how.grid, how.block, *how.arguments, x, weights, bias or UNREAD,
        *map(np.int32, (*x.shape[1:3], channels, multiplier, *shape[1:3], height, width, *steps, *before)),
        *(np.int32(bias is not None), *clamp, *site.tail.arguments), work=Work(2 * math.prod(shape) * height * width),
    )  # fmt: skip
    return None


def is_averaged(site: Site) -> bool:
    """Whether a MEAN over the pixels of the result reads it."""
    image = site.out
    means = (bound for bound in site.readers() if is_pixel_mean(bound))
    same = any(spec is not None and spec.shape == image.shape for bound in means for spec in bound.ins[:1])
    return same and image.dtype in (np.float32, np.float16) and image.known_shape[0] <= MAX_IMAGES


class How(NamedTuple):
    """A kernel, its threads, and the arguments that it takes first."""

    kernel: Kernel
    grid: tuple[int, ...]
    block: tuple[int, ...]
    arguments: tuple[Argument, ...]


def _plain(site: Site, runs: tuple[int, int, int], defines: Mapping[str, object]) -> How:
    """runs: images, runs of columns in each, and groups of channels."""
    threads = math.prod(runs)
    what = site.kernel("depthwise", "depthwise.cu", **defines)
    return How(what, (-(-threads // BLOCK),), (BLOCK,), (site.out, np.uint32(threads)))


def _summed(site: Site, runs: tuple[int, int, int], defines: Mapping[str, object]) -> How:
    """With sums over the pixels of each part of an image, which are kept for who asks the site for them."""
    images, count, groups = runs
    across = min(32, 1 << (groups - 1).bit_length())
    lines, tiles = SUMMING // across, -(-groups // across)
    share = -(-count // min(-(-count // lines), max(SUMMING_BLOCKS // (tiles * images), 1), MOST_SUMS))
    parts = -(-count // share)
    totals = site.scratch((images, parts, site.out.known_shape[-1]), np.float32)
    site.keep_sums(totals)
    what = site.kernel("depthwise_summed", "depthwise_summed.cu", **defines)
    return How(what, (tiles, parts, images), (across, lines), (site.out, totals, np.int32(share)))


def _columns(steps: tuple[int, ...], window: int, width: int, pixels: int) -> int:
    """How many columns a thread takes: several only where the window is one that their sums can share pixels in."""
    if not window or steps not in ((1, 1, 1, 1), (2, 2, 1, 1)):
        return 1
    return next((n for n in (4, 2) if n <= width and pixels // n >= BUSY), 1)

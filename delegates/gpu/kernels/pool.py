"""AVERAGE_POOL_2D, MAX_POOL_2D and L2_POOL_2D of float32."""

from __future__ import annotations

import numpy as np

from ....interpreter.ops.base import Activation
from ....interpreter.ops.pool import AveragePool2D, L2Pool2D, MaxPool2D
from ....interpreter.ops.reduction import Mean
from ....interpreter.ops.shared.windows import Axes
from ....interpreter.runtime.delegate import BoundNode
from ..groups import lowers
from ..kernel import CTYPES
from ..listing import Operand
from ..lowering import Site
from ..storage import are_single
from ..tail import WIDTH
from .depthwise import limits
from .geometry import takes_margins
from .reduction import arithmetic, reduce

BLOCK = 128
WINDOWS = (2, 3)
"""Sizes of square windows that have a kernel of their own."""

_MODES = {AveragePool2D: "AVERAGE", MaxPool2D: "GREATEST", L2Pool2D: "ROOT_MEAN_SQUARE"}


@lowers(*_MODES, tail=True, half=True)
def pool(site: Site) -> str | None:
    x, op = site.ins[0], site.op
    if not are_single(*site.nodes[0].ins):
        return "its element type has no kernel."
    assert x.shape is not None
    axes = op.axes(x.shape)
    if type(op) is AveragePool2D and op.fused_activation_function is Activation.NONE and _is_global(axes):
        reduce(site, arithmetic(Mean, x.dtype), x, {1, 2})
        return None
    rows, columns = axes
    return _launch(site, op, x, (rows.before, columns.before))


@takes_margins(MaxPool2D)
def padded_pool(site: Site, bound: BoundNode, x: Operand, before: tuple[int, int]) -> str | None:
    """Emit a MAX_POOL_2D of `x` that starts `before` rows and columns outside of it, where there are zeros."""
    assert isinstance(bound.op, MaxPool2D)
    return _launch(site, bound.op, x, before, has_zeros=True)


def _launch(
    site: Site,
    op: AveragePool2D | MaxPool2D | L2Pool2D,
    x: Operand,
    before: tuple[int, int],
    *,
    has_zeros: bool = False,
) -> str | None:
    """has_zeros: whether what is outside of the image counts as zeros, and not at all otherwise."""
    clamp, out, (_, *sizes, channels) = limits(op.fused_activation_function), site.out, x.known_shape
    if clamp is None:
        return "its activation has no kernel."
    lanes = WIDTH if channels % WIDTH == 0 == x.offset % 16 and site.tail.width == WIDTH else 1
    height, width = op.window
    window = height if height == width and height in WINDOWS else 0
    threads = out.size // lanes
    defines = {"LANES": lanes, "WINDOW": window, "MODE": _MODES[type(op)], "HAS_ZEROS": int(has_zeros),
               "ELEMENT": CTYPES[x.dtype]}  # fmt: skip
    site.launch(
        site.kernel("pool", "pool.cu", **defines), -(-threads // BLOCK), BLOCK,
        *(x, out, np.uint32(threads)), *map(np.int32, sizes), np.uint32(channels),
        *map(np.int32, (*out.known_shape[1:3], height, width, *op.strides, *before)), *clamp, *site.tail.arguments,
    )  # fmt: skip
    return None


def _is_global(axes: Axes) -> bool:
    """Whether there is one window, which has the whole image."""
    return all(axis.out == 1 and axis.counts()[0] == axis.size for axis in axes)

"""AVERAGE_POOL_2D, MAX_POOL_2D and L2_POOL_2D of float32."""

from __future__ import annotations

import numpy as np

from ....interpreter.ops.base import Activation
from ....interpreter.ops.pool import AveragePool2D, L2Pool2D, MaxPool2D
from ....interpreter.ops.reduction import Mean
from ....interpreter.ops.shared.windows import Axes
from ..groups import lowers
from ..lowering import Site
from ..tail import WIDTH
from .depthwise import limits
from .reduction import arithmetic, reduce

BLOCK = 128
WINDOWS = (2, 3)
"""Sizes of square windows that have a kernel of their own."""

_MODES = {AveragePool2D: "AVERAGE", MaxPool2D: "GREATEST", L2Pool2D: "ROOT_MEAN_SQUARE"}


@lowers(*_MODES, tail=True)
def pool(site: Site) -> str | None:
    x, out, op = site.ins[0], site.out, site.op
    clamp = limits(op.fused_activation_function)
    if x.dtype != np.float32:
        return "its element type has no kernel."
    if clamp is None:
        return "its activation has no kernel."
    assert x.shape is not None
    assert out.shape is not None
    axes = op.axes(x.shape)
    if type(op) is AveragePool2D and op.fused_activation_function is Activation.NONE and _is_global(axes):
        reduce(site, arithmetic(Mean, x.dtype), x, {1, 2})
        return None
    channels = x.shape[3]
    lanes = WIDTH if channels % WIDTH == 0 == x.offset % 16 and site.tail.width == WIDTH else 1
    height, width = op.window
    window = height if height == width and height in WINDOWS else 0
    threads = out.size // lanes
    before = (axis.before for axis in axes)
    site.launch(
        site.kernel("pool", "pool.cu", LANES=lanes, WINDOW=window, MODE=_MODES[type(op)]), -(-threads // BLOCK), BLOCK,
        *(x, out, np.uint32(threads)), *map(np.int32, x.shape[1:3]), np.uint32(channels),
        *map(np.int32, (*out.shape[1:3], height, width, *op.strides, *before)), *clamp, *site.tail.arguments,
    )  # fmt: skip
    return None


def _is_global(axes: Axes) -> bool:
    """Whether there is one window, which has the whole image."""
    return all(axis.out == 1 and axis.counts()[0] == axis.size for axis in axes)

"""Pooling over windows of an image or a volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...interpreter.ops.base import Padding
from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .conv import NHWC, channels_last, emit_image, padded, plane
from .steps import dims_of, move, reshape


@lowers("AvgPool", "MaxPool", "MaxPoolV2")
def pool(op: Lowering) -> DraftTensor:
    if op.node.op == "MaxPoolV2":
        ksize, strides = (tuple(op.const(i, "the window").tolist()) for i in (1, 2))
    else:
        ksize, strides = op.attr("ksize"), op.attr("strides")
    inside = all(np.prod(window) == np.prod(plane(op, window)) for window in (ksize, strides))
    op.require(inside, "pooling over batch or channels has no builtin operator")
    x, padding = channels_last(op, op.input(0)), op.attr("padding")
    if padding == "EXPLICIT":
        pads = np.array(op.attr("explicit_paddings"), np.int32).reshape(4, 2)
        pads = pads if op.attr("data_format") == "NHWC" else pads[list(NHWC)]
        x, padding = padded(op, x, pads, np.full((), np.finfo(np.float32).min, np.float32)), "VALID"
    window = _window(plane(op, ksize), plane(op, strides), Padding[padding])
    return emit_image(op, _name(op), x, **window)


def _name(op: Lowering) -> str:
    return "AVERAGE_POOL_2D" if op.node.op.startswith("Avg") else "MAX_POOL_2D"


def _window(size: Sequence[int], strides: Sequence[int], padding: Padding) -> dict[str, Any]:
    return {
        "padding": padding,
        "stride_h": strides[0],
        "stride_w": strides[1],
        "filter_height": size[0],
        "filter_width": size[1],
        "fused_activation_function": 0,
    }


@lowers("AvgPool3D", "MaxPool3D")
def pool_3d(op: Lowering) -> DraftTensor:
    """First over height and width, with the depth in the batch, then over the depth."""
    op.require(op.attr("data_format", "NDHWC") == "NDHWC", "3-D pooling is builtin in data format NDHWC only")
    ksize, strides, padding = op.attr("ksize"), op.attr("strides"), Padding[op.attr("padding")]
    inside = ksize[0] == ksize[4] == strides[0] == strides[4] == 1
    op.require(inside, "pooling over batch or channels has no builtin operator")
    batch, depth, height, width, channels = op.dims(0)
    dims = op.output().dims or ()
    op.require(None not in (depth, height, width, channels), "3-D pooling needs a known volume")
    frames = reshape(op, op.input(0), (None if batch is None else batch * (depth or 0), height, width, channels))
    flat = (*dims_of(frames)[:1], *dims[2:])
    small = move(op, _name(op), frames, dims=flat, **_window(ksize[2:4], strides[2:4], padding))
    columns = reshape(op, small, (batch, depth, (dims[2] or 0) * (dims[3] or 0), channels))
    deep = (batch, dims[1], *dims_of(columns)[2:])
    result = move(op, _name(op), columns, dims=deep, **_window((ksize[1], 1), (strides[1], 1), padding))
    return reshape(op, result, (batch, *dims[1:]))

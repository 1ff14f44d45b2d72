"""Convolutions. Filters become output-channel first, and every convolution has a bias."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...interpreter.graph import TensorType
from ...interpreter.ops.base import Padding
from ..draft import DraftTensor
from ..lower import Lowering, NotBuiltin, lowers

F32 = TensorType.FLOAT32


@lowers("Conv2D")
def conv_2d(op: Lowering) -> DraftTensor:
    x, window = _window(op)
    kernel = transposed(op, 1, (3, 0, 1, 2))
    return op.emit("CONV_2D", x, kernel, _no_bias(kernel, 0), **window, fused_activation_function=0)


@lowers("DepthwiseConv2dNative")
def depthwise_conv_2d(op: Lowering) -> DraftTensor:
    x, window = _window(op)
    h, w, channels, multiplier = (n or 0 for n in op.dims(1))
    op.require(0 not in (h, w, channels, multiplier), "the shape of the filter is not known")
    shape = np.array([1, h, w, channels * multiplier], np.int32)
    known = op.known(1)
    if known is not None:
        kernel = op.constant(known.reshape(shape), "/filter")
    else:
        kernel = op.emit("RESHAPE", op.input(1), shape, out=op.tensor(F32, tuple(shape.tolist()), "/filter"))
    bias = _no_bias(kernel, 3)
    return op.emit("DEPTHWISE_CONV_2D", x, kernel, bias, **window, depth_multiplier=multiplier,
                   fused_activation_function=0, version=2)  # fmt: skip


@lowers("Conv2DBackpropInput")
def transpose_conv(op: Lowering) -> DraftTensor:
    op.require_type(2, F32)
    _require_nhwc(op)
    op.require(op.attr("dilations", (1, 1, 1, 1)) == (1, 1, 1, 1), "transposed convolutions are not dilated")
    padding = op.attr("padding")
    op.require(padding in ("SAME", "VALID"), f"padding {padding} of a transposed convolution has no builtin form")
    kernel = transposed(op, 1, (2, 0, 1, 3))
    _, stride_h, stride_w, _ = op.attr("strides")
    return op.emit("TRANSPOSE_CONV", op.int32(0), kernel, op.input(2), _no_bias(kernel, 0), padding=Padding[padding],
                   stride_h=stride_h, stride_w=stride_w, fused_activation_function=0, version=3)  # fmt: skip


@lowers("Conv3D")
def conv_3d(op: Lowering) -> DraftTensor:
    op.require_type(0, F32)
    op.require(op.attr("data_format", "NDHWC") == "NDHWC", "3-D convolution is builtin in data format NDHWC only")
    kernel = op.input(1)
    _, stride_d, stride_h, stride_w, _ = op.attr("strides")
    _, dilation_d, dilation_h, dilation_w, _ = op.attr("dilations", (1, 1, 1, 1, 1))
    return op.emit("CONV_3D", op.input(0), kernel, _no_bias(kernel, 4), padding=Padding[op.attr("padding")],
                   stride_d=stride_d, stride_h=stride_h, stride_w=stride_w, dilation_d_factor=dilation_d,
                   dilation_h_factor=dilation_h, dilation_w_factor=dilation_w,
                   fused_activation_function=0)  # fmt: skip


def transposed(op: Lowering, index: int, order: tuple[int, ...]) -> DraftTensor:
    """An input with its dimensions reordered: a constant if it is one."""
    value = op.known(index)
    if value is not None:
        return op.constant(op.graph.conversion.transposed(value, order), "/filter")
    dims = op.dims(index)
    out = op.tensor(op.type(index), tuple(dims[i] for i in order), "/transposed")
    return op.emit("TRANSPOSE", op.input(index), np.array(order, np.int32), out=out)


def _window(op: Lowering) -> tuple[DraftTensor, dict[str, Any]]:
    """The image, padded if the padding is explicit, and the window's attributes."""
    op.require_type(0, F32)
    _require_nhwc(op)
    x, padding = op.input(0), op.attr("padding")
    if padding == "EXPLICIT":
        pads = np.array(op.attr("explicit_paddings"), np.int32).reshape(4, 2)
        dims = tuple(None if n is None else n + int(p.sum()) for n, p in zip(op.dims(0), pads, strict=True))
        x, padding = op.emit("PAD", x, pads, out=op.tensor(F32, dims, "/pad")), "VALID"
    _, stride_h, stride_w, _ = op.attr("strides")
    _, dilation_h, dilation_w, _ = op.attr("dilations", (1, 1, 1, 1))
    return x, {
        "padding": Padding[padding],
        "stride_w": stride_w,
        "stride_h": stride_h,
        "dilation_w_factor": dilation_w,
        "dilation_h_factor": dilation_h,
    }


def _require_nhwc(op: Lowering) -> None:
    op.require(op.attr("data_format", "NHWC") == "NHWC", "convolution is builtin in data format NHWC only")


def _no_bias(kernel: DraftTensor, axis: int) -> np.ndarray:
    channels = None if kernel.dims is None else kernel.dims[axis]
    if channels is None:
        raise NotBuiltin("the number of filters is not known")
    return np.zeros(channels, np.float32)

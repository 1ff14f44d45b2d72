"""Convolutions. Filters become output-channel first, and every convolution has a bias.

Images with channels first are transposed before and after.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...interpreter.ops.base import Padding
from ..draft import DraftTensor
from ..lower import Lowering, NotBuiltin, Operand, lowers
from .steps import dims_of, move, reshape, slice_of, transpose
from .types import F32

NHWC = (0, 2, 3, 1)
"""Order of the dimensions of an image with channels first that puts them last."""


def channels_last(op: Lowering, image: DraftTensor) -> DraftTensor:
    """An image of the node's data format as [n, h, w, c]."""
    return image if _is_last(op) else transpose(op, image, NHWC)


def emit_image(op: Lowering, name: str, *inputs: Operand, **attributes: Any) -> DraftTensor:
    """The node's result, of its data format, by an operator that has channels last."""
    if _is_last(op):
        return op.emit(name, *inputs, **attributes)
    dims = op.output().dims
    if dims is None:
        raise NotBuiltin("the rank of the result is not known")
    return transpose(op, move(op, name, *inputs, dims=tuple(dims[i] for i in NHWC), **attributes), (0, 3, 1, 2))


def plane(op: Lowering, numbers: tuple[int, ...]) -> tuple[int, int]:
    """The two of four numbers that are for height and width."""
    return (numbers[1], numbers[2]) if _is_last(op) else (numbers[2], numbers[3])


def _is_last(op: Lowering) -> bool:
    layout = op.attr("data_format", "NHWC")
    op.require(layout in ("NHWC", "NCHW"), f"{op.node.op} has no builtin form in data format {layout}")
    return bool(layout == "NHWC")


@lowers("Conv2D")
def conv_2d(op: Lowering) -> DraftTensor:
    x, window = _window(op)
    kernel = transposed(op, 1, (3, 0, 1, 2))
    return emit_image(op, "CONV_2D", x, kernel, _no_bias(kernel, 0), **window, fused_activation_function=0)


@lowers("DepthwiseConv2dNative")
def depthwise_conv_2d(op: Lowering) -> DraftTensor:
    x, window = _window(op)
    h, w, channels, multiplier = (n or 0 for n in op.dims(1))
    op.require(0 not in (h, w, channels, multiplier), "the shape of the filter is not known")
    known = op.known(1)
    shape = (1, h, w, channels * multiplier)
    kernel = reshape(op, op.input(1), shape) if known is None else op.constant(known.reshape(shape), "/filter")
    return emit_image(op, "DEPTHWISE_CONV_2D", x, kernel, _no_bias(kernel, 3), **window, depth_multiplier=multiplier,
                      fused_activation_function=0, version=2)  # fmt: skip


@lowers("Conv2DBackpropInput")
def transpose_conv(op: Lowering) -> DraftTensor:
    op.require(op.attr("dilations", (1, 1, 1, 1)) == (1, 1, 1, 1), "transposed convolutions are not dilated")
    op.require(op.attr("data_format", "NHWC") == "NHWC", "transposed convolution is builtin in data format NHWC only")
    padding = op.attr("padding")
    op.require(padding in ("SAME", "VALID"), f"padding {padding} of a transposed convolution has no builtin form")
    kernel = transposed(op, 1, (2, 0, 1, 3))
    _, stride_h, stride_w, _ = op.attr("strides")
    return op.emit("TRANSPOSE_CONV", op.int32(0), kernel, op.input(2), _no_bias(kernel, 0), padding=Padding[padding],
                   stride_h=stride_h, stride_w=stride_w, fused_activation_function=0, version=3)  # fmt: skip


@lowers("Conv2DBackpropFilter")
def filter_gradient(op: Lowering) -> DraftTensor:
    """The image, channels as batch, convolved with the gradient; strides and dilations change places."""
    op.require(op.attr("data_format", "NHWC") == "NHWC", "the gradient of filters is builtin in data format NHWC only")
    size, gradient = op.output().static or op.const(1, "the shape of the filter"), op.dims(2)
    images = op.dims(0)
    op.require(None not in (*images, *gradient), "the gradient of a filter needs known shapes")
    strides, dilations = (plane(op, op.attr(name, (1, 1, 1, 1))) for name in ("strides", "dilations"))
    spans = zip(images[1:3], gradient[1:3], size[:2], strides, dilations, strict=True)
    pads = [_pads(op, i, *(n or 0 for n in span)) for i, span in enumerate(spans)]
    x = padded(op, op.input(0), np.array([(0, 0), *pads, (0, 0)], np.int32)) if any(map(any, pads)) else op.input(0)
    turned = transpose(op, x, (3, 1, 2, 0))
    kernel = transpose(op, op.input(2), (3, 1, 2, 0))
    space = dims_of(turned)[1:3]
    sizes = [(n or 0) - (g or 0) * s + s - 1 for n, g, s in zip(space, gradient[1:3], strides, strict=True)]
    sizes = [n // d + 1 for n, d in zip(sizes, dilations, strict=True)]
    result = move(op, "CONV_2D", turned, kernel, _no_bias(kernel, 0), dims=(images[3], *sizes, gradient[3]),
                  padding=Padding.VALID, stride_h=dilations[0], stride_w=dilations[1], dilation_h_factor=strides[0],
                  dilation_w_factor=strides[1], fused_activation_function=0)  # fmt: skip
    for axis in (1, 2):
        if sizes[axis - 1] > size[axis - 1]:
            result = slice_of(op, result, axis, 0, int(size[axis - 1]))
    return transpose(op, result, (1, 2, 0, 3))


def _pads(op: Lowering, axis: int, size: int, out: int, window: int, stride: int, dilation: int) -> tuple[int, int]:
    """Elements before and after a dimension of the image that the convolution saw."""
    padding = op.attr("padding")
    if padding == "EXPLICIT":
        pads = op.attr("explicit_paddings")
        return pads[2 + 2 * axis], pads[3 + 2 * axis]
    total = (out - 1) * stride + (window - 1) * dilation + 1 - size if padding == "SAME" else 0
    return max(total, 0) // 2, max(total, 0) - max(total, 0) // 2


@lowers("Conv3D")
def conv_3d(op: Lowering) -> DraftTensor:
    window = _window_3d(op)
    _, dilation_d, dilation_h, dilation_w, _ = op.attr("dilations", (1, 1, 1, 1, 1))
    kernel = op.input(1)
    return op.emit("CONV_3D", op.input(0), kernel, _no_bias(kernel, 4), **window, dilation_d_factor=dilation_d,
                   dilation_h_factor=dilation_h, dilation_w_factor=dilation_w)  # fmt: skip


@lowers("Conv3DBackpropInputV2")
def transpose_conv_3d(op: Lowering) -> DraftTensor:
    op.require(set(op.attr("dilations", (1,))) == {1}, "transposed convolutions are not dilated")
    kernel = op.input(1)
    return op.emit("CONV_3D_TRANSPOSE", op.int32(0), kernel, op.input(2), _no_bias(kernel, 3), **_window_3d(op),
                   dilation_d_factor=1, dilation_h_factor=1, dilation_w_factor=1)  # fmt: skip


def _window_3d(op: Lowering) -> dict[str, Any]:
    op.require(op.attr("data_format", "NDHWC") == "NDHWC", "3-D convolution is builtin in data format NDHWC only")
    _, depth, height, width, _ = op.attr("strides")
    return {
        "padding": Padding[op.attr("padding")],
        "stride_d": depth,
        "stride_h": height,
        "stride_w": width,
        "fused_activation_function": 0,
    }


def transposed(op: Lowering, index: int, order: tuple[int, ...]) -> DraftTensor:
    """An input with its dimensions reordered: a constant if it is one."""
    value = op.known(index)
    if value is not None:
        return op.constant(op.graph.conversion.transposed(value, order), "/filter")
    dims = op.dims(index)
    out = op.tensor(op.type(index), tuple(dims[i] for i in order), "/transposed")
    return op.emit("TRANSPOSE", op.input(index), np.array(order, np.int32), out=out)


def _window(op: Lowering) -> tuple[DraftTensor, dict[str, Any]]:
    """The image with channels last, padded if the padding is explicit, and the window's attributes."""
    x, padding = channels_last(op, op.input(0)), op.attr("padding")
    if padding == "EXPLICIT":
        pads = np.array(op.attr("explicit_paddings"), np.int32).reshape(4, 2)
        x, padding = padded(op, x, pads if _is_last(op) else pads[list(NHWC)]), "VALID"
    stride_h, stride_w = plane(op, op.attr("strides"))
    dilation_h, dilation_w = plane(op, op.attr("dilations", (1, 1, 1, 1)))
    return x, {
        "padding": Padding[padding],
        "stride_w": stride_w,
        "stride_h": stride_h,
        "dilation_w_factor": dilation_w,
        "dilation_h_factor": dilation_h,
    }


def padded(op: Lowering, x: DraftTensor, pads: np.ndarray, value: np.ndarray | None = None) -> DraftTensor:
    """A tensor with `pads` [rank, 2] elements around it, of `value` or zeros."""
    dims = tuple(None if n is None else n + int(p.sum()) for n, p in zip(dims_of(x), pads, strict=True))
    return move(op, "PAD", x, pads, dims=dims) if value is None else move(op, "PADV2", x, pads, value, dims=dims)


def _no_bias(kernel: DraftTensor, axis: int) -> np.ndarray:
    channels = None if kernel.dims is None else kernel.dims[axis]
    if channels is None or kernel.type is not F32:
        raise NotBuiltin("the number of filters is not known" if channels is None else "the filter is not of floats")
    return np.zeros(channels, np.float32)

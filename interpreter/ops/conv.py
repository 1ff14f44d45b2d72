"""Convolutions: CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, CONV_3D, CONV_3D_TRANSPOSE.

Arrays are [batch, *spatial, channels]; kernels are brought to the layout [*window, in channels, out channels].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec, TensorType
from .base import FLOAT, INT8, INT16, INT32, INT64, UINT8, OptionalSpec, Padding, op
from .shared.host import integers, known
from .shared.products import WeightedOp, quantization
from .shared.windows import Axes, expect_rank, output_shape, pad, patches, plan, taps

_FILTERS = INT8 | UINT8 | frozenset({TensorType.INT4, TensorType.INT2})
_QUANTIZED = (FLOAT | INT8 | UINT8 | INT16, _FILTERS, FLOAT | INT32 | INT64)
_SLAB = 1 << 24
"""Most elements of the matrix of windows that is built at a time."""


def correlate(xp: Any, x: Array, kernel: Array, axes: Axes, matmul: Callable[[Array, Array], Array]) -> Array:
    """Windows of `x` times `kernel` [*window, in channels per group, out channels], the groups side by side."""
    shape = output_shape(x.shape[0], axes, kernel.shape[-1])
    if 0 in shape:
        return xp.zeros(shape, x.dtype)
    view = patches(xp, pad(xp, x, axes), axes)
    rows = max(1, _SLAB * shape[1] // view.size)
    slabs = [_product(view[:, r : r + rows], kernel, matmul) for r in range(0, shape[1], rows)]
    return slabs[0] if len(slabs) == 1 else xp.concatenate(slabs, axis=1)


def _product(view: Array, kernel: Array, matmul: Callable[[Array, Array], Array]) -> Array:
    *window, depth, channels = kernel.shape
    taps, groups, outer = math.prod(window), view.shape[-1] // depth, view.shape[: len(window) + 1]
    if groups == 1:
        return matmul(view.reshape(-1, taps * depth), kernel.reshape(-1, channels)).reshape(*outer, channels)
    columns = view.reshape(-1, taps, groups, depth).transpose(2, 0, 1, 3).reshape(groups, -1, taps * depth)
    filters = kernel.reshape(taps * depth, groups, -1).transpose(1, 0, 2)
    return matmul(columns, filters).transpose(1, 0, 2).reshape(*outer, channels)


def scatter(xp: Any, x: Array, kernel: Array, axes: Axes, matmul: Callable[[Array, Array], Array]) -> Array:
    """The transpose of a convolution with `axes`: each input element adds its multiple of `kernel` to a window."""
    *window, depth, channels = kernel.shape
    sizes, n = x.shape[1:-1], len(window)
    by_channel = kernel.transpose(n, *range(n), n + 1).reshape(depth, -1)
    parts = matmul(x.reshape(-1, depth), by_channel).reshape(*x.shape[:-1], *window, channels)
    spread = [max((s - 1) * a.stride + a.window, a.before + a.size) for s, a in zip(sizes, axes, strict=True)]
    total = xp.zeros((x.shape[0], *spread, channels), parts.dtype)
    for position, _ in taps(axes):
        reached = [slice(p, p + s * a.stride, a.stride) for p, s, a in zip(position, sizes, axes, strict=True)]
        total[(slice(None), *reached)] += parts[(..., *position, slice(None))]
    return total[(slice(None), *(slice(a.before, a.before + a.size) for a in axes))]


class _Convolution(WeightedOp):
    """What the convolutions share."""

    @property
    def weights_zero_point(self) -> int:
        """Signed filters have none, whatever the file says."""
        return super().weights_zero_point if self.weights_spec.type is TensorType.UINT8 else 0


@op("CONV_2D", FLOAT, FLOAT, FLOAT, quantized=_QUANTIZED, versions=8)
class Conv2D(_Convolution):
    """2-D convolution of [n, h, w, c] with filters [out, h, w, c / groups] (reference: conv.cc)."""

    padding: Padding = Padding.SAME
    stride_w: int = 1
    stride_h: int = 1
    dilation_w_factor: int = 1
    dilation_h_factor: int = 1
    quantized_bias_type: TensorType = TensorType.FLOAT32

    def axes(self, input_shape: Sequence[int], filter_shape: Sequence[int]) -> Axes:
        """Geometry for operands of these shapes."""
        strides, dilations = (self.stride_h, self.stride_w), (self.dilation_h_factor, self.dilation_w_factor)
        return plan(self.name, input_shape[1:3], filter_shape[1:3], strides, self.padding, dilations)

    def infer(self, input: TensorSpec, filter: TensorSpec, bias: OptionalSpec = None) -> TensorSpec:
        x, w = expect_rank(self.name, "input", input, 4), expect_rank(self.name, "filter", filter, 4)
        if not w[3] or x[3] % w[3] or not x[3] or w[0] % (x[3] // w[3]):
            raise KernelError(
                f"CONV_2D got {x[3]} input channels and filters of shape {w}: input channels must be a multiple of the "
                "filters' channels, and the number of filters a multiple of the number of groups."
            )
        self.check_bias(bias, w[0])
        return TensorSpec(input.type, output_shape(x[0], self.axes(x, w), w[0]))

    def refuses(self, *inputs: Any) -> str | None:
        if (refused := super().refuses(*inputs)) or not self.is_quantized or self.hybrid:
            return refused
        if self.weights_spec.dtype.kind == "i" and quantization(self.weights_spec).zero_points.any():
            return "operator CONV_2D is not supported with signed filters whose zero points are not 0."
        return None

    @property
    def wide(self) -> bool:
        return super().wide and self.quantized_bias_type is not TensorType.INT32

    def is_asymmetric(self, groups: int) -> bool:
        """Whether a hybrid convolution gives the quantised input a zero point."""
        scales = quantization(self.weights_spec).scales
        return groups > 1 or bool((scales != scales[0]).any())

    def run(self, xp: Any, input: Array, filter: Array, bias: Array | None = None) -> Array:
        kernel = filter.transpose(1, 2, 3, 0)
        return self.finish(xp, correlate(xp, input, kernel, self.axes(input.shape, filter.shape), xp.matmul), bias)

    def run_quantized(self, xp: Any, input: Array, filter: Array, bias: Array | None = None) -> Array:
        axes, matmul = self.axes(input.shape, filter.shape), partial(self.matmul, xp)
        kernel = self.centred_weights(xp, filter).transpose(1, 2, 3, 0)
        if not self.hybrid:
            x = self.centred_input(xp, input)
            return self.finish_integer(xp, correlate(xp, x, kernel, axes, matmul), bias)
        x, scale = self.quantized_images(xp, input, self.is_asymmetric(input.shape[3] // filter.shape[3]))
        return self.finish(xp, self.real(xp, correlate(xp, x, kernel, axes, matmul), scale), bias)


@op("DEPTHWISE_CONV_2D", FLOAT, FLOAT, FLOAT, quantized=_QUANTIZED, versions=7)
class DepthwiseConv2D(_Convolution):
    """Convolution of each channel of [n, h, w, c] with its own filters, [1, h, w, c * multiplier] in all.

    The multiplier follows from the shapes (reference: depthwise_conv.cc).
    """

    padding: Padding = Padding.SAME
    stride_w: int = 1
    stride_h: int = 1
    depth_multiplier: int = 1
    dilation_w_factor: int = 1
    dilation_h_factor: int = 1

    def axes(self, input_shape: Sequence[int], filter_shape: Sequence[int]) -> Axes:
        """Geometry for operands of these shapes."""
        strides, dilations = (self.stride_h, self.stride_w), (self.dilation_h_factor, self.dilation_w_factor)
        return plan(self.name, input_shape[1:3], filter_shape[1:3], strides, self.padding, dilations)

    def infer(self, input: TensorSpec, filter: TensorSpec, bias: OptionalSpec = None) -> TensorSpec:
        x, w = expect_rank(self.name, "input", input, 4), expect_rank(self.name, "filter", filter, 4)
        if w[0] != 1 or not x[3] or w[3] % x[3]:
            raise KernelError(
                f"DEPTHWISE_CONV_2D got {x[3]} input channels and a filter of shape {w}, "
                "expected [1, height, width, a multiple of the input channels]."
            )
        self.check_bias(bias, w[3])
        return TensorSpec(input.type, output_shape(x[0], self.axes(x, w), w[3]))

    def run(self, xp: Any, input: Array, filter: Array, bias: Array | None = None) -> Array:
        return self.finish(xp, self._filtered(xp, input, filter), bias)

    def run_quantized(self, xp: Any, input: Array, filter: Array, bias: Array | None = None) -> Array:
        dtype = np.dtype(np.int64 if self.wide else np.int32)
        kernel = self.centred_weights(xp, filter, dtype)
        if not self.hybrid:
            return self.finish_integer(xp, self._filtered(xp, self.centred_input(xp, input, dtype), kernel), bias)
        x, scale = self.quantized_images(xp, input, asymmetric=True)
        return self.finish(xp, self.real(xp, self._filtered(xp, x.astype(dtype), kernel), scale), bias)

    def _filtered(self, xp: Any, x: Array, kernel: Array) -> Array:
        axes = self.axes(x.shape, kernel.shape)
        padded = pad(xp, x, axes)
        if kernel.shape[3] != x.shape[3]:
            padded = xp.repeat(padded, kernel.shape[3] // x.shape[3], axis=3)
        total = xp.zeros(output_shape(x.shape[0], axes, kernel.shape[3]), x.dtype)
        for position, window in taps(axes):
            total += padded[window] * kernel[0][position]
        return total


class _Transposed(_Convolution):
    """What the transposed convolutions share; the first operand is the shape of the output."""

    positions: ClassVar[tuple[int, int]] = (2, 1)
    bias_position: ClassVar[int] = 3

    def axes(self, shape: Sequence[int], filter_shape: Sequence[int]) -> Axes:
        """Geometry of the convolution that this is the transpose of."""
        raise NotImplementedError(type(self).__name__)

    def shape(self, output_shape: Array) -> tuple[int, ...]:
        """The output's shape, fetched to the host."""
        return integers(known(self.ins[0], output_shape))

    def infer_transposed(self, output_shape: TensorSpec, input: TensorSpec, channels: tuple[int, int],
                         bias: OptionalSpec, window: Sequence[int]) -> TensorSpec:  # fmt: skip
        """`channels`: in and out channels of the weights, whose shape is `window`."""
        x = expect_rank(self.name, "input", input, len(window))
        if output_shape.shape != (len(window),):
            raise KernelError(f"{self.name} got an output shape of {output_shape.size} elements, not {len(window)}.")
        if x[-1] != channels[0]:
            raise KernelError(f"{self.name} got {x[-1]} input channels, expected the weights' {channels[0]}.")
        self.check_bias(bias, channels[1])
        if output_shape.value is None:
            return TensorSpec(input.type, None)
        shape = integers(output_shape.value)
        if shape[0] != x[0] or shape[-1] != channels[1] or min(shape) < 0:
            raise KernelError(
                f"{self.name} got output shape {shape} for an input of shape {x} and {channels[1]} output channels."
            )
        if (sizes := tuple(axis.out for axis in self.axes(shape, window))) != x[1:-1]:
            raise KernelError(f"{self.name} got an input of shape {x}; output shape {shape} comes from one of {sizes}.")
        return TensorSpec(input.type, shape)


@op("TRANSPOSE_CONV", INT32, FLOAT, FLOAT, FLOAT,
    quantized=(INT32, INT8 | UINT8, FLOAT | INT8 | UINT8 | INT16, FLOAT | INT32 | INT64), versions=5)  # fmt: skip
class TransposeConv(_Transposed):
    """The gradient of a 2-D convolution with filters [out, h, w, c] (reference: transpose_conv.cc)."""

    padding: Padding = Padding.SAME
    stride_w: int = 1
    stride_h: int = 1
    quantized_bias_type: TensorType = TensorType.FLOAT32

    def axes(self, shape: Sequence[int], filter_shape: Sequence[int]) -> Axes:
        return plan(self.name, shape[1:3], filter_shape[1:3], (self.stride_h, self.stride_w), self.padding)

    def infer(self, output_shape: TensorSpec, weights: TensorSpec, input: TensorSpec,
              bias: OptionalSpec = None) -> TensorSpec:  # fmt: skip
        w = expect_rank(self.name, "weights", weights, 4)
        return self.infer_transposed(output_shape, input, (w[3], w[0]), bias, w)

    @property
    def wide(self) -> bool:
        return super().wide and self.quantized_bias_type is not TensorType.INT32

    def run(self, xp: Any, output_shape: Array, weights: Array, input: Array, bias: Array | None = None) -> Array:
        shape, kernel = self.shape(output_shape), weights.transpose(1, 2, 3, 0)
        return self.finish(xp, scatter(xp, input, kernel, self.axes(shape, weights.shape), xp.matmul), bias)

    def run_quantized(
        self, xp: Any, output_shape: Array, weights: Array, input: Array, bias: Array | None = None
    ) -> Array:
        shape, kernel = self.shape(output_shape), self.centred_weights(xp, weights).transpose(1, 2, 3, 0)
        axes, matmul = self.axes(shape, weights.shape), partial(self.matmul, xp)
        if not self.hybrid:
            x = self.centred_input(xp, input)
            return self.finish_integer(xp, scatter(xp, x, kernel, axes, matmul), bias)
        x, scale = self.quantized_images(xp, input, asymmetric=True)
        return self.finish(xp, self.real(xp, scatter(xp, x, kernel, axes, matmul), scale), bias)


@op("CONV_3D", FLOAT, FLOAT, FLOAT)
class Conv3D(_Convolution):
    """3-D convolution of [n, d, h, w, c] with filters [d, h, w, c, out] (reference: conv3d.cc)."""

    padding: Padding = Padding.SAME
    stride_d: int = 1
    stride_w: int = 1
    stride_h: int = 1
    dilation_d_factor: int = 1
    dilation_w_factor: int = 1
    dilation_h_factor: int = 1

    def axes(self, input_shape: Sequence[int], filter_shape: Sequence[int]) -> Axes:
        """Geometry for operands of these shapes."""
        strides = self.stride_d, self.stride_h, self.stride_w
        dilations = self.dilation_d_factor, self.dilation_h_factor, self.dilation_w_factor
        return plan(self.name, input_shape[1:4], filter_shape[:3], strides, self.padding, dilations)

    def infer(self, input: TensorSpec, filter: TensorSpec, bias: OptionalSpec = None) -> TensorSpec:
        x, w = expect_rank(self.name, "input", input, 5), expect_rank(self.name, "filter", filter, 5)
        if x[4] != w[3]:
            raise KernelError(f"CONV_3D got {x[4]} input channels, expected the filter's {w[3]}.")
        self.check_bias(bias, w[4])
        return TensorSpec(input.type, output_shape(x[0], self.axes(x, w), w[4]))

    def run(self, xp: Any, input: Array, filter: Array, bias: Array | None = None) -> Array:
        return self.finish(xp, correlate(xp, input, filter, self.axes(input.shape, filter.shape), xp.matmul), bias)


@op("CONV_3D_TRANSPOSE", INT32, FLOAT, FLOAT, FLOAT)
class Conv3DTranspose(_Transposed):
    """The gradient of a 3-D convolution with filters [d, h, w, out, c] (reference: conv3d_transpose.cc)."""

    padding: Padding = Padding.SAME
    stride_d: int = 1
    stride_w: int = 1
    stride_h: int = 1
    dilation_d_factor: int = 1
    dilation_w_factor: int = 1
    dilation_h_factor: int = 1

    def refuses(self, *inputs: Any) -> str | None:
        if max(self.dilation_d_factor, self.dilation_h_factor, self.dilation_w_factor) > 1:
            return "operator CONV_3D_TRANSPOSE is not supported with a dilation above 1."
        return super().refuses(*inputs)

    def axes(self, shape: Sequence[int], filter_shape: Sequence[int]) -> Axes:
        strides = self.stride_d, self.stride_h, self.stride_w
        return plan(self.name, shape[1:4], filter_shape[:3], strides, self.padding)

    def infer(self, output_shape: TensorSpec, filter: TensorSpec, input: TensorSpec,
              bias: OptionalSpec = None) -> TensorSpec:  # fmt: skip
        w = expect_rank(self.name, "filter", filter, 5)
        return self.infer_transposed(output_shape, input, (w[4], w[3]), bias, w)

    def run(self, xp: Any, output_shape: Array, filter: Array, input: Array, bias: Array | None = None) -> Array:
        shape, kernel = self.shape(output_shape), filter.transpose(0, 1, 2, 4, 3)
        return self.finish(xp, scatter(xp, input, kernel, self.axes(shape, filter.shape), xp.matmul), bias)

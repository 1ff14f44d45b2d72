"""Convolutions and FULLY_CONNECTED of floats with integer weights: the input is quantised on the way.

Each image, or row of FULLY_CONNECTED, has a scale and, if the body gives it one, a zero point of its own.
"""

from __future__ import annotations

import numpy as np

from ....interpreter.ops.conv import Conv2D, DepthwiseConv2D, TransposeConv
from ....interpreter.ops.matmul import FullyConnected
from ....interpreter.ops.shared.products import WeightedOp, quantization
from ..groups import lowers
from ..kernel import kernel
from ..listing import Operand
from ..lowering import Site
from .depthwise import limits
from .quantized_products import Ending, by_channel, given_bias, input_of, multiply, refusal, rows_of

PART = 1 << 14
"""Elements of an image that a block quantises."""


@lowers(Conv2D, DepthwiseConv2D, TransposeConv, FullyConnected, tail=True)
def product(site: Site) -> str | None:
    op: WeightedOp = site.op
    if not op.hybrid:
        return "its input is no float, or its weights are no integers."
    clamp = limits(op.activation)
    if clamp is None:
        return "its activation has no kernel."
    if isinstance(op, FullyConnected) and op.blockwise:
        return "blockwise weights have no kernel."
    if (refused := refusal(site)) is not None:
        return refused
    images, zeros, scales = _quantized(site)
    weights_scales = by_channel(site, quantization(op.weights_spec).scales, np.float32, "scales")
    bias = by_channel(site, given_bias(site), np.float32, "float bias")
    arguments = zeros, scales, _sums(site), weights_scales, bias, *clamp
    multiply(site, images, Ending("quantized_hybrid.cuh", {}, arguments))
    return None


def _quantized(site: Site) -> tuple[Operand, Operand, Operand]:
    """The input as int8, and zero points and scales by image."""
    x, count = input_of(site), rows_of(site).shape[0]
    depth = x.size // count
    parts = -(-depth // PART)
    step = -(-depth // parts)
    team = 256 if depth >= 512 else 64
    images, zeros, scales, ranges = (
        site.scratch(shape, dtype)
        for shape, dtype in (
            (x.shape or (), np.int8),
            ((count,), np.int32),
            ((count,), np.float32),
            ((count, parts, 2), np.float32),
        )
    )
    sizes = np.int32(depth), np.int32(step)
    file, grid = "quantized_images.cu", (parts, count)
    if parts > 1:
        site.launch(kernel("image_ranges", file, defines={"TEAM": team}), grid, team, x, ranges, *sizes)
    made = kernel("quantize_images", file, defines={"TEAM": team})
    site.launch(made, grid, team, x, ranges, images, zeros, scales, *sizes, np.int32(_is_asymmetric(site)))
    return images, zeros, scales


def _is_asymmetric(site: Site) -> bool:
    op = site.op
    if isinstance(op, FullyConnected):
        return op.asymmetric_quantize_inputs
    rows = rows_of(site)
    return isinstance(op, DepthwiseConv2D | TransposeConv) or op.is_asymmetric(rows.shape[3] // rows.group_channels)


def _sums(site: Site) -> Operand:
    """By channel, the sum of the weights; 0 for DEPTHWISE_CONV_2D, whose kernel takes zero points off before."""
    if isinstance(site.op, DepthwiseConv2D):
        return by_channel(site, 0, np.int32, "no sums")
    return site.packed(
        1, "sums", lambda w: site.op.dense(np, w).reshape(len(w), -1).astype(np.int64).sum(axis=1).astype(np.int32)
    )

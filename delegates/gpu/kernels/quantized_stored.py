"""CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED on quantised integers, requantised as the bodies do.

Zero points are folded into the bias:
    sum((x - zx) * (w - zw)) = sum(x * w) - zx * sum(w) - zw * sum(x) + depth * zx * zw
where windows that reach out of the input read zx there. Unsigned bytes are taken as signed ones, less 128.
"""

from __future__ import annotations

import numpy as np

from ....interpreter.graph import TensorType
from ....interpreter.ops.conv import Conv2D, DepthwiseConv2D, TransposeConv
from ....interpreter.ops.matmul import FullyConnected
from ....interpreter.ops.shared.products import WeightedOp, zero_point
from ..groups import lowers
from ..listing import Operand
from ..lowering import Site
from .quantized_products import Ending, by_channel, channels_of, given_bias, input_of, multiply, refusal


@lowers(Conv2D, DepthwiseConv2D, TransposeConv, FullyConnected, tail=True)
def product(site: Site) -> str | None:
    op: WeightedOp = site.op
    if not op.is_quantized or op.hybrid:
        return "it is not quantised."
    if isinstance(op, FullyConnected) and op.weights_format:
        return "shuffled weights have no kernel."
    if (refused := refusal(site)) is not None:
        return refused
    multiply(site, input_of(site), ending_of(site))
    return None


def ending_of(site: Site) -> Ending:
    """What becomes of the sums of the site's first node."""
    op: WeightedOp = site.op
    steps = "once_rounded" if _rounds_once(op) else "wide" if op.wide else "twice_rounded"
    defines = {"FACTOR": "double" if _rounds_once(op) else "int", "STEPS": f"steps_{steps}"}
    zeros = zero_point(op.input_spec), op.weights_zero_point
    if isinstance(op, DepthwiseConv2D):
        zeros = zeros[0], 0
        bias = by_channel(site, given_bias(site), _accumulator(site), "bias")
    else:
        less = 128 if op.input_spec.dtype == np.uint8 else 0
        zeros = zeros[0] - less, zeros[1] - less
        bias = _folded_bias(site, zeros, less)
    numbers = (*zeros, zero_point(op.outs[0]), *op.limits)
    return Ending("quantized_stored.cuh", defines, (bias, _factors(site), *map(np.int32, numbers)), zeros[1])


def _accumulator(site: Site) -> type[np.integer]:
    return np.int32 if site.op.input_spec.dtype.itemsize == 1 else np.int64


def _rounds_once(op: WeightedOp) -> bool:
    return isinstance(op, FullyConnected) and op.weights_spec.type is not TensorType.INT16


def _folded_bias(site: Site, zeros: tuple[int, int], less: int) -> Operand:
    """By channel, what bias and zero points add; wraps around as the accumulators do."""
    given = np.asarray(given_bias(site)).reshape(-1).astype(np.int64)

    def pack(weights: np.ndarray) -> np.ndarray:
        signed = site.op.dense(np, weights).reshape(len(weights), -1).astype(np.int64) - less
        folded = given - zeros[0] * signed.sum(axis=1) + signed.shape[1] * zeros[0] * zeros[1]
        return np.asarray(folded, np.int64).astype(_accumulator(site))

    return site.packed(1, f"bias of node {site.nodes[0].node.index}", pack)


def _factors(site: Site) -> Operand:
    """By channel, the ratio of the scales: float64 [channels], or mantissa and shift, int32 [channels, 2]."""
    op: WeightedOp = site.op
    if _rounds_once(op):
        return by_channel(site, op.ratio, np.float64, "ratio")
    pairs = [np.broadcast_to(np.asarray(part, np.int32), channels_of(site)) for part in op.multiplier]
    return site.packed(1, f"factors of node {site.nodes[0].node.index}", lambda _: np.stack(pairs, axis=-1))

"""Pooling over windows of an image."""

from __future__ import annotations

from ...interpreter.graph import TensorType
from ...interpreter.ops.base import Padding
from ..draft import DraftTensor
from ..lower import Lowering, lowers


@lowers("AvgPool", "MaxPool", "MaxPoolV2")
def pool(op: Lowering) -> DraftTensor:
    op.require_type(0, TensorType.FLOAT32)
    op.require(op.attr("data_format", "NHWC") == "NHWC", "pooling is builtin in data format NHWC only")
    if op.node.op == "MaxPoolV2":
        ksize, strides = (tuple(op.const(i, "the window").tolist()) for i in (1, 2))
    else:
        ksize, strides = op.attr("ksize"), op.attr("strides")
    padding = op.attr("padding")
    op.require(padding in ("SAME", "VALID"), f"padding {padding} has no builtin form")
    plane = all(window[0] == window[3] == 1 for window in (ksize, strides))
    op.require(plane, "pooling over batch or channels has no builtin operator")
    name = "AVERAGE_POOL_2D" if op.node.op == "AvgPool" else "MAX_POOL_2D"
    return op.emit(name, op.input(0), padding=Padding[padding], stride_h=strides[1], stride_w=strides[2],
                   filter_height=ksize[1], filter_width=ksize[2], fused_activation_function=0)  # fmt: skip

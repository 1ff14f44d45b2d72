"""Custom options that are C structs of the reference runtime, as MediaPipe's and LiteRT's vision kernels read them."""

from __future__ import annotations

import struct

from ...errors import GraphError
from ...graph import Node
from ..base import Padding

_PADDINGS = {1: Padding.SAME, 2: Padding.VALID}  # TfLitePadding, which has 0 for unknown


def integers_of(node: Node, count: int, where: str) -> tuple[int, ...]:
    """The first `count` 32-bit integers of a node's options. Raises GraphError where there are fewer."""
    size = 4 * count
    if len(node.custom_options) < size:
        got = len(node.custom_options)
        raise GraphError(f"{node.name} has custom options of {got} bytes, expected a struct of {size}", where=where)
    return struct.unpack_from(f"<{count}i", node.custom_options)


def padding_of(value: int, node: Node, where: str) -> Padding:
    """TfLitePadding as ours. Raises GraphError for an unknown one."""
    if value not in _PADDINGS:
        raise GraphError(f"{node.name} has padding {value}, expected 1 (same) or 2 (valid)", where=where)
    return _PADDINGS[value]


def pool_attributes(node: Node, where: str) -> dict[str, int]:
    """TfLitePoolParams by the names of Pool2DOptions."""
    padding, stride_w, stride_h, width, height, activation = integers_of(node, 6, where)
    return {
        "padding": padding_of(padding, node, where),
        "stride_w": stride_w,
        "stride_h": stride_h,
        "filter_width": width,
        "filter_height": height,
        "fused_activation_function": activation,
    }

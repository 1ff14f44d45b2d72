"""What integer kernels ask of the scales of their operands and results (schema comments and kernels' Prepare)."""

from __future__ import annotations

from collections.abc import Sequence

from ...interpreter.graph import Quantization
from .scales import quantization

SAME_SCALE = frozenset({
    *("AVERAGE_POOL_2D", "MAX_POOL_2D", "MAXIMUM", "MINIMUM", "REDUCE_MAX", "REDUCE_MIN", "TOPK_V2"),
    *("BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "RESHAPE", "SQUEEZE"),
    *("EXPAND_DIMS", "TRANSPOSE", "PAD", "PADV2", "MIRROR_PAD", "TILE", "BROADCAST_TO", "REVERSE_V2"),
    *("REVERSE_SEQUENCE", "CONCATENATION", "PACK", "UNPACK", "SPLIT", "SPLIT_V", "SLICE", "STRIDED_SLICE"),
    *("DYNAMIC_UPDATE_SLICE", "GATHER", "GATHER_ND", "EMBEDDING_LOOKUP", "SELECT", "SELECT_V2"),
    *("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"),
})  # fmt: skip
"""Operators whose real operands and results all have one scale: they move, choose or average elements."""

INDEX_RESULTS = frozenset({"ARG_MAX", "ARG_MIN"})
"""Operators that only compare elements of one tensor, so that any scale will do."""

FIXED_RESULTS: dict[str, Quantization] = {
    "SOFTMAX": quantization(1 / 256, -128),
    "LOGISTIC": quantization(1 / 256, -128),
    "LOG_SOFTMAX": quantization(16 / 256, 127),
    "TANH": quantization(1 / 128),
    "L2_NORMALIZATION": quantization(1 / 128),
}
"""Operators whose results have a scale that kernels take for granted."""


def least_scale(name: str, operands: Sequence[float]) -> float:
    """The least scale that a result may have for operands of these scales.

    Kernels of the reference end the process where the factor to the result's scale is not below 1 (reference:
    QuantizeMultiplierSmallerThanOneExp).
    """
    greatest = max(operands, default=0.0)
    if name in ("ADD", "SUB"):
        return greatest * 2.0**-18
    return greatest**2 * 2.0**-11 if name == "SQUARED_DIFFERENCE" else 0.0

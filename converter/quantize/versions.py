"""Least operator versions that know 8-bit operands (reference: op_version.cc)."""

from __future__ import annotations

from ...interpreter.graph import ABSENT, Node
from ...interpreter.ops.base import OPS

_INTEGER = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "REVERSE_V2": 3,
    "SVDF": 3,
    "TILE": 3,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 2,
    **dict.fromkeys(
        ("DIV", "ELU", "EMBEDDING_LOOKUP", "EXPAND_DIMS", "GATHER_ND", "HARD_SWISH", "LEAKY_RELU", "PRELU"), 1
    ),
    **dict.fromkeys(("RELU_0_TO_1", "RELU_N1_TO_1", "RESHAPE", "SELECT", "SELECT_V2", "SQUEEZE"), 1),
}
_HYBRID = {
    "BATCH_MATMUL": 4,
    "BIDIRECTIONAL_SEQUENCE_LSTM": 3,
    "BIDIRECTIONAL_SEQUENCE_RNN": 3,
    "CONV_2D": 5,
    "DEPTHWISE_CONV_2D": 6,
    "EMBEDDING_LOOKUP": 3,
    "FULLY_CONNECTED": 12,
    "GATHER": 2,
    "LSTM": 4,
    "RNN": 3,
    "SVDF": 4,
    "TRANSPOSE_CONV": 2,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 3,
    "UNIDIRECTIONAL_SEQUENCE_RNN": 3,
}

_BIASED = 3  # of TRANSPOSE_CONV with a bias


def integer_version(node: Node) -> int:
    """Version of a node whose operands become int8."""
    least = _BIASED if _is_biased_transpose(node) else _INTEGER.get(node.name, 2)
    return min(max(node.version, least), OPS[node.name].versions)


def hybrid_version(node: Node) -> int:
    """Version of a node whose weights become int8 and whose other operands stay float."""
    return max(node.version, _BIASED if _is_biased_transpose(node) else _HYBRID[node.name])


def _is_biased_transpose(node: Node) -> bool:
    return node.name == "TRANSPOSE_CONV" and len(node.inputs) > 3 and node.inputs[3] != ABSENT

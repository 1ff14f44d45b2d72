"""Which operands of an operator are weights, and which one is its bias: read from the operator classes."""

from __future__ import annotations

import numpy as np

from ...interpreter.graph import TensorSpec, TensorType
from ...interpreter.ops.base import Op
from ...interpreter.ops.embedding import EmbeddingLookup
from ...interpreter.ops.indexing import Gather
from ...interpreter.ops.recurrent.layer import RecurrentOp
from ...interpreter.ops.recurrent.svdf import Svdf
from ...interpreter.ops.shared.products import ProductOp, WeightedOp

_CHANNELS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 0, "FULLY_CONNECTED": 0}
"""The dimension of the weights along which kernels take one scale for each slice."""

_TABLES = {Gather: 0, EmbeddingLookup: 1}
"""Operators that look rows up, and the position of the table."""


def is_plain(spec: TensorSpec | None) -> bool:
    """Whether an operand is a dense float32 constant."""
    if spec is None or spec.value is None or spec.sparsity is not None or spec.quantization is not None:
        return False
    return spec.type is TensorType.FLOAT32 and bool(np.isfinite(spec.value).all())


def weights_position(op: Op) -> int | None:
    """Position of the weights of a product with constant weights."""
    if not isinstance(op, ProductOp):
        return None
    position = op.positions[1]
    return position if position < len(op.ins) and is_plain(op.ins[position]) else None


def bias_position(op: Op) -> int | None:
    """Position of the bias of a product, if there is one."""
    if not isinstance(op, WeightedOp) or op.bias_position >= len(op.ins):
        return None
    return None if op.ins[op.bias_position] is None else op.bias_position


def channel_axis(op: Op) -> int | None:
    """The dimension of the weights that may have one scale a slice; None where kernels take one scale only."""
    return _CHANNELS.get(op.name)


def table_position(op: Op) -> int | None:
    """Position of the table of an operator that looks rows up in it."""
    return next((position for kind, position in _TABLES.items() if isinstance(op, kind)), None)


def hybrid_weights(op: Op) -> tuple[int, ...]:
    """Positions of constants that may have 8 bits while everything else stays float: all of them, or none."""
    if isinstance(op, RecurrentOp | Svdf):
        return tuple(i for i, spec in enumerate(op.ins) if is_plain(spec) and _is_matrix(spec))
    position = table_position(op)
    if position is not None:
        return (position,) if position < len(op.ins) and is_plain(op.ins[position]) else ()
    position = weights_position(op)
    return () if position is None else (position,)


def _is_matrix(spec: TensorSpec | None) -> bool:
    return spec is not None and spec.shape is not None and len(spec.shape) == 2

"""Activation functions and normalisations."""

from __future__ import annotations

import numpy as np

from ...interpreter.graph import TensorType
from ..draft import DraftTensor
from ..lower import Lowering, lowers
from ..patterns import GELU

PLAIN = {
    "Elu": "ELU",
    "LogSoftmax": "LOG_SOFTMAX",
    "Relu": "RELU",
    "Relu6": "RELU6",
    "Sigmoid": "LOGISTIC",
    "Tanh": "TANH",
}


@lowers(*PLAIN)
def plain(op: Lowering) -> DraftTensor:
    op.require_type(0, TensorType.FLOAT32)
    return op.emit(PLAIN[op.node.op], op.input(0))


@lowers("LeakyRelu")
def leaky_relu(op: Lowering) -> DraftTensor:
    op.require_type(0, TensorType.FLOAT32)
    return op.emit("LEAKY_RELU", op.input(0), alpha=op.attr("alpha", 0.2))


@lowers(GELU)
def gelu(op: Lowering) -> DraftTensor:
    return op.emit("GELU", op.input(0), approximate=False)


@lowers("Softmax")
def softmax(op: Lowering) -> DraftTensor:
    op.require_type(0, TensorType.FLOAT32)
    return op.emit("SOFTMAX", op.input(0), beta=1.0)


@lowers("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def batch_norm(op: Lowering) -> DraftTensor:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, as one product and one sum."""
    op.require_type(0, TensorType.FLOAT32)
    op.require(not op.attr("is_training", True), "batch norm in training mode has no builtin operator")
    op.require(op.attr("data_format", "NHWC") == "NHWC", "batch norm is builtin in data format NHWC only")
    scale, offset, mean, variance = (op.const(i, "a parameter of batch norm") for i in range(1, 5))
    factor = scale / np.sqrt(variance + np.float32(op.attr("epsilon")))
    product = op.tensor(TensorType.FLOAT32, op.output().dims, "/mul")
    op.emit("MUL", op.input(0), factor.astype(np.float32), out=product)
    return op.emit("ADD", product, (offset - mean * factor).astype(np.float32))

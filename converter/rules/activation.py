"""Activation functions and normalisations."""

from __future__ import annotations

import numpy as np

from ..draft import DraftTensor
from ..lower import Lowering, NotBuiltin, lowers
from ..patterns import GELU, GELU_TANH
from .steps import move, number, reshape, shape_of
from .types import F32

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
    return op.emit(PLAIN[op.node.op], op.input(0))


@lowers("LeakyRelu")
def leaky_relu(op: Lowering) -> DraftTensor:
    return op.emit("LEAKY_RELU", op.input(0), alpha=op.attr("alpha", 0.2))


@lowers(GELU, GELU_TANH)
def gelu(op: Lowering) -> DraftTensor:
    return op.emit("GELU", op.input(0), approximate=op.node.op == GELU_TANH)


@lowers("Softmax")
def softmax(op: Lowering) -> DraftTensor:
    return op.emit("SOFTMAX", op.input(0), beta=1.0)


@lowers("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def batch_norm(op: Lowering) -> list[DraftTensor]:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, as one product and one sum."""
    op.require(op.type(0) is F32, "batch norm is builtin for floats only")
    layout = op.attr("data_format", "NHWC")
    op.require(layout == "NHWC", f"batch norm is builtin in data format NHWC only, not in {layout}")
    if op.attr("is_training", True):
        return _of_batch(op)
    scale, offset, mean, variance = (op.const(i, "a parameter of batch norm") for i in range(1, 5))
    factor = scale / np.sqrt(variance + np.float32(op.attr("epsilon")))
    product = op.tensor(F32, op.output().dims, "/mul")
    op.emit("MUL", op.input(0), factor.astype(np.float32), out=product)
    return [op.emit("ADD", product, (offset - mean * factor).astype(np.float32))]


def _of_batch(op: Lowering) -> list[DraftTensor]:
    """In training mode: result, mean and unbiased variance of the batch, of as many elements as are known."""
    x, scale, offset, *_ = op.inputs
    op.require(op.attr("exponential_avg_factor", 1.0) == 1.0, "batch norm with a running average is not builtin")
    dims = op.dims(0)
    channels, axes = (dims[-1],), np.arange(len(dims) - 1, dtype=np.int32)
    op.require(None not in dims, "batch norm in training mode needs a known shape")
    count = int(np.prod([n or 0 for n in dims[:-1]]))
    mean = move(op, "MEAN", x, axes, dims=channels, keep_dims=False)
    distance = move(op, "SQUARED_DIFFERENCE", x, mean, dims=dims)
    variance = move(op, "MEAN", distance, axes, dims=channels, keep_dims=False)
    spread = move(op, "RSQRT", move(op, "ADD", variance, number(op.attr("epsilon")), dims=channels), dims=channels)
    factor = move(op, "MUL", spread, scale, dims=channels)
    product = move(op, "MUL", move(op, "SUB", x, mean, dims=dims), factor, dims=dims)
    unbiased = move(op, "MUL", variance, number(count / max(count - 1, 1)), dims=channels)
    return [op.emit("ADD", product, offset), mean, unbiased]


@lowers("LRN")
def local_response_normalization(op: Lowering) -> DraftTensor:
    """x / (bias + alpha * s)**beta, with s the sum of the squares of channels c - radius to c + radius.

    (The builtin operator of this name leaves out channel c + radius.)
    """
    dims = op.dims(0)
    channels = dims[-1]
    if channels is None:
        raise NotBuiltin("the number of channels is not known")
    x = op.input(0)
    places = np.arange(channels)
    near = abs(places[:, None] - places) <= op.attr("depth_radius", 5)
    squares = reshape(op, move(op, "SQUARE", x, dims=dims), (None, channels))
    band = near.astype(np.float32) * np.float32(op.attr("alpha", 1.0))
    sums = move(op, "FULLY_CONNECTED", squares, band, np.full(channels, op.attr("bias", 1.0), np.float32),
                dims=(None, channels), keep_num_dims=False, fused_activation_function=0)  # fmt: skip
    root = move(op, "POW", sums, number(op.attr("beta", 0.5)), dims=(None, channels))
    quotient = move(op, "DIV", reshape(op, x, (None, channels)), root, dims=(None, channels))
    return op.emit("RESHAPE", quotient, shape_of(op, x), new_shape=())


@lowers("SoftmaxCrossEntropyWithLogits")
def cross_entropy(op: Lowering) -> list[DraftTensor]:
    """-sum(labels * log_softmax(logits)) of each row, and its gradient."""
    logits, labels = op.inputs
    op.require(op.node.inputs[0].static == op.node.inputs[1].static is not None, "the shapes of both are not known")
    dims = op.dims(0)
    product = move(op, "MUL", move(op, "LOG_SOFTMAX", logits, dims=dims), labels, dims=dims)
    total = move(op, "SUM", product, np.array([1], np.int32), dims=dims[:1], keep_dims=False)
    loss, gradient = op.results()
    op.emit("NEG", total, out=loss)
    return [loss, op.emit("SUB", move(op, "SOFTMAX", logits, dims=dims, beta=1.0), labels, out=gradient)]


@lowers("SparseSoftmaxCrossEntropyWithLogits")
def sparse_cross_entropy(op: Lowering) -> list[DraftTensor]:
    """-log_softmax(logits)[label] of each row, and its gradient."""
    logits, dims = op.input(0), op.dims(0)
    classes = dims[-1]
    op.require(classes is not None, "the number of classes is not known")
    labels = op.int32(1)
    hot = move(op, "ONE_HOT", labels, number(classes or 0, labels.type), number(1), number(0), dims=dims,
               type=F32, axis=-1)  # fmt: skip
    column = move(op, "EXPAND_DIMS", labels, number(1, labels.type), dims=(*dims[:1], 1))
    logs = move(op, "LOG_SOFTMAX", logits, dims=dims)
    picked = move(op, "GATHER", logs, column, dims=(*dims[:1], 1), axis=1, batch_dims=1, version=5)
    loss, gradient = op.results()
    op.emit("NEG", move(op, "SQUEEZE", picked, dims=dims[:1], squeeze_dims=(1,)), out=loss)
    return [loss, op.emit("SUB", move(op, "SOFTMAX", logits, dims=dims, beta=1.0), hot, out=gradient)]

"""Rows of `converter/rules/activation.py` and `gradient.py`."""

from __future__ import annotations

import numpy as np

from tests.converter.oracle import Case, raw, weights

SIDES = {0: [[-2, -0.5, 0], [0.5, 3, 7]]}
MOMENTS = {"scale": weights(4), "offset": weights(4, seed=2)}


def activation(name: str, ops: str, argument: str = "features") -> Case:
    return Case(raw(name, argument), ["?,3"], ops)


def gradient(name: str, arguments: str, ops: str) -> Case:
    return Case(raw(name, arguments), ["?,3", "?,3"], ops, values=SIDES if arguments.startswith("y") else {1: SIDES[0]})


ROWS = {
    "Elu": activation("Elu", "ELU"),
    "LeakyRelu": Case(raw("LeakyRelu", "features", alpha=0.3), ["?,3"], "LEAKY_RELU"),
    "LogSoftmax": activation("LogSoftmax", "LOG_SOFTMAX", "logits"),
    "Relu": activation("Relu", "RELU"),
    "Relu6": activation("Relu6", "RELU6"),
    "Sigmoid": activation("Sigmoid", "LOGISTIC", "x"),
    "Softmax": activation("Softmax", "SOFTMAX", "logits"),
    "Tanh": activation("Tanh", "TANH", "x"),
    "Gelu": Case(
        lambda tf, x: 0.5 * x * (1.0 + tf.math.erf(x / np.sqrt(2).astype(np.float32))), ["?,3"], "GELU", traced="Erf"
    ),
    "LRN": Case(raw("LRN", "input", depth_radius=2, alpha=0.1, beta=0.7), ["?,3,2,7"]),
    "FusedBatchNorm": Case(
        lambda tf, x: tf.raw_ops.FusedBatchNorm(
            x=x, mean=weights(4, seed=3), variance=abs(weights(4, seed=4)), is_training=False, **MOMENTS
        )[0],
        ["?,3,2,4"],
        "MUL ADD",
    ),
    "FusedBatchNormV2": Case(
        lambda tf, x: tf.raw_ops.FusedBatchNormV2(
            x=x, mean=weights(4, seed=3), variance=abs(weights(4, seed=4)), is_training=False, **MOMENTS
        )[0],
        ["?,3,2,4"],
        "MUL ADD",
    ),
    "FusedBatchNormV3": Case(
        lambda tf, x: tf.raw_ops.FusedBatchNormV3(
            x=x, mean=weights(4, seed=3), variance=abs(weights(4, seed=4)), is_training=False, **MOMENTS
        )[0],
        ["?,3,2,4"],
        "MUL ADD",
    ),
    "FusedBatchNormV3: in training": Case(
        lambda tf, x: tf.raw_ops.FusedBatchNormV3(x=x, mean=[], variance=[], is_training=True, **MOMENTS)[:3],
        ["2,3,2,4"],
        tolerance=1e-4,
    ),
    "SoftmaxCrossEntropyWithLogits": Case(raw("SoftmaxCrossEntropyWithLogits", "features labels"), ["2,3", "2,3"]),
    "SparseSoftmaxCrossEntropyWithLogits": Case(
        raw("SparseSoftmaxCrossEntropyWithLogits", "features labels"), ["?,5", "?:int64"]
    ),
    "EluGrad": gradient("EluGrad", "gradients outputs", ""),
    "InvGrad": gradient("InvGrad", "y dy", "NEG SQUARE MUL"),
    "LeakyReluGrad": gradient("LeakyReluGrad", "gradients features", "GREATER MUL SELECT_V2"),
    "ReciprocalGrad": gradient("ReciprocalGrad", "y dy", "NEG SQUARE MUL"),
    "Relu6Grad": gradient("Relu6Grad", "gradients features", "GREATER LESS LOGICAL_AND SELECT_V2"),
    "ReluGrad": gradient("ReluGrad", "gradients features", "GREATER SELECT_V2"),
    "RsqrtGrad": gradient("RsqrtGrad", "y dy", "MUL*3 SQUARE"),
    "SeluGrad": gradient("SeluGrad", "gradients outputs", ""),
    "SigmoidGrad": gradient("SigmoidGrad", "y dy", "MUL*2 SUB"),
    "SoftplusGrad": gradient("SoftplusGrad", "gradients features", "LOGISTIC MUL"),
    "SoftsignGrad": gradient("SoftsignGrad", "gradients features", "ABS ADD SQUARE DIV"),
    "SqrtGrad": Case(raw("SqrtGrad", "y dy"), ["?,3", "?,3"], "MUL DIV", values={0: [[1, 2, 3], [0.5, 4, 9]]}),
    "TanhGrad": gradient("TanhGrad", "y dy", "SQUARE SUB MUL"),
}

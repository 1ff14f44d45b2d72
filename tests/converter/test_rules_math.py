"""Rules of arithmetic: elementwise operators, activations, reductions, matrix products."""

from __future__ import annotations

import numpy as np
import pytest

from tests.converter.oracle import Case, check, matrix, pytestmark_converter, weights

pytestmark = pytestmark_converter

INT, LONG, FLAG, TEXT = "?,3:int32", "?,3:int64", "?,3:bool", "?:string"

CASES = {
    "unary": Case(
        lambda tf, x: (
            abs(x),
            tf.math.ceil(x),
            tf.cos(x),
            tf.exp(x),
            tf.floor(x),
            -x,
            tf.round(x),
            tf.sign(x),
            tf.sin(x),
            tf.square(x),
        ),
        ["?,3"],
        "ABS CEIL COS EXP FLOOR NEG ROUND SIGN SIN SQUARE",
    ),
    "zeros": Case(lambda tf, x: tf.raw_ops.ZerosLike(x=x), ["?,3"]),
    "roots": Case(
        lambda tf, x: (tf.sqrt(x), tf.math.rsqrt(x), tf.math.log(x), 1 / x),
        ["?,3"],
        "SQRT RSQRT LOG DIV",
        values={0: np.float32([[1, 2, 3], [0.5, 4, 9]])},
    ),
    "reciprocal": Case(lambda tf, x: tf.math.reciprocal(x), ["?,3"], "DIV"),
    "integers": Case(
        lambda tf, x: (abs(x), -x, x // 2, x % 3, x * x, x**2), [INT], "ABS NEG FLOOR_DIV FLOOR_MOD MUL POW"
    ),
    "long integers": Case(
        lambda tf, x: (x + 1, x - 1, x * 2, x % 3, tf.maximum(x, 1)), [LONG], "ADD SUB MUL FLOOR_MOD MAXIMUM"
    ),
    "long division": Case(lambda tf, x: x // 2, [LONG], flex="FloorDiv"),
    "binary": Case(
        lambda tf, x, y: (
            x + y,
            x - y,
            x * y,
            x / y,
            x // y,
            x % y,
            tf.maximum(x, y),
            tf.minimum(x, y),
            tf.math.squared_difference(x, y),
        ),
        ["?,3", "3"],
        "ADD SUB MUL DIV FLOOR_DIV FLOOR_MOD MAXIMUM MINIMUM SQUARED_DIFFERENCE",
    ),
    "power": Case(lambda tf, x: tf.pow(abs(x), 2.5), ["?,3"], "ABS POW"),
    "atan2": Case(lambda tf, x, y: tf.atan2(x, y), ["?,3", "?,3"], "ATAN2"),
    "atan2 of two ranks": Case(lambda tf, x, y: tf.atan2(x, y), ["?,3", "3"], flex="Atan2"),
    "broadcast to six dimensions": Case(lambda tf, x, y: x + y, ["?,1,1,1,1,3", "2,1"], "ADD"),
    "broadcast to seven dimensions": Case(lambda tf, x, y: x + y, ["?,1,1,1,1,1,3", "2,1"], flex="AddV2"),
    "add n": Case(lambda tf, x: tf.add_n([x, x, x]), ["?,3"], "ADD_N"),
    "add two": Case(lambda tf, x: tf.add_n([x, 2 * x]), ["?,3"], "ADD MUL"),
    "add one": Case(lambda tf, x: tf.add_n([x]) + 1, ["?,3"], "ADD"),
    "add doubles": Case(lambda tf, x: x + 1, ["?,3:float64"], flex="AddV2"),
    "bias": Case(lambda tf, x: tf.nn.bias_add(x, weights(3)), ["?,3"], "ADD"),
    "bias before the image": Case(lambda tf, x: tf.nn.bias_add(x, weights(4), data_format="NCHW"), ["?,4,2,2"], "ADD"),
    "comparisons": Case(
        lambda tf, x, y: (x == y, x != y, x < y, x <= y, x > y, x >= y),
        [INT, "3:int32"],
        "EQUAL NOT_EQUAL LESS LESS_EQUAL GREATER GREATER_EQUAL",
    ),
    "equal strings": Case(lambda tf, x: (x == b"word 1", x != b"word 1"), [TEXT], "EQUAL NOT_EQUAL"),
    "logic": Case(lambda tf, x, y: (x & y, x | y, ~x), [FLAG, "3:bool"], "LOGICAL_AND LOGICAL_OR LOGICAL_NOT"),
    "bits": Case(
        lambda tf, x, y: (tf.bitwise.bitwise_xor(x, y), tf.bitwise.right_shift(x, y)),
        [INT, "3:int32"],
        "BITWISE_XOR RIGHT_SHIFT",
    ),
    "select": Case(lambda tf, c, x: tf.where(c, x, 0.0), [FLAG, "?,3"], "SELECT_V2"),
    "select rows": Case(lambda tf, c, x: tf.raw_ops.Select(condition=c, x=x, y=-x), ["?:bool", "?,3"], "SELECT NEG"),
    "casts": Case(
        lambda tf, x: tuple(
            tf.cast(x, t) for t in ("float32", "int64", "bool", "uint8", "float16", "float64", "int16")
        ),
        [INT],
        "CAST*7",
    ),
    "cast to strings": Case(lambda tf, x: tf.as_string(x), [INT], flex="AsString"),
    "activations": Case(
        lambda tf, x: (
            tf.nn.elu(x),
            tf.nn.relu(x),
            tf.nn.relu6(x),
            tf.sigmoid(x),
            tf.tanh(x),
            tf.nn.leaky_relu(x, 0.3),
            tf.nn.softmax(x),
            tf.nn.log_softmax(x),
        ),
        ["?,3"],
        "ELU RELU RELU6 LOGISTIC TANH LEAKY_RELU SOFTMAX LOG_SOFTMAX",
    ),
    "composites": Case(
        lambda tf, x: (
            tf.nn.softplus(x),
            tf.nn.softsign(x),
            tf.nn.selu(x),
            tf.math.log1p(abs(x)),
            tf.math.expm1(x),
            tf.tan(x),
        ),
        ["?,3"],
    ),
    "softplus of large numbers": Case(lambda tf, x: tf.nn.softplus(x), ["3"], values={0: [-200, 0, 200]}),
    "not a number": Case(lambda tf, x: tf.math.is_nan(x), ["3"], "NOT_EQUAL", values={0: [1, np.nan, np.inf]}),
    "division without NaN": Case(
        lambda tf, x, y: tf.math.divide_no_nan(x, y), ["?,3", "3"], "EQUAL DIV SELECT_V2", values={1: [0, 1, 2]}
    ),
    "gelu of erf": Case(
        lambda tf, x: 0.5 * x * (1.0 + tf.math.erf(x / np.sqrt(2).astype(np.float32))), ["?,3"], "GELU"
    ),
    "gelu of erfc": Case(lambda tf, x: 0.5 * x * tf.math.erfc(-x * np.float32(np.sqrt(0.5))), ["?,3"], "GELU"),
    "almost gelu": Case(lambda tf, x: 0.5 * x * (1.0 + tf.math.erf(x / 1.5)), ["?,3"], flex="Erf"),
    "hard swish": Case(lambda tf, x: x * tf.nn.relu6(x + 3) * (1 / 6), ["?,3"]),
    "hard swish of keras": Case(lambda tf, x: x * (tf.nn.relu6(x + 3) / 6), ["?,3"], "HARD_SWISH"),
    "reduce": Case(
        lambda tf, x: (
            tf.reduce_mean(x, [1, 2]),
            tf.reduce_sum(x, -1, keepdims=True),
            tf.reduce_max(x),
            tf.reduce_min(x, 1),
            tf.reduce_prod(x, 2),
        ),
        ["?,3,4"],
        "MEAN SUM REDUCE_MAX REDUCE_MIN REDUCE_PROD",
    ),
    "reduce integers": Case(lambda tf, x: (tf.reduce_sum(x, 1), tf.reduce_max(x, 0)), [INT], "SUM REDUCE_MAX"),
    "reduce along nothing": Case(lambda tf, x: tf.reduce_sum(x, []) + 1, ["?,3"], "ADD"),
    "reduce along an input": Case(lambda tf, x, a: tf.reduce_sum(x, a), ["?,3", "1:int32"], "SUM", values={1: [1]}),
    "mean of integers": Case(lambda tf, x: tf.reduce_mean(x, 1), [INT], flex="Mean"),
    "any and all": Case(lambda tf, x: (tf.reduce_any(x, 1), tf.reduce_all(x)), [FLAG], "REDUCE_ANY REDUCE_ALL"),
    "arg max": Case(lambda tf, x: (tf.argmax(x, -1), tf.argmin(x, 1, tf.int32)), ["?,3,4"], "ARG_MAX ARG_MIN"),
    "running sums": Case(
        lambda tf, x: (tf.cumsum(x, 1), tf.cumsum(x, 0, exclusive=True, reverse=True)), ["?,3"], "CUMSUM*2"
    ),
    "product with weights": Case(lambda tf, x: x @ weights(4, 5) + weights(5), ["?,4"], "FULLY_CONNECTED"),
    "product with transposed weights": Case(
        lambda tf, x: tf.matmul(x, weights(5, 4), transpose_b=True), ["?,4"], "FULLY_CONNECTED"
    ),
    "product of transposed input": Case(
        lambda tf, x: tf.matmul(x, weights(4, 5), transpose_a=True), ["4,?"], "BATCH_MATMUL"
    ),
    "product of inputs": Case(
        lambda tf, x, y: (x @ y, tf.matmul(x, y, transpose_b=True)), ["?,4", "4,4"], "BATCH_MATMUL*2"
    ),
    "batches times weights": Case(
        lambda tf, x: tf.raw_ops.BatchMatMulV2(x=x, y=weights(4, 5)) - weights(5), ["?,2,3,4"], "FULLY_CONNECTED"
    ),
    "dense layer on sequences": Case(
        lambda tf, x: tf.nn.relu(tf.tensordot(x, weights(4, 5), 1) + weights(5)), ["?,3,4"], "FULLY_CONNECTED"
    ),
    "einsum of weights": Case(lambda tf, x: tf.einsum("abc,cde->abde", x, weights(4, 2, 3)), ["?,3,4"]),
    "einsum of two contracted indices": Case(
        lambda tf, x: tf.einsum("abcd,cde->abe", x, weights(2, 4, 3)), ["?,3,2,4"]
    ),
    "einsum of attention": Case(
        lambda tf, q, k: tf.einsum("aecd,abcd->acbe", q, k), ["?,3,2,4", "?,5,2,4"], "TRANSPOSE*3 BATCH_MATMUL"
    ),
    "einsum of batches": Case(lambda tf, x, y: tf.einsum("bij,bjk->bik", x, y), ["?,3,4", "?,4,5"], "BATCH_MATMUL"),
    "einsum that sums": Case(lambda tf, x, y: tf.einsum("ij,jk->k", x, y), ["3,4", "4,5"], flex="Einsum"),
    "einsum of three": Case(lambda tf, x: tf.einsum("ij,jk,kl->il", x, weights(3, 4), weights(4, 2)), ["?,3"]),
    "batches": Case(lambda tf, x, y: tf.matmul(x, y, transpose_b=True), ["?,2,3,4", "?,2,5,4"], "BATCH_MATMUL"),
}


@pytest.mark.parametrize(("case", "shapes", "runtime"), matrix(CASES))
def test_rule(case: Case, shapes: str, runtime: str) -> None:
    check(case, shapes, runtime)

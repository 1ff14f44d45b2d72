"""Arithmetic of several operators, or at the limits of a rule; the rules one by one are in test_rule_matrix.py."""

from __future__ import annotations

import numpy as np
import pytest

from tests.converter.oracle import Case, check, convert, matrix, pytestmark_converter, run, weights

pytestmark = pytestmark_converter

INT, LONG, TEXT = "?,3:int32", "?,3:int64", "?:string"

CASES = {
    "long division": Case(lambda tf, x: x // 2, [LONG], flex="FloorDiv"),
    "broadcast to seven dimensions": Case(lambda tf, x, y: x + y, ["?,1,1,1,1,1,3", "2,1"], flex="AddV2"),
    "add one": Case(lambda tf, x: tf.add_n([x]) + 1, ["?,3"], "ADD"),
    "bias before the image": Case(lambda tf, x: tf.nn.bias_add(x, weights(4), data_format="NCHW"), ["?,4,2,2"], "ADD"),
    "equal strings": Case(lambda tf, x: (x == b"word 1", x != b"word 1"), [TEXT], "EQUAL NOT_EQUAL"),
    "cast to strings": Case(lambda tf, x: tf.as_string(x), [INT], flex="AsString"),
    "gelu of erf": Case(
        lambda tf, x: 0.5 * x * (1.0 + tf.math.erf(x / np.sqrt(2).astype(np.float32))), ["?,3"], "GELU"
    ),
    "gelu of erfc": Case(lambda tf, x: 0.5 * x * tf.math.erfc(-x * np.float32(np.sqrt(0.5))), ["?,3"], "GELU"),
    "almost gelu": Case(lambda tf, x: 0.5 * x * (1.0 + tf.math.erf(x / 1.5)), ["?,3"], flex="Erf"),
    "gelu of more dimensions": Case(
        lambda tf, x: tf.constant([[[0.5]]]) * x * (1.0 + tf.math.erf(x * np.float32(np.sqrt(0.5)))),
        ["2,3"],
        flex="Erf",
    ),
    "integers that doubles round": Case(
        lambda tf, x: tf.cast(tf.cast(x, tf.float64), tf.int64),
        ["3:int64"],
        "CAST*2",
        values={0: np.array([2**53 + 1, -(2**53) - 1, 5])},
    ),
    "sizes as truth values and bytes": Case(
        lambda tf, x: (
            tf.cast(tf.cast(tf.shape(x)[1], tf.bool), tf.int32)
            + tf.cast(tf.cast(tf.shape(x)[1] + 300, tf.uint8), tf.int32),
            x + 1,
        ),
        ["?,3"],
    ),
    "a number of elements past 32 bits": Case(
        lambda tf, x: (tf.raw_ops.Size(input=tf.broadcast_to(x, [70000, 70000])), x + 1), ["1"], runs=False
    ),
    "padding of six dimensions": Case(lambda tf, x: tf.pad(x, [[1, 0]] * 6), ["?,2,2,2,2,2"], flex="Pad"),
    "roll past 32 bits": Case(lambda tf, x: tf.roll(x, tf.constant(2**40 + 1, tf.int64), 0), ["?,3"], flex="Roll"),
    "hard swish": Case(lambda tf, x: x * tf.nn.relu6(x + 3) * (1 / 6), ["?,3"]),
    "hard swish of keras": Case(lambda tf, x: x * (tf.nn.relu6(x + 3) / 6), ["?,3"], "HARD_SWISH"),
    "reduce along nothing": Case(lambda tf, x: tf.reduce_sum(x, []) + 1, ["?,3"], "ADD"),
    "reduce along an input": Case(lambda tf, x, a: tf.reduce_sum(x, a), ["?,3", "1:int32"], "SUM", values={1: [1]}),
    "dense layer on sequences": Case(
        lambda tf, x: tf.nn.relu(tf.tensordot(x, weights(4, 5), 1) + weights(5)), ["?,3,4"], "FULLY_CONNECTED"
    ),
    "einsum of diagonals": Case(lambda tf, x: tf.einsum("aab->ab", x), ["3,3,4"], flex="Einsum"),
    "einsum that broadcasts": Case(
        lambda tf, x, y: tf.einsum("...ab,...bc->...ac", x, y), ["1,3,4", "5,4,2"], flex="Einsum"
    ),
    "einsum of three": Case(lambda tf, x: tf.einsum("ij,jk,kl->il", x, weights(3, 4), weights(4, 2)), ["?,3"]),
}


@pytest.mark.parametrize(("case", "shapes", "runtime"), matrix(CASES))
def test_rule(case: Case, shapes: str, runtime: str) -> None:
    check(case, shapes, runtime)


@pytest.mark.parametrize("runtime", ["ours", pytest.param("reference", marks=pytest.mark.reference)])
def test_softplus_of_numbers_far_below_zero_is_as_exact_as_others(runtime: str) -> None:
    import tensorflow as tf

    spec = tf.TensorSpec([None], tf.float32, name="x")
    content = convert({"case": tf.function(tf.math.softplus, input_signature=[spec], autograph=False)}, flex=False)
    x = np.array([-80, -40, -18, -17, -13, -9, -5, -1, 0, 1, 9, 80], np.float32)
    (got,) = run(content, "case", {"x": x}, runtime).values()
    near_one = 0 if runtime == "ours" else 2e-7  # XNNPACK's logarithm is off by so much there
    np.testing.assert_allclose(got[:4], tf.math.softplus(x[:4]), rtol=1e-6)
    np.testing.assert_allclose(got, tf.math.softplus(x), rtol=1e-6, atol=near_one)


@pytest.mark.parametrize("runtime", ["ours", pytest.param("reference", marks=pytest.mark.reference)])
def test_random_numbers_have_their_distribution(runtime: str) -> None:
    import tensorflow as tf

    def function(n: tf.Tensor) -> tuple[tf.Tensor, ...]:
        choice = tf.random.categorical([[-100.0, 2.0, -100.0]], n)
        return tf.random.uniform([n], 2, 3), tf.random.normal([n]), tf.nn.dropout(tf.ones(n), 0.25), choice

    spec = tf.TensorSpec([], tf.int32, name="n")
    content = convert({"case": tf.function(function, input_signature=[spec], autograph=False)}, flex=False)
    got = run(content, "case", {"n": np.int32(2000)}, runtime)
    uniform, normal, dropout, choice = (got[f"output_{i}"] for i in range(4))
    assert uniform.shape == normal.shape == (2000,)
    assert uniform.min() >= 2
    assert uniform.max() <= 3
    np.testing.assert_allclose([uniform.mean(), normal.mean(), normal.std()], [2.5, 0, 1], atol=0.15)
    assert set(np.round(np.unique(dropout), 4)) == {0, np.float32(1.3333)}
    assert choice.dtype == np.int64
    assert set(choice.ravel()) == {1}

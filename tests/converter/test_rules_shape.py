"""Shapes and indices of several operators; the rules one by one are in test_rule_matrix.py."""

from __future__ import annotations

from typing import Any

import pytest

from tests.converter.oracle import Case, check, matrix, pytestmark_converter, weights

pytestmark = pytestmark_converter

INDEX = "?,2:int32"


def reshapes(tf: Any, x: Any) -> Any:
    n = tf.shape(x)[0]
    return (tf.reshape(x, [-1, 12]), tf.reshape(x, [n, 4, 3]), tf.reshape(x, tf.stack([n * 3, 4])), tf.reshape(x, [-1]))


CASES = {
    "reshape": Case(reshapes, ["?,3,4"], "RESHAPE*4"),
    "reshape by two unknown dimensions": Case(
        lambda tf, x: tf.reshape(x, [tf.shape(x)[0], 2, tf.shape(x)[1], 2]), ["?,?,4"]
    ),
    "reshape to an input": Case(
        lambda tf, x, s: tf.reshape(x, s), ["?,6", "2:int64"], "CAST RESHAPE", values={1: [3, 4]}
    ),
    "squeeze all": Case(lambda tf, x: tf.squeeze(x), ["1,3,1"], "SQUEEZE"),
    "shape of unknown rank": Case(lambda tf, x: (tf.shape(x), tf.rank(x), x + 1), ["*"], "SHAPE RANK ADD"),
    "ensure shape": Case(lambda tf, x: tf.ensure_shape(x, [None, 3]) @ weights(3, 2), ["*"], "FULLY_CONNECTED"),
    "transpose to the same": Case(lambda tf, x: tf.transpose(x, [0, 1, 2]) + 1, ["?,3,4"], "ADD"),
    "fill": Case(lambda tf, n: (tf.fill([n, 2], 3.0), tf.ones([n, n], tf.int64)), [":int32"], values={0: 3}),
    "range": Case(lambda tf, n: (tf.range(n), tf.range(0.0, tf.cast(n, tf.float32), 0.5)), [":int32"], values={0: 3}),
    "concat of one": Case(
        lambda tf, x: tf.raw_ops.ConcatV2(values=[x, x[:0]], axis=0), ["?,5"], "STRIDED_SLICE CONCATENATION"
    ),
    "stack flags": Case(lambda tf, x: tf.stack([x, x]), ["?:bool"], "EXPAND_DIMS CONCATENATION"),
    "gather strings": Case(lambda tf, i: tf.gather(tf.constant(["a", "bc", "", "d"]), i), ["?:int64"], "GATHER"),
    "embedding": Case(lambda tf, i: tf.nn.embedding_lookup(weights(10, 6), i), [INDEX], "GATHER"),
    "one hot": Case(
        lambda tf, i: (tf.one_hot(i, 5), tf.one_hot(i, 5, on_value=2, off_value=-1, axis=1)), [INDEX], "ONE_HOT*2"
    ),
    "a constant that depends on a known dimension": Case(
        lambda tf, x: x * tf.cast(tf.reduce_prod(tf.shape(x)[1:]), tf.float32), ["?,3,4"], "MUL"
    ),
}


@pytest.mark.parametrize(("case", "shapes", "runtime"), matrix(CASES))
def test_rule(case: Case, shapes: str, runtime: str) -> None:
    check(case, shapes, runtime)

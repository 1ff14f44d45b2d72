"""Rules of shapes, slices and indices."""

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
    "squeeze and expand": Case(
        lambda tf, x: (tf.squeeze(x[:, :1], 1), tf.expand_dims(x, 0), tf.expand_dims(x, -1)),
        ["?,3,4"],
        "STRIDED_SLICE SQUEEZE EXPAND_DIMS*2",
    ),
    "squeeze all": Case(lambda tf, x: tf.squeeze(x), ["1,3,1"], "SQUEEZE"),
    "shape, size, rank": Case(lambda tf, x: (tf.shape(x), tf.shape(x, tf.int64), tf.size(x), tf.rank(x)), ["?,3"]),
    "shape of unknown rank": Case(lambda tf, x: (tf.shape(x), tf.rank(x), x + 1), ["*"], "SHAPE RANK ADD"),
    "ensure shape": Case(lambda tf, x: tf.ensure_shape(x, [None, 3]) @ weights(3, 2), ["*"], "FULLY_CONNECTED"),
    "transpose": Case(lambda tf, x: (tf.transpose(x, [2, 0, 1]), tf.transpose(x)), ["?,3,4"], "TRANSPOSE*2"),
    "transpose to the same": Case(lambda tf, x: tf.transpose(x, [0, 1, 2]) + 1, ["?,3,4"], "ADD"),
    "fill": Case(lambda tf, n: (tf.fill([n, 2], 3.0), tf.ones([n, n], tf.int64)), [":int32"], values={0: 3}),
    "range": Case(lambda tf, n: (tf.range(n), tf.range(0.0, tf.cast(n, tf.float32), 0.5)), [":int32"], values={0: 3}),
    "broadcast and tile": Case(
        lambda tf, x: (tf.broadcast_to(x, [tf.shape(x)[0], 4, 3]), tf.tile(x, [1, 2, 3])), ["?,1,3"]
    ),
    "tile strings": Case(lambda tf, x: tf.tile(x, [2]), ["?:string"], "TILE"),
    "pads": Case(
        lambda tf, x: (
            tf.pad(x, [[1, 0], [0, 2]]),
            tf.pad(x, [[1, 0], [0, 2]], constant_values=7.0),
            tf.pad(x, [[1, 1], [1, 2]], "REFLECT"),
            tf.pad(x, [[1, 1], [1, 2]], "SYMMETRIC"),
        ),
        ["?,3"],
        "PAD PADV2 MIRROR_PAD*2",
    ),
    "strided slices": Case(
        lambda tf, x: (x[0], x[:, 1:-1:2], x[..., 0], x[:, tf.newaxis, ..., -1], x[1:, ::-1], x[:, -3:, 2]),
        ["?,5,6"],
        "STRIDED_SLICE*6",
    ),
    "slices at an input": Case(lambda tf, x, i: (x[i], x[:, i:], x[:i]), ["?,5", ":int32"], values={1: 1}),
    "slice": Case(lambda tf, x: tf.slice(x, [0, 1], [-1, 3]), ["?,5"], "SLICE"),
    "stack, split, concat": Case(
        lambda tf, x, y: (
            tf.stack([x, y], 1),
            *tf.unstack(x, axis=1),
            tf.concat([x, y], -1),
            *tf.split(x, [2, -1], 1),
            *tf.split(y, 5, 1),
        ),
        ["?,5", "?,5"],
        "PACK UNPACK CONCATENATION SPLIT_V SPLIT",
    ),
    "concat of one": Case(
        lambda tf, x: tf.raw_ops.ConcatV2(values=[x, x[:0]], axis=0), ["?,5"], "STRIDED_SLICE CONCATENATION"
    ),
    "stack flags": Case(lambda tf, x: tf.stack([x, x]), ["?:bool"], flex="Pack"),
    "reverse": Case(lambda tf, x: (tf.reverse(x, [1]), tf.reverse(x, [0, -1])), ["?,5,3"], "REVERSE_V2*3"),
    "reverse sequences": Case(
        lambda tf, x, n: tf.reverse_sequence(x, n, seq_axis=1, batch_axis=0), ["?,5,3", "?:int32"], "REVERSE_SEQUENCE"
    ),
    "gather": Case(
        lambda tf, x, i: (
            tf.gather(x, i, axis=1),
            tf.gather(x, i, batch_dims=1, axis=1),
            tf.gather_nd(x, [[0, 1], [1, 2]]),
        ),
        ["?,5,3", INDEX],
        "GATHER*2 GATHER_ND",
    ),
    "gather strings": Case(lambda tf, i: tf.gather(tf.constant(["a", "bc", "", "d"]), i), ["?:int64"], "GATHER"),
    "embedding": Case(lambda tf, i: tf.nn.embedding_lookup(weights(10, 6), i), [INDEX], "GATHER"),
    "one hot": Case(
        lambda tf, i: (tf.one_hot(i, 5), tf.one_hot(i, 5, on_value=2, off_value=-1, axis=1)), [INDEX], "ONE_HOT*2"
    ),
    "top k": Case(lambda tf, x: tuple(tf.math.top_k(x, 3)), ["?,6"], "TOPK_V2"),
    "where": Case(lambda tf, x: tf.where(x), ["?,6:bool"], "WHERE"),
    "scatter": Case(lambda tf, x: tf.scatter_nd([[1], [3]], x, [5, 3]), ["?,3"]),
    "a constant that depends on a known dimension": Case(
        lambda tf, x: x * tf.cast(tf.reduce_prod(tf.shape(x)[1:]), tf.float32), ["?,3,4"], "MUL"
    ),
}


@pytest.mark.parametrize(("case", "shapes", "runtime"), matrix(CASES))
def test_rule(case: Case, shapes: str, runtime: str) -> None:
    check(case, shapes, runtime)

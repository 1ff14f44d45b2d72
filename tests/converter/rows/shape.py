"""Rows of `converter/rules/shape.py` and `slicing.py`."""

from __future__ import annotations

from tests.converter.oracle import Case, raw

ROWS = {
    "Bitcast": Case(lambda tf, x: tf.bitcast(x, tf.uint8), ["?,3"], "BITCAST"),
    "BroadcastArgs": Case(raw("BroadcastArgs", "s0 s1"), ["2", "1"], "BROADCAST_ARGS"),
    "BroadcastTo": Case(lambda tf, x: tf.broadcast_to(x, [tf.shape(x)[0], 4, 3]), ["?,1,3"]),
    "Concat": Case(lambda tf, x, y: tf.raw_ops.Concat(concat_dim=1, values=[x, y]), ["?,2", "?,3"], "CONCATENATION"),
    "ConcatV2": Case(lambda tf, x, y: tf.raw_ops.ConcatV2(axis=-1, values=[x, y]), ["?,2", "?,3"], "CONCATENATION"),
    "Copy": Case(raw("Copy", "input"), ["?,3"], runs=False),
    "DebugIdentity": Case(raw("DebugIdentity", "input"), ["?,3"], runs=False),
    "DebugIdentityV2": Case(raw("DebugIdentityV2", "input"), ["?,3"], runs=False),
    "DeepCopy": Case(raw("DeepCopy", "x"), ["?,3"]),
    "Empty": Case(lambda tf, n: tf.raw_ops.Empty(shape=[n, 2], dtype=tf.float32, init=True), [":int32"], values={0: 3}),
    "EnsureShape": Case(lambda tf, x: tf.ensure_shape(x, [None, 3]), ["*"]),
    "ExpandDims": Case(lambda tf, x: (tf.expand_dims(x, 0), tf.expand_dims(x, -1)), ["?,3"], "EXPAND_DIMS*2"),
    "Fill": Case(lambda tf, n, x: tf.fill([n, 2], x), [":int32", ""], values={0: 3}),
    "LinSpace": Case(raw("LinSpace", "start stop", num=5), ["", ""]),
    "MirrorPad": Case(
        lambda tf, x: (tf.pad(x, [[1, 1], [1, 2]], "REFLECT"), tf.pad(x, [[1, 1], [1, 2]], "SYMMETRIC")),
        ["?,3"],
        "MIRROR_PAD*2",
    ),
    "Pack": Case(lambda tf, x, y: (tf.stack([x, y], 1), tf.stack([x, y], -1)), ["?,3", "?,3"], "PACK*2"),
    "Pad": Case(raw("Pad", "input", paddings=[[1, 0], [0, 2]]), ["?,3"], "PAD"),
    "PadV2": Case(
        lambda tf, x, c: tf.raw_ops.PadV2(input=x, paddings=[[1, 0], [0, 2]], constant_values=c), ["?,3", ""], "PADV2"
    ),
    "ParallelConcat": Case(
        lambda tf, x: tf.raw_ops.ParallelConcat(values=[x, x], shape=[2, 3]), ["1,3"], "CONCATENATION", runs=False
    ),
    "Range": Case(
        lambda tf, n: tf.raw_ops.Range(start=tf.zeros((), n.dtype), limit=n, delta=tf.ones((), n.dtype)),
        [""],
        values={0: 3},
    ),
    "Rank": Case(raw("Rank", "input"), ["*"], "RANK"),
    "Reshape": Case(lambda tf, x: (tf.reshape(x, [-1, 6]), tf.reshape(x, [tf.shape(x)[0], 4, 3])), ["?,3,4"]),
    "ReverseSequence": Case(
        raw("ReverseSequence", "input seq_lengths", seq_dim=1), ["?,5,3", "?:int32"], "REVERSE_SEQUENCE"
    ),
    "ReverseV2": Case(
        lambda tf, x: (tf.reverse(x, [1]), tf.reverse(x, [0, -1])), ["?,5,3"], "REVERSE_V2*3"
    ),
    "Shape": Case(lambda tf, x: (tf.shape(x), tf.shape(x, tf.int64)), ["?,3"]),
    "ShapeN": Case(lambda tf, x: tf.raw_ops.ShapeN(input=[x, x]), ["?,3"]),
    "Size": Case(raw("Size", "input"), ["?,3"]),
    "Slice": Case(lambda tf, x: tf.slice(x, [0, 1], [-1, 3]), ["?,5"], "SLICE"),
    "Split": Case(lambda tf, x: tf.split(x, 3, 1), ["?,6"], "SPLIT"),
    "SplitV": Case(lambda tf, x: tf.split(x, [2, -1], 1), ["?,6"], "SPLIT_V"),
    "Squeeze": Case(lambda tf, x: (tf.squeeze(x, 1), tf.squeeze(x, -1)), ["?,1,3,1"], "SQUEEZE*2"),
    "StridedSlice": Case(
        lambda tf, x: (x[0], x[:, 1:-1:2], x[..., 0], x[:, None, ..., -1], x[1:, ::-1], x[:, -3:, 2], x[None, 0, 1:]),
        ["?,5,6"],
        "STRIDED_SLICE*7",
    ),
    "StridedSlice: at an input": Case(lambda tf, x, i: (x[i], x[:, i:], x[:i]), ["?,5", ":int32"], values={1: 1}),
    "Tile": Case(lambda tf, x: tf.tile(x, [1, 2]), ["?,3"], "TILE"),
    "Transpose": Case(lambda tf, x: (tf.transpose(x, [2, 0, 1]), tf.transpose(x)), ["?,3,4"], "TRANSPOSE*2"),
    "Unpack": Case(lambda tf, x: (*tf.unstack(x, axis=1), *tf.unstack(x, axis=-1)), ["?,2,3"]),
}  # fmt: skip

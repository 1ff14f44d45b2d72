"""Elements in another order, joined, split, repeated."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, one_op, q
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.base import Activation
from tflite_cupy.interpreter.ops.checks import infer_outputs

RNG = np.random.default_rng(1)
X = RNG.normal(size=(2, 3, 4)).astype(np.float32)
BYTES = RNG.integers(-128, 128, (2, 3, 4)).astype(np.int8)
UBYTES = RNG.integers(0, 256, (2, 3, 4)).astype(np.uint8)
WORDS = np.array([b"a", b"bc", b"", b"d\0e"], object)
F32, I8 = TensorType.FLOAT32, TensorType.INT8


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


TRANSPOSE = [
    Case("TRANSPOSE", [X, const(ints(2, 0, 1))]),
    Case("TRANSPOSE", [X, const(ints(-1, 0, -2))], label="negative"),
    Case("TRANSPOSE", [X, ints(1, 0, 2)], label="dynamic"),
    Case("TRANSPOSE", [q(BYTES, 0.1, 3), const(ints(0, 2, 1))], label="int8"),
    Case("TRANSPOSE", [X > 0, const(ints(1, 2, 0))], label="bool"),
    Case("TRANSPOSE", [X.astype(np.int64).reshape(1, 2, 3, 1, 4, 1), const(ints(5, 3, 4, 0, 2, 1))], label="int64 6d"),
    Case("TRANSPOSE", [np.zeros((2, 0), np.float32), const(ints(1, 0))], label="nothing"),
    Case("TRANSPOSE", [X, const(ints(0, 1, 3))], raises="perm entry 3 is out of range"),
    Case("TRANSPOSE", [X, const(ints(0, 1, 1))], raises="expected a permutation", unreferenced="it takes some"),
    Case("TRANSPOSE", [X, const(ints(0, 1))], raises="expected a permutation of 3"),
]

SAME = q(None, 0.1, 3)
CONCATENATION = [
    Case("CONCATENATION", [X, X[:, :1], X], {"axis": 1}),
    Case("CONCATENATION", [X, -X], {"axis": -1}, label="last axis"),
    Case("CONCATENATION", [X], label="one"),
    Case("CONCATENATION", [X, X[:0]], label="with nothing"),
    Case("CONCATENATION", [const(np.float32(1)), const(np.float32(2))], label="scalars"),
    Case("CONCATENATION", [X, const(X)], {"axis": 2}, label="constant"),
    Case("CONCATENATION", [X > 0, X < 0], label="bool"),
    Case("CONCATENATION", [X.astype(np.int64), X.astype(np.int64)], label="int64"),
    Case("CONCATENATION", [q(BYTES, 0.1, 3), q(BYTES, 0.1, 3)], {"axis": 1}, label="int8"),
    Case("CONCATENATION", [q(np.int16(X * 99), 0.1), q(np.int16(X * 9), 0.3)], label="int16 as it is"),
    Case(
        "CONCATENATION",
        [q(UBYTES, 0.1, 3), q(UBYTES, 0.237, 100), q(UBYTES, 0.05, 0)],
        {"axis": 2},
        outputs=[q(None, 0.13, 17)],
        label="uint8 of several scales",
    ),
    Case(
        "CONCATENATION",
        [q(np.int8([[-128, 0, 50]]), 0.1, 0), q(np.int8([[-128, 0, 50]]), 0.2, 10)],
        outputs=[q(None, 0.1, 0)],
        expect=[np.int8([[-128, 0, 50], [-128, -20, 80]])],
        label="int8 of several scales",
        unreferenced="its kernel takes int8 of one scale alone",
    ),
    Case(
        "CONCATENATION",
        [X, -X],
        {"fused_activation_function": Activation.RELU6},
        expect=[np.clip(np.concatenate([X, -X]), 0, 6)],
        label="activation",
        unreferenced="newer kernels take no activation",
    ),
    Case(
        "CONCATENATION",
        [q(BYTES, 0.1, 3), q(BYTES, 0.1, 3)],
        {"fused_activation_function": Activation.RELU},
        expect=[np.maximum(np.concatenate([BYTES, BYTES]), 3)],
        label="activation int8",
        unreferenced="newer kernels take no activation",
    ),
    Case("CONCATENATION", [X, X[:, :1]], raises="which do not fit"),
    Case("CONCATENATION", [X, X[0]], raises="which do not fit"),
    Case("CONCATENATION", [X, X.astype(np.int32)], raises="which do not fit"),
    Case("CONCATENATION", [X, X], {"axis": 3}, raises="axis 3 is out of range"),
]

PACK = [
    Case("PACK", [X, -X], {"values_count": 2}),
    Case("PACK", [X, -X, X], {"values_count": 3, "axis": -1}, label="last axis"),
    Case("PACK", [np.int32(1), const(np.int32(2))], {"values_count": 2}, label="scalars"),
    Case("PACK", [q(BYTES, 0.1, 3), q(BYTES, 0.1, 3)], {"values_count": 2, "axis": 1}, label="int8"),
    Case(
        "PACK",
        [WORDS, WORDS],
        {"values_count": 2},
        label="strings",
        expect=[np.stack([WORDS, WORDS])],
        unreferenced="numbers only",
    ),
    Case("PACK", [X, X[:1]], {"values_count": 2}, raises="expected equal types and shapes"),
    Case("PACK", [X, X], {"values_count": 2, "axis": 4}, raises="axis 4 is out of range for rank 4"),
    Case("UNPACK", [X], {"num": 2}, outputs=[F32] * 2),
    Case("UNPACK", [X], {"num": 4, "axis": -1}, outputs=[F32] * 4, label="last axis"),
    Case("UNPACK", [X[0, 0]], {"num": 4}, outputs=[F32] * 4, label="scalars"),
    Case("UNPACK", [q(BYTES, 0.1, 3)], {"num": 3, "axis": 1}, outputs=[SAME] * 3, label="int8"),
    Case("UNPACK", [X > 0], {"num": 2}, outputs=[TensorType.BOOL] * 2, label="bool"),
    Case("UNPACK", [X], {"num": 3}, outputs=[F32] * 3, raises="along 0 into 3 slices has 3 outputs"),
]

SPLIT = [
    Case("SPLIT", [const(np.int32(2)), X], {"num_splits": 2}, outputs=[F32] * 2),
    Case("SPLIT", [const(np.int32(-2)), X], {"num_splits": 3}, outputs=[F32] * 3, label="negative"),
    Case("SPLIT", [ints(0), X], {"num_splits": 2}, outputs=[F32] * 2, label="dynamic"),
    Case("SPLIT", [const(np.int32(2)), q(BYTES, 0.1, 3)], {"num_splits": 4}, outputs=[q(None, 0.1, 3, type=I8)] * 4),
    Case("SPLIT", [const(np.int32(2)), X], {"num_splits": 3}, outputs=[F32] * 3, raises="Not an even split"),
    Case("SPLIT", [const(np.int32(2)), X], {"num_splits": 2**31 - 1}, outputs=[F32], raises="has 1 outputs"),
    Case("SPLIT", [const(np.int32(3)), X], {"num_splits": 1}, outputs=[F32], raises="axis 3 is out of range"),
    Case("SPLIT_V", [X, const(ints(1, 3)), const(np.int32(2))], {"num_splits": 2}, outputs=[F32] * 2),
    Case(
        "SPLIT_V", [X, const(ints(1, -1, 0)), const(np.int32(-1))], {"num_splits": 3}, outputs=[F32] * 3, label="rest"
    ),
    Case("SPLIT_V", [X, const(np.int64([1, 1])), const(ints(0))], {"num_splits": 2}, outputs=[F32] * 2, label="int64"),
    Case("SPLIT_V", [X, ints(2, 1), const(np.int32(1))], {"num_splits": 2}, outputs=[F32] * 2, label="dynamic"),
    Case(
        "SPLIT_V",
        [X, const(ints(-1, -1)), const(np.int32(2))],
        {"num_splits": 2},
        outputs=[F32] * 2,
        raises="than one -1",
    ),
    Case(
        "SPLIT_V",
        [X, const(ints(1, 1)), const(np.int32(2))],
        {"num_splits": 2},
        outputs=[F32] * 2,
        raises="must sum to",
    ),
    Case(
        "SPLIT_V", [X, const(ints(5, -1)), const(np.int32(2))], {"num_splits": 2}, outputs=[F32] * 2, raises="must sum"
    ),
    Case(
        "SPLIT_V",
        [X, const(ints(6, -2)), const(np.int32(2))],
        {"num_splits": 2},
        outputs=[F32] * 2,
        raises="has -2 as dimension 1",
    ),
]

TILE = [
    Case("TILE", [X, const(ints(2, 1, 3))]),
    Case("TILE", [X, np.int64([1, 2, 1])], label="dynamic int64"),
    Case("TILE", [X, const(ints(1, 0, 1))], label="no times"),
    Case("TILE", [X > 0, const(ints(2, 2, 2))], label="bool"),
    Case("TILE", [WORDS.reshape(2, 2), const(ints(1, 2))], label="strings"),
    Case("TILE", [q(BYTES, 0.1, 3), const(ints(1, 2, 1))], label="int8"),
    Case("TILE", [X, const(ints(2, 1))], raises="has 2 elements, expected one for each of 3"),
    Case("TILE", [X, const(ints(1, -1, 1))], raises="has -1 as dimension 1"),
]

REVERSE = [
    Case("REVERSE_V2", [X, const(ints(1))]),
    Case("REVERSE_V2", [X, const(ints(-1, 1))], label="two axes"),
    Case("REVERSE_V2", [BYTES, ints(0)], label="dynamic int8"),
    Case("REVERSE_V2", [X > 0, const(ints(2))], label="bool"),
    Case(
        "REVERSE_V2", [X, const(ints(0, 2))], expect=[X[::-1, :, ::-1]], label="apart", unreferenced="neighbours only"
    ),
    Case("REVERSE_V2", [X, const(ints(3))], raises="axis 3 is out of range"),
    Case("REVERSE_V2", [X, const(ints(1, -2))], raises="expected each dimension at most once"),
    Case("REVERSE_SEQUENCE", [X, const(ints(4, 0))], {"seq_dim": 2, "batch_dim": 0}),
    Case("REVERSE_SEQUENCE", [X, np.int64([1, 2, 1])], {"seq_dim": 0, "batch_dim": 1}, label="batch behind"),
    Case("REVERSE_SEQUENCE", [UBYTES, ints(1, 2, 0, 2)], {"seq_dim": 0, "batch_dim": 2}, label="uint8"),
    Case("REVERSE_SEQUENCE", [X, const(ints(5, 0))], {"seq_dim": 2}, raises="seq_lengths: got 5, expected 0 to 4"),
    Case("REVERSE_SEQUENCE", [X, const(ints(1, 0))], raises="are both 0"),
    Case("REVERSE_SEQUENCE", [X, const(ints(1))], {"seq_dim": 1}, raises=r"expected \[2\]"),
]

NIBBLES = RNG.integers(-8, 8, (2, 3)).astype(np.int8)
OTHER_TYPES = [
    Case(
        "PACK",
        [q(BYTES, 0.1, 3), q(BYTES, 0.2, 3)],
        {"values_count": 2},
        refused="operands of the scale",
        label="scales",
    ),
    Case(
        "CONCATENATION",
        [q(NIBBLES, 0.1, type=TensorType.INT4), q(NIBBLES, 0.1, type=TensorType.INT4)],
        outputs=[q(None, 0.1, type=TensorType.INT4)],
        label="int4",
    ),
    Case(
        "CONCATENATION",
        [WORDS, WORDS],
        {"fused_activation_function": Activation.RELU},
        refused="not supported with an activation on string",
    ),
    Case("SPLIT", [const(np.int64(1)), X[:, :2].copy()], {"num_splits": 2}, outputs=[F32] * 2, label="by int64"),
    Case("SPLIT_V", [X, const(ints(1, 2)), const(np.int64(1))], {"num_splits": 2}, outputs=[F32] * 2, label="by int64"),
]

CASES = OTHER_TYPES + TRANSPOSE + CONCATENATION + PACK + SPLIT + TILE + REVERSE


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


@pytest.mark.parametrize(
    ("case", "count"),
    [
        (Case("TRANSPOSE", [X, ints(1, 0, 2)]), 1),
        (Case("TILE", [X, ints(1, 1, 1)]), 1),
        (Case("SPLIT", [ints(0), X], {"num_splits": 2}, outputs=[F32] * 2), 2),
        (Case("SPLIT_V", [X, ints(2, 1), ints(1)], {"num_splits": 2}, outputs=[F32] * 2), 2),
    ],
    ids=lambda value: str(value),
)
def test_the_shape_is_open_while_the_operand_is(case: Case, count: int) -> None:
    op = one_op(case)
    assert [spec.shape for spec in infer_outputs(op, op.ins)] == [None] * count

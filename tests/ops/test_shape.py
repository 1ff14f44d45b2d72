"""New shapes for the same elements, and shapes as values."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, one_op, q
from tflite_cupy.interpreter.graph import TensorSpec, TensorType
from tflite_cupy.interpreter.ops.checks import infer_outputs

X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
EMPTY = np.zeros((0, 4), np.float32)
WORDS = np.array([b"a", b"bc", b"", b"d\0e"], object)


def shape(*sizes: int) -> np.ndarray:
    return np.array(sizes, np.int32)


CASES = [
    Case("RESHAPE", [X, const(shape(6, 4))]),
    Case("RESHAPE", [X, const(shape(-1, 2))], label="minus one"),
    Case("RESHAPE", [X, shape(4, -1)], label="dynamic"),
    Case("RESHAPE", [X], {"new_shape": (12, -1)}, label="attribute"),
    Case("RESHAPE", [X, const(np.int32(5))], {"new_shape": (24,)}, label="attribute beside a scalar"),
    Case("RESHAPE", [X[:1, :1, 0]], {"new_shape": (0,)}, label="to a scalar, as in old files"),
    Case("RESHAPE", [X[0, 0, 0], const(shape(1, 1))], label="of a scalar"),
    Case("RESHAPE", [EMPTY, const(shape(2, -1))], label="of nothing"),
    Case("RESHAPE", [EMPTY, const(shape(0, -1))], label="of nothing with a zero"),
    Case("RESHAPE", [q(np.int8(X * 9), 0.1, 3), const(shape(24))], label="int8"),
    Case("RESHAPE", [X > 0, const(shape(24))], label="bool"),
    Case("RESHAPE", [X.astype(np.int64), const(shape(24))], label="int64"),
    Case("RESHAPE", [X.astype(np.complex64), const(shape(24))], label="complex64"),
    Case("RESHAPE", [WORDS, const(shape(2, 2))], label="strings"),
    Case("RESHAPE", [X, const(shape(5, 5))], raises="got 24 elements, the new shape takes 25"),
    Case("RESHAPE", [X, const(shape(-1, -1))], raises="only one dimension can be -1"),
    Case("RESHAPE", [X, const(shape(-2, -12))], raises="has -2 as dimension 0"),
    Case("SQUEEZE", [X.reshape(1, 6, 1, 4)], label="all"),
    Case("SQUEEZE", [X.reshape(1, 6, 1, 4)], {"squeeze_dims": (-2,)}, label="negative"),
    Case("SQUEEZE", [X.reshape(1, 6, 1, 4)], {"squeeze_dims": (0, 2)}, label="some"),
    Case("SQUEEZE", [WORDS.reshape(1, 4)], label="strings", version=2, optimized=True),
    Case("SQUEEZE", [X], {"squeeze_dims": (0,)}, raises="dimension 0 of .* is 2, expected 1"),
    Case("SQUEEZE", [X], {"squeeze_dims": (3,)}, raises="out of range for rank 3"),
    Case("EXPAND_DIMS", [X, const(np.int32(0))]),
    Case("EXPAND_DIMS", [X, const(np.int64(-1))], label="last"),
    Case("EXPAND_DIMS", [X, const(np.int32([-4]))], label="first"),
    Case("EXPAND_DIMS", [X, np.int32(1)], label="dynamic"),
    Case("EXPAND_DIMS", [WORDS, const(np.int32(1))], label="strings"),
    Case("EXPAND_DIMS", [X, const(np.int32(4))], raises="axis 4 is out of range for rank 4"),
    Case("EXPAND_DIMS", [X, const(np.int32([0, 1]))], raises="axis has 2 elements"),
    Case("SHAPE", [X], {"out_type": TensorType.INT32}, outputs=[TensorType.INT32]),
    Case("SHAPE", [EMPTY], {"out_type": TensorType.INT64}, outputs=[TensorType.INT64], label="int64"),
    Case("SHAPE", [X], {"out_type": TensorType.FLOAT32}, outputs=[TensorType.FLOAT32], refused="gives int32 or int64"),
    Case("RANK", [X], outputs=[TensorType.INT32]),
    Case("RANK", [np.float32(1)], outputs=[TensorType.INT32], label="scalar"),
    Case("BROADCAST_TO", [X, const(shape(5, 2, 3, 4))], version=2),
    Case("BROADCAST_TO", [X[:, :1], const(np.int64([2, 3, 4]))], label="int64 shape", version=2),
    Case("BROADCAST_TO", [X[0], shape(2, 3, 4)], label="dynamic", version=2),
    Case("BROADCAST_TO", [np.int8(3), const(shape(2, 0))], label="int8 to nothing", version=2),
    Case(
        "BROADCAST_TO",
        [WORDS, const(shape(2, 4))],
        label="strings",
        version=2,
        expect=[np.stack([WORDS, WORDS])],
        unreferenced="numbers only",
    ),
    Case("BROADCAST_TO", [X, const(shape(2, 3, 5))], raises="must be broadcastable", version=2),
    Case("BROADCAST_TO", [X, const(shape(3, 4))], raises="must be broadcastable", version=2),
    Case("BROADCAST_ARGS", [shape(3, 1), const(shape(2, 1, 4))]),
    Case("BROADCAST_ARGS", [np.int64([]), const(np.int64([2, 0]))], label="scalar"),
    Case(
        "BROADCAST_ARGS",
        [shape(3), const(shape(2))],
        raises="are not broadcastable",
        unreferenced="it ends the process",
    ),
    Case("BROADCAST_ARGS", [shape(3), const(np.int64([2]))], raises="expected equal types"),
    Case("BITCAST", [X], outputs=[TensorType.INT32]),
    Case("BITCAST", [X], outputs=[TensorType.UINT8], label="narrower"),
    Case("BITCAST", [np.float32(1.5)], outputs=[TensorType.INT16], label="scalar"),
    Case("BITCAST", [np.uint8(X * 9)], outputs=[TensorType.INT32], label="wider"),
    Case("BITCAST", [X], outputs=[TensorType.FLOAT64], raises="expected 2 as the last dimension"),
    Case("BITCAST", [X], outputs=[TensorType.STRING], refused="not supported with string outputs"),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


@pytest.mark.parametrize(
    ("operator", "expected"),
    [("SHAPE", [2, 3, 4]), ("RANK", 3)],
)
def test_a_known_shape_is_a_known_value(operator: str, expected: object) -> None:
    op = one_op(Case(operator, [X], {"out_type": TensorType.INT32}, outputs=[TensorType.INT32]))
    (spec,) = infer_outputs(op, [TensorSpec(TensorType.FLOAT32, (2, 3, 4))])
    assert spec.value is not None
    np.testing.assert_array_equal(spec.value, np.int32(expected))  # type: ignore[arg-type]


def test_shape_arithmetic_that_is_known_before_a_call() -> None:
    op = one_op(Case("BROADCAST_ARGS", [const(shape(3, 1)), const(shape(4))]))
    (spec,) = infer_outputs(op, op.ins)
    np.testing.assert_array_equal(spec.value, shape(3, 4))


@pytest.mark.parametrize("operator", ["RESHAPE", "EXPAND_DIMS", "BROADCAST_TO"])
def test_the_shape_is_open_while_the_operand_is(operator: str) -> None:
    operand = np.int32(0) if operator == "EXPAND_DIMS" else shape(24)
    op = one_op(Case(operator, [X, operand]))
    (spec,) = infer_outputs(op, op.ins)
    assert spec.shape is None

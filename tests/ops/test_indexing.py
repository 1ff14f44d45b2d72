"""Elements read and written at given indices."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, one_op, q
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.checks import infer_outputs

RNG = np.random.default_rng(4)
X = RNG.normal(size=(3, 4, 5)).astype(np.float32)
BYTES = RNG.integers(-128, 128, (3, 4, 5)).astype(np.int8)
WORDS = np.array([b"a", b"bc", b"", b"d\0e"], object)
F32, I8 = TensorType.FLOAT32, TensorType.INT8


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def picks(size: int, *shape: int) -> np.ndarray:
    return RNG.integers(0, size, shape).astype(np.int32)


GATHER = [
    Case("GATHER", [X, picks(3, 2)]),
    Case("GATHER", [X, const(picks(4, 2, 3))], {"axis": 1}, label="middle"),
    Case("GATHER", [X, picks(5, 7).astype(np.int64)], {"axis": -1}, label="last by int64"),
    Case("GATHER", [X, picks(3, 2).astype(np.int16)], label="by int16", version=7, optimized=True),
    Case("GATHER", [X, np.int32(2)], {"axis": 1}, label="scalar"),
    Case("GATHER", [X, picks(4, 3, 6)], {"axis": 1, "batch_dims": 1}, label="batch"),
    Case("GATHER", [X, picks(5, 3, 4, 2)], {"axis": 2, "batch_dims": 2}, label="two batches"),
    Case("GATHER", [X, picks(5, 3, 2)], {"axis": 2, "batch_dims": 1}, label="batch and more before the axis"),
    Case("GATHER", [X, picks(4, 3, 2)], {"axis": 1, "batch_dims": -1}, label="negative batch"),
    Case("GATHER", [X, ints()], label="none"),
    Case("GATHER", [X[:0], ints()], label="none of nothing"),
    Case("GATHER", [q(BYTES, 0.1, 3), picks(3, 2)], label="int8"),
    Case("GATHER", [X > 0, picks(3, 2)], label="bool"),
    Case("GATHER", [WORDS, picks(4, 2, 3)], label="strings"),
    Case("GATHER", [X, ints(0, 3)], raises="gather index out of bounds: got 3, expected 0 to 2"),
    Case("GATHER", [X, const(ints(-1))], raises="gather index out of bounds: got -1"),
    Case("GATHER", [X, picks(4, 2, 2)], {"axis": 1, "batch_dims": 1}, raises="expected equal dimensions before 1"),
    Case("GATHER", [X, picks(4, 3, 2)], {"axis": 0, "batch_dims": 1}, raises="batch_dims is 1, expected 0 to 0"),
    Case("GATHER", [X, ints(0)], {"axis": 3}, raises="axis 3 is out of range"),
    Case("GATHER_ND", [X, np.int32([[0, 1], [2, 3]])]),
    Case("GATHER_ND", [X, np.int64([[[0, 1, 2]], [[2, 3, 4]]])], label="elements by int64"),
    Case("GATHER_ND", [X, const(ints(2))], label="one slice"),
    Case(
        "GATHER_ND",
        [X, np.zeros((2, 0), np.int32)],
        label="all, twice",
        expect=[np.stack([X, X])],
        unreferenced="it wants an index",
    ),
    Case("GATHER_ND", [WORDS.reshape(2, 2), np.int32([[0, 1], [1, 1]])], label="strings"),
    Case("GATHER_ND", [BYTES, np.int32([[1, 3]])], label="int8"),
    Case("GATHER_ND", [X, np.int32([[0, 4]])], raises="gather_nd index out of bounds: got 4"),
    Case("GATHER_ND", [X, np.int32([[0, -1]])], raises="gather_nd index out of bounds: got -1"),
    Case("GATHER_ND", [X, ints(0, 0, 0, 0)], raises="the last dimension is too long"),
    Case("GATHER_ND", [X, np.int32(0)], raises="must be at least a vector"),
]

UPDATES = RNG.normal(size=(4, 5)).astype(np.float32)
ROWS = np.int32([[1, 0], [2, 3], [1, 0], [0, 1]])

SCATTER = [
    Case("SCATTER_ND", [ROWS, UPDATES, const(ints(3, 4, 5))], outputs=[F32]),
    Case("SCATTER_ND", [ROWS, UPDATES, ints(3, 4, 5)], outputs=[F32], label="dynamic"),
    Case("SCATTER_ND", [ints(2, 0)[:, None], ints(5, 6), const(ints(4))], label="elements"),
    Case("SCATTER_ND", [ints(1), X[0], const(ints(2, 4, 5))], outputs=[F32], label="one slice"),
    Case("SCATTER_ND", [ROWS, (UPDATES * 60).astype(np.int8), const(ints(3, 4, 5))], outputs=[I8], label="int8"),
    Case("SCATTER_ND", [ROWS, UPDATES > 0, const(ints(3, 4, 5))], outputs=[TensorType.BOOL], label="bool"),
    Case(
        "SCATTER_ND",
        [ROWS, (UPDATES * 2**60).astype(np.int64), const(ints(3, 4, 5))],
        outputs=[TensorType.INT64],
        label="int64",
    ),
    Case("SCATTER_ND", [ROWS, UPDATES, const(ints(1, 4, 5))], outputs=[F32], raises="scatter_nd index out of bounds"),
    Case("SCATTER_ND", [-ROWS, UPDATES, const(ints(3, 4, 5))], outputs=[F32], raises="scatter_nd index out of bounds"),
    Case("SCATTER_ND", [ROWS, UPDATES, const(ints(3, 4, 6))], outputs=[F32], raises="which do not fit"),
    Case("SCATTER_ND", [ROWS, UPDATES, const(ints(4))], outputs=[F32], raises="which do not fit"),
]

CASES = GATHER + SCATTER


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


def test_the_shape_is_open_while_that_of_a_scatter_is() -> None:
    op = one_op(Case("SCATTER_ND", [ROWS, UPDATES, ints(3, 4, 5)], outputs=[F32]))
    assert infer_outputs(op, op.ins)[0].shape is None

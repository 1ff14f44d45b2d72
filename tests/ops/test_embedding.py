"""Rows looked up in tables."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, one_op, q
from tflite_cupy.interpreter.graph import Quantization, TensorSpec, TensorType
from tflite_cupy.interpreter.ops.base import OPS
from tflite_cupy.interpreter.ops.binding import UnknownOp
from tflite_cupy.interpreter.ops.checks import evaluate, infer_outputs
from tflite_cupy.interpreter.ops.embedding import Combiner, EmbeddingLookup

RNG = np.random.default_rng(4)
X = RNG.normal(size=(3, 4, 5)).astype(np.float32)
F32, I8, U8 = TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


TABLE = RNG.integers(-127, 128, (6, 4)).astype(np.int8)

LOOKUP = [
    Case("EMBEDDING_LOOKUP", [ints(1, 0, 2), const(X)], outputs=[F32]),
    Case("EMBEDDING_LOOKUP", [ints(5, 5), q(TABLE, 0.1, constant=True)], outputs=[q(None, 0.1, type=I8)], label="int8"),
    Case("EMBEDDING_LOOKUP", [ints(5, 0, 5), q(TABLE, 0.1, constant=True)], outputs=[F32], label="int8 to float"),
    Case(
        "EMBEDDING_LOOKUP",
        [ints(3, 1), q(TABLE, np.linspace(0.01, 0.2, 6), constant=True)],
        outputs=[F32],
        label="a scale for each row",
        version=3,
    ),
    Case(
        "EMBEDDING_LOOKUP",
        [ints(3, 1), q(TABLE % 8, 0.1, type=TensorType.INT4, constant=True)],
        outputs=[F32],
        label="int4 to float",
        version=4,
    ),
    Case("EMBEDDING_LOOKUP", [ints(), const(X)], outputs=[F32], label="none"),
    Case("EMBEDDING_LOOKUP", [ints(3), const(X)], outputs=[F32], raises="Embedding Lookup: index out of bounds: got 3"),
    Case("EMBEDDING_LOOKUP", [ints(-1), const(X)], outputs=[F32], raises="index out of bounds: got -1"),
    Case("EMBEDDING_LOOKUP", [np.int32(1), const(X)], outputs=[F32], raises="expected a vector and a matrix"),
    Case(
        "EMBEDDING_LOOKUP",
        [ints(1), q(TABLE, [0.1] * 4, axis=1, constant=True)],
        outputs=[F32],
        raises="4 scales along 1 for the rows",
    ),
    Case("EMBEDDING_LOOKUP", [ints(1), const(TABLE)], outputs=[F32], refused="not supported from INT8 to FLOAT32"),
    Case("EMBEDDING_LOOKUP", [ints(1), q(TABLE, 0.1, 3)], outputs=[F32], refused="zero points other than 0"),
]

AS_THEY_ARE = [
    Case("EMBEDDING_LOOKUP", [ints(2, 0, 2), const(table)], outputs=[to], label=f"{table.dtype} as {to.name}")
    for table, to in [
        (TABLE, U8),
        (TABLE, TensorType.BOOL),
        (TABLE.view(np.uint8), I8),
        (TABLE > 0, I8),
        (TABLE.astype(np.uint16), TensorType.INT16),
        (TABLE.astype(np.float16), TensorType.UINT16),
        (TABLE.astype(np.uint32), TensorType.INT32),
        (X, TensorType.INT32),
        (TABLE.astype(np.uint64), TensorType.INT64),
        (TABLE.astype(np.uint64), TensorType.FLOAT64),
    ]
]
TYPES_REFUSED = [
    Case("EMBEDDING_LOOKUP", [ints(1), const(table)], outputs=[to], label=f"{table.dtype} {to.name}",
         refused="EMBEDDING_LOOKUP is not supported from")
    for table, to in [(TABLE, TensorType.INT16), (ints(1, 2).reshape(2, 1), F32)]
]  # fmt: skip

PLACES = np.int32([[0, 0, 1], [0, 1, 0], [0, 1, 2], [2, 1, 0], [2, 1, 1], [2, 1, 2]])
WEIGHTS = np.float32([1, 2, 0.5, -1, 3, 0.25])


def sparse(combiner: Combiner, label: str, **changes: np.ndarray) -> Case:
    operands = {
        "ids": ints(1, 2, 0, 0, 2, 1),
        "indices": PLACES,
        "dense_shape": const(ints(3, 2, 3)),
        "weights": WEIGHTS,
        "value": X,
        **changes,
    }
    return Case("EMBEDDING_LOOKUP_SPARSE", [*operands.values()], {"combiner": combiner}, [F32], label=label)


def refused_sparse(pattern: str, combiner: Combiner = Combiner.MEAN, unreferenced: str = "", **changes: object) -> Case:
    case = sparse(combiner, pattern, **changes)
    return Case(
        case.operator,
        case.inputs,
        case.attributes,
        case.outputs,
        raises=pattern,
        unreferenced=unreferenced,
        label=pattern,
    )


SPARSE = [
    *(sparse(combiner, combiner.name) for combiner in Combiner),
    *(sparse(combiner, f"{combiner.name} zero weights", weights=WEIGHTS * 0) for combiner in Combiner),
    sparse(Combiner.MEAN, "dynamic", dense_shape=ints(3, 2, 3)),
    sparse(Combiner.SQRTN, "matrix", value=X[0], ids=ints(1, 2, 0, 0, 3, 1)),
    sparse(Combiner.SUM, "out of order", indices=PLACES[::-1].copy()),
    sparse(Combiner.SUM, "in turns", indices=PLACES[[0, 3, 1, 4, 2, 5]]),
    sparse(Combiner.MEAN, "vector", indices=PLACES[:, :1], dense_shape=const(ints(3))),
    sparse(Combiner.MEAN, "nothing", ids=ints(), indices=PLACES[:0], weights=WEIGHTS[:0]),
    refused_sparse("Embedding Lookup Sparse: index out of bounds: got 3", ids=ints(1, 2, 3, 0, 2, 1)),
    refused_sparse("indices out of bounds", unreferenced="it writes beyond the result", indices=PLACES * 3),
    refused_sparse(
        "MEAN needs indices in order", unreferenced="it divides some rows twice", indices=PLACES[::-1].copy()
    ),
    refused_sparse("expected two vectors and a matrix", value=X[0, 0]),
    refused_sparse("which do not fit", indices=PLACES[:, :2]),
]

KEYS = ints(-11, 0, 7, 1234)
WANTED = ints(1234, -292, -11, 0, 8)
WORDS = np.array([b"a", b"bc", b"", b"d\0e"], object)

HASHTABLE = [
    Case("HASHTABLE_LOOKUP", [WANTED, KEYS, RNG.normal(size=(4, 3, 2)).astype(np.float32)], outputs=[F32, U8]),
    Case("HASHTABLE_LOOKUP", [WANTED, KEYS, ints(4, 5, 6, 7)], outputs=[TensorType.INT32, U8], label="numbers"),
    Case("HASHTABLE_LOOKUP", [WANTED, KEYS, WORDS], outputs=[TensorType.STRING, U8], label="strings"),
    Case(
        "HASHTABLE_LOOKUP",
        [WANTED, KEYS, q(np.int8([[3], [4], [5], [6]]), 0.5, 3)],
        outputs=[q(None, 0.5, 3, type=I8), U8],
        label="int8",
    ),
    Case("HASHTABLE_LOOKUP", [ints(2, 5, 9), ints(2, 2, 2, 5), ints(4, 5, 6, 7)], outputs=[TensorType.INT32, U8]),
    Case(
        "HASHTABLE_LOOKUP",
        [ints(5, 4, 3, 1, 0), ints(5, 3, 4, 1, 0), ints(1, 2, 3, 4, 5)],
        outputs=[TensorType.INT32, U8],
        label="not sorted",
    ),
    Case(
        "HASHTABLE_LOOKUP", [WANTED, KEYS[:3], ints(4, 5, 6, 7)], outputs=[TensorType.INT32, U8], raises="one key for"
    ),
    Case("HASHTABLE_LOOKUP", [WANTED, ints(), X[:0]], outputs=[F32, U8], raises="and some rows"),
    Case("HASHTABLE_LOOKUP", [WANTED[None], KEYS, ints(4, 5, 6, 7)], outputs=[F32, U8], raises="lookup has rank 2"),
    Case(
        "HASHTABLE_LOOKUP",
        [WANTED, KEYS, WORDS[:, None]],
        outputs=[TensorType.STRING, U8],
        raises="has rank 2, expected 1",
    ),
]

CASES = LOOKUP + AS_THEY_ARE + TYPES_REFUSED + SPARSE + HASHTABLE


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


def test_rows_with_a_scale_for_each_block() -> None:
    scales = np.linspace(0.5, 6, 12).astype(np.float32)
    blocks = Quantization(scales, np.zeros(12, np.int64), axis=1, block_size=2)
    op = EmbeddingLookup(
        ins=(TensorSpec(TensorType.INT32, (2,)), TensorSpec(TensorType.INT4, (6, 4), blocks)),
        outs=(TensorSpec(TensorType.FLOAT16, (2, 4)),),
    )
    (rows,) = evaluate(op, [ints(5, 1), TABLE % 8])
    expected = (TABLE % 8)[[5, 1]] * np.repeat(scales.reshape(6, 2), 2, axis=1)[[5, 1]]
    np.testing.assert_array_equal(rows, expected.astype(np.float16))


def test_the_shape_is_open_while_that_of_the_sparse_tensor_is() -> None:
    op = one_op(sparse(Combiner.SUM, "", dense_shape=ints(3, 2, 3)))
    assert infer_outputs(op, op.ins)[0].shape is None


def test_an_operator_that_is_a_name_alone_is_refused_as_such() -> None:
    op = one_op(Case("CONCAT_EMBEDDINGS", [ints(1)]))
    assert isinstance(op, UnknownOp)
    assert "CONCAT_EMBEDDINGS" not in OPS
    assert "no runtime has a kernel" in (op.refuses() or "")

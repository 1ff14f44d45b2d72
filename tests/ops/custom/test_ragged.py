"""Ragged tensors made dense. Expected values are those of TensorFlow 2.19's operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.ops.harness import Case, check, matrix
from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer
from tflite_cupy.interpreter.graph import TensorType

ANY = np.int64(-1)
NUMBERS = np.arange(6, dtype=np.int32)
PAIRS = np.arange(12, dtype=np.int32).reshape(6, 2)
SPLITS = np.int64([0, 1, 1, 4, 6])
TWO, SCALAR = ["ROW_SPLITS"] * 2, np.array(-1, np.int32)


def dense(label: str, shape: Any, values: Any, *partitions: Any, types: Sequence[str] = ("ROW_SPLITS",),
          default: Any = SCALAR, expect: Any = None, **more: Any) -> Case:  # fmt: skip
    operands = [np.asarray(shape, np.int64), np.asarray(values), np.asarray(default), *map(np.asarray, partitions)]
    return Case(
        "RaggedTensorToTensor",
        operands,
        outputs=[TensorType.of(operands[1].dtype)],
        label=label,
        custom=True,
        custom_options=write_flexbuffer({"row_partition_types": list(types), "T": 0}),
        expect=None if expect is None else [np.asarray(expect, operands[1].dtype)],
        unreferenced="TensorFlow Text adds it to the reference runtime",
        **more,
    )


CASES = [
    dense("longest row", ANY, NUMBERS, SPLITS, expect=[[0, -1, -1], [-1, -1, -1], [1, 2, 3], [4, 5, -1]]),
    dense("asked width", [-1, 2], NUMBERS, SPLITS, expect=[[0, -1], [-1, -1], [1, 2], [4, 5]]),
    dense("asked height", [5, -1], NUMBERS, SPLITS[1:] - 1, types=["ROW_SPLITS"], raises="partitions of 5 values"),
    dense("more rows", [5, 1], NUMBERS, SPLITS, expect=[[0], [-1], [1], [4], [-1]]),
    dense("fewer rows", [1, -1], NUMBERS, SPLITS, expect=[[0, -1, -1]]),
    dense("row ids", ANY, NUMBERS, np.int64(4), np.int64([0, 0, 2, 2, 2, 3]), types=["FIRST_DIM_SIZE", "VALUE_ROWIDS"],
          expect=[[0, 1, -1], [-1, -1, -1], [2, 3, 4], [5, -1, -1]]),
    dense("two ragged dimensions of pairs", ANY, PAIRS, np.int64([0, 2, 3]), np.int64([0, 1, 4, 6]), types=TWO,
          expect=[[[[0, 1], [-1, -1], [-1, -1]], [[2, 3], [4, 5], [6, 7]]],
                  [[[8, 9], [10, 11], [-1, -1]], [[-1, -1], [-1, -1], [-1, -1]]]]),
    dense("strings", ANY, np.array([b"a", b"b", b"c"], object), np.int64([0, 2, 3]),
          default=np.array(b"-", object), expect=np.array([[b"a", b"b"], [b"c", b"-"]], object)),
    dense("no values", ANY, NUMBERS[:0], np.int64([0, 0, 0]), expect=np.zeros((2, 0))),
    dense("falling splits", ANY, NUMBERS, np.int64([0, 4, 3, 6]), raises="rise from 0"),
    dense("falling row ids", ANY, NUMBERS, np.int64(4), np.int64([1, 0, 2, 2, 2, 3]),
          types=["FIRST_DIM_SIZE", "VALUE_ROWIDS"], raises="do not rise"),
    dense("row ids past the end", ANY, NUMBERS, np.int64(2), np.int64([0, 0, 2, 2, 2, 3]),
          types=["FIRST_DIM_SIZE", "VALUE_ROWIDS"], raises="the row id 3, expected at most 1"),
    dense("fewer than no rows", ANY, NUMBERS[:0], np.int64(-1), np.int64([]),
          types=["FIRST_DIM_SIZE", "VALUE_ROWIDS"], raises="the number of rows has -1"),
    dense("no splits", ANY, NUMBERS[:0], np.int64([]), raises="the number of rows has -1"),
    dense("huge row ids", ANY, NUMBERS[:1], np.int64(2), np.int64([2**40]),
          types=["FIRST_DIM_SIZE", "VALUE_ROWIDS"], raises="expected at most 1"),
    dense("a matrix of row ids", ANY, NUMBERS, np.int64(2), np.int64([[0, 0, 0], [1, 1, 1]]),
          types=["FIRST_DIM_SIZE", "VALUE_ROWIDS"], raises="do not rise"),
    dense("splits for another number of rows", ANY, NUMBERS, np.int64(3), SPLITS,
          types=["FIRST_DIM_SIZE", "ROW_SPLITS"], raises="into 4 rows, expected 3"),
    dense("wide default", ANY, NUMBERS, SPLITS, default=np.int32([1, 2]), raises="expected one element"),
    dense("rank of the shape", [-1, -1, -1], NUMBERS, SPLITS, raises="expected 2 sizes or -1"),
    dense("no partition", ANY, NUMBERS, SPLITS, types=["FIRST_DIM_SIZE"], refused="1 partitions of types"),
    dense("row ids first", ANY, NUMBERS, SPLITS, types=["VALUE_ROWIDS"], refused="VALUE_ROWIDS for the first"),
    dense("other default", ANY, NUMBERS, SPLITS, default=np.float32(1), refused="of different types"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)

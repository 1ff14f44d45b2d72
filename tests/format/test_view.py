"""Reads of many places of a file at once."""

from __future__ import annotations

import numpy as np
import pytest

from tflite_cupy.interpreter.format.view import LONG, View, distinct


@pytest.mark.parametrize("values", [[], [7], [5, 5, 5], [9, 0, 4, 0, 9, 4, 1], [2**40, -1, 2**40]])
def test_distinct_values_in_order(values: list[int]) -> None:
    given = np.array(values, np.int64)
    found, first, which = distinct(given)
    assert found.tolist() == sorted(set(values))
    assert first.tolist() == [values.index(value) for value in found.tolist()]
    assert found[which].tolist() == values


@pytest.mark.parametrize("dtype", ["u1", "?", "<i2", "<i4", "<f4", "<i8"])
@pytest.mark.parametrize("lengths", [[], [0], [1, 0, 3], [LONG, 2 * LONG, 0], [1, 5 * LONG]])
def test_vectors_one_after_another(dtype: str, lengths: list[int]) -> None:
    kind = np.dtype(dtype)
    content = np.random.default_rng(0).integers(0, 2 if kind.kind == "b" else 256, 8192).astype(np.uint8)
    starts = [8 + 1600 * i for i in range(len(lengths))]
    expected = [content[a : a + n * kind.itemsize].tobytes() for a, n in zip(starts, lengths, strict=True)]
    made = View(content).vectors(kind, np.array(starts, np.int64), np.array(lengths, np.int64))
    assert made.dtype == kind
    assert made.tobytes() == b"".join(expected)

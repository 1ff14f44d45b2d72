"""StableHLO operators that cut a box out of a tensor or put one in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, q

NO_KERNEL = "it has no kernel"
X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
ROW = np.int32([10, 11, 12, 13, 14])


def sliced(x: Any, start: list[int], limit: list[int], strides: list[int], **more: Any) -> Case:
    attributes = {"start_indices": start, "limit_indices": limit, "strides": strides}
    return Case("STABLEHLO_SLICE", [x], attributes, unreferenced=NO_KERNEL, **more)


def cut(x: Any, sizes: list[int], *starts: Any, **more: Any) -> Case:
    return Case("STABLEHLO_DYNAMIC_SLICE", [x, *starts], {"slice_sizes": sizes}, unreferenced=NO_KERNEL, **more)


def put(x: Any, update: Any, *starts: Any, **more: Any) -> Case:
    return Case("STABLEHLO_DYNAMIC_UPDATE_SLICE", [x, update, *starts], unreferenced=NO_KERNEL, **more)


def at(*starts: int) -> list[np.ndarray]:
    return [np.array(start, np.int32) for start in starts]


CASES = [
    sliced(X, [0, 1, 0], [2, 3, 4], [1, 1, 3], expect=[[[[4, 7], [8, 11]], [[16, 19], [20, 23]]]]),
    sliced(ROW, [1], [5], [2], expect=[[11, 13]], label="int32"),
    sliced(ROW, [2], [2], [1], expect=[[]], label="nothing"),
    sliced(np.float32(3), [], [], [], expect=[3.0], label="scalar"),
    sliced(q(np.int8([1, 2, 3]), 0.5), [1], [3], [1], expect=[[2, 3]], label="quantised"),
    sliced(np.array([b"a", b"b"], object), [1], [2], [1], expect=[[b"b"]], label="strings"),
    sliced(ROW, [1], [6], [1], raises="from 1 to 6 by 1 of 5", label="past the end"),
    sliced(ROW, [-1], [5], [1], raises="from -1", label="negative start"),
    sliced(ROW, [3], [2], [1], raises="from 3 to 2", label="backwards"),
    sliced(ROW, [0], [2], [0], raises="by 0", label="no stride"),
    sliced(ROW, [0, 0], [2], [1], raises="start_indices is", label="too many"),
    sliced(ROW, [0], [2], [], raises="strides is", label="too few"),
    cut(X, [1, 2, 2], *at(1, 0, 1), expect=[[[[13, 14], [17, 18]]]]),
    cut(X, [1, 2, 2], *map(const, at(1, 0, 1)), expect=[[[[13, 14], [17, 18]]]], label="constant"),
    cut(ROW, [3], *at(9), expect=[[12, 13, 14]], label="moved back"),
    cut(ROW, [3], *at(-9), expect=[[10, 11, 12]], label="moved forth"),
    cut(ROW, [3], const(np.uint64(2**64 - 1)), expect=[[12, 13, 14]], label="uint64"),
    cut(ROW, [1], np.int8(-1), expect=[[10]], label="int8"),
    cut(ROW, [0], *at(2), expect=[[]], label="nothing"),
    cut(np.float32(3), [], expect=[3.0], label="scalar"),
    cut(ROW, [6], *at(0), raises="slice_sizes is", label="too large"),
    cut(ROW, [-1], *at(0), raises="slice_sizes is", label="negative size"),
    cut(ROW, [1, 1], *at(0), raises="slice_sizes is", label="too many sizes"),
    cut(ROW, [1], *at(0, 0), raises="expected a scalar for each dimension", label="too many starts"),
    cut(ROW, [1], np.int32([0]), raises="expected a scalar for each dimension", label="vector"),
    cut(ROW, [1], np.float32(0), refused="is not supported with float32"),
    put(ROW, np.int32([1, 2]), *at(2), expect=[[10, 11, 1, 2, 14]]),
    put(ROW, np.int32([1, 2]), const(np.int64(9)), expect=[[10, 11, 12, 1, 2]], label="moved back"),
    put(ROW, np.int32([1, 2]), *at(-1), expect=[[1, 2, 12, 13, 14]], label="moved forth"),
    put(X[0], X[:1, 0, :2] - 9, *at(2, 1), expect=[[[0, 1, 2, 3], [4, 5, 6, 7], [8, -9, -8, 11]]], label="2d"),
    put(np.array([b"a", b"b"], object), np.array([b"c"], object), *at(1), expect=[[b"a", b"c"]], label="strings"),
    put(np.float32(3), np.float32(4), expect=[4.0], label="scalar"),
    put(ROW, np.int32(range(6)), *at(0), raises="which does not fit", label="too large"),
    put(ROW, np.int64([1]), *at(0), raises="which does not fit", label="other type"),
    put(ROW, np.int32([[1]]), *at(0), raises="which does not fit", label="other rank"),
    put(ROW, np.int32([1]), raises="expected a scalar for each dimension", label="no start"),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)

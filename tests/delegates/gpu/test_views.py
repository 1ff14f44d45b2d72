"""Walks over operands, and the indices of broadcast operands: pure planning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tflite_cupy.delegates.gpu.tail import broadcast_terms
from tflite_cupy.delegates.gpu.walk import Walk, blocked, dense


def walked(array: np.ndarray, walk: Walk) -> np.ndarray:
    """The elements of a walk, in order."""
    at = np.full((), walk.start)
    for size, stride in walk.dims:
        at = at[..., None] + np.arange(size) * stride
    elements: np.ndarray = array.reshape(-1)[at.reshape(-1)]
    return elements


def test_merging_keeps_the_elements_and_finds_those_that_lie_side_by_side() -> None:
    x = np.arange(24).reshape(2, 3, 4)
    whole = Walk(dense(x.shape))
    assert whole.merged.dims == [(24, 1)]
    assert whole.is_contiguous
    part = Walk([(2, 12), (2, 4), (4, 1)], start=4)
    assert part.merged.dims == [(2, 12), (8, 1)]
    assert not part.is_contiguous
    np.testing.assert_array_equal(walked(x, part), x[:, 1:].ravel())
    np.testing.assert_array_equal(walked(x, part.merged), x[:, 1:].ravel())
    backwards = Walk([(2, -12), (3, -4), (4, -1)], start=23)
    assert backwards.merged.dims == [(24, -1)]
    assert Walk([(1, 12), (1, 0)], start=7).is_contiguous


def test_blocks_to_batches_and_back() -> None:
    x = np.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    batches = walked(x, blocked(x.shape, (2, 3), to_batch=True)).reshape(12, 2, 2, 3)
    np.testing.assert_array_equal(batches[0], x[0, ::2, ::3])
    np.testing.assert_array_equal(batches[3], x[1, ::2, 1::3])
    np.testing.assert_array_equal(walked(batches, blocked(batches.shape, (2, 3), to_batch=False)).reshape(x.shape), x)


@pytest.mark.parametrize(
    ("shape", "whole", "terms"),
    [
        ((2, 3, 4), (2, 3, 4), 1),
        ((4,), (2, 3, 4), 1),
        ((3, 1), (2, 3, 4), 1),
        ((2, 1, 4), (2, 3, 4), 2),
        ((1, 1), (2, 3, 4), 0),
        ((2, 1, 3, 1, 5), (2, 4, 3, 2, 5), 3),
    ],
)
def test_the_index_of_a_broadcast_operand(shape: Sequence[int], whole: Sequence[int], terms: int) -> None:
    found = broadcast_terms(shape, whole)
    assert len(found) == terms
    index = np.arange(np.prod(whole))
    at = sum((index // t.divisor % t.size * t.stride for t in found), np.zeros_like(index))
    x = np.arange(np.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(x.reshape(-1)[at], np.broadcast_to(x, whole).ravel())

"""Walks over walks, against NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tflite_cupy.delegates.gpu.kernels.stacks import merge_batch
from tflite_cupy.delegates.gpu.kernels.strided import composed, inverse, shaped
from tflite_cupy.delegates.gpu.walk import Walk, dense


def taken(walk: Walk, x: np.ndarray) -> np.ndarray:
    """The elements that a walk visits."""
    places = np.full((), walk.start)
    for size, stride in walk.dims:
        places = places[..., None] + np.arange(size) * stride
    result: np.ndarray = x.reshape(-1)[places]
    return result


def transposed(shape: Sequence[int], order: Sequence[int]) -> Walk:
    dims = dense(shape)
    return Walk([dims[axis] for axis in order])


def test_random_moves_one_after_another() -> None:
    rng, kept = np.random.default_rng(0), 0
    for _ in range(300):
        shape = tuple(rng.integers(1, 5, rng.integers(1, 5)).tolist())
        x = np.arange(np.prod(shape)).reshape(shape)
        y, walk = x, Walk(dense(shape))
        for _ in range(3):
            order = rng.permutation(y.ndim).tolist()
            begin = [int(rng.integers(0, n)) for n in y.shape]
            cut = Walk([(n - b, s) for b, (n, s) in zip(begin, dense(y.shape), strict=True)],
                       sum(b * s for b, (_, s) in zip(begin, dense(y.shape), strict=True)))  # fmt: skip
            move = transposed(y.shape, order) if rng.random() < 0.5 else cut
            moved = y.transpose(order) if move is not cut else y[tuple(slice(b, None) for b in begin)]
            after = composed(move, walk)
            if after is None:
                break
            y, walk, kept = moved, after, kept + 1
            np.testing.assert_array_equal(taken(walk, x), y)
    assert kept > 800


def test_a_reshape_needs_dimensions_with_one_stride() -> None:
    x, moved = np.arange(24).reshape(2, 3, 4), transposed((2, 3, 4), (1, 0, 2))
    walk = shaped(moved, (3, 8))
    assert walk is None
    whole = shaped(moved, (3, 2, 2, 2))
    assert whole is not None
    np.testing.assert_array_equal(taken(whole, x), x.transpose(1, 0, 2).reshape(3, 2, 2, 2))


@pytest.mark.parametrize("order", [(0, 2, 1, 3), (3, 1, 0, 2), (0, 1, 2, 3)])
def test_an_inverse_leads_back(order: tuple[int, ...]) -> None:
    x = np.arange(120).reshape(2, 3, 4, 5)
    back = inverse(transposed(x.shape, order))
    assert back is not None
    np.testing.assert_array_equal(taken(back, x.transpose(order)).reshape(-1), np.arange(120))
    assert inverse(Walk([(2, 1)], start=1)) is None


def test_batches_merge_where_all_operands_step_evenly() -> None:
    assert merge_batch((2, 3, 4), ([12, 4, 1], [24, 8, 2])) == ((1, 24), [(0, 1), (0, 2)])
    assert merge_batch((2, 3, 4), ([12, 4, 1], [0, 4, 1])) == ((2, 12), [(12, 1), (0, 1)])
    assert merge_batch((2, 3, 4), ([12, 4, 1], [4, 0, 1])) is None

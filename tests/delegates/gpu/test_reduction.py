"""Reductions on the emulated GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.build import GraphBuilder
from tests.delegates.gpu.checks import check, noise
from tflite_cupy.delegates.gpu.kernels.reduction import Stage, reduced_runs, stages_of
from tflite_cupy.interpreter.graph import Graph, TensorType


def _graph(
    name: str, shape: tuple[int, ...], axes: tuple[int, ...], dtype: Any = np.float32, *, keep: bool = False
) -> Graph:
    b = GraphBuilder()
    x = b.input(TensorType.of(np.dtype(dtype)), shape)
    return b.graph([b.add(name, [x, b.constant(axes, np.int32)], (None,) * _rank(shape, axes, keep), keep_dims=keep)])


def _rank(shape: tuple[int, ...], axes: tuple[int, ...], keep: bool) -> int:
    return len(shape) if keep else len(shape) - len({axis % len(shape) for axis in axes})


@pytest.mark.parametrize(
    ("shape", "axes", "launches"),
    [
        ((5, 70), (-1,), 1),
        ((2, 7, 7, 40), (1, 2), 1),
        ((1, 200, 100, 3), (1, 2), 2),
        ((3, 4, 5, 6), (0, 2), 2),
        ((2, 3, 4, 5, 3), (1, 3), 2),
        ((3, 2000), (0, 1), 1),
        ((70000,), (0,), 2),
        ((1, 3, 5), (0, 2), 1),
        ((4, 6), (), 1),
    ],
)
def test_mean_over_any_axes(shape: tuple[int, ...], axes: tuple[int, ...], launches: int) -> None:
    check(_graph("MEAN", shape, axes, keep=True), [noise(*shape)], launches=launches)


@pytest.mark.parametrize("name", ["SUM", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.int64, np.bool_])
def test_types(name: str, dtype: Any) -> None:
    check(_graph(name, (4, 9, 3), (1,), dtype), [noise(4, 9, 3, dtype=dtype)], launches=1, apart=False)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int32, np.uint8])
def test_mean_of_other_types(dtype: Any) -> None:
    check(_graph("MEAN", (6, 33), (1,), dtype), [noise(6, 33, dtype=dtype)], launches=1, apart=False)


@pytest.mark.parametrize("name", ["REDUCE_ANY", "REDUCE_ALL"])
def test_truths(name: str) -> None:
    x = noise(3, 50, dtype=np.bool_)
    x[0], x[1] = False, True
    check(_graph(name, (3, 50), (1,), np.bool_), [x], launches=1)


@pytest.mark.parametrize("name", ["REDUCE_MAX", "REDUCE_MIN", "SUM"])
def test_nan_and_infinity(name: str) -> None:
    x = noise(4, 40)
    x[0, 7], x[1, 3], x[2] = np.nan, -np.inf, np.inf
    check(_graph(name, (4, 40), (1,)), [x], launches=1)
    check(_graph(name, (4, 40), (0,)), [x], launches=1)


def test_runs_of_reduced_dimensions() -> None:
    assert list(reduced_runs((2, 3, 4, 5), {1, 2})) == [(2, 12, 5)]
    assert list(reduced_runs((2, 3, 4, 5), {0, 2})) == [(6, 4, 5), (1, 2, 15)]
    assert list(reduced_runs((2, 1, 4), {1})) == [(8, 1, 1)]
    assert list(reduced_runs((2, 1, 4), {0, 2})) == [(1, 8, 1)]


def test_long_columns_are_split() -> None:
    assert stages_of(1, 49, 1280) == (Stage(1, 49, 1280),)
    assert stages_of(1, 4096, 16) == (Stage(1, 4096, 16),)
    assert stages_of(1, 12544, 32) == (Stage(1, 12544, 32, 98), Stage(1, 98, 32))
    assert stages_of(4096, 12544, 1) == (Stage(4096, 12544, 1),)


def test_tail() -> None:
    b = GraphBuilder()
    x, y = b.input(TensorType.FLOAT32, [3, 20]), b.input(TensorType.FLOAT32, [3, 1])
    mean = b.add("MEAN", [x, b.constant([1], np.int32)], [3, 1], keep_dims=True)
    check(b.graph([b.add("MUL", [mean, y])]), [noise(3, 20), noise(3, 1, seed=1)], launches=1)

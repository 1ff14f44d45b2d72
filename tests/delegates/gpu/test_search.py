"""Positions of extremes, and the greatest elements, on the emulated GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.build import F32, I32, GraphBuilder
from tests.delegates.gpu.checks import check, noise
from tflite_cupy.interpreter.graph import Graph, TensorType


def _arg(name: str, shape: tuple[int, ...], axis: int, dtype: Any = np.float32, output: TensorType = I32) -> Graph:
    b = GraphBuilder()
    x, out = b.input(TensorType.of(np.dtype(dtype)), shape), b.tensor(output, (None,) * (len(shape) - 1))
    return b.graph(b.op(name, [x, b.constant(axis, np.int32)], [out], output_type=output))


@pytest.mark.parametrize("name", ["ARG_MAX", "ARG_MIN"])
@pytest.mark.parametrize(("shape", "axis"), [((9, 70), -1), ((3, 8, 5), 1)])
def test_extremes(name: str, shape: tuple[int, ...], axis: int) -> None:
    check(_arg(name, shape, axis), [np.round(2 * noise(*shape))], launches=1)


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.int64, np.bool_])
def test_types(dtype: Any) -> None:
    check(_arg("ARG_MAX", (6, 40), 1, dtype, TensorType.INT64), [noise(6, 40, dtype=dtype)], launches=1, apart=False)


def test_nan_never_wins() -> None:
    x = noise(4, 40)
    x[0, 7], x[1], x[2, ::2], x[3, 5] = np.nan, np.nan, -np.inf, np.inf
    for name in ("ARG_MAX", "ARG_MIN"):
        check(_arg(name, (4, 40), 1), [x], launches=1)


def _topk(shape: tuple[int, ...], k: int, dtype: Any = np.float32) -> Graph:
    b = GraphBuilder()
    kind = TensorType.of(np.dtype(dtype))
    outs = [b.tensor(kind, (None,) * len(shape)), b.tensor(I32, (None,) * len(shape))]
    return b.graph(b.op("TOPK_V2", [b.input(kind, shape), b.constant(k, np.int32)], outs))


@pytest.mark.parametrize(("shape", "k"), [((3, 7), 7), ((2, 3, 50), 4), ((2, 1), 1), ((1, 1500), 20)])
def test_greatest_elements(shape: tuple[int, ...], k: int) -> None:
    check(_topk(shape, k), [np.round(4 * noise(*shape))], launches=1, rtol=0, atol=0)


def test_greatest_of_nan_and_infinity() -> None:
    x = noise(2, 40)
    x[0, ::9], x[0, 3], x[1, 5:9] = np.nan, np.inf, -np.inf
    check(_topk((2, 40), 40), [x], launches=1)


def test_greatest_integers() -> None:
    check(_topk((4, 33), 5, np.int8), [noise(4, 33, dtype=np.int8)], launches=1)


def test_long_rows_are_array_code() -> None:
    assert check(_topk((1, 3000), 3), [noise(1, 3000)], array_steps=1).launches == 0


def test_tail() -> None:
    b = GraphBuilder()
    found = b.tensor(I32, (3,))
    b.op("ARG_MAX", [b.input(F32, [3, 10]), b.constant(1, np.int32)], [found], output_type=I32)
    check(b.graph([b.add("ADD", [found, b.constant([1, 2, 3], np.int32)])]), [noise(3, 10)], launches=1)

"""CUMSUM on the emulated GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.build import GraphBuilder
from tests.delegates.gpu.checks import check, noise
from tflite_cupy.delegates.gpu.kernels import scan
from tflite_cupy.interpreter.graph import Graph, TensorType


def _graph(shape: tuple[int, ...], axis: int, dtype: Any = np.float32, **options: bool) -> Graph:
    b = GraphBuilder()
    return b.graph(
        [b.add("CUMSUM", [b.input(TensorType.of(np.dtype(dtype)), shape), b.constant(axis, np.int32)], **options)]
    )


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("shape", "axis"), [((3, 70), 1), ((2, 9, 5), -2), ((1, 700), 1)])
def test_lines(shape: tuple[int, ...], axis: int, exclusive: bool, reverse: bool) -> None:
    check(_graph(shape, axis, exclusive=exclusive, reverse=reverse), [noise(*shape)], launches=1, apart=False)


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_thread_to_a_line(exclusive: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MANY", 1)
    check(_graph((2, 9, 40), 1, exclusive=exclusive, reverse=True), [noise(2, 9, 40)], launches=1)


@pytest.mark.parametrize("dtype", [np.int8, np.int64])
def test_integers_wrap_around(dtype: Any) -> None:
    check(_graph((3, 50), 1, dtype), [noise(3, 50, dtype=dtype)], launches=1)


def test_tail() -> None:
    b = GraphBuilder()
    sums = b.add("CUMSUM", [b.input(TensorType.FLOAT32, [3, 10]), b.constant(1, np.int32)])
    check(b.graph([b.add("MUL", [sums, sums])]), [noise(3, 10)], launches=1)

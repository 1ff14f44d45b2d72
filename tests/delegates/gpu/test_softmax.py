"""SOFTMAX and LOG_SOFTMAX on the emulated GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.build import GraphBuilder
from tests.delegates.gpu.checks import check, noise
from tflite_cupy.delegates.gpu.kernels import softmax
from tflite_cupy.interpreter.graph import Graph, TensorType


def _graph(name: str, shape: tuple[int, ...], dtype: Any = np.float32, **options: Any) -> Graph:
    b = GraphBuilder()
    return b.graph([b.add(name, [b.input(TensorType.of(np.dtype(dtype)), shape)], **options)])


@pytest.mark.parametrize("name", ["SOFTMAX", "LOG_SOFTMAX"])
@pytest.mark.parametrize("shape", [(3, 4, 10), (9, 200), (2, 1001), (1, 5000)])
def test_rows(name: str, shape: tuple[int, ...]) -> None:
    options = {"beta": 1.0} if name == "SOFTMAX" else {}
    check(_graph(name, shape, **options), [8 * noise(*shape)], launches=1, apart=False)


def test_a_warp_to_each_of_many_long_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softmax, "MANY_ROWS", 1)
    check(_graph("SOFTMAX", (9, 500), beta=1.0), [noise(9, 500)], launches=1, apart=False)


def test_beta() -> None:
    check(_graph("SOFTMAX", (5, 33), beta=0.3), [noise(5, 33)], launches=1)


@pytest.mark.parametrize("name", ["SOFTMAX", "LOG_SOFTMAX"])
def test_float16(name: str) -> None:
    options = {"beta": 1.0} if name == "SOFTMAX" else {}
    check(_graph(name, (5, 33), np.float16, **options), [noise(5, 33, dtype=np.float16)], launches=1)


def test_nan_and_infinity() -> None:
    x = noise(5, 40)
    x[0, 7], x[1, 3], x[2, 5], x[3] = np.nan, -np.inf, np.inf, -np.inf
    check(_graph("SOFTMAX", (5, 40), beta=1.0), [x], launches=1)


def test_tail() -> None:
    b = GraphBuilder()
    soft = b.add("SOFTMAX", [b.input(TensorType.FLOAT32, [4, 30])], beta=1.0)
    check(b.graph([b.add("MUL", [soft, b.constant(noise(30))])]), [noise(4, 30)], launches=1)

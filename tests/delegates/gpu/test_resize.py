"""Resizing of images on the emulated GPU: the same bits as on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.build import F32, GraphBuilder
from tests.delegates.gpu.checks import check, noise
from tflite_cupy.interpreter.graph import Graph, TensorType

FLAGS = [{}, {"align_corners": True}, {"half_pixel_centers": True}]


def _graph(name: str, shape: tuple[int, ...], size: tuple[int, int], dtype: Any = np.float32, **flags: bool) -> Graph:
    b = GraphBuilder()
    inputs = [b.input(TensorType.of(np.dtype(dtype)), shape), b.constant(size, np.int32)]
    return b.graph([b.add(name, inputs, (None,) * 4, **flags)])


@pytest.mark.parametrize("flags", [*FLAGS, {"align_corners": True, "half_pixel_centers": True}])
@pytest.mark.parametrize("size", [(9, 14), (3, 2), (1, 1)])
def test_nearest(size: tuple[int, int], flags: dict[str, bool]) -> None:
    graph = _graph("RESIZE_NEAREST_NEIGHBOR", (2, 5, 7, 4), size, **flags)
    check(graph, [noise(2, 5, 7, 4)], launches=1, rtol=0, atol=0, apart=False)


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("size", [(9, 14), (3, 2), (1, 1)])
def test_bilinear(size: tuple[int, int], flags: dict[str, bool]) -> None:
    for channels in (4, 3):
        graph = _graph("RESIZE_BILINEAR", (2, 5, 7, channels), size, **flags)
        check(graph, [noise(2, 5, 7, channels)], launches=1, rtol=0, atol=0, apart=False)


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
def test_bilinear_integers(dtype: Any, flags: dict[str, bool]) -> None:
    for size in ((9, 14), (3, 2)):
        graph = _graph("RESIZE_BILINEAR", (1, 5, 7, 4), size, dtype, **flags)
        check(graph, [noise(1, 5, 7, 4, dtype=dtype)], launches=1, apart=False)


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.int32, np.bool_])
def test_nearest_of_other_types(dtype: Any) -> None:
    check(_graph("RESIZE_NEAREST_NEIGHBOR", (1, 3, 4, 3), (5, 6), dtype), [noise(1, 3, 4, 3, dtype=dtype)], launches=1)


def test_tail() -> None:
    b = GraphBuilder()
    x = b.input(F32, [1, 3, 4, 8])
    resized = b.add("RESIZE_BILINEAR", [x, b.constant([6, 8], np.int32)], [1, 6, 8, 8], half_pixel_centers=True)
    check(b.graph([b.add("MUL", [resized, b.constant(noise(8))])]), [noise(1, 3, 4, 8)], launches=1)

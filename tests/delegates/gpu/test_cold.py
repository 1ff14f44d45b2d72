"""What a network takes before its first call: the reckoning, and that machine code is built and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gpu_cost
import pytest
from gpu_stages import cold

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model
from tflite_cupy.delegates.gpu import binaries
from tflite_cupy.delegates.gpu.cupy_device import by_length
from tflite_cupy.delegates.gpu.kernel import Kernel
from tflite_cupy.delegates.gpu.listing import Listing


def plan() -> list[Listing]:
    b = GraphBuilder()
    x = b.input(F32, [4, 8])
    content = lite.write_model(model(b.graph([b.add("SOFTMAX", [b.add("TANH", [x])], beta=1.0)])))
    return [listing for listing, _ in gpu_cost.listings_of(content, 90, "strict")]


@pytest.mark.parametrize(("threads", "seconds"), [(1, 9.0), (2, 5.0), (3, 4.0), (8, 4.0)])
def test_threads_take_the_next_text(threads: int, seconds: float) -> None:
    assert cold.side_by_side([4.0, 2.0, 2.0, 1.0], threads) == seconds


def test_the_longest_text_comes_first() -> None:
    short, long = Kernel("f", "f"), Kernel("g", "gg")
    assert by_length([short, long, short]) == [long, short]


def test_kernels_are_built_once_and_then_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if cold.nvrtc() is None:
        pytest.skip("no NVRTC")
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path))
    built: list[str] = []
    build = binaries._built

    def counted(nvrtc: Any, kernel: Kernel, options: tuple[str, ...]) -> bytes:
        built.append(kernel.entry)
        return build(nvrtc, kernel, options)

    monkeypatch.setattr(binaries, "_built", counted)
    found = cold.measured(plan, 90)
    assert found["texts"] == 2
    assert sorted(built) == ["elementwise", "softmax"]
    assert not list(tmp_path.iterdir())  # what the user keeps is not touched


def test_goals() -> None:
    row = {"model": "m", "precision": "tf32", "texts": 3, "planning_s": 0.1, "one_core_s": 9.0, "longest_s": 0.5}
    said = list(cold.lines([row | {"eight_cores_s": 2.0, "kept_s": 0.3}]))
    assert said[-1].endswith("met, missed")
    assert said[-1].split()[:4] == ["m", "tf32", "0.10", "3"]

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import models
from tflite_cupy.benchmark.loading import Loading, in_turn, loaded, loading, middle
from tflite_cupy.benchmark.machine import has_memory
from tflite_cupy.interpreter.errors import KernelError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "scorer.tflite"
    target.write_bytes(models.scorer(None))
    return target


def test_in_a_process_of_its_own(path: Path) -> None:
    found = loading("numpy", path, [("score", {"x": np.ones((2, 3), np.float32)})], threads=1)
    assert (found.name, found.title[-7:]) == ("numpy", "(NumPy)")
    assert found.load_seconds > 0
    assert found.ready_seconds == found.load_seconds + found.first_call_seconds > found.load_seconds
    assert (found.peak_bytes is not None) == has_memory()


def test_strings_reach_that_process(tmp_path: Path) -> None:
    path = tmp_path / "strings.tflite"
    path.write_bytes(models.passthrough())
    found = loading("numpy", path, [("strings", {"s": np.array([b"a\0", b"b"], object)})])
    assert found.first_call_seconds > 0


def test_its_failure_is_told(path: Path) -> None:
    with pytest.raises(KernelError, match=r"numpy failed in a process of its own: .*got inputs y"):
        loading("numpy", path, [("score", {"y": np.ones(1, np.float32)})])


def test_the_same_in_this_process(path: Path) -> None:
    inputs = {"x": np.ones((2, 3), np.float32)}
    found = loaded("numpy", str(path), [("score", inputs)], 1, {})
    assert found.to_json().keys() == {
        *("name", "title", "load_seconds", "first_call_seconds", "peak_bytes", "held_bytes")
    }  # fmt: skip


def test_the_middle_of_several() -> None:
    several = [Loading("numpy", "NumPy", load, 2.0, peak, None) for load, peak in ((1.0, 10), (5.0, 30), (2.0, 20))]
    assert middle(several) == Loading("numpy", "NumPy", 2.0, 2.0, 20, None)


def test_runtimes_take_turns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def one(name: str, *_: object, **__: object) -> Loading:
        asked.append(name)
        return Loading(name, name, float(len(asked)), 1.0, None, None)

    monkeypatch.setattr("tflite_cupy.benchmark.loading.loading", one)
    found = in_turn(["a", "b"], path, [], rounds=3)
    assert asked == ["a", "b"] * 3
    assert [(load.name, load.load_seconds) for load in found] == [("a", 3.0), ("b", 4.0)]

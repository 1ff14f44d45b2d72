from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import crashing, models
from tests.build import F32, GraphBuilder, model
from tests.emulator.device import EmulatedGpuDelegate
from tflite_cupy import load_model
from tflite_cupy.benchmark import Benchmark, Effort, benchmark
from tflite_cupy.benchmark.measure import batched, weight_bytes
from tflite_cupy.interpreter.errors import InputError
from tflite_cupy.interpreter.graph import Signature
from tflite_cupy.runtimes import open_runtime

X: Any = np.ones((1, 3), np.float32)
BRIEF = Effort(runs=6, seconds=0, warmup_runs=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "scorer.tflite"
    target.write_bytes(models.scorer(None))
    return target


def brief(path: Path, **options: Any) -> Benchmark:
    return benchmark(path, {"x": X}, effort=BRIEF, threads=1, with_loading=False, **options)


def test_one_runtime_alone(path: Path) -> None:
    found = brief(path, runtime="numpy")
    (row,) = found.rows
    (timing,) = row.timings
    assert (timing.name, timing.on_device, timing.warm_up.runs, timing.seconds.count) == ("numpy", False, 1, 6)
    assert timing.per_second == 1 / timing.seconds.median
    assert row.inputs == {"x": ("float32", (1, 3))}
    assert (row.batch, row.comparisons, found.loading) == (None, (), ())
    assert (found.signature, found.threads, found.agrees) == ("score", 1, True)
    assert (found.file_bytes, found.weight_bytes) == (path.stat().st_size, 4 * (12 + 4))


@pytest.mark.reference
def test_batches_against_others(path: Path) -> None:
    found = brief(path, runtime="numpy", against=["litert"], batches=[1, 8], percentiles=[50, 95])
    assert [row.batch for row in found.rows] == [1, 8]
    for row in found.rows:
        ours, theirs = row.timings
        assert row.inputs["x"][1] == (row.batch, 3)
        assert ours.seconds.percentiles.keys() == {50, 95}
        assert theirs.per_second == pytest.approx((row.batch or 0) / theirs.seconds.median)
        (comparison,) = row.comparisons
        assert comparison.name == "litert"
        assert comparison.ratios.count == 3
        assert comparison.agreement.agrees


def test_wrong_results_are_flagged(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(name: str, *arguments: Any, **options: Any) -> Any:
        runtime = open_runtime("numpy", *arguments, **options)
        if name == "cpu":
            call = runtime.call
            monkeypatch.setattr(runtime, "call", lambda *a: {n: v + 1 for n, v in call(*a).items()})
        return runtime

    monkeypatch.setattr("tflite_cupy.benchmark.measure.open_runtime", spoilt)
    found = brief(path, runtime="numpy", against=["cpu"])
    assert not found.agrees
    assert "WRONG RESULTS on one side: output scores differs by" in found.markdown()
    assert not found.to_json()["agrees"]


@pytest.mark.parametrize("at_load", [True, False])
def test_what_crashes_is_told_and_left_out(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_load: bool
) -> None:
    crashing.install(tmp_path, monkeypatch, at_load=at_load)
    deadly: Any = np.float32([[-1000, 0, 0]])
    found = benchmark(
        path,
        {"x": deadly},
        runtime="numpy",
        against=["litert", "cpu"],
        effort=BRIEF,
        batches=[1, 2],
        with_loading=False,
    )
    assert [timing.name for timing in found.rows[1].timings] == ["numpy", "cpu"]
    (failure,) = found.failures
    assert failure.endswith("while it loaded the model" if at_load else "in this call")
    assert "was ended by signal 11 (SIGSEGV)" in failure
    assert "Not compared: L" in found.text().replace("litert", "LiteRT")
    assert found.to_json()["failures"] == [failure]


def test_loading_of_each(path: Path) -> None:
    found = benchmark(path, {"x": X}, runtime="numpy", effort=BRIEF, batches=[2])
    assert [one.name for one in found.loading] == ["numpy"]
    assert "first call ms" in found.text()


def test_on_a_device(path: Path) -> None:
    found = brief(path, runtime="cpu", options={"delegates": [EmulatedGpuDelegate()]})
    assert [timing.on_device for timing in found.rows[0].timings] == [False, True]
    assert found.arena_bytes is not None
    assert ", on device " in found.text()


def test_json_is_plain(path: Path) -> None:
    effort = Effort(runs=2, seconds=0, limit=float("inf"), warmup_runs=1)
    found = benchmark(path, {"x": X}, runtime="numpy", effort=effort, with_loading=False)
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert data["schema_version"] == 1
    assert data["settings"]["limit"] is None
    assert data["rows"][0]["inputs"] == {"x": {"dtype": "float32", "shape": [1, 3]}}
    assert data["rows"][0]["runtimes"][0]["seconds"]["count"] == 2
    assert data["memory"]["weight_bytes"] == 64


def test_batches_fill_open_dimensions_first() -> None:
    b = GraphBuilder()
    x, w = b.input(F32, [None, 2], "x"), b.input(F32, [3], "w")
    whole, signature = model(b.graph([x])), Signature("s", {"x": x, "w": w}, {"y": x}, 0)
    values: dict[str, Any] = {"x": np.float32([[1, 2], [3, 4]]), "w": np.float32([5, 6, 7])}
    found = batched(whole, signature, values, 3)
    assert found["x"].tolist() == [[1, 2], [3, 4], [1, 2]]
    assert found["w"] is values["w"]
    assert len(batched(whole, signature, values, 1)["x"]) == 1


def test_batches_of_fixed_dimensions() -> None:
    b = GraphBuilder()
    x, y, n = b.input(F32, [2, 2], "x"), b.input(F32, [2], "y"), b.input(F32, [], "n")
    whole, signature = model(b.graph([x])), Signature("s", {"x": x, "y": y, "n": n}, {"z": x}, 0)
    values: dict[str, Any] = {"x": np.ones((2, 2)), "y": np.ones(2), "n": np.ones(())}
    found = batched(whole, signature, values, 4)
    assert {name: value.shape for name, value in found.items()} == {"x": (4, 2), "y": (4,), "n": ()}
    with pytest.raises(InputError, match=r"no leading dimension is the batch's in x \[2, 2\], y \[3\]"):
        batched(whole, signature, values | {"y": np.ones(3)}, 4)
    with pytest.raises(InputError, match=r"without elements"):
        batched(whole, signature, {"x": np.ones((0, 2)), "y": np.ones(0), "n": np.ones(())}, 4)


def test_weights_that_are_shared_count_once(path: Path) -> None:
    assert weight_bytes(load_model(path)) == 64

"""`tflite-cupy benchmark`: what it takes, what it prints, how it ends."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests import crashing, models
from tests.shell import Run
from tflite_cupy.benchmark import Effort
from tflite_cupy.cli import parser
from tflite_cupy.commands.benchmark import effort

BRIEF = ("--device", "cpu", "--runs", 3, "--warmup", 1, "--no-loading")


@pytest.fixture
def scorer(tmp_path: Path) -> Path:
    path = tmp_path / "scorer.tflite"
    path.write_bytes(models.scorer(None))
    return path


def found(stdout: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(stdout)
    assert (result["schema_version"], result["command"]) == (1, "benchmark")
    return result


def test_tables_for_people(run: Run, scorer: Path) -> None:
    code, out, err = run("benchmark", scorer, *BRIEF, "--num-threads", 1, "--batch", "1,4")
    assert code == 0
    assert f"{scorer}\nsignature score\n" in out
    assert "batch 4: x float32 [4, 3]" in out
    assert out.count("3 runs each") == 2
    assert err == "x: made-up data, float32 [1, 3], seed 0\n"
    code, out, _ = run("benchmark", scorer, *BRIEF, "--markdown", "--percentiles", "50,99.9")
    assert (code, "| p50 | p99.9 | mean |" in out) == (0, True)


def test_json(run: Run, scorer: Path) -> None:
    code, out, _ = run("benchmark", scorer, *BRIEF, "--input", "x=[[1, 2, 3]]", "--against", "numpy,cpu", "--json")
    assert code == 0
    (row,) = found(out)["benchmark"]["rows"]
    assert [timing["runtime"] for timing in row["runtimes"]] == ["cpu", "numpy"]
    assert [comparison["outputs"]["agrees"] for comparison in row["comparisons"]] == [True]


def test_a_profile(run: Run, scorer: Path) -> None:
    code, out, _ = run("benchmark", scorer, *BRIEF, "--profile", "--json")
    assert code == 0
    assert [row["operator"] for row in found(out)["profile"]["operators"]] == ["FULLY_CONNECTED"]
    code, out, _ = run("benchmark", scorer, *BRIEF, "--enable_op_profiling=true")
    assert "FULLY_CONNECTED" in out


@pytest.mark.parametrize("way", ["=", " "])
def test_options_of_benchmark_model(run: Run, scorer: Path, way: str) -> None:
    asked = {
        "graph": scorer, "num_runs": 4, "warmup_runs": 2, "num_threads": 1, "signature_to_run_for": "score",
        "min_secs": 0, "max_secs": 5, "warmup_min_secs": 0, "use_gpu": "false", "input_layer": "x",
        "input_layer_shape": "5,3", "enable_op_profiling": "true", "report_peak_memory_footprint": "true",
    }  # fmt: skip
    words = [word for name, value in asked.items() for word in f"--{name}{way}{value}".split(" ")]
    code, out, _ = run("benchmark", *words, "--no-loading", "--json")
    assert code == 0
    result = found(out)
    assert result["benchmark"]["threads"] == 1
    (row,) = result["benchmark"]["rows"]
    assert row["inputs"]["x"]["shape"] == [5, 3]
    (timing,) = row["runtimes"]
    assert (timing["runtime"], timing["seconds"]["count"], timing["warm_up"]["runs"]) == ("cpu", 4, 2)
    assert "profile" in result


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], Effort()),
        (["--runs", "9"], Effort(9, 0.0, math.inf)),
        (["--runs", "9", "--max_secs=3"], Effort(9, 0.0, 3.0)),
        (["--seconds", "3"], Effort(1, 3.0, 3.0)),
        (["--runs", "9", "--seconds", "3"], Effort(9, 3.0, 3.0)),
        (["--min_secs", "2", "--num_runs", "5"], Effort(5, 2.0, math.inf)),
        (["--warmup", "2", "--warmup_min_secs", "0.5"], Effort(warmup_runs=2, warmup_seconds=0.5)),
    ],
)
def test_how_long_to_measure(words: list[str], expected: Effort) -> None:
    assert effort(parser().parse_args(["benchmark", "m.tflite", *words])) == expected


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--against", "lite"], "no runtime is named 'lite'. Did you mean 'litert'?"),
        (["--batch", "0"], "expected a whole number above 0, got '0'"),
        (["--percentiles", "101"], "expected a number from 0 to 100"),
        (["--seconds", "nan"], "expected a number of 0 or more"),
        (["--use_gpu=perhaps"], "expected true or false"),
        (["--input_layer=x", "--input_layer_shape=1,3:2"], "--input_layer and --input_layer_shape do not fit"),
        (["--input_layer=y", "--input_layer_shape=1,3"], "no input is named 'y'"),
        (["--signature", "scores"], "Did you mean 'score'?"),
    ],
)
def test_wrong_usage(run: Run, scorer: Path, words: list[str], says: str) -> None:
    code, out, err = run("benchmark", scorer, *words)
    assert (code, out, says in err) == (2, "", True)


def test_gates(run: Run, scorer: Path) -> None:
    code, out, err = run("benchmark", scorer, *BRIEF, "--fail-on", "cpu")
    assert code == 1
    assert "runs each" in out
    assert "failed: cpu runs 1 of the nodes of signature 'score'" in err


def test_wrong_results_fail(run: Run, scorer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tflite_cupy.benchmark.agreement.difference", lambda *_: 0.5)
    code, out, err = run("benchmark", scorer, *BRIEF, "--against", "numpy")
    assert (code, "WRONG" in out, "failed: outputs differ" in err) == (1, True, True)
    code, _, _ = run("benchmark", scorer, *BRIEF, "--against", "numpy", "--tolerance", "0.6")
    assert code == 0


def test_what_is_not_installed(run: Run, scorer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ai_edge_litert", None)
    code, _, err = run("benchmark", scorer, *BRIEF, "--against", "litert")
    assert (code, "pip install ai-edge-litert" in err) == (3, True)


def test_a_runtime_that_crashes_leaves_the_other_times(
    run: Run, scorer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashing.install(tmp_path, monkeypatch, at_load=True)
    code, out, err = run("benchmark", scorer, *BRIEF, "--against", "litert")
    assert code == 1
    assert "3 runs each" in out
    assert "failed: litert was ended by signal 11 (SIGSEGV) while it loaded the model" in err

"""`ci/bench`: what it measures, and what README then says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bench_cpu
import bench_scaling
import measured_cpu
import measured_scaling
import pytest

OURS, XNNPACK = measured_cpu.OURS, measured_cpu.XNNPACK
MACHINE = {"processor": "P", "processors": 2, "python": "3", "numpy": "2", "onednn": "1", "litert": "2", "load": 0.1}
NAMES = (measured_cpu.OURS, measured_cpu.NUMPY, measured_cpu.BUILTIN, measured_cpu.XNNPACK)


def spread(median: float) -> dict[str, float]:
    return {"median": median, "p10": median - 0.1, "p90": median + 0.1}


def load(milliseconds: float, megabytes: float) -> dict[str, float]:
    return {"load_ms": 1.0, "ready_ms": milliseconds, "peak_mb": megabytes, "held_mb": megabytes / 2}


def row(network: str, precision: str, batch: int, ratio: float, loading: dict[str, Any] | None = None) -> Any:
    return {
        "network": network, "precision": precision, "batch": batch, "threads": 1, "loading": loading or {},
        "milliseconds": {name: spread(2.0) for name in NAMES}, "ratios": {XNNPACK: spread(ratio)},
    }  # fmt: skip


def numbers(rows: list[Any], **more: Any) -> dict[str, Any]:
    return {"machine": MACHINE, "calls_us": {name: spread(8.0) for name in NAMES}, "results": rows, **more}


def test_a_line_for_each_network_and_precision() -> None:
    rows = [row("A", "float32", 1, 1.0), row("A", "float32", 16, 0.25), row("A", "int8", 1, 4.0)]
    lines = measured_cpu.section(numbers(rows)).splitlines()
    assert lines[2] == "| A | float32 | 2 | 2 | 2 | 2 | 1.00 (0.90 to 1.10) | 0.25 (0.15 to 0.35) |"
    assert lines[3] == "| A | int8 | 2 | 2 | 2 | 2 | 4.00 (3.90 to 4.10) |  |"
    assert lines[4] == "| geometric mean | float32 |  |  |  |  | **1.00** | **0.25** |"
    assert (
        "Over all batch sizes the geometric means are 0.50 float32 on one thread, 4.00 int8 on one thread." in lines[-2]
    )
    assert "Goals" not in "\n".join(lines)


def test_loading_beside_litert() -> None:
    found = {OURS: load(100.0, 30.0), XNNPACK: load(25.0, 20.0)}
    rows = [row("B", "int8", 1, 1.0, found), row("A", "float32", 1, 1.0, found), row("A", "float32", 1, 1.0, found)]
    text = measured_cpu.loading(numbers(rows))
    assert "| A | float32 | 100 | 25 | 30 | 20 | 15 | 10 |\n| B | int8 | 100 | 25 | 30 | 20 | 15 | 10 |\n\n" in text
    assert "means: 4.0 times as long as LiteRT with XNNPACK, 1.50 times as much memory at the peak." in text


def test_goals_are_for_geometric_means_and_rows_beyond_them_are_named() -> None:
    found = {OURS: load(10.0, 30.0), XNNPACK: load(25.0, 20.0)}
    rows = [row("A", "float32", 1, 1.2, found), row("B", "float32", 1, 0.8), row("C", "int8", 1, 1.6)]
    text = measured_cpu.section(numbers(rows, goals=measured_cpu.GOALS))
    assert text.endswith("""
Goals, as multiples of LiteRT with XNNPACK in the geometric mean:

- a run in float32 takes at most 1: 0.98, met; more in 1 of 2 rows, most in A float32, batch 1, one thread (1.20).
- a run in int8 takes at most 1.5: 1.60, missed; more in 1 of 1 rows, most in C int8, batch 1, one thread (1.60).
- the first result takes at most 1: 0.40, met in every row.
- peak memory is at most 1.2: 1.50, missed; more in 1 of 1 rows, most in A float32 (1.50).
""")


@pytest.mark.reference
def test_a_benchmark_of_one_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tflite_cupy.delegates.cpu.onednn.binding").library()
    words = ["--networks", "autoencoder", "--precisions", "float32", "--runs", "3", "--quick"]
    monkeypatch.setattr("sys.argv", ["bench_cpu.py", *words, "--json", str(tmp_path / "found.json")])
    bench_cpu.main()
    found = json.loads((tmp_path / "found.json").read_text())
    (result,) = found["results"]
    assert (result["network"], result["batch"], result["loading"]) == ("autoencoder", 1, {})
    assert result["milliseconds"].keys() == set(NAMES)
    assert result["ratios"].keys() == set(NAMES) - {OURS}
    assert max(result["differences"].values()) < 1e-4
    assert "| autoencoder | float32 |" in measured_cpu.section(found)


@pytest.mark.reference
def test_calls_from_two_threads() -> None:
    pytest.importorskip("tflite_cupy.delegates.cpu.onednn.binding").library()
    words = ["--networks", "autoencoder", "--turns", "2", "--seconds", "0.01"]
    rows = bench_scaling.measure(bench_scaling.arguments().parse_args(words))
    assert [(row["precision"], row["kernels"], row["interpreters"]) for row in rows] == [
        (precision, kernels, interpreters)
        for precision in ("float32", "int8")
        for kernels in ("oneDNN", "NumPy")
        for interpreters in (2, 1)
    ]
    assert all(row["ratios"]["p10"] > 0 and row["milliseconds"] > 0 for row in rows)


def overlap(kernels: str, interpreters: int, ratio: float) -> dict[str, Any]:
    what = {"network": "A", "precision": "int8", "kernels": kernels, "interpreters": interpreters}
    return {**what, "milliseconds": 1.0, "ratios": spread(ratio)}


def test_overlap_and_its_goal() -> None:
    rows = [overlap("oneDNN", 2, 1.9), overlap("oneDNN", 1, 1.5), overlap("NumPy", 2, 1.8)]
    rows.append(overlap("NumPy", 1, 1.7))
    found = {"goal": measured_scaling.GOAL, "results": rows}
    text = measured_scaling.section(found)
    assert "| A | int8 | oneDNN | 1.90 (1.80 to 2.00) | 1.50 (1.40 to 1.60) |\n" in text
    assert "At least 1.6 is wanted: missed in 1 of 4 rows, by most in A int8, oneDNN, one interpreter (1.50)." in text
    rows[1] = overlap("oneDNN", 1, 1.6)
    assert "At least 1.6 is wanted: met in every row." in measured_scaling.section(found)

"""The GPU table of README, from what ci/gpu_check wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PEERS = ("torch eager", "torch graph", "torch.compile", "jax.jit")
COLUMNS = (
    *("model", "batch", "precision", "tflite-cupy", "tuned", "predicted", "floor", "launches"),
    *(*PEERS, "NumPy to NumPy"),
)


def newest(folder: Path) -> dict[str, Any] | None:
    """The report of the last day on which a GPU was measured, None if there is none."""
    reports = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    measured = [r for r in reports if r["on"] == "gpu" and _rows(r, "benchmarks")]
    return max(measured, key=lambda report: str(report["date"]), default=None)


def section(report: Mapping[str, Any] | None) -> str:
    """The table as Markdown."""
    if report is None:
        return "Not yet measured.\n"
    others = {_key(row, row["peer"]): row for stage in ("peers", "compiled") for row in _rows(report, stage)}
    others |= {_key(row, "tuned"): row for row in _rows(report, "tuned")}
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
        *(_line(row, others) for row in _rows(report, "benchmarks")),
        "",
        "Milliseconds of a call with inputs and outputs on the GPU, medians of 50 after 10; the floor is what "
        "launches, arithmetic and bandwidth allow. Tuned: TFLITE_CUPY_TUNE=1.",
        _where(report),
    ]
    failed = [name for name, stage in report["stages"].items() if not stage["passed"]]
    if failed:
        lines.append(f"Stages of `ci/gpu_check` that failed: {', '.join(failed)}.")
    return "\n".join([*lines, ""])


def _line(row: Mapping[str, Any], others: Mapping[Any, Mapping[str, Any]]) -> str:
    tuned, *peers = (_shown(others.get(_key(row, name), {}).get("device_ms")) for name in ("tuned", *PEERS))
    ours, predicted, floor, host = (
        _shown(row.get(name)) for name in ("device_ms", "expected_ms", "floor_ms", "host_ms")
    )
    cells = [row["model"], row["batch"], row["precision"], ours, tuned, predicted, floor, row.get("launches", "-")]
    return f"| {' | '.join(map(str, [*cells, *peers, host]))} |"


def _where(report: Mapping[str, Any]) -> str:
    stage = report["stages"].get("device", {})
    versions = (f"{label} {stage[name]}" for name, label in (("cupy", "CuPy"), ("torch", "torch"), ("jax", "JAX"))
                if name in stage)  # fmt: skip
    return f"{', '.join([stage.get('gpu', 'unknown GPU'), *versions, report['date']])}."


def _rows(report: Mapping[str, Any], stage: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = report["stages"].get(stage, {}).get("rows", [])
    return found


def _key(row: Mapping[str, Any], peer: str) -> tuple[Any, ...]:
    return peer, row["model"], row["batch"], row["precision"]


def _shown(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:.3g}"

"""The GPU table of README, from what ci/gpu_check wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PEERS = ("torch eager", "torch graph", "torch.compile", "jax.jit")
COLUMNS = ("model", "batch", "precision", "tflite-cupy", "floor", "launches", *PEERS, "NumPy to NumPy")


def newest(folder: Path) -> dict[str, Any] | None:
    """The report of the last day on which a GPU was measured, None if there is none."""
    reports = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    measured = [r for r in reports if r["on"] == "gpu" and _rows(r, "benchmarks")]
    return max(measured, key=lambda report: str(report["date"]), default=None)


def section(report: Mapping[str, Any] | None) -> str:
    """The table as Markdown."""
    if report is None:
        return "Not yet measured.\n"
    peers = {_key(row, row["peer"]): row for row in _rows(report, "peers")}
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
        *(_line(row, peers) for row in _rows(report, "benchmarks")),
        "",
        "Milliseconds of a call with inputs and outputs on the GPU, medians of 50 after 10; the floor is what "
        "launches, arithmetic and bandwidth allow.",
        _where(report),
    ]
    failed = [name for name, stage in report["stages"].items() if not stage["passed"]]
    if failed:
        lines.append(f"Stages of `ci/gpu_check` that failed: {', '.join(failed)}.")
    return "\n".join([*lines, ""])


def _line(row: Mapping[str, Any], peers: Mapping[Any, Mapping[str, Any]]) -> str:
    others = (_shown(peers.get(_key(row, peer), {}).get("device_ms")) for peer in PEERS)
    cells = [row["model"], row["batch"], row["precision"], _shown(row.get("device_ms")), _shown(row.get("floor_ms"))]
    return f"| {' | '.join(map(str, [*cells, row.get('launches', '-'), *others, _shown(row.get('host_ms'))]))} |"


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

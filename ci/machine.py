"""What measurements hold for, and what they share."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "ci" / "results"

_PROCESS = Path("/proc/self")


def machine() -> dict[str, Any]:
    """What the numbers hold for."""
    return {
        "processor": processor(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": os.getloadavg()[0],
        "platform": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "litert": version_of("ai-edge-litert"),
        "onednn": version_of("onednn-cpu-gomp"),
    }


def processor() -> str:
    """Name of the processor, empty if it can't be told."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def version_of(package: str) -> str | None:
    """Of what is installed; None if it is not."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def spread(values: Any) -> dict[str, float]:
    """Median, and the limits between which the middle 80 % lie."""
    low, median, high = np.quantile(np.asarray(values), [0.1, 0.5, 0.9])
    return {"median": round(float(median), 4), "p10": round(float(low), 4), "p90": round(float(high), 4)}


def memory(field: str) -> int:
    """Bytes of a line of /proc/self/status: VmRSS, VmHWM."""
    lines = (_PROCESS / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def forget_peak() -> None:
    """VmHWM starts anew."""
    (_PROCESS / "clear_refs").write_text("5")

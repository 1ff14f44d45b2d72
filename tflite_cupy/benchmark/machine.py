"""What measurements hold for: the machine, the versions, the memory of this process."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

_PROCESS = Path("/proc/self")


def machine() -> dict[str, Any]:
    """The processor, how busy it is, and versions; None for what is not installed."""
    return {
        "processor": processor(),
        "processors": processors(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "litert": version_of("ai-edge-litert"),
        "onednn": version_of("onednn-cpu-gomp"),
    }


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Name of the processor, empty if it can't be told."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def version_of(package: str) -> str | None:
    """Of what is installed; None if it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def has_memory() -> bool:
    """Whether this system tells the memory of a process, and its peak: Linux does."""
    return (_PROCESS / "clear_refs").exists()


def memory(field: str) -> int:
    """Bytes of a line of /proc/self/status: VmRSS, VmHWM."""
    lines = (_PROCESS / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def forget_peak() -> None:
    """VmHWM starts anew."""
    (_PROCESS / "clear_refs").write_text("5")

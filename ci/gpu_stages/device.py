"""What the machine is, with which versions, and its ceilings."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from .ceilings import ceilings
from .progress import Progress
from .target import Target


def run(target: Target, progress: Progress) -> None:
    progress.note(python=platform.python_version(), numpy=np.__version__, host=platform.platform())
    for name in ("cupy-cuda12x", "cupy-cuda13x", "torch", "jax"):
        with suppress(PackageNotFoundError):
            progress.note(**{name.partition("-")[0]: version(name)})
    if target.is_real:
        _properties(progress)
    found: dict[str, float] = {}
    for name, number in ceilings(target, progress):
        found[name] = number
        progress.note(ceilings=found)
    progress.finish()


def _properties(progress: Progress) -> None:
    import cupy

    runtime = cupy.cuda.runtime
    found = runtime.getDeviceProperties(0)
    progress.note(
        gpu=found["name"].decode(),
        driver=runtime.driverGetVersion(),
        runtime=runtime.runtimeGetVersion(),
        nvrtc=".".join(map(str, cupy.cuda.nvrtc.getVersion())),
        arch=found["major"] * 10 + found["minor"],
        multiprocessors=found["multiProcessorCount"],
        memory_bytes=found["totalGlobalMem"],
        l2_bytes=found["l2CacheSize"],
    )

"""What a call costs beside its arithmetic: a signature that adds four numbers to four."""

from __future__ import annotations

import time

import numpy as np
from bench_workloads import NUMPY, ONEDNN, RUNTIMES, XNNPACK
from machine import spread
from networks.builder import Builder

from tflite_cupy import write_model
from tflite_cupy.interpreter.graph import Model, TensorType
from tflite_cupy.runtimes import open_runtime

CALLS = 200


def tiny() -> Model:
    """One addition."""
    build = Builder(0)
    x, y = (build.input(name, TensorType.FLOAT32, (1, 4)) for name in "xy")
    return build.model({"sum": build.add(x, y)}, "one addition")


def tiny_calls(rounds: int) -> dict[str, dict[str, float]]:
    """Microseconds of a call of a signature runner; runtimes take turns of `CALLS` calls."""
    values, content = {name: np.ones((1, 4), np.float32) for name in "xy"}, write_model(tiny())
    opened = {title: open_runtime(RUNTIMES[title], content, threads=1) for title in (ONEDNN, NUMPY, XNNPACK)}
    calls = {title: runtime.repeated(None, values) for title, runtime in opened.items()}
    seen: dict[str, list[float]] = {title: [] for title in calls}
    for _ in range(rounds):
        for title, call in calls.items():
            call()
            start = time.perf_counter()
            for _ in range(CALLS):
                call()
            seen[title].append((time.perf_counter() - start) / CALLS * 1e6)
    return {title: spread(values) for title, values in seen.items()}

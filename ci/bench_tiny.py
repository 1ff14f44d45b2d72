"""What a call costs beside its arithmetic: a signature that adds four numbers to four."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from bench_runtimes import NUMPY, ONEDNN, XNNPACK, interpreter
from machine import spread
from networks.builder import Builder

from tflite_cupy import write_model
from tflite_cupy.interpreter.graph import Model, TensorType

CALLS = 200


def tiny() -> Model:
    """One addition."""
    build = Builder(0)
    x, y = (build.input(name, TensorType.FLOAT32, (1, 4)) for name in "xy")
    return build.model({"sum": build.add(x, y)}, "one addition")


def tiny_calls(rounds: int) -> dict[str, dict[str, float]]:
    """Microseconds of a call of a signature runner; runtimes take turns of `CALLS` calls."""
    values = {"x": np.ones((1, 4), np.float32), "y": np.ones((1, 4), np.float32)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.tflite"
        path.write_bytes(write_model(tiny()))
        runners = {name: interpreter(name, path, 1).get_signature_runner() for name in (ONEDNN, NUMPY, XNNPACK)}
    seen: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, runner in runners.items():
            runner(**values)
            start = time.perf_counter()
            for _ in range(CALLS):
                runner(**values)
            seen[name].append((time.perf_counter() - start) / CALLS * 1e6)
    return {name: spread(values) for name, values in seen.items()}

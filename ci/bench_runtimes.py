"""The runtimes that `ci/bench` compares on the CPU, made ready to run a model again and again."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from bench_workloads import Feeds, feeds, real
from machine import ROOT, forget_peak, memory

from tflite_cupy import Interpreter
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.graph import Model

ONEDNN, NUMPY, BUILTIN, XNNPACK = "oneDNN", "NumPy", "LiteRT", "LiteRT + XNNPACK"
RUNTIMES = (ONEDNN, NUMPY, BUILTIN, XNNPACK)
"""This package with either kind of kernels, and LiteRT without and with its delegate."""

TOLERANCES = {"float32": 1e-4, "int8": 0.3}
"""Of `difference`: int8 networks round in every operator, each runtime in its way."""


class Session:
    """A model in a runtime, its inputs set."""

    def __init__(self, interpreter: Any, model: Model, inputs: Feeds) -> None:
        self._model, self._interpreter = model, interpreter
        interpreter.allocate_tensors()
        self.run: Callable[[], Any] = self._call_signatures
        if len(model.signatures) == 1:
            (signature,) = model.signatures
            for name, tensor in signature.inputs.items():
                interpreter.set_tensor(tensor, inputs[signature.key][name])
            self.run = interpreter.invoke
        else:
            self._calls = [(key, interpreter.get_signature_runner(key), values) for key, values in inputs.items()]

    def _call_signatures(self) -> dict[str, Mapping[str, np.ndarray]]:
        return {key: run(**values) for key, run, values in self._calls}

    def outputs(self) -> list[np.ndarray]:
        """Results of one run as real numbers."""
        results = self.run()
        found = []
        for signature in self._model.signatures:
            for name, tensor in sorted(signature.outputs.items()):
                value = self._interpreter.get_tensor(tensor) if results is None else results[signature.key][name]
                found.append(real(value, self._model.graphs[signature.graph].tensors[tensor]))
        return found


def interpreter(runtime: str, path: Path, threads: int) -> Any:
    """An interpreter of a file, as one constructs it."""
    if runtime in (ONEDNN, NUMPY):
        return Interpreter(str(path), num_threads=threads, device="cpu", cpu_kernels=runtime.lower())
    from ai_edge_litert import interpreter as litert

    kinds = litert.OpResolverType
    kind = kinds.BUILTIN if runtime == XNNPACK else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return litert.Interpreter(str(path), num_threads=threads, experimental_op_resolver_type=kind)


def sessions(path: Path, threads: int) -> dict[str, Session]:
    """One session for each runtime."""
    model = load_model(path)
    inputs = feeds(model)
    return {runtime: Session(interpreter(runtime, path, threads), model, inputs) for runtime in RUNTIMES}


def difference(results: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Root mean square of what results differ by, as a part of their own; infinite where something is not finite."""
    apart = [_size(a - b) / max(_size(b), 1e-9) for a, b in zip(results, expected, strict=True)]
    return max(apart) if np.isfinite(apart).all() else float("inf")


def _size(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def loading(runtime: str, path: Path, threads: int = 1) -> dict[str, float]:
    """`loaded` in a process of its own."""
    command = [sys.executable, __file__, runtime, str(path), str(threads)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{runtime} failed on {path.name}:\n{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def loaded(runtime: str, path: Path, threads: int) -> dict[str, float]:
    """Milliseconds of construction with allocation, then with the first call, and megabytes added at the peak."""
    model = load_model(path)
    inputs = feeds(model)
    gc.collect()
    forget_peak()
    before = memory("VmRSS")
    start = time.perf_counter()
    session = Session(interpreter(runtime, path, threads), model, inputs)
    ready = time.perf_counter()
    session.run()
    done = time.perf_counter()
    added = memory("VmHWM") - before
    return {"load_ms": (ready - start) * 1e3, "ready_ms": (done - start) * 1e3, "peak_mb": added / 1e6}


def warmed(runtime: str) -> None:
    """Load what a runtime loads once a process."""
    import tempfile

    from networks.builder import Builder

    from tflite_cupy import write_model

    build = Builder(0)
    x = build.image((1, 4, 4, 8))
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(write_model(build.model({"y": build.conv(x, 8)}, "one convolution")))
        file.flush()
        runner = interpreter(runtime, Path(file.name), 1)
        runner.allocate_tensors()
        runner.invoke()


if __name__ == "__main__":
    warmed(sys.argv[1])
    print(json.dumps(loaded(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))

"""What loading a model takes, seen from a process of its own: only there is memory this model's."""

from __future__ import annotations

import gc
import json
import pickle
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ..apart import Died, ending, fresh_python
from ..interpreter.errors import KernelError
from ..interpreter.format.model import load_model
from ..interpreter.format.writer import write_model
from ..interpreter.graph import Graph, Model, Node, Tensor, TensorType
from ..runtimes import OURS, open_runtime
from .machine import forget_peak, has_memory, memory

Calls = Sequence[tuple[str | None, Mapping[str, np.ndarray]]]
"""Signatures with inputs, called one after the other."""

ROUNDS = 3

_NUMBERS = ("load_seconds", "first_call_seconds", "peak_bytes", "held_bytes")
_LATER = 5
"""Calls after the first, before the memory that stays is read."""


@dataclass(frozen=True, slots=True)
class Loading:
    """Of one runtime: seconds of construction and of the first calls (which allocate, pack and compile), bytes that the
    process then needed more than before, at its peak and to stay; None where the system does not tell memory."""

    name: str
    title: str
    load_seconds: float
    first_call_seconds: float
    peak_bytes: float | None
    held_bytes: float | None

    @property
    def ready_seconds(self) -> float:
        """From the file to the first result."""
        return self.load_seconds + self.first_call_seconds

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def loading(name: str, path: Path, calls: Calls, *, threads: int | None = None, **options: Any) -> Loading:
    """Load a model once, in a fresh process that has run another one in this runtime before.

    options: as of `open_runtime`, as far as they can be pickled. Raises KernelError if the process fails, Died
    if a signal ends it.
    """
    command, environment = fresh_python(__name__)
    asked = pickle.dumps((name, str(path), [(key, dict(inputs)) for key, inputs in calls], threads, options))
    done = subprocess.run(command, input=asked, capture_output=True, env=environment, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        if done.returncode < 0:
            raise Died(f"{name}, in a process of its own, {ending(done.returncode)}")
        why = said[-1] if said else f"it {ending(done.returncode)}"
        raise KernelError(f"{name} failed in a process of its own: {why}")
    return Loading(**json.loads(done.stdout.splitlines()[-1]))


def in_turn(
    names: Sequence[str], path: Path, calls: Calls, *, threads: int | None = None, rounds: int = ROUNDS, **options: Any
) -> list[Loading]:
    """The medians of several processes for each runtime, which take turns."""
    found: dict[str, list[Loading]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            found[name].append(loading(name, path, calls, threads=threads, **options))
    return [middle(several) for several in found.values()]


def middle(found: Sequence[Loading]) -> Loading:
    """The medians of several."""
    columns = {name: [getattr(one, name) for one in found] for name in _NUMBERS}
    numbers: dict[str, Any] = {name: None if None in column else median(column) for name, column in columns.items()}
    return replace(found[0], **numbers)


def loaded(name: str, path: str, calls: Calls, threads: int | None, options: Mapping[str, Any]) -> Loading:
    """The same in this process."""
    _run_once(name, threads, options)
    parsed = None if name in OURS else load_model(path)  # ours need that, and it is a part of their loading
    gc.collect()
    before = 0
    if has_memory():
        forget_peak()
        before = memory("VmRSS")
    start = time.perf_counter()
    runtime = open_runtime(name, path, threads=threads, parsed=parsed, **options)
    ready = time.perf_counter()
    for key, inputs in calls:
        runtime.call(key, inputs)
    done = time.perf_counter()
    for key, inputs in list(calls) * _LATER:
        runtime.call(key, inputs)
    gc.collect()
    peak, held = (memory("VmHWM") - before, memory("VmRSS") - before) if has_memory() else (None, None)
    return Loading(name, runtime.title, ready - start, done - ready, peak, held)


def _run_once(name: str, threads: int | None, options: Mapping[str, Any]) -> None:
    """Load what a runtime loads once a process: one convolution."""
    image, weights = np.ones((1, 4, 4, 8), np.float32), np.ones((8, 3, 3, 8), np.float32)
    tensors = (
        Tensor("x", TensorType.FLOAT32, image.shape),
        Tensor("w", TensorType.FLOAT32, weights.shape, data=weights),
        Tensor("b", TensorType.FLOAT32, (8,), data=np.zeros(8, np.float32)),
        Tensor("y", TensorType.FLOAT32, image.shape),
    )
    strides = {"stride_w": 1, "stride_h": 1}
    node = Node(0, "CONV_2D", (0, 1, 2), (3,), strides)
    content = write_model(Model((Graph(0, "main", tensors, (node,), (0,), (3,)),)))
    with open_runtime(name, content, threads=threads, **options) as runtime:
        runtime.call(None, {"x": image})


def main() -> None:
    """What the process runs."""
    print(json.dumps(loaded(*pickle.load(sys.stdin.buffer)).to_json()))

"""Which of several ways to compute the same is fastest on a device: timed once, and kept on disk.

A way is a few steps. It is timed as it will run, captured in a graph, over and over with sets of buffers that take
turns, so that what it reads is not in the cache by chance. Without tuning a model of the device chooses (`tiling`).
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np

from ...interpreter.errors import KernelError, LimitError
from .device import Device
from .disk import kept, read, write
from .gemm import WORKSPACE_BYTES, Pointers
from .listing import Block, Gemm, Launch, Operand, Queued
from .program import CAPTURE

TURNS, ROUNDS = 16, 5
"""Runs of a way in one graph, and how often that is timed after a first time; the median counts."""

SETS, MOST_BYTES = 4, 1 << 28
"""Sets of buffers that take turns, and bytes of all of them at most; one set in any case."""


class Picker(Protocol):
    """What planning asks."""

    def pick(self, key: str, ways: Mapping[str, Sequence[Queued]]) -> str:
        """The name of the way to take, for a problem that `key` tells from others."""


class Tuner:
    """Times ways on a device. Thread-safe: one is timed at a time."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._lock = threading.Lock()
        self._path = kept("tuned", device.title)
        self._found = _stored(self._path)  # seconds by name of the way, by problem

    def pick(self, key: str, ways: Mapping[str, Sequence[Queued]]) -> str:
        """The fastest; the first one if none can be timed. Times what is not known yet."""
        exact = f"{key} {_digest(ways)}"
        with self._lock:
            if exact not in self._found:
                self._found[exact] = self._timed(ways)
                self._keep()
            seconds = self._found[exact]
        return min(ways, key=lambda name: seconds.get(name, math.inf))

    def _timed(self, ways: Mapping[str, Sequence[Queued]]) -> dict[str, float]:
        """Seconds of each way that runs."""
        self._device.load([step.kernel for steps in ways.values() for step in steps if isinstance(step, Launch)])
        found = {}
        for name, steps in ways.items():
            with suppress(KernelError, LimitError, *self._device.errors):
                found[name] = self._seconds(steps)
        return found

    def _seconds(self, steps: Sequence[Queued]) -> float:
        """Of one run of these steps, in a graph."""
        device = self._device
        with device.using(device.stream()):
            sets = _Buffers(device, steps)
            ready = [self._ready(step) for step in steps]
            device.synchronize()
            with CAPTURE:
                device.begin_capture()
                try:
                    for turn in range(TURNS):
                        sets.run(steps, ready, turn)
                finally:
                    graph = device.end_capture()
            times = [self._once(graph) for _ in range(1 + ROUNDS)]
        return median(times[1:]) / TURNS

    def _once(self, graph: Any) -> float:
        start = self._device.record(timed=True)
        self._device.replay(graph)
        end = self._device.record(timed=True)
        self._device.await_event(end)
        return self._device.elapsed(start, end)

    def _ready(self, step: Queued) -> Any:
        if isinstance(step, Gemm):
            return self._device.gemm_plan(step.problem)
        return self._device.load([step.kernel])[0]

    def _keep(self) -> None:
        """With what other processes have found meanwhile."""
        if self._path is not None:
            self._found = _stored(self._path) | self._found
            write(self._path, json.dumps(self._found).encode())


class _Buffers:
    """Memory for the blocks of some steps, in sets; all of it holds zeros, as counts and faults have to."""

    def __init__(self, device: Device, steps: Sequence[Queued]) -> None:
        self._device = device
        blocks = dict.fromkeys(operand.block for step in steps for operand in step.operands)
        nbytes = sum(block.nbytes for block in blocks)
        self._sets = [
            {block: self._zeros(block) for block in blocks}
            for _ in range(min(SETS, max(MOST_BYTES // max(nbytes, 1), 1)))
        ]
        products = any(isinstance(step, Gemm) for step in steps)
        self._workspace = device.memory(WORKSPACE_BYTES) if products else None

    def _zeros(self, block: Block) -> Any:
        memory = self._device.memory(block.nbytes)
        array = self._device.array(memory, 0, (block.nbytes,), np.dtype(np.uint8))
        self._device.copy_in(array, np.zeros(block.nbytes, np.uint8))
        self._device.synchronize()
        return memory

    def run(self, steps: Sequence[Queued], ready: Sequence[Any], turn: int) -> None:
        """Queue the steps, on the set whose turn it is."""
        memory = self._sets[turn % len(self._sets)]

        def address(operand: Operand | None) -> int:
            return 0 if operand is None else int(memory[operand.block].address) + operand.offset

        for step, function in zip(steps, ready, strict=True):
            if isinstance(step, Gemm):
                assert self._workspace is not None
                operands = step.a, step.b, step.out, step.c, step.bias
                self._device.gemm(function, Pointers(*map(address, operands)), self._workspace.address)
                continue
            arguments = [address(a) if isinstance(a, Operand) else a for a in step.arguments]
            self._device.launch(function, step.grid, step.block, step.shared, arguments)


def _digest(ways: Mapping[str, Sequence[Queued]]) -> str:
    """Another one where a way or the text of a kernel has changed."""
    texts = [(name, [_text(step) for step in steps]) for name, steps in ways.items()]
    return sha256(repr(texts).encode()).hexdigest()[:16]


def _text(step: Queued) -> tuple[object, ...]:
    if isinstance(step, Gemm):
        return (step.problem,)
    return step.kernel.text, step.grid, step.block, step.shared


def _stored(path: Path | None) -> dict[str, dict[str, float]]:
    content = None if path is None else read(path)
    found: dict[str, dict[str, float]] = {} if content is None else json.loads(content)
    return found

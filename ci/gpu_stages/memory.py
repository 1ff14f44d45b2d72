"""What thousands of calls and many loads leave behind, and what happens where memory ends."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from networks import mobilenet_v2

import tflite_cupy as lite
from tflite_cupy.interpreter.errors import LimitError

from .progress import Progress
from .target import Target, inputs_of, runner, same_bits

ALLOWED = {"free": 4 << 20, "pool": 1 << 20, "rss": 24 << 20}
"""Bytes by which a measure may grow after the warm-up."""


def run(target: Target, progress: Progress) -> None:
    content = lite.write_model(mobilenet_v2(resolution=32))
    calls, loads = (3000, 50) if target.is_real else (20, 4)
    _calls(target, content, calls, progress)
    _loads(target, content, loads, progress)
    with progress.attempt("limits", what="an input that does not fit") as row:
        _limit(target, content, row)
    progress.finish()


def _calls(target: Target, content: bytes, count: int, progress: Progress) -> None:
    """Host arrays and device arrays in turn, each twice in a row, so that graphs are captured of both."""
    run_it = runner(target.interpreter(content))
    inputs = inputs_of(run_it, 1)
    feeds = inputs, target.put(inputs)
    _watched(target, progress, "calls", count, lambda n: run_it(**feeds[n // 2 % 2]))


def _loads(target: Target, content: bytes, count: int, progress: Progress) -> None:
    """A new interpreter and its first three calls each time. The collector is not called between: an interpreter that
    goes gives its memory back by itself."""

    def load(_: int) -> None:
        run_it = runner(target.interpreter(content))
        inputs = inputs_of(run_it, 1)
        for _ in range(3):
            run_it(**inputs)

    _watched(target, progress, "loads", count, load)


def _watched(target: Target, progress: Progress, what: str, count: int, body: Callable[[int], Any]) -> None:
    """A row: growth from the end of the first fifth of the turns to their end."""
    with progress.attempt("growth", what=what, count=count) as row:
        warm = max(count // 5, 2)
        for number in range(warm):
            body(number)
        before = _measures(target)
        done = warm
        while done < count and progress.left > 5:
            body(done)
            done += 1
        growth = {name: value - before[name] for name, value in _measures(target).items()}
        row |= {"done": done, "bytes": growth, "passed": all(growth[name] <= ALLOWED[name] for name in growth)}


def _measures(target: Target) -> dict[str, int]:
    """Bytes: device memory taken, of that in CuPy's pool, and this process's own. The host's alone where it emulates,
    and that is not judged: kernels that g++ built are loaded into it."""
    gc.collect()
    if not target.is_real:
        return {}
    import cupy

    free, whole = cupy.cuda.runtime.memGetInfo()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {"free": whole - free, "pool": cupy.get_default_memory_pool().total_bytes(), "rss": resident}


def _limit(target: Target, content: bytes, row: dict[str, Any]) -> None:
    """A batch that is refused with LimitError, and then a call whose result is right."""
    run_it, side = runner(target.interpreter(content)), 32
    inputs = inputs_of(run_it, 1)
    before = run_it(**inputs)
    large = {name: np.zeros((256, side, side, 3), np.float32) for name in inputs}
    with _short(target):
        try:
            run_it(**large)
        except LimitError as error:
            row["said"] = str(error)
        else:
            row["said"] = "nothing: the call had its memory"
        row["refused"] = not row["said"].startswith("nothing")
    is_same = same_bits(run_it(**inputs), before)
    row |= {"right_after": is_same, "passed": row["refused"] and is_same}


@contextmanager
def _short(target: Target) -> Iterator[None]:
    """The device has next to no memory left in the block."""
    if not target.is_real:
        target.device.limit = 1 << 20
        try:
            yield
        finally:
            target.device.limit = None
        return
    import cupy

    pool = cupy.get_default_memory_pool()
    gc.collect()
    pool.free_all_blocks()  # what is free in the pool counts towards the limit, and could be had
    pool.set_limit(size=pool.total_bytes() + (4 << 20))
    try:
        yield
    finally:
        pool.set_limit(size=0)

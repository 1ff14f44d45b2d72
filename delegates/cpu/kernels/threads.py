"""Splitting one kernel over threads: NumPy and BLAS release the interpreter lock while they compute.

Handing a part to a waiting thread and hearing back takes 40 us, half of what an executor of concurrent.futures takes;
with the interpreter lock and cold caches a split costs 100 to 300 us, so only the larger layers of a network gain.
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from collections.abc import Callable
from threading import Thread

import numpy as np

_WORTH = 250_000.0
"""Nanoseconds of work that are worth a thread of their own."""


def parts(nanoseconds: float, num_threads: int) -> int:
    """Into how many parts work of this length is best cut."""
    return max(1, min(num_threads, int(nanoseconds / _WORTH)))


def split(count: int, parts: int, body: Callable[[int, int], None]) -> None:
    """Call `body(start, stop)` for `parts` contiguous ranges that cover range(count), at the same time.

    The caller runs the first range itself, and gets the first error of any.
    """
    parts = min(parts, count)
    if parts <= 1:
        if count:
            body(0, count)
        return
    bounds = [count * part // parts for part in range(parts + 1)]
    others = [_Part(body, *bounds[part : part + 2]) for part in range(1, parts)]
    for part in others:
        _worker().take(part)
    try:
        body(*bounds[:2])
    finally:
        for part in others:
            part.done.acquire()
    for part in others:
        if part.error is not None:
            raise part.error


class _Part:
    """A range of a kernel's work on another thread; `done` is released when it has ended."""

    __slots__ = ("body", "done", "error", "start", "stop")

    def __init__(self, body: Callable[[int, int], None], start: int, stop: int) -> None:
        self.body, self.start, self.stop = body, start, stop
        self.error: BaseException | None = None
        self.done = allocate_lock()
        self.done.acquire()


class _Worker:
    """A thread that waits for parts, one at a time."""

    def __init__(self) -> None:
        self._given = allocate_lock()
        self._given.acquire()
        self._part: _Part | None = None
        Thread(target=self._serve, name="tflite-cupy", daemon=True).start()

    def take(self, part: _Part) -> None:
        """Start on `part`; only for a worker that `_worker` gave."""
        self._part = part
        self._given.release()

    def _serve(self) -> None:
        np.seterr(all="ignore")  # a setting of each thread
        while True:
            self._given.acquire()
            part, self._part = self._part, None
            assert part is not None
            try:
                part.body(part.start, part.stop)
            except BaseException as error:  # it belongs to the caller
                part.error = error
            done = part.done
            del part.body, part  # an idle worker holds on to no arrays
            _idle.append(self)
            done.release()


_idle: list[_Worker] = []


def _worker() -> _Worker:
    """A waiting worker, a new one if there is none."""
    try:
        return _idle.pop()
    except IndexError:
        return _Worker()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a forked process has none of its parent's threads

"""Splitting one kernel over threads: NumPy and BLAS release the interpreter lock while they compute."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import numpy as np

_WORTH = 60_000.0
"""Nanoseconds of work that are worth a thread of their own: a few times what handing it over costs."""

_lock = Lock()
_pool: ThreadPoolExecutor | None = None


def parts(nanoseconds: float, num_threads: int) -> int:
    """Into how many parts work of this length is best cut."""
    return max(1, min(num_threads, int(nanoseconds / _WORTH)))


def split(count: int, parts: int, body: Callable[[int, int], None]) -> None:
    """Call `body(start, stop)` for `parts` contiguous ranges that cover range(count), at the same time.

    The caller runs the first range itself; `body` must not split again.
    """
    parts = min(parts, count)
    if parts <= 1:
        if count:
            body(0, count)
        return
    bounds = [count * part // parts for part in range(parts + 1)]
    pool = _workers()
    others = [pool.submit(_quietly, body, *bounds[part : part + 2]) for part in range(1, parts)]
    try:
        body(*bounds[:2])
    finally:
        errors = [error for other in others if (error := other.exception()) is not None]
    if errors:
        raise errors[0]


def _quietly(body: Callable[[int, int], None], start: int, stop: int) -> None:
    """NumPy's handling of floating-point errors is a setting of each thread."""
    with np.errstate(all="ignore"):
        body(start, stop)


def _workers() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="tflite-cupy")
        return _pool


def _forget() -> None:
    """A forked process has none of its parent's threads."""
    global _lock, _pool
    _lock, _pool = Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

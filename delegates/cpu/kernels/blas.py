"""Keeps BLAS to one thread while a kernel runs, because kernels split their work themselves.

OpenBLAS, which NumPy's wheels bring along, takes as many threads as there are processors for any product beyond a
small one, whatever number of threads the caller asked for; two of our threads that each call it then wait for each
other. Its setting is one for the whole process, so it is put back as soon as no kernel runs. With another BLAS, or a
linked-in one that does not show its functions, nothing is changed.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np


class _OneThread:
    """Within it BLAS uses one thread; may be entered from several threads at once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._running = self._before = 0

    def __enter__(self) -> None:
        functions = _functions()
        if functions is not None:
            get, put = functions
            with self._lock:
                if not self._running:
                    self._before = get()
                    put(1)
                self._running += 1

    def after_fork(self) -> None:
        """No thread is within it in a forked process."""
        functions = _functions() if self._running else None
        self._lock, self._running = Lock(), 0
        if functions is not None:
            functions[1](self._before)

    def __exit__(self, *_: object) -> None:
        functions = _functions()
        if functions is not None:
            with self._lock:
                self._running -= 1
                if not self._running:
                    functions[1](self._before)


@lru_cache(maxsize=1)
def _functions() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """How to read and set the number of threads of the OpenBLAS that NumPy uses."""
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")):
            library = ctypes.PyDLL(str(path))
            for prefix, suffix in (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", "")):
                names = (f"{prefix}openblas_{verb}_num_threads{suffix}" for verb in ("get", "set"))
                found = [getattr(library, name, None) for name in names]
                if all(found):
                    return found[0], found[1]  # type: ignore[return-value]
    return None


one_thread = _OneThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=one_thread.after_fork)

"""How long a network takes before its first call, planning and the kernels' machine code, where nothing is kept from
earlier processes and where that is. Needs NVRTC and no GPU; uploads and the loading of modules are not in it."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from heapq import heapreplace
from typing import Any, TypeVar

from tflite_cupy.delegates.gpu.binaries import machine_code
from tflite_cupy.delegates.gpu.cupy_device import COMPILERS, by_length, import_cupy
from tflite_cupy.delegates.gpu.kernel import Kernel
from tflite_cupy.delegates.gpu.kernels.patches import layouts
from tflite_cupy.delegates.gpu.listing import Launch, Listing
from tflite_cupy.delegates.gpu.tiling import candidates

GOAL, KEPT_GOAL = 3.0, 0.3
"""Seconds without and with machine code that earlier processes have kept."""

COLUMNS = ("model", "precision", "planning", "texts", "one core", "longest", "8 cores", "kept", "goals")

T = TypeVar("T")


def nvrtc() -> Any:
    """CuPy's NVRTC; None where there is none."""
    try:
        found = import_cupy().cuda.nvrtc
        found.getVersion()
    except (ImportError, RuntimeError, OSError):
        return None
    return found


def measured(plan: Callable[[], Sequence[Listing]], arch: int) -> dict[str, Any]:
    """Seconds of a network that `plan` plans: of processor time, for planning, for all its texts on one core, for the
    longest, and on as many cores as the delegate has threads, had each thread one of its own; for reading them where
    they are kept; and by this machine's clock for building them."""
    for cached in (candidates, layouts):
        cached.cache_clear()
    listings, planning = _timed(plan, time.thread_time)
    kernels = list(dict.fromkeys(s.kernel for found in listings for s in found.steps if isinstance(s, Launch)))
    with _empty_cache():
        threads = min(COMPILERS, os.cpu_count() or 1)
        each, here = _timed(lambda: _built(kernels, arch, threads), time.perf_counter)
        kept = sum(_built(kernels, arch, 1))
    seconds = {
        "planning": planning, "one_core": sum(each), "longest": max(each), "eight_cores": side_by_side(each, COMPILERS),
        "kept": kept, "here": here,
    }  # fmt: skip
    return {"texts": len(kernels), "threads_here": threads, **{f"{k}_s": round(v, 3) for k, v in seconds.items()}}


def side_by_side(seconds: Sequence[float], threads: int) -> float:
    """When the last of these is done if each thread takes the next one as soon as it is free."""
    free = [0.0] * threads
    for took in seconds:
        heapreplace(free, free[0] + took)
    return max(free)


def _built(kernels: Sequence[Kernel], arch: int, threads: int) -> list[float]:
    """Seconds of processor time that each takes, in the order in which the delegate builds them."""
    library = nvrtc()
    with ThreadPoolExecutor(threads) as pool:
        built = pool.map(lambda k: _timed(lambda: machine_code(library, k, arch), time.thread_time), by_length(kernels))
        return [seconds for _, seconds in built]


def _timed(what: Callable[[], T], clock: Callable[[], float]) -> tuple[T, float]:
    start = clock()
    result = what()
    return result, clock() - start


@contextmanager
def _empty_cache() -> Iterator[None]:
    before = {name: os.environ.pop(name, None) for name in ("CUPY_CACHE_DIR", "CUPY_CACHE_IN_MEMORY")}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CUPY_CACHE_DIR"] = folder
        try:
            yield
        finally:
            del os.environ["CUPY_CACHE_DIR"]
            os.environ.update({name: value for name, value in before.items() if value is not None})


def lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The table, in seconds."""
    yield "\nBefore the first call, in seconds of processor time here; without upload and loading of modules."
    yield "Eight cores: when the last text is done if each of the delegate's eight threads has a core of its own."
    yield ""
    yield f"{COLUMNS[0]:17}" + "".join(f"{name:>13}" for name in COLUMNS[1:])
    for row in rows:
        numbers = [f"{row[f'{name}_s']:.2f}" for name in ("one_core", "longest", "eight_cores", "kept")]
        cells = [row["precision"], f"{row['planning_s']:.2f}", row["texts"], *numbers, _verdict(row)]
        yield f"{row['model']:17}" + "".join(f"{cell:>13}" for cell in cells)


def _verdict(row: Mapping[str, Any]) -> str:
    """Which goals are met."""
    without, kept = (row["planning_s"] + row[f"{name}_s"] for name in ("eight_cores", "kept"))
    return f"{'met' if without <= GOAL else 'missed'}, {'met' if kept <= KEPT_GOAL else 'missed'}"

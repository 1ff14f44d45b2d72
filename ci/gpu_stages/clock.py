"""Times of work on a device: by its own events on a GPU, by the host's clock on the emulated device."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .target import Target


class Clock:
    """Milliseconds of work that goes to the current stream."""

    def __init__(self, target: Target) -> None:
        self._device: Any = target.device
        self._cupy: Any = None
        if target.is_real:
            import cupy

            self._cupy = cupy

    def once(self, body: Callable[[], Any]) -> float:
        """From the moment the device had nothing else to do to the end of the body's work."""
        if self._cupy is None:
            return on_host(lambda: (body(), self._device.synchronize()))
        start, stop = self._cupy.cuda.Event(), self._cupy.cuda.Event()
        self._cupy.cuda.get_current_stream().synchronize()
        start.record()
        body()
        stop.record()
        stop.synchronize()
        return float(self._cupy.cuda.get_elapsed_time(start, stop))

    def many(self, body: Callable[[], Any], count: int) -> float:
        """Of one call of the body, where `count` of them are queued at once."""

        def all_of_them() -> None:
            for _ in range(count):
                body()

        body()
        return self.once(all_of_them) / count


def on_host(body: Callable[[], Any]) -> float:
    """Milliseconds by the host's clock."""
    began = time.perf_counter()
    body()
    return 1000 * (time.perf_counter() - began)


def median(measure: Callable[[int], float], *, warm: int = 10, count: int = 50, seconds: float = 5.0) -> float:
    """The median of `count` measurements after `warm`; fewer, but 5 at least, once `seconds` have passed.

    measure: milliseconds of call number n.
    """
    end, times = time.monotonic() + seconds, []
    for number in range(warm):
        measure(number)
        if time.monotonic() > end:
            break
    for number in range(count):
        times.append(measure(number))
        if len(times) >= 5 and time.monotonic() > end:
            break
    return round(float(np.median(times)), 4)

"""How long the steps of one call take on the device: events between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from .device import Device

Lap: TypeAlias = tuple[Sequence[int], str, int]
"""The nodes that a step computes, the head first; its kernel; nanoseconds."""


class Stopwatch:
    """Started when it is made, on the current stream. Not for use during capture.

    A lap is what goes by on the device between two events. Where the host takes longer to launch kernels than they take
    to run, as it does with small ones, that includes the waiting of the device.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._start = device.record(timed=True)
        self._ends: list[tuple[Sequence[int], str, Any]] = []

    def lap(self, nodes: Sequence[int], kernel: str) -> None:
        """A step is queued."""
        self._ends.append((nodes, kernel, self._device.record(timed=True)))

    def read(self) -> list[Lap]:
        """All laps; waits until they are done. Raises KernelError if the work has failed."""
        self._device.synchronize()
        laps, before = [], self._start
        for nodes, kernel, event in self._ends:
            laps.append((nodes, kernel, round(self._device.elapsed(before, event) * 1e9)))
            before = event
        return laps

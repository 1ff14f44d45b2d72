"""What to wait for before memory that queued work uses may go."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from weakref import finalize

from ...interpreter.errors import KernelError
from .device import Device


class Ending:
    """The point that work of an owner has reached: waited for when nobody has the owner any more.

    Not in a `__del__` of the owner: when the owner goes as part of a cycle, the event may have been destroyed before.
    """

    def __init__(self, owner: object, device: Device) -> None:
        self._device = device
        self.event: Any = None  # None: nothing was queued
        finalize(owner, self._wait).atexit = False

    def wait(self) -> None:
        """Raises KernelError if the work has failed."""
        if self.event is not None:
            self._device.await_event(self.event)

    def _wait(self) -> None:
        with suppress(KernelError):  # told to whoever waited for it
            self.wait()

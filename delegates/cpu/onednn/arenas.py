"""Memory that calls compute in: programs share it, each arena used by one call at a time."""

from __future__ import annotations

import os
from threading import Lock
from weakref import WeakSet

from .primitive import aligned

ROOM = 2
"""How many times what a program needs an arena may have: a larger one is left to those that need it."""


class Arena:
    """A piece of memory, and whether a call uses it."""

    def __init__(self, nbytes: int) -> None:
        self.memory = aligned(nbytes)
        self._used = Lock()

    def take(self) -> bool:
        """Use it, unless another call does."""
        return self._used.acquire(blocking=False)

    def give_back(self) -> None:
        """Let others use it."""
        self._used.release()


_lock = Lock()
_arenas: WeakSet[Arena] = WeakSet()


def _after_fork() -> None:
    global _lock
    _lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)  # a thread may have held it that a forked process does not have


def taken(nbytes: int) -> Arena:
    """An arena that has room, taken for the caller: the smallest of the process that nobody uses, else a new one.

    It is gone with the last program that has used it.
    """
    with _lock:
        for arena in sorted(_arenas, key=lambda each: each.memory.nbytes):
            if nbytes <= arena.memory.nbytes <= ROOM * nbytes and arena.take():
                return arena
        made = Arena(nbytes)
        made.take()
        _arenas.add(made)
        return made

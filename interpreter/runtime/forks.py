"""What becomes of engines in a process that was forked: locks that other threads held are never released there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from .engine import Engine

_engines: WeakSet[Engine] = WeakSet()


def survives_forks(engine: Engine) -> None:
    """Call `engine.after_fork()` in forked processes."""
    _engines.add(engine)


def _after() -> None:
    for engine in list(_engines):
        engine.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after)

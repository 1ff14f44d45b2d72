"""What one call has to itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .state import State

Observer = Callable[[int, int, str], None]
"""Called as observer(graph index, node index, delegate name) after each node."""


@dataclass(slots=True)
class Lane:
    """One call in flight: the interpreter's state, and who wants to hear of each node that ran.

    Everything mutable that a call uses hangs on its lane or is local to it, so calls of one interpreter may overlap.
    """

    state: State
    observer: Observer | None = None
    depth: int = 0  # subgraphs entered from subgraphs

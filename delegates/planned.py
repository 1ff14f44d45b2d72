"""What stands for compiled partitions in an interpreter that only plans."""

from __future__ import annotations

from collections.abc import Sequence

from ..interpreter.errors import StateError
from ..interpreter.graph import Array
from ..interpreter.runtime.lane import Lane


def run_nothing(lane: Lane, inputs: Sequence[Array]) -> Sequence[Array]:
    """As an executable. Always raises StateError."""
    raise StateError("this interpreter plans for a GPU and runs nothing.", hint="Leave out dry_run=True to run it.")

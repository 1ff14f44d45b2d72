"""Nodes that move nothing: their results are their operand, or adjacent elements of it, in other shapes."""

from __future__ import annotations

from typing import NamedTuple

from ...interpreter.graph import TensorType
from ...interpreter.runtime.delegate import BoundNode
from .walk import walks_of


class View(NamedTuple):
    """Which operand a result is a view of, and how many elements of it come before the result's first."""

    position: int
    skip: int = 0


def views_of(bound: BoundNode) -> list[View] | None:
    """What each result of a node is a view of; None if it computes or moves something."""
    walks = walks_of(bound)
    if not walks or any(out.type in _OBJECTS for out in bound.outs):
        return None
    if not all(walk.is_contiguous for walk in walks):
        return None
    return [View(walk.position, walk.start) for walk in walks]


_OBJECTS = frozenset(t for t in TensorType if t.is_object)

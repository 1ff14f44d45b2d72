"""A colour for each delegate, the same wherever a report shows one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .data import NOBODY


class Colour(NamedTuple):
    """How a delegate is shown: its class in `page.css`, and a colour that white text is legible on."""

    css: str
    solid: str


GPU, CPU, FLEX = Colour("gpu", "#137a4b"), Colour("cpu", "#1d68b8"), Colour("flex", "#a8500b")
LOST, IDLE = Colour("lost", "#bf2338"), Colour("idle", "#5d6878")
_FIXED = {"gpu": GPU, "cpu": CPU, "flex": FLEX, NOBODY: LOST, "unsupported": LOST, "folded": IDLE, "unused": IDLE}
_OTHERS = (Colour("other0", "#7440b8"), Colour("other1", "#0b7580"), Colour("other2", "#a32a78"))


def colours(delegates: Iterable[str]) -> dict[str, Colour]:
    """Of each of these delegates, of nobody, and of nodes that nobody has to run."""
    others = [name for name in delegates if name not in _FIXED]
    return _FIXED | {name: _OTHERS[i % len(_OTHERS)] for i, name in enumerate(others)}

"""Where in one piece of memory blocks lie: blocks whose lifetimes overlap never share bytes."""

from __future__ import annotations

from bisect import insort
from collections.abc import Hashable, Mapping
from operator import itemgetter
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

_place = itemgetter(0, 1)


def place(sizes: Mapping[Key, int], lives: Mapping[Key, tuple[int, int]], alignment: int) -> tuple[dict[Key, int], int]:
    """Offsets of blocks, and how many bytes that takes; `lives`: first and last step that uses each block.

    Greedy by size: the largest block first, each at the lowest offset that is free for as long as it lives.
    """
    placed: list[tuple[int, int, Key]] = []  # (offset, end, block), sorted
    top = 0
    for key in sorted(sizes, key=lambda k: -sizes[k]):
        nbytes = -(-sizes[key] // alignment) * alignment
        offset = 0
        for start, end, other in placed:
            if lives[key][0] <= lives[other][1] and lives[other][0] <= lives[key][1]:
                if offset + nbytes <= start:
                    break
                offset = max(offset, end)
        insort(placed, (offset, offset + nbytes, key), key=_place)
        top = max(top, offset + nbytes)
    return {key: offset for offset, _, key in placed}, top

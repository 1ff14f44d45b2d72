"""Where in the arena each block lies: blocks whose lifetimes overlap never share bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .listing import Block, Listing, Storage

ALIGNMENT = 256  # bytes: what device allocations guarantee, and vector loads need


@dataclass(frozen=True, slots=True, eq=False)
class Arena:
    """Offsets in bytes, and how many bytes that takes."""

    offsets: Mapping[Block, int]
    nbytes: int


def lay_out(listing: Listing, *, apart: bool = False) -> Arena:
    """Greedy by size: the largest block first, each at the lowest offset that is free for as long as it lives.

    `apart` gives each block bytes of its own, with a gap, so that tools that watch memory see every overrun.
    """
    lives = _lifetimes(listing)
    placed: list[tuple[int, int, Block]] = []  # (offset, end, block), sorted
    top = 0
    for block in sorted(lives, key=lambda b: -b.nbytes):
        offset = 0
        for start, end, other in placed:
            if apart or _overlap(lives[block], lives[other]):
                if offset + _padded(block.nbytes) <= start:
                    break
                offset = max(offset, end)
        if apart:
            offset = top + ALIGNMENT
        end = offset + _padded(block.nbytes)
        placed.append((offset, end, block))
        placed.sort(key=lambda p: p[0])
        top = max(top, end)
    return Arena({block: offset for offset, _, block in placed}, top)


def _padded(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


def _lifetimes(listing: Listing) -> dict[Block, tuple[int, int]]:
    """First and last step of each block; what leaves the partition lives to the end."""
    lives: dict[Block, tuple[int, int]] = {}
    for position, step in enumerate(listing.steps):
        for block in (*step.reads, *step.writes):
            if block.storage is Storage.ARENA:
                lives[block] = lives.get(block, (position, position))[0], position
    for out in listing.outputs:
        if out.block.storage is Storage.ARENA:
            lives[out.block] = lives.get(out.block, (0, 0))[0], len(listing.steps)
    return lives

"""Where in the arena each block lies: blocks whose lifetimes overlap never share bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..arena import place
from .listing import Block, Listing, Storage

ALIGNMENT = 256  # bytes: what device allocations guarantee, and vector loads need


@dataclass(frozen=True, slots=True, eq=False)
class Arena:
    """Offsets in bytes, and how many bytes that takes."""

    offsets: Mapping[Block, int]
    nbytes: int


def lay_out(listing: Listing, *, apart: bool = False) -> Arena:
    """Blocks that live at different times share bytes.

    `apart` gives each block bytes of its own, with a gap, so that tools that watch memory see every overrun.
    """
    lives = _lifetimes(listing)
    if apart:
        return _apart(lives)
    offsets, nbytes = place({block: block.nbytes for block in lives}, lives, ALIGNMENT)
    return Arena(offsets, nbytes)


def _apart(blocks: Iterable[Block]) -> Arena:
    offsets, top = {}, 0
    for block in sorted(blocks, key=lambda b: -b.nbytes):
        offsets[block] = top + ALIGNMENT
        top = offsets[block] + -(-block.nbytes // ALIGNMENT) * ALIGNMENT
    return Arena(offsets, top)


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

"""How a pointwise convolution and the depthwise one after it become blocks of one launch, and when that pays.

A block makes `COLUMNS` channels of a rectangle of results, and for these the whole of what they look at: what lies
between the convolutions never leaves it, and is made twice where rectangles look at the same pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from ..ceilings import Ceilings
from ..tiling import Size, Tile, blocks, choose, expected, fit
from .tiles import PIPELINED

_TENSOR = (
    Tile(128, 64, (32, 32), 1, 32, 3),
    Tile(64, 64, (32, 32), 1, 32, 5),
    Tile(64, 32, (32, 32), 2, 32, 4),
    Tile(64, 16, (32, 16), 2, 32, 5),
)

TILES: Mapping[str, Sequence[Tile]] = {
    "strict": (
        Tile(128, 64, (8, 4), 1, 16, 3),
        Tile(64, 64, (4, 4), 1, 16, 4),
        Tile(64, 32, (4, 4), 1, 16, 4),
        Tile(64, 16, (4, 2), 1, 32, 4),
    ),
    "tf32": _TENSOR,
    "fp16": _TENSOR,
}
"""By precision: rows are pixels that a block looks at, columns channels."""

RUNS = {1: 4, 2: 2}
"""Results side by side that a thread makes, by stride."""

LEAST_GAIN = 0.05
"""The share of the time of two launches that one must save."""

BOUNDED, CURVED = 12, 38
"""Lanes that an element between the convolutions takes: one that is held to bounds, and any other; a guess."""


class Axis(NamedTuple):
    """One dimension of an image, and of the windows over it."""

    size: int
    out: int
    before: int  # zeros

    def reach(self, share: int, window: int, stride: int) -> int:
        """Pixels that `share` neighbouring results look at, at most."""
        starts = range(0, self.out, share)
        firsts = (max(start * stride - self.before, 0) for start in starts)
        ends = ((min(start + share, self.out) - 1) * stride - self.before + window for start in starts)
        return max(min(end, self.size) - first for first, end in zip(firsts, ends, strict=True))


class Expansion(NamedTuple):
    """Both convolutions: `channels` from `depth` for each pixel, then windows over each of them."""

    images: int
    rows: Axis
    columns: Axis
    depth: int
    channels: int
    window: int
    stride: int
    is_bounded: bool  # whether what is between is only held to bounds
    a_bytes: int  # of an element of the image
    b_bytes: int  # of the pointwise filters

    @property
    def operations(self) -> int:
        """Additions and multiplications."""
        pointwise = self.rows.size * self.columns.size * self.depth
        return 2 * self.images * self.channels * (pointwise + self.rows.out * self.columns.out * self.window**2)


class Layout(NamedTuple):
    """The rectangle of results that a block makes, and the seconds that the launch is expected to take."""

    tile: Tile
    height: int
    width: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.height} x {self.width} of {self.tile.columns}, {self.tile.stages} stages"


@lru_cache(maxsize=1024)
def layouts(what: Expansion, unit: str, ceilings: Ceilings) -> tuple[Layout, ...]:
    """All that fit, those first from which the least time is expected."""
    found = []
    for whole in TILES[unit]:
        tile = fit(whole, lambda t: dynamic_bytes(t, what, unit) <= ceilings.shared_bytes)
        sides = None if tile is None else _sides(tile.rows, what)
        if tile is not None and sides is not None:
            found.append(_layout(tile, *sides, what, unit, ceilings))
    return tuple(sorted(found, key=lambda layout: layout.seconds))


def pays(what: Expansion, unit: str, ceilings: Ceilings) -> bool:
    """Whether one launch should take less time than two."""
    found = layouts(what, unit, ceilings)
    return bool(found) and together(what, found[0], ceilings) < (1 - LEAST_GAIN) * apart(what, unit, ceilings)


def together(what: Expansion, layout: Layout, ceilings: Ceilings) -> float:
    """Seconds of one launch for both."""
    memory = _far(what, what.rows.out * what.columns.out, ceilings)
    return max(ceilings.node, ceilings.gap + max(layout.seconds, memory))


def apart(what: Expansion, unit: str, ceilings: Ceilings) -> float:
    """Seconds of a launch for each."""
    pixels, results = what.rows.size * what.columns.size, what.rows.out * what.columns.out
    size = Size(what.images * pixels, what.channels, what.depth, 1, what.a_bytes, what.b_bytes)
    product = choose(PIPELINED[unit], size, unit, ceilings, splits=True).seconds
    near = what.images * (pixels + results) * what.channels * what.a_bytes / ceilings.cache
    far = _far(what, pixels, ceilings, kept=ceilings.cache_bytes) + _far(what, results, ceilings)
    first, windows = max(product, _far(what, pixels, ceilings)), ceilings.latency + max(near, far)
    return sum(max(ceilings.node, ceilings.gap + seconds) for seconds in (first, windows))


def _far(what: Expansion, pixels: int, ceilings: Ceilings, kept: int | None = None) -> float:
    """Seconds in which so many pixels of all channels pass between the L2 and memory, if it does not keep them: half of
    what it holds where they are written, as cost.py has it."""
    nbytes = what.images * pixels * what.channels * what.a_bytes
    return nbytes / ceilings.memory if nbytes > (kept or ceilings.cache_bytes // 2) else 0.0


def _sides(rows: int, what: Expansion) -> tuple[int, int] | None:
    """The rectangle of results that look at `rows` pixels at most of which the fewest cover an image."""
    found = []
    reaches = [(w, what.columns.reach(w, what.window, what.stride)) for w in range(min(what.columns.out, rows), 0, -1)]
    for height in range(1, min(what.rows.out, rows) + 1):
        reach = what.rows.reach(height, what.window, what.stride)
        width = next((w for w, across in reaches if reach * across <= rows), None)
        if width is not None:
            found.append((-(-what.rows.out // height) * -(-what.columns.out // width), height, width))
    return min(found)[1:] if found else None


def _layout(tile: Tile, height: int, width: int, what: Expansion, unit: str, ceilings: Ceilings) -> Layout:
    """Products take as long as others of this size; then a block's threads go over them in shared memory."""
    rectangles = -(-what.rows.out // height) * -(-what.columns.out // width)
    size = Size(what.images * rectangles * tile.rows, what.channels, what.depth, 1, what.a_bytes, what.b_bytes)
    rate = ceilings.peak("strict") / 2 / ceilings.multiprocessors  # lanes, and bytes of shared memory
    threads, groups, window, run = tile.threads(unit), tile.columns // 4, what.window, RUNS[what.stride]
    turns = -(-height * -(-width // run) * groups // threads)
    loads = window * ((run - 1) * what.stride + 2 * window)
    work = 16 * threads * turns * loads + tile.rows * tile.columns * (BOUNDED if what.is_bounded else CURVED)
    rounds = -(-blocks(tile, size) // ceilings.multiprocessors)
    return Layout(tile, height, width, expected(tile, 1, size, unit, ceilings) + rounds * work / rate)


def dynamic_bytes(tile: Tile, what: Expansion, unit: str) -> int:
    """Shared memory of a block, as pipelined.cuh and stage.cuh lay it out."""
    pitch = tile.depth + (8 if unit == "fp16" else 4)
    stage = pitch * (tile.rows * what.a_bytes + tile.columns * what.b_bytes)
    return max(tile.stages * stage, 4 * tile.rows * (tile.columns + 8), 16 * tile.threads(unit))

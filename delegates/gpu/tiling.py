"""Which tiles a product of matrices is made of, and by how many blocks each: those that should take least time.

The model of a block: it goes through the summed dimension in trips; a trip takes as long as its arithmetic, its bytes,
or the wait for them, of which a pipeline of tiles on their way hides its share. None of it has been measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from .ceilings import Ceilings

MOST_PARTS = 16
"""Blocks that may share a tile's summed dimension."""

MOST_TILES = 4095
"""Tiles of a launch whose blocks share them: so many counts there are, and a grid has at most 65535 blocks in z."""

LEAST_STAGES = 3
"""Of a pipeline: one that is read, one that is whole, one that is on its way."""

_THREADS, _REGISTERS, _OTHERS = 2048, 65536, 96
"""Of a multiprocessor; and the registers of a thread that hold no sums."""

_SHARE = 0.62
"""Of a tensor core's peak, what warps reach that load fragments themselves; of ordinary cores about as much."""

_LOADS = 1.6
"""Loads from shared memory that take as long as a product of fragments."""


class Tile(NamedTuple):
    """What one block makes, and how its threads share it; see tile.cuh."""

    rows: int
    columns: int
    part: tuple[int, int]  # rows and columns: that a thread sums (strict), or a warp (tensor cores)
    groups: int
    slice: int
    stages: int = 0  # of a pipeline; 0: operands pass through registers

    @property
    def depth(self) -> int:
        """Elements of the summed dimension of one trip."""
        return self.groups * self.slice

    def threads(self, unit: str) -> int:
        """Threads of a block."""
        parts = self.rows // self.part[0] * (self.columns // self.part[1]) * self.groups
        return parts if unit in ("strict", "dp4a") else parts * 32

    def defines(self, unit: str) -> dict[str, object]:
        """The macros of a kernel that makes such tiles."""
        name = "CELL" if unit == "strict" else "WARP"
        return {
            "ROWS": self.rows, "COLUMNS": self.columns, "GROUPS": self.groups, "SLICE": self.slice,
            "STAGES": self.stages, f"{name}_ROWS": self.part[0], f"{name}_COLUMNS": self.part[1],
        }  # fmt: skip


class Size(NamedTuple):
    """A product: `pairs` of matrices [rows, depth] and [depth, columns]; bytes of an element of each, and how many
    numbers are loaded for one of the first: itself, and perhaps its scale."""

    rows: int
    columns: int
    depth: int
    pairs: int = 1
    a_bytes: float = 4
    b_bytes: float = 4
    copies: int = 1


class Choice(NamedTuple):
    """A tile, how many blocks share its summed dimension, and the seconds that the launch is expected to take."""

    tile: Tile
    parts: int
    seconds: float

    def __str__(self) -> str:
        shared = f" by {self.parts}" if self.parts > 1 else ""
        return f"{self.tile.rows} x {self.tile.columns}, {self.tile.stages} stages{shared}"


def fit(tile: Tile, fits: Callable[[Tile], bool]) -> Tile | None:
    """The tile, or one with as many stages as fit, `LEAST_STAGES` at least; None if even so it does not."""
    while not fits(tile):
        if tile.stages <= LEAST_STAGES:
            return None
        tile = tile._replace(stages=tile.stages - 1)
    return tile


def blocks(tile: Tile, size: Size) -> int:
    """How many tiles there are."""
    return -(-size.rows // tile.rows) * -(-size.columns // tile.columns) * size.pairs


def choose(tiles: Sequence[Tile], size: Size, unit: str, ceilings: Ceilings, *, splits: bool = False) -> Choice:
    """The tile and the number of parts from which the least time is expected; the larger tile of two alike."""
    return candidates(tiles, size, unit, ceilings, splits=splits)[0]


@lru_cache(maxsize=4096)
def candidates(
    tiles: Sequence[Tile], size: Size, unit: str, ceilings: Ceilings, *, splits: bool = False
) -> tuple[Choice, ...]:
    """The best number of parts for each tile, those first from which the least time is expected.

    splits: whether blocks may share tiles.
    """
    found = []
    for tile in tiles:
        ways = (
            Choice(tile, n, expected(tile, n, size, unit, ceilings)) for n in (_parts(tile, size) if splits else (1,))
        )
        found.append(min(ways, key=lambda choice: choice.seconds))
    return tuple(sorted(found, key=lambda choice: choice.seconds))


def _parts(tile: Tile, size: Size) -> Iterable[int]:
    """Numbers of blocks that may share a tile, each with two trips at least."""
    trips = -(-size.depth // tile.depth)
    most = min(MOST_PARTS, trips // 2) if blocks(tile, size) <= MOST_TILES else 1
    shares = {-(-trips // parts) for parts in range(1, max(most, 1) + 1)}
    return sorted(-(-trips // share) for share in shares)


def share_of(tile: Tile, parts: int, depth: int) -> int:
    """Elements of the summed dimension that one of the parts takes."""
    trips = -(-depth // tile.depth)
    return -(-trips // parts) * tile.depth


def expected(tile: Tile, parts: int, size: Size, unit: str, ceilings: Ceilings) -> float:
    """Seconds from a launch's first instruction to its last."""
    count, multiprocessors = blocks(tile, size) * parts, ceilings.multiprocessors
    resident = _resident(tile, size, unit, ceilings)
    at_once = min(count, multiprocessors * resident)
    beside = -(-at_once // multiprocessors)  # blocks of one multiprocessor
    trips = share_of(tile, parts, size.depth) // tile.depth
    loaded = beside * tile.depth * (tile.rows * size.a_bytes * size.copies + tile.columns * size.b_bytes)
    rate = min(ceilings.per_multiprocessor, ceilings.cache / min(count, multiprocessors))
    operations = 2 * beside * tile.depth * tile.rows * tile.columns
    arithmetic = operations * multiprocessors / (ceilings.peak(unit) * efficiency(tile, unit, size.a_bytes))
    ahead = max(tile.stages - 1, 1)
    trip = max(arithmetic, loaded / rate)
    block = ceilings.latency + (trips - 1) * max(trip, ceilings.latency / ahead) + trip
    waves = -(-count // (multiprocessors * resident))
    joining = _joining(tile, parts, size, ceilings) if parts > 1 else 0.0
    whole = size.pairs * (size.rows * size.a_bytes * size.copies + size.columns * size.b_bytes) * size.depth
    return max(waves * block, whole / ceilings.memory) + joining


def _joining(tile: Tile, parts: int, size: Size, ceilings: Ceilings) -> float:
    """Seconds in which the parts of all tiles leave, and the last block of each reads them."""
    everything = 8 * parts * size.rows * size.columns * size.pairs / ceilings.cache
    own = 4 * (parts + 1) * tile.rows * tile.columns / ceilings.per_multiprocessor
    return ceilings.join + max(everything, own)


def efficiency(tile: Tile, unit: str, a_bytes: float = 4) -> float:
    """The share of a unit's peak that is left where fragments come from shared memory."""
    if unit in ("strict", "dp4a"):
        rows, columns = tile.part
        return _SHARE * min(1.0, rows * columns / (rows + columns) / 2)
    rows, columns = tile.part[0] // 16, tile.part[1] // 8
    wide = 2 if unit == "fp16" and tile.stages and a_bytes > 2 else 1  # float32 that is rounded on its way takes two
    loads = (4 * wide * rows + 2 * columns) / (rows * columns)
    return _SHARE * min(1.0, _LOADS / loads)


def shared_bytes(tile: Tile, a_bytes: float, b_bytes: float) -> int:
    """Shared memory of a block, as tile.cuh lays it out."""
    pitch = tile.depth + 8
    stages = tile.stages or 2
    operands = stages * pitch * (tile.rows * a_bytes + tile.columns * b_bytes)
    return math.ceil(max(operands, 4 * tile.rows * (tile.columns + 8)))


def _resident(tile: Tile, size: Size, unit: str, ceilings: Ceilings) -> int:
    """Blocks that a multiprocessor can have at once."""
    threads = tile.threads(unit)
    sums = tile.rows * tile.columns * tile.groups // threads
    by_memory = ceilings.shared_bytes // shared_bytes(tile, size.a_bytes * size.copies, size.b_bytes)
    return max(1, min(by_memory, _THREADS // threads, _REGISTERS // (threads * (sums + _OTHERS))))

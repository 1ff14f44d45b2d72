"""The tiles of which products of float32 are made, by the precision in which they are multiplied; and blocks that
share a tile's summed dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..listing import ARRIVED, Argument
from ..lowering import Site
from ..tiling import Choice, Size, Tile, blocks, share_of

TILES: Mapping[str, Sequence[Tile]] = {
    "strict": (
        Tile(128, 64, (8, 4), 1, 16),
        Tile(64, 64, (4, 4), 1, 16),
        Tile(32, 32, (4, 4), 4, 16),
        Tile(16, 32, (2, 4), 4, 16),
    ),
    "tf32": (
        Tile(128, 64, (32, 32), 1, 16),
        Tile(64, 64, (32, 32), 2, 16),
        Tile(32, 32, (32, 32), 4, 16),
        Tile(16, 32, (16, 32), 4, 16),
    ),
    "fp16": (
        Tile(128, 64, (32, 32), 1, 32),
        Tile(64, 64, (32, 32), 2, 16),
        Tile(32, 32, (32, 32), 4, 16),
        Tile(16, 32, (16, 32), 4, 16),
    ),
}
"""Where operands are rounded or gathered on their way; large tiles first."""

_TENSOR = (
    Tile(128, 128, (64, 32), 1, 32, 3),
    Tile(128, 64, (32, 32), 1, 32, 3),
    Tile(64, 64, (32, 32), 1, 32, 5),
    Tile(32, 64, (32, 32), 2, 16, 6),
    Tile(32, 32, (32, 32), 4, 16, 5),
    Tile(16, 32, (16, 32), 4, 16, 7),
)

PIPELINED: Mapping[str, Sequence[Tile]] = {
    "strict": (
        Tile(128, 64, (8, 4), 1, 16, 3),
        Tile(64, 64, (4, 4), 1, 16, 4),
        Tile(32, 32, (4, 4), 4, 16, 5),
        Tile(16, 32, (2, 4), 4, 16, 7),
    ),
    "tf32": _TENSOR,
    "fp16": _TENSOR,
}
"""Where both operands can be copied 16 bytes at a time."""

LEAST_COLUMNS = min(tile.columns for tiles in (TILES, PIPELINED) for ways in tiles.values() for tile in ways)

PRECISIONS = tuple(TILES)
"""As tile.cuh numbers them."""


class Parts(NamedTuple):
    """What a kernel needs where several blocks share a tile: files, macros, and arguments; see parts.cuh."""

    files: tuple[str, ...]
    defines: Mapping[str, object]
    arguments: tuple[Argument, ...]


def parts_of(site: Site, choice: Choice, size: Size, dtype: Any) -> Parts:
    """Of a launch whose sums are of this type."""
    tile, parts = choice.tile, choice.parts
    if parts == 1:
        return Parts((), {"SPLIT": 0, "PARTS_PARAMETERS": ""}, ())
    sums = site.scratch((blocks(tile, size), parts, tile.rows, tile.columns), dtype)
    shared = sums, ARRIVED, np.int32(parts), np.int32(share_of(tile, parts, size.depth))
    return Parts(("parts.cuh",), {"SPLIT": 1}, shared)


def grid_of(choice: Choice, size: Size) -> tuple[int, int, int]:
    """Blocks by rows, by columns, and by pairs and parts of them."""
    tile = choice.tile
    return -(-size.rows // tile.rows), -(-size.columns // tile.columns), size.pairs * choice.parts

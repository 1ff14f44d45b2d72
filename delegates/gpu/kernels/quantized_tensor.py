"""Products of int8 with constant weights by tensor cores, where that should be faster than on ordinary ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..listing import Argument, Operand, Work
from ..lowering import Options, Site
from ..tail import WIDTH
from ..tiling import Choice, Size, Tile, candidates
from .tiles import grid_of, parts_of

if TYPE_CHECKING:
    from .quantized_products import Ending, Rows

ARCH = 80
"""Compute capability, times ten, from which on a warp multiplies fragments of 32 bytes, and copies run beside that."""

INT8 = 3
"""The precision, as tile.cuh numbers it."""

TILES = (
    Tile(128, 128, (64, 32), 1, 64, 4),
    Tile(128, 64, (32, 32), 1, 64, 4),
    Tile(64, 64, (32, 32), 1, 64, 5),
    Tile(32, 64, (32, 32), 2, 32, 6),
    Tile(32, 32, (32, 32), 4, 32, 5),
    Tile(16, 32, (16, 32), 4, 32, 7),
)
"""Large tiles first."""

_ALIGNMENT = 16
"""Elements to whose multiple the rows of weights are filled up."""


@dataclass(frozen=True, slots=True, eq=False)
class Bytes:
    """A product of integers, which tensor cores take if they are int8."""

    x: Operand
    ending: Ending
    rows: Rows
    size: Size

    @property
    def chunk(self) -> int | None:
        """Elements of the input that can be copied at once; None if they are fewer than four."""
        sizes = self.rows.group_channels, self.rows.shape[3], self.x.offset
        return next((n for n in (16, 8, 4) if not any(size % n for size in sizes)), None)

    def choices(self, options: Options) -> tuple[Choice, ...]:
        """Tiles, those first that are expected to take least time; none if tensor cores can't take the product."""
        is_plain = self.x.dtype == np.int8 and not self.ending.weights_zero and not self.rows.is_transposed
        if options.arch < ARCH or not is_plain or self.chunk is None:
            return ()
        fitting = tuple(tile for tile in TILES if dynamic_bytes(tile) <= options.ceilings.shared_bytes)
        return candidates(fitting, self.size, "int8", options.ceilings, splits=True)

    def launch(self, site: Site, choice: Choice) -> None:
        """Emit the launch that makes such tiles."""
        tile, size, rows, ending = choice.tile, self.size, self.rows, self.ending
        parts = parts_of(site, choice, size, np.int32)
        weights = site.packed(1, "rows of bytes", lambda w: _packed(site.op.dense(np, w)))
        defines = {
            "PRECISION": INT8, "SUM": "int", "ACCUMULATOR": "int", "CHUNK": self.chunk,
            "IS_VECTOR": int(size.columns % WIDTH == 0), **tile.defines("int8"), **parts.defines, **ending.defines,
        }  # fmt: skip
        numbers = [size.rows, size.columns, size.depth, weights.known_shape[1], rows.group_channels, *rows.geometry]
        work = Work(2 * math.prod(size[:4]), "int8", choice.seconds)
        files = ending.file, "fragments.cuh", *parts.files, "quantized_tensor.cu"
        arguments: tuple[Argument, ...] = (self.x, weights, site.out, *map(np.int32, numbers), *parts.arguments)
        site.launch(
            site.kernel("quantized_tensor", *files, **defines), grid_of(choice, size), tile.threads("int8"),
            *(*arguments, *ending.arguments, *site.tail.arguments), shared=dynamic_bytes(tile), work=work,
        )  # fmt: skip


def dynamic_bytes(tile: Tile) -> int:
    """Shared memory that a block asks for, as quantized_tensor.cu lays it out."""
    return max(tile.stages * (tile.rows + tile.columns) * (tile.depth + 16), 4 * tile.rows * (tile.columns + 8))


def _packed(weights: np.ndarray) -> np.ndarray:
    """int8 [out channels, elements], filled up with zeros."""
    flat = weights.reshape(len(weights), -1)
    return np.pad(flat, ((0, 0), (0, -flat.shape[1] % _ALIGNMENT)))

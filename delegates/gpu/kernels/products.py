"""Products of float32 matrices: what convolutions, dense layers and batched products come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ....interpreter.runtime.delegate import BoundNode
from ..kernel import CTYPES
from ..listing import Argument, Operand
from ..lowering import Site
from ..tail import WIDTH
from . import library

SMS = 132
"""Multiprocessors that should all have a block (H100)."""

FEW_ROWS = 4
"""Up to so many rows a product is bound by reading the other operand, and a warp makes each column."""

MAX_PAIRS = 65535
"""Pairs of matrices of one launch."""

QUADWISE, ALONG, ACROSS = range(3)
"""How threads load an operand; see quad.cuh."""


class Tile(NamedTuple):
    """What one block makes, and how its threads share it; see tile.cuh."""

    rows: int
    columns: int
    part: tuple[int, int]  # rows and columns: that a thread sums (strict), or a warp (tensor cores)
    groups: int
    slice: int


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
"""Large tiles first: they read least, small ones keep more multiprocessors busy."""

PRECISIONS = tuple(TILES)


class Strides(NamedTuple):
    """Steps in elements: within a matrix, and between the matrices of pairs numbered (outer, inner)."""

    row: int
    column: int = 1
    outer: int = 0
    inner: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """Matrices in memory; columns run along the summed dimension, for both operands."""

    operand: Operand
    strides: Strides

    def mode(self, depth: int) -> int:
        """How it can be loaded."""
        row, column, outer, inner = self.strides
        if column != 1:
            return ACROSS
        aligned = not any(n % WIDTH for n in (depth, row, outer, inner)) and self.operand.offset % 16 == 0
        return QUADWISE if aligned else ALONG


class Window(NamedTuple):
    """Images whose windows are the left operand's rows; see window.cuh."""

    height: int
    width: int
    channels: int
    taken: int  # channels that one group of filters reads
    out_height: int
    out_width: int
    taps: int  # columns of the window
    step_y: int
    step_x: int
    dilation_y: int
    dilation_x: int
    top: int
    left: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Product:
    """out[pair, m, n] = clamp(sum over k of a[pair, m, k] * b[pair, n, k] + bias[inner * bias_step + n])."""

    rows: int
    columns: int
    depth: int
    a: Matrix  # with a window only the strides between pairs count
    b: Matrix  # of float32
    out: Strides
    limits: tuple[np.float32, np.float32]
    outer: int = 1
    inner: int = 1
    bias: Operand | None = None
    bias_step: int = 0
    packed: Callable[[], Operand] | None = None  # gives what kernels of ours read for `b`
    window: Window | None = None
    transposed: bool = False
    scales: Operand | None = None  # [images, depth]: factors of the left operand
    pixels: int = 1  # rows of each image

    @property
    def is_single(self) -> bool:
        """Whether it is one product of matrices that are laid out as usual."""
        plain = self.window is None and self.scales is None and self.a.strides.column == 1
        return plain and self.outer * self.inner == 1 and self.out == Strides(self.columns)


def launch(site: Site, product: Product) -> str | None:
    """Emit a product whose results are the site's, for a library or for our kernels; a sentence if it is too large."""
    if library.launched(site, product):
        return None
    pairs = product.outer * product.inner
    if max(product.a.operand.size, product.b.operand.size, product.rows * product.columns * pairs) >= 1 << 31:
        return "its operands have 2**31 elements or more."
    if pairs > MAX_PAIRS:
        return f"it has more than {MAX_PAIRS} pairs of matrices."
    if product.packed is not None:
        product = replace(product, b=Matrix(product.packed(), product.b.strides))
    if product.rows <= FEW_ROWS and product.is_single:
        _launch_few_rows(site, product)
    else:
        _launch_tiles(site, product)
    return None


def _launch_few_rows(site: Site, product: Product) -> None:
    a, b, lines = product.a, product.b, 1 if product.rows == 1 else FEW_ROWS
    site.launch(
        site.kernel("gemv", "gemv.cu", LINES=lines, A_MODE=a.mode(product.depth), **_of_b(product)),
        (-(-product.columns // 8), -(-product.rows // lines)), 256,
        *(site.out, a.operand, b.operand, product.bias or a.operand),
        *map(np.int32, (product.rows, product.columns, product.depth, a.strides.row, *b.strides[:2])),
        *(np.int32(product.bias is not None), *product.limits, *site.tail.arguments),
    )  # fmt: skip


def _launch_tiles(site: Site, product: Product) -> None:
    a, b, out, pairs = product.a, product.b, product.out, product.outer * product.inner
    precision = site.options.products
    tile = choose_tile(TILES[precision], product.rows, product.columns, pairs)
    grid = -(-product.rows // tile.rows), -(-product.columns // tile.columns), pairs
    step = _step(product) if site.tail.width == WIDTH else 1
    part = ("CELL_ROWS", "CELL_COLUMNS") if precision == "strict" else ("WARP_ROWS", "WARP_COLUMNS")
    defines = {
        "PRECISION": PRECISIONS.index(precision), "ROWS": tile.rows, "COLUMNS": tile.columns, "GROUPS": tile.groups,
        "SLICE": tile.slice, part[0]: tile.part[0], part[1]: tile.part[1], "STEP": step,
        **_of_b(product),
    }  # fmt: skip
    if product.window is None:
        aligned = product.scales is None or product.scales.offset % 16 == 0
        source, mode = "rows.cuh", a.mode(product.depth) if aligned else max(a.mode(product.depth), ALONG)
        extra: tuple[Argument, ...] = (
            np.int32(a.strides.row),
            np.int32(a.strides.column),
            product.scales or a.operand,
            np.int32(product.pixels),
        )
        defines |= {"A_MODE": mode, "SCALED": int(product.scales is not None)}
    else:
        window = product.window
        source, mode = "window.cuh", QUADWISE if _in_quads(window, a.operand) else ALONG
        extra = tuple(map(np.int32, window))
        defines |= {"A_MODE": mode, "TRANSPOSED": int(product.transposed)}
    arithmetic = "fma.cuh" if precision == "strict" else "fragments.cuh"
    site.launch(
        site.kernel("gemm", arithmetic, source, "gemm.cu", **defines), grid, _threads(tile, precision),
        *(site.out, a.operand, b.operand, product.bias or a.operand),
        *map(np.int32, (product.rows, product.columns, product.depth, product.inner, *a.strides[2:], *b.strides[2:])),
        *map(np.int32, (*b.strides[:2], *out[2:], *out[:2], product.bias is not None, product.bias_step)),
        *(*product.limits, *extra, *site.tail.arguments),
    )  # fmt: skip


def _of_b(product: Product) -> dict[str, object]:
    return {"B_MODE": product.b.mode(product.depth), "B_TYPE": CTYPES[product.b.operand.dtype]}


def weights_of(site: Site, position: int, bound: BoundNode | None = None) -> Operand:
    """Weights as our kernels read them: float32 constants in float16 where that is what they are rounded to."""
    chosen = bound or site.nodes[0]
    value = site.value(position, chosen)
    if site.options.products == "fp16" and value is not None and value.dtype == np.float32:
        return site.packed(position, "float16", halved, chosen)
    return site.tensor(chosen.node.inputs[position])


def halved(values: np.ndarray) -> np.ndarray:
    """Rounded to float16; what is too large for it becomes infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


def choose_tile(tiles: Sequence[Tile], rows: int, columns: int, pairs: int) -> Tile:
    """The largest tile that still gives each multiprocessor a block; else the one that gives most of them one."""
    for tile in tiles:
        if -(-rows // tile.rows) * -(-columns // tile.columns) * pairs >= SMS:
            return tile
    return tiles[-1]


def _threads(tile: Tile, precision: str) -> int:
    parts = tile.rows // tile.part[0] * (tile.columns // tile.part[1]) * tile.groups
    return parts if precision == "strict" else parts * 32


def _step(product: Product) -> int:
    """How many results in a row a thread may store at once."""
    row, column, outer, inner = product.out
    aligned = column == 1 and not any(n % WIDTH for n in (product.columns, row, outer, inner))
    return WIDTH if aligned else 1


def _in_quads(window: Window, images: Operand) -> bool:
    return window.channels % WIDTH == 0 == window.taken % WIDTH and images.offset % 16 == 0

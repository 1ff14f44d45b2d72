"""Products of float32 matrices, which may be float16 in memory: what convolutions, dense layers and batched products
come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from ....interpreter.runtime.delegate import BoundNode
from ..kernel import CTYPES
from ..listing import UNREAD, Argument, Operand, Work
from ..lowering import Site
from ..tail import WIDTH
from ..tiling import Choice, Size, Tile, candidates, fit
from . import library
from .tiles import LEAST_COLUMNS, PIPELINED, PRECISIONS, TILES, grid_of, parts_of

PIPELINE_ARCH = 80
"""Compute capability, times ten, from which on copies to shared memory run beside the arithmetic."""

FEW_ROWS = 4
"""Up to so many rows a product is bound by reading the other operand, and a warp makes each column."""

MAX_PAIRS = MAX_BLOCKS = 65535
"""Pairs of matrices of one launch, and blocks by columns."""

QUADWISE, ALONG, ACROSS = range(3)
"""How threads load an operand; see quad.cuh."""


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

    def is_even(self, depth: int) -> bool:
        """Whether it can be copied 16 bytes at a time."""
        row, _, outer, inner = self.strides
        at_once = 16 // self.operand.dtype.itemsize
        return self.mode(depth) == QUADWISE and not any(n % at_once for n in (depth, row, outer, inner))


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
    b: Matrix
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
    def operations(self) -> int:
        """Additions and multiplications."""
        return 2 * self.rows * self.columns * self.depth * self.outer * self.inner

    @property
    def is_single(self) -> bool:
        """Whether it is one product of matrices that are laid out as usual."""
        plain = self.window is None and self.scales is None and self.a.strides.column == 1
        return plain and self.outer * self.inner == 1 and self.out == Strides(self.columns)


def launch(site: Site, product: Product) -> str | None:
    """Emit a product whose results are the site's, for a library or for our kernels; a sentence if it is too large."""
    if site.options.tuner is None and library.launched(site, product):
        return None
    pairs = product.outer * product.inner
    if max(product.a.operand.size, product.b.operand.size, product.rows * product.columns * pairs) >= 1 << 31:
        return "its operands have 2**31 elements or more."
    if pairs > MAX_PAIRS:
        return f"it has more than {MAX_PAIRS} pairs of matrices."
    if product.bias is not None and product.bias.dtype != np.float32:
        return "its bias is not of float32."
    if product.columns > MAX_BLOCKS * LEAST_COLUMNS:
        return f"it has more than {MAX_BLOCKS * LEAST_COLUMNS} columns."
    if product.packed is not None:
        product = replace(product, b=Matrix(product.packed(), product.b.strides))
    if product.rows <= FEW_ROWS and product.is_single:
        _launch_few_rows(site, product)
    else:
        site.either(_key(site, product), _ways(site, product))
    return None


def _key(site: Site, product: Product) -> str:
    """What tells products apart whose tiles should differ."""
    parts = _size(product), product.window, product.scales is not None, len(site.tail.nodes)
    return f"{site.options.products} {' '.join(map(str, parts))}"


def _ways(site: Site, product: Product) -> dict[str, Callable[[Site], object]]:
    """By tiles, the best first, and by a library."""
    precision, ceilings, size, source = site.options.products, site.options.ceilings, _size(product), _source(product)
    is_pipelined = _is_pipelined(site, product, source.mode)
    tiles = (PIPELINED if is_pipelined else TILES)[precision]
    fitting = tuple(
        fitted
        for tile in tiles
        if (fitted := fit(tile, lambda t: _dynamic_bytes(t, product, precision) <= ceilings.shared_bytes))
    )
    found = candidates(fitting, size, precision, ceilings, splits=is_pipelined)
    ways: dict[str, Callable[[Site], object]] = {
        str(c): partial(_launch_tiles, product=product, choice=c) for c in found
    }
    if site.options.tuner is not None and library.launched(replace(site, steps=[]), product, least=0):
        ways["library"] = partial(library.launched, product=product, least=0)
    return ways


def _launch_few_rows(site: Site, product: Product) -> None:
    a, b, lines = product.a, product.b, 1 if product.rows == 1 else FEW_ROWS
    site.launch(
        site.kernel("gemv", "gemv.cu", LINES=lines, A_MODE=a.mode(product.depth), **_types(product)),
        (-(-product.columns // 8), -(-product.rows // lines)), 256,
        *(site.out, a.operand, b.operand, product.bias or UNREAD),
        *map(np.int32, (product.rows, product.columns, product.depth, a.strides.row, *b.strides[:2])),
        *(np.int32(product.bias is not None), *product.limits, *site.tail.arguments), work=Work(product.operations),
    )  # fmt: skip


def _launch_tiles(site: Site, product: Product, choice: Choice) -> None:
    a, b, out = product.a, product.b, product.out
    precision, source, size = site.options.products, _source(product), _size(product)
    tile, parts = choice.tile, parts_of(site, choice, size, np.float32)
    defines = {
        "PRECISION": PRECISIONS.index(precision), "SUM": "float", "STEP": _step(site, product),
        "A_MODE": source.mode, **tile.defines(precision), **_types(product), **source.defines, **parts.defines,
    }  # fmt: skip
    arithmetic = "fma.cuh" if precision == "strict" else "fragments.cuh"
    files = arithmetic, source.file, "pipelined.cuh" if tile.stages else "held.cuh", *parts.files
    site.launch(
        site.kernel("gemm", *files, "gemm.cu", **defines), grid_of(choice, size), tile.threads(precision),
        *(site.out, a.operand, b.operand, product.bias or UNREAD),
        *map(np.int32, (product.rows, product.columns, product.depth, product.inner, *a.strides[2:], *b.strides[2:])),
        *map(np.int32, (*b.strides[:2], *out[2:], *out[:2], product.bias is not None, product.bias_step)),
        *(*product.limits, *parts.arguments, *source.arguments, *site.tail.arguments),
        shared=_dynamic_bytes(tile, product, precision), work=Work(product.operations, precision, choice.seconds),
    )  # fmt: skip


class Source(NamedTuple):
    """How a kernel reads the left operand: the file that does, its macros and arguments, and the mode of loads."""

    file: str
    mode: int
    defines: dict[str, object]
    arguments: tuple[Argument, ...]


def _source(product: Product) -> Source:
    a, window, scales = product.a, product.window, product.scales
    if window is not None:
        mode = QUADWISE if _in_quads(window, a.operand) else ALONG
        defines: dict[str, object] = {"TRANSPOSED": int(product.transposed), "SCALED": 0}
        return Source("window.cuh", mode, defines, tuple(map(np.int32, window)))
    aligned = scales is None or scales.offset % 16 == 0
    mode = a.mode(product.depth) if aligned else max(a.mode(product.depth), ALONG)
    steps = np.int32(a.strides.row), np.int32(a.strides.column)
    arguments = (*steps, scales or a.operand, np.int32(product.pixels))
    return Source("rows.cuh", mode, {"SCALED": int(scales is not None)}, arguments)


def _is_pipelined(site: Site, product: Product, mode: int) -> bool:
    """Whether all operands can be copied 16 bytes at a time, beside the arithmetic."""
    a, window, depth = product.a, product.window, product.depth
    at_once = 16 // a.operand.dtype.itemsize
    if window is not None:
        is_even = not any(n % at_once for n in (window.channels, window.taken, *a.strides[2:]))
    else:
        is_even = a.is_even(depth)
    is_alike = product.scales is None or product.scales.dtype == a.operand.dtype
    return site.options.arch >= PIPELINE_ARCH and mode == QUADWISE and is_even and is_alike and product.b.is_even(depth)


def _size(product: Product) -> Size:
    of_a, of_b = (matrix.operand.dtype.itemsize for matrix in (product.a, product.b))
    copies = 2 if product.scales is not None else 1
    return Size(product.rows, product.columns, product.depth, product.outer * product.inner, of_a, of_b, copies)


def _dynamic_bytes(tile: Tile, product: Product, precision: str) -> int:
    """Shared memory that a block of a pipeline asks for, as pipelined.cuh lays it out."""
    pitch = tile.depth + (8 if precision == "fp16" else 4)
    size = _size(product)
    stage = pitch * int(tile.rows * size.a_bytes * size.copies + tile.columns * size.b_bytes)
    return max(tile.stages * stage, 4 * tile.rows * (tile.columns + 8)) if tile.stages else 0


def _types(product: Product) -> dict[str, object]:
    a, b, scales = product.a.operand, product.b, product.scales or product.a.operand
    types = {"A_TYPE": CTYPES[a.dtype], "B_TYPE": CTYPES[b.operand.dtype], "SCALE_TYPE": CTYPES[scales.dtype]}
    return {"B_MODE": b.mode(product.depth), **types}


def weights_of(site: Site, position: int, bound: BoundNode | None = None) -> Operand:
    """Weights as our kernels read them: float32 constants in float16 where that is what they are rounded to."""
    return site.in_half(site.tensor((bound or site.nodes[0]).node.inputs[position]))


def _step(site: Site, product: Product) -> int:
    """How many results in a row a thread may store at once."""
    row, column, outer, inner = product.out
    bias = 0 if product.bias is None else product.bias.offset // product.bias.dtype.itemsize
    numbers = product.columns, row, outer, inner, bias, product.bias_step
    aligned = column == 1 and not any(n % WIDTH for n in numbers)
    return WIDTH if aligned and site.tail.width == WIDTH else 1


def _in_quads(window: Window, images: Operand) -> bool:
    return window.channels % WIDTH == 0 == window.taken % WIDTH and images.offset % 16 == 0

"""Products with integer weights: CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED of integers.

What becomes of the exact sums is an `Ending`'s to say: a stored integer, or, where a float input was quantised on the
way, a float.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....interpreter.ops.conv import Conv2D, DepthwiseConv2D, TransposeConv
from ....interpreter.ops.shared.products import WeightedOp
from ....interpreter.ops.shared.windows import Axes, Axis
from ..kernel import CTYPES
from ..listing import Argument, Operand
from ..lowering import THREADS, Site

TILES = ((64, 64), (64, 32), (32, 32))
"""Rows and columns of results that a block may make, largest first."""

ENOUGH_BLOCKS = 128
"""Blocks that keep a large GPU busy; a larger tile is taken only if there are as many."""

VECTOR_ROWS = 4
"""A product of at most so many rows is made by columns."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How sums become results: the file that has `Result`, its macros, and the arguments that it takes."""

    file: str
    defines: Mapping[str, object]
    arguments: tuple[Argument, ...]
    weights_zero: int = 0  # of weights as signed numbers


@dataclass(frozen=True, slots=True)
class Rows:
    """The input as rows of a matrix: windows of [images, height, width, channels].

    Those of TRANSPOSE_CONV have the elements that reach a pixel of the result, whose places are its steps apart.
    """

    shape: tuple[int, int, int, int]
    axes: Axes  # of height and width
    group_channels: int
    is_transposed: bool = False

    @property
    def count(self) -> int:
        return self.shape[0] * math.prod(axis.out for axis in self.axes)

    @property
    def geometry(self) -> list[int]:
        """What the kernels take: channels, sizes, output sizes, window, strides, dilations and padding."""
        y, x = self.axes
        return [
            *(self.shape[3], y.size, x.size, y.out, x.out, x.window),
            *(y.stride, x.stride, y.dilation, x.dilation, y.before, x.before),
        ]


def rows_of(site: Site) -> Rows:
    """The rows that an operator multiplies; those of FULLY_CONNECTED are images of one pixel."""
    x, w = input_of(site).shape or (), site.ins[1].shape or ()
    if isinstance(site.op, TransposeConv):
        axes = site.op.axes(site.nodes[0].outs[0].shape or (), w)
        turned = (Axis(n, a.window, a.stride, 1, a.size, a.before, a.after) for n, a in zip(x[1:3], axes, strict=True))
        return Rows((x[0], x[1], x[2], x[3]), tuple(turned), w[3], is_transposed=True)
    if isinstance(site.op, Conv2D | DepthwiseConv2D):
        return Rows((x[0], x[1], x[2], x[3]), site.op.axes(x, w), w[3] if isinstance(site.op, Conv2D) else 1)
    one = Axis(1, 1, 1, 1, 1, 0, 0)
    return Rows((input_of(site).size // w[1], 1, 1, w[1]), (one, one), w[1])


def input_of(site: Site) -> Operand:
    """What is multiplied with the weights."""
    operand: Operand = site.ins[site.op.positions[0]]
    return operand


def refusal(site: Site) -> str | None:
    """Why an operator's operands can't be multiplied, whatever their types."""
    x = input_of(site)
    if any(site.value(p) is None for p in (1, site.op.bias_position) if site.ins[p : p + 1] not in ((), (None,))):
        return "its weights or its bias are no constants."
    if not x.size or max(x.size, site.ins[1].size, site.out.size) >= 1 << 31:
        return "its operands have too many elements, or none."
    return None


def multiply(site: Site, x: Operand, ending: Ending) -> None:
    """Emit the launch that multiplies integers `x` with the weights of the operator."""
    if isinstance(site.op, DepthwiseConv2D):
        _depthwise(site, x, ending)
    else:
        _product(site, x, ending)


def _product(site: Site, x: Operand, ending: Ending) -> None:
    """Rows times weights [columns, *window, group channels]."""
    op: WeightedOp = site.op
    rows, out_channels = rows_of(site), (site.ins[1].shape or ())[0]
    lanes, groups = 4 // x.dtype.itemsize, rows.shape[3] // rows.group_channels
    columns = out_channels // groups
    weights = site.packed(1, f"words of {lanes}", lambda w: _words(op.dense(np, w), lanes))
    depth, flip = weights.size // out_channels, _flip(x.dtype)
    defines: dict[str, object] = {
        "LANES": lanes,
        "IS_ALIGNED": int(rows.group_channels % lanes == 0 and x.offset % 4 == 0),
        "HAS_WEIGHTS_ZERO": int(ending.weights_zero != 0),
        "IS_TRANSPOSED": int(rows.is_transposed),
        **_types(x),
        **ending.defines,
    }
    operands, last = (x, weights, site.out), (*ending.arguments, *site.tail.arguments)
    is_linear = rows.count * rows.group_channels == x.size and depth == -(-rows.group_channels // lanes)
    if rows.count <= VECTOR_ROWS and groups == 1 and is_linear:
        made = site.kernel("quantized_vector", ending.file, "quantized_vector.cu", ROWS=rows.count, **defines)
        numbers = [columns, depth, rows.group_channels, flip]
        site.launch(made, -(-columns // 4), 128, *operands, *map(np.int32, numbers), *last)
        return
    tile, grid = _tiled(rows.count, columns, groups)
    defines |= {"ROWS": tile[0], "COLUMNS": tile[1], "IS_VECTOR": int(columns % 4 == 0)}
    made = site.kernel("quantized_products", ending.file, "quantized_products.cu", **defines)
    channel_words = -(-rows.group_channels // lanes)
    numbers = [rows.count, columns, depth, channel_words, rows.group_channels, *rows.geometry, flip]
    site.launch(made, grid, tile[0] * tile[1] // 16, *operands, *map(np.int32, numbers), *last)


def _tiled(rows: int, columns: int, groups: int) -> tuple[tuple[int, int], tuple[int, int, int]]:
    """The tile, and the grid of tiles."""
    for tile in TILES:
        grid = -(-rows // tile[0]), -(-columns // tile[1]), groups
        if math.prod(grid) >= ENOUGH_BLOCKS:
            break
    return tile, grid


def _depthwise(site: Site, x: Operand, ending: Ending) -> None:
    op: DepthwiseConv2D = site.op
    rows, window = rows_of(site), site.ins[1].shape or ()
    multiplier = window[3] // rows.shape[3]
    is_vector = multiplier == 1 and rows.shape[3] % 4 == 0 and x.offset % (4 * x.dtype.itemsize) == 0
    at_once = 4 if is_vector else 1
    zero = op.weights_zero_point
    weights = site.packed(1, f"less {zero}", lambda w: op.dense(np, w).astype(np.int16) - np.int16(zero))
    defines = {"CHANNELS": at_once, **_types(x), **ending.defines}
    made = site.kernel("quantized_depthwise", ending.file, "quantized_depthwise.cu", **defines)
    channels, *geometry = rows.geometry
    size = rows.count * window[3]
    numbers = [size, channels, multiplier, *geometry[:4], window[1], *geometry[4:]]
    arguments = (x, weights, site.out, *map(np.int32, numbers), *ending.arguments, *site.tail.arguments)
    site.launch(made, -(-size // (THREADS * at_once)), THREADS, *arguments)


def _types(x: Operand) -> dict[str, object]:
    return {"ELEMENT": CTYPES[x.dtype], "ACCUMULATOR": "int" if x.dtype.itemsize == 1 else "long long"}


def _words(weights: np.ndarray, lanes: int) -> np.ndarray:
    """int32 [out channels, words]: signed weights, `lanes` of them in each word, channels filled up with 0."""
    size = 4 // lanes
    signed = weights.view(np.int8) ^ np.int8(_flip(weights.dtype) >> 24) if lanes == 4 else weights.astype(np.int16)
    margins = [(0, 0)] * (weights.ndim - 1) + [(0, -weights.shape[-1] % lanes)]
    return np.pad(signed, margins).reshape(len(weights), -1).astype(f"i{size}").view(np.int32)


def _flip(dtype: np.dtype[Any]) -> int:
    """What turns a word of unsigned bytes into one of signed bytes that are 128 less."""
    return int(np.uint32(0x80808080).view(np.int32)) if dtype == np.uint8 else 0


def channels_of(site: Site) -> int:
    """Channels of the result."""
    return (site.nodes[0].outs[0].shape or ())[-1]


def by_channel(site: Site, values: Any, dtype: Any, tag: str) -> Operand:
    """Host numbers, one or one for each channel of the result, as one for each channel."""
    channels = channels_of(site)
    packed = f"{tag} of node {site.nodes[0].node.index}"
    return site.packed(1, packed, lambda _: np.broadcast_to(np.asarray(values, dtype).reshape(-1), channels))


def given_bias(site: Site) -> Sequence[Any] | np.ndarray:
    """The bias, [0] where there is none."""
    position = site.op.bias_position
    value = site.value(position) if site.ins[position : position + 1] not in ((), (None,)) else None
    return [0] if value is None else value

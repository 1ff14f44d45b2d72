"""Products with integer weights: CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED of integers.

What becomes of the exact sums is an `Ending`'s to say: a stored integer, or, where a float input was quantised on the
way, a float.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ....interpreter.ops.conv import Conv2D, DepthwiseConv2D, TransposeConv
from ....interpreter.ops.shared.products import WeightedOp
from ....interpreter.ops.shared.windows import Axes, Axis
from ..kernel import CTYPES
from ..listing import Argument, Operand, Work
from ..lowering import Site
from ..tiling import Choice, Size, Tile, candidates
from . import quantized_depthwise, quantized_tensor
from .tiles import grid_of

WORDS = 16
"""Words of the summed dimension that a block multiplies at a time; see quantized_products.cu."""

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
        quantized_depthwise.launch(site, x, ending, rows_of(site))
    else:
        _product(site, x, ending)


def _product(site: Site, x: Operand, ending: Ending) -> None:
    """Rows times weights [columns, *window, group channels]."""
    rows, (filters, *window) = rows_of(site), site.ins[1].shape or ()
    groups = rows.shape[3] // rows.group_channels
    size = Size(rows.count, filters // groups, math.prod(window), groups, x.dtype.itemsize, x.dtype.itemsize)
    words = _Words(x, ending, rows, size)
    if words.is_vector:
        words.launch_columns(site)
        return
    found = [(c, words.launch) for c in candidates(_tiles(words.lanes), size, _unit(x), site.options.ceilings)]
    tensor = quantized_tensor.Bytes(x, ending, rows, size)
    found += [(choice, tensor.launch) for choice in tensor.choices(site.options)]
    found.sort(key=lambda way: way[0].seconds)
    key = f"{x.dtype} {size} {rows.axes} {ending.file} {len(site.tail.nodes)}"
    site.either(key, {str(choice): partial(launch, choice=choice) for choice, launch in found})


@dataclass(frozen=True, slots=True, eq=False)
class _Words:
    """A product of integers, several of which are multiplied as one word."""

    x: Operand
    ending: Ending
    rows: Rows
    size: Size

    @property
    def lanes(self) -> int:
        """Elements of a word."""
        return 4 // self.x.dtype.itemsize

    @property
    def channel_words(self) -> int:
        """Words of the channels of one pixel."""
        return -(-self.rows.group_channels // self.lanes)

    @property
    def depth(self) -> int:
        """Words of the summed dimension."""
        return self.size.depth // self.rows.group_channels * self.channel_words

    @property
    def is_vector(self) -> bool:
        """Whether it is made column by column."""
        is_whole = self.rows.count * self.rows.group_channels == self.x.size and self.depth == self.channel_words
        return self.rows.count <= VECTOR_ROWS and self.size.pairs == 1 and is_whole

    @property
    def work(self) -> Work:
        return Work(2 * math.prod(self.size[:4]), _unit(self.x))

    def launch_columns(self, site: Site) -> None:
        """Emit the launch that makes each column in one warp."""
        made = site.kernel(
            "quantized_vector", self.ending.file, "quantized_vector.cu", ROWS=self.rows.count, **self._defines()
        )
        numbers = [self.size.columns, self.depth, self.rows.group_channels, flip_of(self.x.dtype)]
        site.launch(made, -(-self.size.columns // 4), 128, *self._arguments(site, numbers), work=self.work)

    def launch(self, site: Site, choice: Choice) -> None:
        """Emit the launch that makes such tiles."""
        tile, size, rows = choice.tile, self.size, self.rows
        tiled = {"ROWS": tile.rows, "COLUMNS": tile.columns, "IS_VECTOR": int(size.columns % 4 == 0)}
        made = site.kernel("quantized_products", self.ending.file, "quantized_products.cu", **tiled, **self._defines())
        numbers = [size.rows, size.columns, self.depth, self.channel_words, rows.group_channels, *rows.geometry]
        arguments = self._arguments(site, [*numbers, flip_of(self.x.dtype)])
        work = self.work._replace(seconds=choice.seconds)
        site.launch(made, grid_of(choice, size), tile.threads("dp4a"), *arguments, work=work)

    def _defines(self) -> dict[str, object]:
        return {
            "LANES": self.lanes,
            "IS_ALIGNED": int(self.rows.group_channels % self.lanes == 0 and self.x.offset % 4 == 0),
            "HAS_WEIGHTS_ZERO": int(self.ending.weights_zero != 0),
            "IS_TRANSPOSED": int(self.rows.is_transposed),
            **_types(self.x),
            **self.ending.defines,
        }

    def _arguments(self, site: Site, numbers: Sequence[int]) -> tuple[Argument, ...]:
        op: WeightedOp = site.op
        weights = site.packed(1, f"words of {self.lanes}", lambda w: words_of(op.dense(np, w), self.lanes))
        return (self.x, weights, site.out, *map(np.int32, numbers), *self.ending.arguments, *site.tail.arguments)


def _tiles(lanes: int) -> tuple[Tile, ...]:
    """What a block may make, the largest first; a thread sums 4 x 4."""
    return tuple(Tile(*tile, (4, 4), 1, WORDS * lanes) for tile in ((64, 64), (64, 32), (32, 32)))


def _unit(x: Operand) -> str:
    """What multiplies words of such elements."""
    return "dp4a" if x.dtype.itemsize == 1 else "strict"


def _types(x: Operand) -> dict[str, object]:
    return {"ELEMENT": CTYPES[x.dtype], "ACCUMULATOR": "int" if x.dtype.itemsize == 1 else "long long"}


def words_of(weights: np.ndarray, lanes: int) -> np.ndarray:
    """int32 [out channels, words]: signed weights, `lanes` of them in each word, channels filled up with 0."""
    size = 4 // lanes
    signed = weights.view(np.int8) ^ np.int8(flip_of(weights.dtype) >> 24) if lanes == 4 else weights.astype(np.int16)
    margins = [(0, 0)] * (weights.ndim - 1) + [(0, -weights.shape[-1] % lanes)]
    return np.pad(signed, margins).reshape(len(weights), -1).astype(f"i{size}").view(np.int32)


def flip_of(dtype: np.dtype[Any]) -> int:
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

"""DEPTHWISE_CONV_2D of integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ....interpreter.ops.conv import DepthwiseConv2D
from ..kernel import CTYPES
from ..listing import Operand, Work
from ..lowering import THREADS, Site
from ..tail import WIDTH

if TYPE_CHECKING:
    from .quantized_products import Ending, Rows

TAPS = 3
"""Columns of a window whose taps are multiplied as one word."""

BUSY = 1 << 16
"""So many threads keep a GPU busy; where there are more, each takes two columns."""

TAPS_THREADS = 128


def launch(site: Site, x: Operand, ending: Ending, rows: Rows) -> None:
    """Emit the launch."""
    op: DepthwiseConv2D = site.op
    window = site.ins[1].shape or ()
    is_vector = window[3] == rows.shape[3] and window[3] % WIDTH == 0 == x.offset % (WIDTH * x.dtype.itemsize)
    is_dense = all(axis.dilation == 1 for axis in rows.axes) and window[2] <= TAPS
    work = Work(2 * rows.count * window[1] * window[2] * window[3])
    if is_vector and is_dense and x.dtype == np.int8 and op.weights_zero_point == 0:
        _launch_taps(site, x, ending, rows, work._replace(unit="dp4a"))
    else:
        _launch_elements(site, x, ending, rows, work, at_once=WIDTH if is_vector else 1)


def _launch_taps(site: Site, x: Operand, ending: Ending, rows: Rows, work: Work) -> None:
    """Taps of a row of the window as words."""
    op: DepthwiseConv2D = site.op
    taps = site.packed(1, "words of taps", lambda w: _words(op.dense(np, w)))
    channels, (y, x_axis) = rows.shape[3], rows.axes
    lines, quads = rows.shape[0] * y.out, channels // WIDTH
    columns = 2 if x_axis.stride == 1 and lines * x_axis.out * quads // 2 >= BUSY else 1
    threads = lines * -(-x_axis.out // columns) * quads
    defines = {"LANES": 4, "COLUMNS": columns, "ACCUMULATOR": "int", **ending.defines}
    made = site.kernel("quantized_taps", ending.file, "quantized_taps.cu", **defines)
    numbers = [threads, channels, y.size, x_axis.size, y.out, x_axis.out, y.window]
    numbers += [y.stride, x_axis.stride, y.before, x_axis.before]
    arguments = (x, taps, site.out, *map(np.int32, numbers), *ending.arguments, *site.tail.arguments)
    site.launch(made, -(-threads // TAPS_THREADS), TAPS_THREADS, *arguments, work=work)


def _launch_elements(site: Site, x: Operand, ending: Ending, rows: Rows, work: Work, at_once: int) -> None:
    """Any window, element by element."""
    op: DepthwiseConv2D = site.op
    window, zero = site.ins[1].shape or (), op.weights_zero_point
    weights = site.packed(1, f"less {zero}", lambda w: op.dense(np, w).astype(np.int16) - np.int16(zero))
    accumulator = "int" if x.dtype.itemsize == 1 else "long long"
    defines = {"CHANNELS": at_once, "ELEMENT": CTYPES[x.dtype], "ACCUMULATOR": accumulator, **ending.defines}
    made = site.kernel("quantized_depthwise", ending.file, "quantized_depthwise.cu", **defines)
    channels, *geometry = rows.geometry
    size = rows.count * window[3]
    numbers = [size, channels, window[3] // channels, *geometry[:4], window[1], *geometry[4:]]
    arguments = (x, weights, site.out, *map(np.int32, numbers), *ending.arguments, *site.tail.arguments)
    site.launch(made, -(-size // (THREADS * at_once)), THREADS, *arguments, work=work)


def _words(weights: np.ndarray) -> np.ndarray:
    """int32 [window rows, channels]: the taps of a row, filled up with zeros."""
    taps = np.moveaxis(weights[0], 1, 2)
    filled = np.pad(taps, ((0, 0), (0, 0), (0, 4 - taps.shape[2])))
    return np.ascontiguousarray(filled).view(np.int32)[..., 0]

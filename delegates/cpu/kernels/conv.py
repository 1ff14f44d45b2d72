"""CONV_2D: 1x1 as one matrix product, others over bands of rows that are laid out as matrices in cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from ....interpreter.ops.base import Op
from ....interpreter.ops.conv import Conv2D
from .bands import Bands
from .blas import one_thread
from .finish import Finish
from .gemm import BLOCK, FLOPS, affine
from .load import Load
from .operands import image_by_image, operands
from .packing import pack
from .threads import parts, split

Kernel = Callable[..., Any]

_NARROW = 16
"""Below this many neighbouring elements a window row is too short to be copied as such."""


def conv_2d(op: Op, constants: Mapping[int, np.ndarray], num_threads: int) -> Kernel | None:
    """CONV_2D with constant filters and bias, without groups."""
    assert isinstance(op, Conv2D)
    known = operands(op, 0, constants)
    if known is None:
        return None
    filters, depth = known.weights, known.weights.shape[3]
    matrix = pack(filters, ("conv", known.zero_point), lambda w: known.values(w).reshape(len(w), -1).T)

    @lru_cache(maxsize=16)
    def bands(shape: tuple[int, ...]) -> Bands:
        axes = op.axes(shape, filters.shape)
        outputs = shape[0] * axes[0].out * axes[1].out
        shares = parts(2 * outputs * matrix.size / FLOPS, num_threads)
        return Bands(shape, axes, axes[1].out * max(matrix.shape), BLOCK, shares)

    def product(x: np.ndarray, finish: Finish) -> np.ndarray:
        geometry = bands(x.shape)
        if _is_pointwise(geometry):
            y = affine(x.reshape(-1, depth), matrix, known.load, finish, num_threads)
            return y.reshape(*x.shape[:3], matrix.shape[1])
        return _convolve(x, matrix, known.load, finish, geometry)

    def run(x: np.ndarray, *others: Any) -> Any:
        if x.shape[3] != depth or not x.size:
            return op.body(np, x, *others)
        if op.hybrid:
            return image_by_image(*op.quantized_images(np, x, op.is_asymmetric(groups=1)), known, product)
        return product(np.ascontiguousarray(x), known.finish)

    return run


def _is_pointwise(bands: Bands) -> bool:
    return not bands.is_padded and all(axis.window == axis.stride == 1 for axis in (bands.rows, bands.columns))


def _convolve(x: np.ndarray, matrix: np.ndarray, load: Load, finish: Finish, bands: Bands) -> np.ndarray:
    depth, channels = matrix.shape
    columns = bands.columns.out
    out = np.empty((bands.images, bands.rows.out, columns, channels), finish.dtype)
    lay = _lay_columns if bands.columns.window * bands.channels < _NARROW else _lay_rows

    def body(start: int, stop: int) -> None:
        scratch = np.empty(bands.step * columns * depth, np.float32)
        for index, count, rows in bands.windows(x, load, start, stop):
            laid = lay(scratch, bands.taps(rows, count, columns, 1))
            block = out[index].reshape(-1, channels)
            accumulator = finish.accumulator(block)
            np.matmul(laid, matrix, out=accumulator)
            finish(accumulator, block)

    with one_thread:
        split(len(bands.blocks), bands.shares, body)
    return out


def _lay_rows(scratch: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Windows as the rows of a matrix, window by window."""
    laid = scratch[: taps.size].reshape(taps.shape)
    np.copyto(laid, taps)
    return laid.reshape(taps.shape[0] * taps.shape[1], -1)


def _lay_columns(scratch: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """The same matrix, written element by element of the window, which leaves it transposed in memory."""
    turned = taps.transpose(2, 3, 4, 0, 1)
    laid = scratch[: taps.size].reshape(turned.shape)
    np.copyto(laid, turned)
    return laid.reshape(-1, taps.shape[0] * taps.shape[1]).T

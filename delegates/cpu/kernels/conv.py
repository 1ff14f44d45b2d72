"""CONV_2D: 1x1 as one matrix product, others over bands of rows that are laid out as matrices in cache."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from ....interpreter.ops.base import Op
from ....interpreter.ops.conv import Conv2D
from ...arrays import Kernel
from .bands import Bands
from .blas import one_thread
from .finish import Finish
from .gemm import BLOCK, FLOPS, affine, multiply
from .load import Load
from .operands import image_by_image, operands
from .packing import pack
from .threads import parts, split

_NARROW = 16
"""Below this many neighbouring elements a window row is too short to be copied as such."""


def conv_2d(op: Op, constants: Mapping[int, np.ndarray], num_threads: int) -> Kernel | None:
    """CONV_2D with constant filters and bias."""
    assert isinstance(op, Conv2D)
    known = operands(op, 0, constants)
    if known is None:
        return None
    filters, depth = known.weights, known.weights.shape[3]
    layout = known.zero_point, known.dtype.str

    @lru_cache(maxsize=2)
    def matrices(groups: int) -> np.ndarray:
        """Filters as matrices [groups, window and channels, output channels]."""
        return pack(filters, ("conv", groups, *layout),
                    lambda w: known.values(w).reshape(groups, len(w) // groups, -1).swapaxes(1, 2))  # fmt: skip

    @lru_cache(maxsize=16)
    def bands(shape: tuple[int, ...]) -> Bands:
        axes = op.axes(shape, filters.shape)
        outputs = shape[0] * axes[0].out * axes[1].out
        shares = parts(2 * outputs * filters.size / FLOPS, num_threads)
        widest = max(filters.size // len(filters), len(filters))
        return Bands(shape, axes, axes[1].out * widest, BLOCK, shares)

    def product(x: np.ndarray, finish: Finish) -> np.ndarray:
        geometry, by_group = bands(x.shape), matrices(x.shape[3] // depth)
        if _is_pointwise(geometry) and len(by_group) == 1:
            y = affine(x.reshape(-1, depth), by_group[0], known.load, finish, num_threads)
            return y.reshape(*x.shape[:3], len(filters))
        return _convolve(x, by_group, known.load, finish, geometry)

    def run(x: np.ndarray, *others: Any) -> Any:
        if not x.size:
            return op.body(np, x, *others)
        if op.hybrid:
            return image_by_image(*op.quantized_images(np, x, op.is_asymmetric(x.shape[3] // depth)), known, product)
        return product(np.ascontiguousarray(x), known.finish)

    return run


def _is_pointwise(bands: Bands) -> bool:
    return not bands.is_padded and all(axis.window == axis.stride == 1 for axis in (bands.rows, bands.columns))


def _convolve(x: np.ndarray, matrices: np.ndarray, load: Load, finish: Finish, bands: Bands) -> np.ndarray:
    groups, depth, filters = matrices.shape
    columns, channels, share = bands.columns.out, groups * filters, bands.channels // groups
    out = np.empty((bands.images, bands.rows.out, columns, channels), finish.dtype)
    lay = _lay_columns if bands.columns.window * share < _NARROW else _lay_rows

    def body(start: int, stop: int) -> None:
        scratch = np.empty(bands.step * columns * depth, load.dtype)
        for index, count, rows in bands.windows(x, load, start, stop):
            taps = bands.taps(rows, count, columns, 1)
            block = out[index].reshape(-1, channels)
            accumulator = finish.accumulator(block)
            for group, matrix in enumerate(matrices):
                laid = lay(scratch, taps[..., group * share : (group + 1) * share])
                multiply(laid, matrix, accumulator[:, group * filters : (group + 1) * filters])
            finish(accumulator, block)

    if not bands.is_empty:
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

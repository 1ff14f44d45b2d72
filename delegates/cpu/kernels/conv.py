"""Float convolutions: 1x1 as one matrix product, others over bands of rows that are laid out as matrices in cache."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from ....interpreter.ops.base import Op
from ....interpreter.ops.conv import Conv2D, DepthwiseConv2D
from ....interpreter.ops.windows import output_shape
from .bands import Bands
from .epilogue import Epilogue
from .gemm import BLOCK, GRAIN, affine
from .packing import pack
from .threads import split

Kernel = Callable[..., Any]

_RUN = 2700
"""Elements of one stretch of a row, so that it, its weights and its result share the level-1 cache."""


def conv_2d(op: Op, constants: Mapping[int, np.ndarray], num_threads: int) -> Kernel | None:
    """CONV_2D in float32 with constant filters and bias, without groups."""
    assert isinstance(op, Conv2D)
    operands = _constant_operands(op, constants)
    if operands is None:
        return None
    filters, epilogue = operands
    matrix = pack(filters, ("conv",), lambda w: w.reshape(len(w), -1).T)

    @lru_cache(maxsize=16)
    def bands(shape: tuple[int, ...]) -> Bands:
        axes = op.axes(shape, filters.shape)
        return Bands(shape, axes, axes[1].out * max(len(matrix), matrix.shape[1]), BLOCK)

    def run(x: np.ndarray, *_: Any) -> np.ndarray:
        if x.shape[3] != filters.shape[3]:
            return op.body(np, x, filters, *_[1:])
        geometry = bands(x.shape)
        if _is_pointwise(geometry):
            y = affine(x.reshape(-1, x.shape[3]), matrix, epilogue, num_threads)
            return y.reshape(output_shape(x.shape[0], (geometry.rows, geometry.columns), len(filters)))
        return _convolve(np.ascontiguousarray(x), matrix, epilogue, geometry, num_threads)

    return run


def _is_pointwise(bands: Bands) -> bool:
    return not bands.is_padded and all(a.window == 1 and a.stride == 1 for a in (bands.rows, bands.columns))


def _convolve(x: np.ndarray, matrix: np.ndarray, epilogue: Epilogue, bands: Bands, num_threads: int) -> np.ndarray:
    depth, channels = matrix.shape
    columns = bands.columns.out
    out = np.empty((bands.images, bands.rows.out, columns, channels), x.dtype)

    def run(start: int, stop: int) -> None:
        scratch = np.empty(bands.step * columns * depth, x.dtype)
        for image, first, last, rows in bands.windows(x, start, stop):
            taps = bands.taps(rows, last - first, columns, 1)
            laid = scratch[: taps.size].reshape(taps.shape)
            np.copyto(laid, taps)
            block = out[image, first:last].reshape(-1, channels)
            np.matmul(laid.reshape(-1, depth), matrix, out=block)
            epilogue(block)

    split(len(bands.blocks), max(1, min(num_threads, out.size * depth // GRAIN)), run)
    return out


def depthwise_conv_2d(op: Op, constants: Mapping[int, np.ndarray], num_threads: int) -> Kernel | None:
    """DEPTHWISE_CONV_2D in float32 with constant filters and bias."""
    assert isinstance(op, DepthwiseConv2D)
    operands = _constant_operands(op, constants)
    if operands is None:
        return None
    filters, epilogue = operands
    channels = filters.shape[3]

    @lru_cache(maxsize=16)
    def plan(shape: tuple[int, ...]) -> tuple[Bands, np.ndarray]:
        axes = op.axes(shape, filters.shape)
        bands = Bands((*shape[:3], channels), axes, axes[1].out * channels, BLOCK)
        run = _run(bands) if axes[1].stride == 1 else 1
        return bands, np.tile(filters[0], run)

    def run(x: np.ndarray, *_: Any) -> np.ndarray:
        if x.shape[3] != channels:
            x = np.repeat(x, channels // x.shape[3], axis=3)
        return _filter(np.ascontiguousarray(x), *plan(x.shape), epilogue, num_threads)

    return run


def _run(bands: Bands) -> int:
    """How many columns one stretch has."""
    columns = max(1, bands.columns.out)
    stretches = math.ceil(columns * bands.channels / _RUN)
    return math.ceil(columns / min(columns, max(1, stretches)))


def _filter(x: np.ndarray, bands: Bands, weights: np.ndarray, epilogue: Epilogue, num_threads: int) -> np.ndarray:
    channels, columns = bands.channels, bands.columns.out
    run = weights.shape[2] // channels
    even = columns // run * run
    out = np.empty((bands.images, bands.rows.out, columns, channels), x.dtype)

    def body(start: int, stop: int) -> None:
        for image, first, last, rows in bands.windows(x, start, stop):
            block = out[image, first:last]
            count = last - first
            taps = bands.taps(rows, count, even // run, run)
            np.einsum("hgkli,kli->hgi", taps, weights, out=block[:, :even].reshape(count, -1, run * channels))
            if even < columns:
                rest = bands.taps(rows[:, even * bands.columns.stride :], count, 1, columns - even)
                part = weights[:, :, : (columns - even) * channels]
                np.einsum("hgkli,kli->hgi", rest, part, out=block[:, even:].reshape(count, 1, -1))
            epilogue(block.reshape(-1, channels))

    split(len(bands.blocks), max(1, min(num_threads, out.size * bands.rows.window * bands.columns.window * 16 // GRAIN)), body)
    return out


def _constant_operands(op: Conv2D | DepthwiseConv2D, constants: Mapping[int, np.ndarray]) -> Any:
    """(filters, epilogue) where they are known and everything is float32."""
    filters, bias = constants.get(1), constants.get(2)
    bias_needed = len(op.ins) > 2 and op.ins[2] is not None
    if op.is_quantized or filters is None or filters.dtype != np.float32 or (bias_needed and bias is None):
        return None
    return filters, Epilogue(bias, op.fused_activation_function)

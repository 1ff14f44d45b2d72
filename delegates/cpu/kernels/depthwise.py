"""DEPTHWISE_CONV_2D: einsum adds up the taps of the window along whole rows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from ....interpreter.ops.base import Op
from ....interpreter.ops.conv import DepthwiseConv2D
from ...arrays import Kernel
from .bands import Bands
from .finish import Finish
from .gemm import BLOCK
from .load import Load
from .operands import image_by_image, operands
from .packing import pack
from .threads import parts, split

_TAP = 0.25
"""Nanoseconds that one tap takes for one output element, roughly."""


def depthwise_conv_2d(op: Op, constants: Mapping[int, np.ndarray], num_threads: int) -> Kernel | None:
    """DEPTHWISE_CONV_2D with constant filters and bias."""
    assert isinstance(op, DepthwiseConv2D)
    known = operands(op, 3, constants)
    if known is None:
        return None
    filters = known.values(known.weights)
    channels = filters.shape[3]

    @lru_cache(maxsize=16)
    def plan(shape: tuple[int, ...]) -> tuple[Bands, np.ndarray]:
        axes = op.axes(shape, filters.shape)
        run = max(1, axes[1].out) if axes[1].stride == 1 else 1
        outputs = shape[0] * axes[0].out * axes[1].out * channels
        shares = parts(outputs * (filters.size / channels + 2) * _TAP, num_threads)
        bands = Bands((*shape[:3], channels), axes, axes[1].out * channels, BLOCK, shares)
        return bands, pack(filters[0], ("tiled", run), lambda taps: np.tile(taps, run))

    def sums(x: np.ndarray, finish: Finish) -> np.ndarray:
        if x.shape[3] != channels:
            x = np.repeat(x, channels // x.shape[3], axis=3)
        return _filter(np.ascontiguousarray(x), *plan(x.shape), known.load, finish)

    def run(x: np.ndarray, *others: Any) -> Any:
        if not x.size:
            return op.body(np, x, *others)
        if op.hybrid:
            return image_by_image(*op.quantized_images(np, x, asymmetric=True), known, sums)
        return sums(x, known.finish)

    return run


def _filter(x: np.ndarray, bands: Bands, weights: np.ndarray, load: Load, finish: Finish) -> np.ndarray:
    """`weights` [window h, window w, run * channels]: a run of columns that are neighbours in the input at a time."""
    channels, columns = bands.channels, bands.columns.out
    run = weights.shape[2] // channels
    out = np.empty((bands.images, bands.rows.out, columns, channels), finish.dtype)

    def body(start: int, stop: int) -> None:
        for index, count, rows in bands.windows(x, load, start, stop):
            block = out[index]
            total = finish.accumulator(block)
            taps = bands.taps(rows, count, columns // run, run)
            np.einsum("hgkli,kli->hgi", taps, weights, out=total.reshape(count, columns // run, run * channels))
            finish(total.reshape(-1, channels), block.reshape(-1, channels))

    if not bands.is_empty:
        split(len(bands.blocks), bands.shares, body)
    return out

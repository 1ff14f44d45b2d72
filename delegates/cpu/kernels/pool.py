"""Pools: along one axis after the other, or over the whole image at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....interpreter.ops.base import Op
from ....interpreter.ops.pool import AveragePool2D, MaxPool2D
from ....interpreter.ops.shared.fused import activate
from ....interpreter.ops.shared.windows import output_shape, pad
from ...arrays import Kernel


def max_pool_2d(op: Op, constants: Mapping[int, np.ndarray], num_threads: int) -> Kernel | None:
    """MAX_POOL_2D, first along rows, then along columns."""
    assert isinstance(op, MaxPool2D)

    def run(x: np.ndarray) -> Any:
        axes = op.axes(x.shape)
        shape = output_shape(x.shape[0], axes, x.shape[3])
        if 0 in shape:
            return op.body(np, x)
        least = np.finfo(x.dtype).min if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        padded = pad(np, x, axes, least)
        rows, columns = axes
        total = np.fmax(padded[:, rows.tap(0)], np.asarray(least, x.dtype))
        for position in range(1, rows.window):
            np.fmax(total, padded[:, rows.tap(position)], out=total)
        out = total[:, :, columns.tap(0)].copy()
        for position in range(1, columns.window):
            np.fmax(out, total[:, :, columns.tap(position)], out=out)
        return op.stored(np, out) if op.is_quantized else activate(np, out, op.fused_activation_function)

    return run


def average_pool_2d(op: Op, constants: Mapping[int, np.ndarray], num_threads: int) -> Kernel | None:
    """AVERAGE_POOL_2D in float32, whose window is often the whole image."""
    assert isinstance(op, AveragePool2D)
    if op.is_quantized:
        return None

    def run(x: np.ndarray) -> Any:
        axes = op.axes(x.shape)
        if not x.size or any(axis.window != axis.size or axis.out != 1 for axis in axes):
            return op.body(np, x)
        pixels = x.shape[1] * x.shape[2]
        mean = x.reshape(x.shape[0], pixels, x.shape[3]).sum(axis=1) / np.float32(pixels)
        return activate(np, mean[:, None, None], op.fused_activation_function)

    return run

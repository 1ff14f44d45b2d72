"""RESIZE_BILINEAR of large integer images in bands of output rows, whose many temporary arrays stay in cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....interpreter.ops.base import Op
from ....interpreter.ops.resize import ResizeBilinear
from ...arrays import Kernel
from .threads import parts, split

BAND = 1 << 17
"""Elements of a band of the result."""

_NANOSECONDS = 6.0
"""What an element of the result takes."""


def resize_bilinear(op: Op, constants: Mapping[int, np.ndarray], num_threads: int) -> Kernel | None:
    """RESIZE_BILINEAR of integers; float32, of which each element takes a quarter of the time, gains nothing."""
    assert isinstance(op, ResizeBilinear)
    if op.outs[0].dtype == np.float32:
        return None

    def run(x: np.ndarray, size: np.ndarray) -> Any:
        rows, columns = op.positions(x, size)
        shape = (len(x), len(rows[0]), len(columns[0]), x.shape[3])
        step = max(1, BAND // max(1, shape[2] * shape[3]))
        if shape[0] * shape[1] <= 2 * step:
            return op.mixed(np, x, rows, columns)
        out = np.empty(shape, x.dtype)
        bands = [(n, row) for n in range(shape[0]) for row in range(0, shape[1], step)]

        def body(start: int, stop: int) -> None:
            for image, row in bands[start:stop]:
                top, bottom, above, below = (part[row : row + step] for part in rows)
                first, last = min(top.min(), bottom.min()), max(top.max(), bottom.max())
                near = top - first, bottom - first, above, below
                band = op.mixed(np, x[image : image + 1, first : last + 1], near, columns)
                out[image, row : row + step] = band[0]

        split(len(bands), parts(_NANOSECONDS * out.size, num_threads), body)
        return out

    return run

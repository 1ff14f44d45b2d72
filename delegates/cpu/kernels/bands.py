"""Blocks of output rows of a window operator, with the padded input rows that they read: sized to stay in cache."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ....interpreter.ops.windows import Axes


class Bands:
    """Geometry of [n, h, w, c] inputs of one shape, cut into bands of at most `elements` output elements per channel."""

    def __init__(self, shape: tuple[int, ...], axes: Axes, row_elements: int, limit: int) -> None:
        self.images, self.height, self.width, self.channels = shape
        self.rows, self.columns = axes
        per_image = self.rows.out
        step = min(per_image, max(1, limit // max(1, row_elements)))
        self.step = -(-per_image // -(-per_image // step)) if per_image else 1
        self.blocks = [(n, r) for n in range(self.images) for r in range(0, per_image, self.step)]
        self.padded_width = self.width + self.columns.before + self.columns.after
        self.is_padded = bool(self.rows.before or self.rows.after or self.columns.before or self.columns.after)

    def windows(self, x: np.ndarray, start: int, stop: int) -> Iterator[tuple[int, int, int, np.ndarray]]:
        """(image, first row, last row + 1, padded input rows [., padded width, channels]) of blocks start to stop.

        The rows are a view of `x` or of a buffer that the next block overwrites.
        """
        stride, span = self.rows.stride, self.rows.span
        most = (self.step - 1) * stride + span
        buffer = np.zeros((most, self.padded_width, self.channels), x.dtype) if self.is_padded else None
        for image, first in self.blocks[start:stop]:
            last = min(first + self.step, self.rows.out)
            low = first * stride - self.rows.before
            high = low + (last - first - 1) * stride + span
            if buffer is None:
                yield image, first, last, x[image, low:high]
            else:
                yield image, first, last, self._fill(buffer, x[image], low, high)

    def _fill(self, buffer: np.ndarray, image: np.ndarray, low: int, high: int) -> np.ndarray:
        top, bottom = max(low, 0), min(high, self.height)
        left = self.columns.before
        buffer[: top - low] = 0
        buffer[top - low : bottom - low, left : left + self.width] = image[top:bottom]
        buffer[bottom - low : high - low] = 0
        return buffer[: high - low]

    def taps(self, rows: np.ndarray, count: int, runs: int, run: int) -> np.ndarray:
        """View [count, runs, window h, window w, run * channels] of what padded rows give to `count` output rows.

        A run is `run` neighbouring columns; more than one need stride 1.
        """
        height, width, channel = rows.strides
        shape = (count, runs, self.rows.window, self.columns.window, run * self.channels)
        steps = (self.rows.stride * height, run * self.columns.stride * width)
        strides = (*steps, self.rows.dilation * height, self.columns.dilation * width, channel)
        return as_strided(rows, shape, strides, writeable=False)

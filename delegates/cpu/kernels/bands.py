"""Blocks of output rows of a window operator, with the padded input rows that they read: sized to stay in cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ....interpreter.ops.shared.windows import Axes
from .load import Load


class Bands:
    """Geometry of inputs [n, h, w, channels] of one shape, cut into bands of output rows.

    `row_elements` is what one output row takes in memory, of which a band may have `limit`; `shares` is how many
    threads are to have bands.
    """

    def __init__(self, shape: tuple[int, ...], axes: Axes, row_elements: int, limit: int, shares: int) -> None:
        self.images, self.height, self.width, self.channels = shape
        self.rows, self.columns = axes
        self.shares = shares
        bands = max(-(-self.rows.out // max(1, limit // max(1, row_elements))), -(-shares // max(1, self.images)))
        self.step = -(-self.rows.out // max(1, bands))
        self.blocks = [(n, r) for n in range(self.images) for r in range(0, self.rows.out, max(1, self.step))]
        self.is_empty = not (self.images and self.rows.out and self.columns.out)
        self.padded_width = self.columns.before + self.width + self.columns.after
        self.is_padded = any(margin for axis in axes for margin in (axis.before, axis.after))

    def windows(self, x: np.ndarray, load: Load, start: int, stop: int) -> Iterator[tuple[Any, int, np.ndarray]]:
        """(index of the output rows, their number, padded input rows [., padded width, channels]) of some blocks.

        The rows are a view of `x` or of a buffer that the next block overwrites.
        """
        stride, span = self.rows.stride, self.rows.span
        uncopied = None if self.is_padded else load.view(x)
        if uncopied is None:
            buffer = np.zeros(((self.step - 1) * stride + span, self.padded_width, self.channels), load.dtype)
        for image, first in self.blocks[start:stop]:
            count = min(self.step, self.rows.out - first)
            low = first * stride - self.rows.before
            high = low + (count - 1) * stride + span
            rows = self._fill(buffer, x[image], load, low, high) if uncopied is None else uncopied[image, low:high]
            yield (image, slice(first, first + count)), count, rows

    def _fill(self, buffer: np.ndarray, image: np.ndarray, load: Load, low: int, high: int) -> np.ndarray:
        top, bottom = max(low, 0), min(high, self.height)
        left = self.columns.before
        buffer[: top - low] = 0
        load.copy(image[top:bottom], buffer[top - low : bottom - low, left : left + self.width])
        buffer[bottom - low : high - low] = 0
        return buffer[: high - low]

    def taps(self, rows: np.ndarray, count: int, runs: int, run: int) -> np.ndarray:
        """View [count, runs, window h, window w, run * channels] of what padded rows give to `count` output rows.

        Each row is `runs` runs of `run` neighbouring columns; more than one column in a run needs stride 1.
        """
        height, width, channel = rows.strides
        shape = (count, runs, self.rows.window, self.columns.window, run * self.channels)
        steps = (self.rows.stride * height, run * self.columns.stride * width)
        strides = (*steps, self.rows.dilation * height, self.columns.dilation * width, channel)
        return as_strided(rows, shape, strides, writeable=False)

"""Where the data of each buffer lies: inside the flatbuffer, or after it in files past 2 GiB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .columns import INVALID, Columns
from .view import Positions


class Buffers:
    """The model's buffers by index: start and length of their data in the file, length 0 for none."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        rows = columns.rows["Buffer"]
        lengths = columns.view.lengths(rows["data"])
        outside = outside_data(columns, "Buffer", "offset", "size", lengths)
        starts = np.where(outside, rows["offset"].astype(np.int64), rows["data"] + 4)
        lengths = np.where(outside, rows["size"].astype(np.int64), lengths)
        _refuse_overlap(columns, starts, lengths)
        order = columns.vector("Model", "buffers").values
        self.starts: Positions = starts[order]
        self.lengths: Positions = lengths[order]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """The data of a buffer, not copied."""
        start = int(self.starts[index])
        return self._columns.view.data[start : start + int(self.lengths[index])]


def outside_data(columns: Columns, table: str, offset: str, size: str, inline: Positions) -> NDArray[np.bool_]:
    """Rows whose data lies after the flatbuffer. Schema: an offset is valid if > 1 and counts from the file's start."""
    rows = columns.rows[table]
    offsets, sizes = rows[offset], rows[size]
    outside: NDArray[np.bool_] = (offsets > 1) & (sizes > 0)
    size_of_file = np.uint64(columns.view.size)
    ok = ~outside | (sizes <= size_of_file) & (offsets <= size_of_file - np.minimum(sizes, size_of_file))
    columns.require(ok, table, offset, f"data ends past the end of the file at {size_of_file}.")
    columns.require(~outside | (offsets >= columns.end), table, offset, "data lies inside the flatbuffer.")
    columns.require(~outside | (inline == 0), table, offset, "data is both inside and outside the flatbuffer.")
    return outside


def _refuse_overlap(columns: Columns, starts: Positions, lengths: Positions) -> None:
    """Buffers may share all of their data, but not a part: decoding such would take more memory than the file."""
    order = np.lexsort((lengths, starts))
    order = order[lengths[order] > 0]
    start, end = starts[order], (starts + lengths)[order]
    same = (start[1:] == start[:-1]) & (end[1:] == end[:-1])
    ok = np.append(True, same | (start[1:] >= end[:-1]))
    if not ok.all():
        row = int(order[np.argmin(ok)])
        raise ModelError(f"{INVALID}buffers overlap.", where=columns.where("Buffer", row))

"""Vectorised reads of a file: arrays of byte positions in, arrays of values out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

Positions: TypeAlias = NDArray[np.int64]
"""Byte positions in a file; 0 stands for "absent", as no table, string or vector starts there."""

LONG = 16
"""Elements of vectors that are, in the mean, sooner copied one by one than gathered."""

_U1, _U2, _U4 = np.dtype("u1"), np.dtype("<u2"), np.dtype("<u4")
U2, U4, I4 = _U2, _U4, np.dtype("<i4")


class View:
    """The bytes of a file. Positions must be in bounds and multiples of the width read (4 for widths of 8)."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        self.data = data
        self.size = int(data.size)
        self._words = {dtype.itemsize: data[: self.size & -dtype.itemsize].view(dtype) for dtype in (_U1, _U2, _U4)}

    def read(self, dtype: np.dtype[Any], at: Positions) -> NDArray[Any]:
        """Scalars of `dtype` at positions `at`."""
        if dtype.itemsize == 8:
            halves = self._words[4][(at >> 2)[:, None] + np.arange(2)]
            return np.asarray(halves.view(dtype)[:, 0])
        shift = dtype.itemsize >> 1
        values: NDArray[Any] = self._words[dtype.itemsize][at >> shift if shift else at]
        return values != 0 if dtype.kind == "b" else values.view(dtype)

    def vectors(self, dtype: np.dtype[Any], starts: Positions, lengths: Positions) -> NDArray[Any]:
        """The elements of vectors whose first ones lie at `starts`, one after another."""
        if lengths.sum() < LONG * len(starts) or dtype.kind == "b":
            return self.read(dtype, spread(starts, lengths, dtype.itemsize))
        content, ends = self.data.data, starts + lengths * dtype.itemsize
        places = zip(starts.tolist(), ends.tolist(), strict=True)
        return np.frombuffer(b"".join([content[start:end] for start, end in places]), dtype)

    def lengths(self, at: Positions) -> Positions:
        """Element counts of the vectors or strings at `at`; 0 where absent."""
        return (self.read(_U4, at) * (at > 0)).astype(np.int64)

    def bytes(self, start: int, length: int) -> bytes:
        return self.data[start : start + length].tobytes()


def distinct(values: Positions) -> tuple[Positions, NDArray[np.int64], NDArray[np.int64]]:
    """The values in order, each once; where each comes first; and which of these each of `values` is.

    What `np.unique` gives, in a third of the time for few values.
    """
    order = values.argsort(kind="stable")
    ordered = values[order]
    is_new = np.ones(len(order), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:])
    which = np.empty(len(order), np.int64)
    which[order] = is_new.cumsum() - 1
    return ordered[is_new], order[is_new], which


def spread(starts: Positions, lengths: Positions, step: int = 1) -> Positions:
    """starts[0], starts[0] + step, ... (lengths[0] of them), starts[1], ..."""
    ends = lengths.cumsum()
    first = starts - step * (ends - lengths)
    made: Positions = first.repeat(lengths) + step * np.arange(ends[-1] if len(ends) else 0, dtype=np.int64)
    return made


@dataclass(frozen=True, slots=True, eq=False)
class Ragged:
    """A vector for each row. Rows that share a vector share its values."""

    values: NDArray[Any]
    starts: Positions
    lengths: Positions

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, row: int) -> NDArray[Any]:
        return self.values[self.starts[row] : self.starts[row] + self.lengths[row]]

    def tuples(self) -> list[tuple[Any, ...]]:
        """The vectors as tuples of Python scalars, shared ones made once."""
        values = self.values.tolist()
        return self._each(lambda start, end: tuple(values[start:end]))

    def blobs(self) -> list[bytes]:
        """Vectors of bytes as `bytes`, shared ones made once."""
        values = self.values.tobytes()
        return self._each(lambda start, end: values[start:end])

    def _each(self, make: Callable[[int, int], T]) -> list[T]:
        """For each row, what is made of where its vector begins and ends, once for all rows that share it."""
        places = list(zip(self.starts.tolist(), (self.starts + self.lengths).tolist(), strict=True))
        made = {place: make(*place) for place in set(places)}
        return [made[place] for place in places]

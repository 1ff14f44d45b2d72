"""How an operand becomes floats: as it is, or as integers minus their zero point."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


class Load(Protocol):
    """Brings stored values into float arrays in which products are exact enough."""

    dtype: np.dtype[Any]  # of these arrays

    def view(self, source: np.ndarray) -> np.ndarray | None:
        """`source` itself if it needs no change."""

    def copy(self, source: np.ndarray, out: np.ndarray) -> None:
        """Write the values of `source` to `out`."""


class Plain:
    """float32 values."""

    dtype = np.dtype(np.float32)

    def view(self, source: np.ndarray) -> np.ndarray | None:
        return source

    def copy(self, source: np.ndarray, out: np.ndarray) -> None:
        np.copyto(out, source)


class Centred:
    """Stored integers minus a zero point."""

    def __init__(self, zero_point: int, dtype: np.dtype[Any]) -> None:
        self.zero_point, self.dtype = zero_point, dtype

    def view(self, source: np.ndarray) -> np.ndarray | None:
        return None

    def copy(self, source: np.ndarray, out: np.ndarray) -> None:
        np.copyto(out, source)
        if self.zero_point:
            out -= self.zero_point

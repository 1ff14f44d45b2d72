"""Matrix products by blocks of rows, each finished while it is in cache."""

from __future__ import annotations

import numpy as np

from .epilogue import Epilogue
from .threads import split

BLOCK = 1 << 16
"""Elements of a block: a quarter of a megabyte of float32, which level-2 caches hold beside its operands."""

GRAIN = 4_000_000
"""Multiplications worth a thread of their own: about 0.1 ms."""


def affine(x: np.ndarray, matrix: np.ndarray, epilogue: Epilogue, num_threads: int) -> np.ndarray:
    """x [m, k] @ matrix [k, n], finished by `epilogue`."""
    (m, k), n = x.shape, matrix.shape[1]
    out = np.empty((m, n), x.dtype)
    step = max(64, BLOCK // max(1, n))

    def run(start: int, stop: int) -> None:
        for row in range(start * step, min(stop * step, m), step):
            block = out[row : row + step]
            np.matmul(x[row : row + step], matrix, out=block)
            epilogue(block)

    blocks = -(-m // step)
    parts = min(num_threads, m * n * k // GRAIN)
    if parts > blocks:
        step = -(-m // parts)
        blocks = -(-m // step)
    split(blocks, max(1, parts), run)
    return out

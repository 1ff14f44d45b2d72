"""Matrix products by blocks of rows, each finished while it is in cache."""

from __future__ import annotations

import numpy as np

from .blas import one_thread
from .finish import Finish
from .load import Load
from .threads import parts, split

BLOCK = 1 << 18
"""Elements of a block: a megabyte of float32, about what a level-2 cache holds. Smaller ones cost more calls."""

FLOPS = 80.0
"""Multiplications and additions that one core does in a nanosecond within a matrix product, roughly."""


TERMS = 256
"""Products of 8-bit integers that add up to less than 2**24, so that float32 holds their sum."""


def multiply(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """out = a @ b, exactly for 8-bit integers in float32 where `out` is float64."""
    if a.dtype == out.dtype:
        np.matmul(a, b, out=out)
        return
    np.copyto(out, a[:, :TERMS] @ b[:TERMS])
    for term in range(TERMS, len(b), TERMS):
        out += a[:, term : term + TERMS] @ b[term : term + TERMS]


def affine(x: np.ndarray, matrix: np.ndarray, load: Load, finish: Finish, num_threads: int) -> np.ndarray:
    """Values of x [m, k] times matrix [k, n], finished."""
    (m, k), n = x.shape, matrix.shape[1]
    if m < 2 * num_threads:
        return _few_rows(x, matrix, load, finish, num_threads)
    out = np.empty((m, n), finish.dtype)
    shares = parts(2 * m * n * k / FLOPS, num_threads)
    step = min(max(64, BLOCK // max(n, k, 1)), -(-m // shares))

    def body(start: int, stop: int) -> None:
        for row in range(start * step, min(stop * step, m), step):
            block = out[row : row + step]
            rows = loaded(load, x[row : row + step])
            accumulator = finish.accumulator(block)
            multiply(rows, matrix, accumulator)
            finish(accumulator, block)

    with one_thread:
        split(-(-m // step), shares, body)
    return out


def _few_rows(x: np.ndarray, matrix: np.ndarray, load: Load, finish: Finish, num_threads: int) -> np.ndarray:
    """The same, where threads share the columns of the matrix, whose reading takes the time."""
    out = np.empty((len(x), matrix.shape[1]), finish.dtype)
    rows, accumulator = loaded(load, x), finish.accumulator(out)

    def body(start: int, stop: int) -> None:
        multiply(rows, matrix[:, start:stop], accumulator[:, start:stop])

    with one_thread:
        split(matrix.shape[1], parts(matrix.size / 4, num_threads), body)
    finish(accumulator, out)
    return out


def loaded(load: Load, source: np.ndarray) -> np.ndarray:
    """The values of `source`, uncopied if they are as they should be."""
    values = load.view(source)
    if values is None:
        values = np.empty(source.shape, load.dtype)
        load.copy(source, values)
    return values

"""How far an array is from what it should be."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

NUMBER = re.compile(rb"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class Difference:
    """An array held against another one of its kind.

    absolute: the largest difference of two elements. relative: that, in parts of the largest element of what was
    expected. sqnr: power of what was expected over power of the difference, in dB; infinite without a difference.
    problem: why the two can't be compared (shape, dtype, text); the numbers are then infinite, and sqnr is -inf.
    """

    absolute: float = 0.0
    relative: float = 0.0
    sqnr: float = math.inf
    problem: str = ""

    def __str__(self) -> str:
        if not self.absolute:
            return "equal"
        return self.problem or f"peak error {self.relative:.1e} (absolute {self.absolute:.1e}), SQNR {self.sqnr:.0f} dB"

    def worse(self, other: Difference) -> Difference:
        """The larger one of the two."""
        return self if (self.relative, self.absolute) >= (other.relative, other.absolute) else other


def difference(got: np.ndarray, expected: np.ndarray) -> Difference:
    """`got` against `expected`. NaN and infinities are equal to themselves."""
    if got.shape != expected.shape:
        return _incomparable(f"shape {list(got.shape)}, expected {list(expected.shape)}")
    if expected.dtype == object:
        return _of_texts(got, expected)
    if got.dtype != expected.dtype:
        return _incomparable(f"dtype {got.dtype}, expected {expected.dtype}")
    if got.dtype.kind == "c":
        return _of_numbers(*(np.stack([a.real, a.imag]).astype(np.float64) for a in (got, expected)))
    return _of_numbers(*(a.astype(np.longdouble if a.dtype.itemsize == 8 else np.float64) for a in (got, expected)))


def _incomparable(problem: str) -> Difference:
    return Difference(math.inf, math.inf, -math.inf, problem)


def _of_numbers(got: np.ndarray, expected: np.ndarray) -> Difference:
    odd = ~(np.isfinite(got) & np.isfinite(expected))
    strange = int(np.count_nonzero(odd & (got != expected) & ~(np.isnan(got) & np.isnan(expected))))
    if strange:
        return _incomparable(f"{strange} of {got.size} elements are NaN or infinite where they should not be, or not")
    expected = np.where(odd, 0, expected)
    error = np.where(odd, 0, got) - expected
    absolute, peak = (float(np.max(np.abs(a), initial=0)) for a in (error, expected))
    if absolute == 0:
        return Difference()
    signal, noise = (float(np.sum(np.square(a))) for a in (expected, error))
    sqnr = 10 * math.log10(signal / noise) if signal and noise else -math.inf
    return Difference(absolute, absolute / peak if peak else math.inf, sqnr)


def _of_texts(got: np.ndarray, expected: np.ndarray) -> Difference:
    """Texts must be equal but for the numbers in them, which are compared as numbers."""
    if got.dtype != object:
        return _incomparable(f"dtype {got.dtype}, expected strings")
    pairs = [(a, b) for a, b in zip(got.reshape(-1).tolist(), expected.reshape(-1).tolist(), strict=True) if a != b]
    wrong = sum(NUMBER.sub(b"0", a) != NUMBER.sub(b"0", b) for a, b in pairs)
    if wrong:
        return _incomparable(f"{wrong} of {got.size} strings differ")
    numbers = (np.array([float(n) for pair in pairs for n in NUMBER.findall(pair[i])]) for i in (0, 1))
    return _of_numbers(*numbers)

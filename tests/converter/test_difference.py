"""How far two arrays are apart, in numbers that people read."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tflite_cupy.converter.difference import Difference, difference

NAN, INF = np.nan, np.inf


def texts(*items: bytes) -> np.ndarray:
    return np.array(items, object)


@pytest.mark.parametrize(
    ("got", "expected", "absolute", "relative"),
    [
        (np.float32([1, 2, -4]), np.float32([1, 2, -4]), 0, 0),
        (np.float32([1, 2, -3]), np.float32([1, 2, -4]), 1, 0.25),
        (np.float32([0, 1]), np.float32([0, 0]), 1, math.inf),
        (np.float32([NAN, INF, -INF, 2]), np.float32([NAN, INF, -INF, 4]), 2, 0.5),
        (np.int64([2**62]), np.int64([2**62 + 1]), 1, 2.0**-62),
        (np.uint8([0, 255]), np.uint8([255, 255]), 255, 1),
        (np.array([True, False]), np.array([True, True]), 1, 1),
        (np.complex64([1 + 2j]), np.complex64([1 + 4j]), 2, 0.5),
        (np.array([1, 2], ml_dtypes.bfloat16), np.array([1, 4], ml_dtypes.bfloat16), 2, 0.5),
        (np.float32(3), np.float32(4), 1, 0.25),
        (np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32), 0, 0),
        (texts(b"a", b""), texts(b"a", b""), 0, 0),
        (texts(b"x=1.5 y", b"b"), texts(b"x=1.0 y", b"b"), 0.5, 0.5),
        (texts(b"-2e3"), texts(b"-1999.5"), 0.5, 0.5 / 1999.5),
    ],
)
def test_numbers(got: Any, expected: Any, absolute: float, relative: float) -> None:
    found = difference(got, expected)
    assert (found.absolute, found.relative, found.problem) == (absolute, relative, "")


@pytest.mark.parametrize(
    ("got", "expected", "problem"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), "shape [2, 3], expected [3, 2]"),
        (np.zeros(2, np.int32), np.zeros(2, np.int64), "dtype int32, expected int64"),
        (np.float32([1, NAN, INF]), np.float32([NAN, 1, -INF]), "3 of 3 elements are NaN or infinite"),
        (texts(b"cat 1", b"dog"), texts(b"cat 2", b"dot"), "1 of 2 strings differ"),
        (np.zeros(2), texts(b"a", b"b"), "dtype float64, expected strings"),
    ],
)
def test_what_can_not_be_compared(got: np.ndarray, expected: np.ndarray, problem: str) -> None:
    found = difference(got, expected)
    assert found.problem.startswith(problem)
    assert (found.relative, found.sqnr) == (math.inf, -math.inf)


def test_signal_to_quantisation_noise() -> None:
    signal = np.float32([3, 4])
    assert difference(signal, signal).sqnr == math.inf
    assert difference(signal + np.float32([0.05, 0]), signal).sqnr == pytest.approx(40, abs=0.01)


def test_what_people_read() -> None:
    assert str(Difference()) == "equal"
    assert str(Difference(0.5, 0.25, 40)) == "peak error 2.5e-01 (absolute 5.0e-01), SQNR 40 dB"
    assert str(difference(np.zeros(2), np.zeros(3))) == "shape [2], expected [3]"


def test_the_worse_one() -> None:
    small, large = Difference(1, 0.1, 20), Difference(0.5, 0.2, 14)
    assert small.worse(large) is large
    assert large.worse(small) is large

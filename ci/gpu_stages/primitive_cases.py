"""Device functions as expressions of a, b and c, and over which numbers they are tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

EDGES = (-(2**31), 1 - 2**31, -(2**30), -3, -2, -1, 0, 1, 2, 3, 2**30 - 1, 2**30, 2**31 - 2, 2**31 - 1)
SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-40, 65504.0, 65520.0, 6e-8, 3.4e38)


@dataclass(frozen=True, slots=True)
class Domain:
    """type: as C names it; make: so many of its numbers."""

    type: str
    make: Callable[[np.random.Generator, int], np.ndarray]


def _integers(rng: np.random.Generator, count: int, low: int = -(2**31)) -> np.ndarray:
    """Of all magnitudes, with the edges."""
    wide = rng.integers(low, 2**31, count) >> rng.integers(0, 31, count)
    edges = [e for e in EDGES if e >= low]
    wide[: len(edges)] = edges
    return rng.permutation(wide)


def _floats(rng: np.random.Generator, count: int) -> np.ndarray:
    values = rng.integers(0, 2**32, count).astype(np.uint32).view(np.float32)
    values[: len(SPECIAL)] = SPECIAL
    return rng.permutation(values)


DOMAINS = {
    "int": Domain("int", _integers),
    "natural": Domain("int", lambda rng, n: _integers(rng, n, 0)),
    "positive": Domain("int", lambda rng, n: np.maximum(_integers(rng, n, 0), 1)),
    "mantissa": Domain("int", lambda rng, n: rng.integers(2**30, 2**31, n)),
    "shift": Domain("int", lambda rng, n: rng.integers(-31, 32, n)),
    "narrow shift": Domain("int", lambda rng, n: rng.integers(-31, 15, n)),
    "exponent": Domain("int", lambda rng, n: rng.integers(0, 32, n)),
    "few": Domain("int", lambda rng, n: rng.integers(0, 13, n)),
    "short": Domain("int", lambda rng, n: rng.integers(-(2**15), 2**15, n)),
    "wide": Domain("long long", lambda rng, n: _integers(rng, n) * 65519),
    "half": Domain("half_t", lambda rng, n: rng.integers(0, 2**16, n).astype(np.uint16)),
    "any": Domain("float", _floats),
    "real": Domain("float", lambda rng, n: rng.uniform(-20, 20, n).astype(np.float32)),
    "above": Domain("float", lambda rng, n: np.exp(rng.uniform(-20, 20, n)).astype(np.float32)),
    "unit": Domain("float", lambda rng, n: rng.uniform(-1, 1, n).astype(np.float32)),
    "double": Domain("double", lambda rng, n: rng.normal(size=n) * 10.0 ** rng.integers(-9, 9, n)),
}


@dataclass(frozen=True, slots=True)
class Case:
    """tolerance: relative to the larger of the value and 1e-30; 0 for equal bits, where all NaN are equal."""

    call: str
    domains: tuple[str, ...]
    result: str = "int"
    tolerance: float = 0.0


def _of(result: str, tolerance: float, domains: tuple[str, ...], *calls: str) -> tuple[Case, ...]:
    return tuple(Case(call, domains, result, tolerance) for call in calls)


CLOSE = 1e-6  # of functions of a device's own mathematics library

CASES: dict[str, tuple[Case, ...]] = {
    "prims.cuh": (
        Case("half_to_float(a)", ("half",), "float"),
        Case("float_to_half(a).bits", ("any",)),
        Case("half_round(a)", ("any",), "float"),
        *_of("float", 0, ("any", "any"), "at_least(a, b)", "at_most(a, b)"),
    ),
    "fixedpoint.cuh": (
        Case("wrapped(a)", ("wide",)),
        Case("held(a, min(b, c), max(b, c))", ("int", "int", "int")),
        Case("stored_at(a, b, -128, 127)", ("int", "short")),
        Case("high_product(a, b)", ("int", "int")),
        Case("rounded_shift(a, b)", ("int", "exponent")),
        Case("scaled(a, b, c)", ("int", "mantissa", "shift")),
        Case("scaled_wide(a, b, c)", ("wide", "mantissa", "narrow shift")),
        Case("shifted_left(a, b)", ("int", "exponent")),
        Case("divided_by_power(a, b)", ("int", "exponent")),
        Case("bit_length(a)", ("natural",)),
        Case("reciprocal_of_one_plus(a)", ("natural",)),
        Case("[&] { int p; const int r = reciprocal(a, 12, &p); return r ^ p; }()", ("positive",)),
        Case("[&] { int s; const int m = inverse_sqrt(a, &s); return m ^ s; }()", ("natural",)),
        Case("interpolated(a, table)", ("short",)),
    ),
    "math.cuh": (
        *_of("float", 0, ("any", "any"), "greater_of(a, b)", "lesser_of(a, b)", "floor_remainder(a, b)"),
        Case("floor_remainder(a, b)", ("double", "double"), "double"),
        Case("sign_of(a)", ("any",), "float"),
        Case("truncated_quotient(a, b | (b == 0))", ("int", "int")),
        Case("floor_quotient(a, b | (b == 0))", ("int", "int")),
        Case("floor_modulus(a, b | (b == 0))", ("int", "int")),
        Case("integer_power(a, (unsigned)b)", ("int", "few")),
        *_of("float", 0, ("above",), "sqrtf(a)", "1.0f / a", "floorf(a)", "rintf(a)"),
        *_of("float", CLOSE, ("above",), "logf(a)", "rsqrtf(a)", "log1pf(a)"),
        *_of("float", CLOSE, ("real",), "expf(a)", "tanhf(a)", "erff(a)", "expm1f(a)", "1.0f / (1.0f + expf(-a))"),
        *_of("float", CLOSE, ("unit",), "sinf(a)", "cosf(a)", "atanf(a)"),
        *_of("float", CLOSE, ("real", "unit"), "atan2f(a, b)", "powf(fabsf(a), b)"),
    ),
    "team.cuh": (
        *_of("float", 0, ("real",), "sum_of_team<32>(a, parts)", "sum_of_team<128>(a, parts)"),
        *_of("float", 0, ("any",), "greatest_of_team<32>(a, parts)", "greatest_of_team<128>(a, parts)"),
    ),
}
"""By file. Threads run in blocks of 128."""

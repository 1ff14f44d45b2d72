"""How far a tensor is from what it should be, and how far it may be."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

from ..converter.difference import Difference, difference
from ..interpreter.graph import Quantization, Tensor, TensorType

EPSILON = 1e-7
"""Floats that are no further apart than this agree, however small both are: it is what float32 resolves at 1."""

STORED = frozenset({
    *(TensorType.INT8, TensorType.UINT8, TensorType.INT16, TensorType.INT32),
    *(TensorType.INT4, TensorType.INT2, TensorType.UINT4),
})  # fmt: skip


class Kind(Enum):
    """What a tensor holds, as far as tolerances go."""

    EXACT = "exact"  # integers, truth values, strings
    FLOAT = "float"
    HALF = "half"  # floats of 16 bits, or computed from such
    COARSE = "coarse"  # floats computed from integers that stand for rounded numbers
    STEPS = "steps"  # integers that stand for numbers


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far tensors may differ. Floats: in parts of the largest expected element; quantised integers: in steps.

    The defaults for nodes are what the nodes of 380 models need on operands that are the same on both sides (this
    package against LiteRT with XNNPACK: 5.7e-6, 6.6e-7, 2.5e-2 and 1 step), with some room.
    """

    whole: float = 1e-4
    half: float = 1e-2
    coarse: float = 3e-2
    steps: int = 1
    strict: frozenset[Kind] = frozenset()
    """Kinds that the user has set a tolerance for: rounding in many nodes is no excuse then."""

    @classmethod
    def of(cls, tolerance: float | None, steps: int | None, *, rough: bool = False) -> Tolerance:
        """The defaults for outputs, with `tolerance` for all floats and `steps` for quantised integers if given.
        rough: float32 products are computed in fewer bits."""
        default, strict = cls(), set()
        floats = default.half if rough else default.whole, default.half, default.coarse
        if tolerance is not None:
            floats = tolerance, tolerance, tolerance
            strict |= {Kind.FLOAT, Kind.HALF, Kind.COARSE}
        if steps is not None:
            strict.add(Kind.STEPS)
        return cls(*floats, default.steps if steps is None else steps, frozenset(strict))

    def for_nodes(self) -> Tolerance:
        """What a single node may add: a tenth for floats."""
        return replace(self, whole=self.whole / 10)

    def text(self, kind: Kind) -> str:
        """As reports say it."""
        if kind is Kind.EXACT:
            return "equal"
        if kind is Kind.STEPS:
            return f"{self.steps} step" if self.steps == 1 else f"{self.steps} steps"
        return f"{self._relative(kind):.0e}"

    def excess(self, kind: Kind, measure: Measure) -> float:
        """The difference in parts of what is allowed: above 1 it is too large; infinite where nothing is allowed."""
        if measure.equal:
            return 0.0
        if measure.problem or kind is Kind.EXACT:
            return math.inf
        if kind is Kind.STEPS and measure.steps is not None:
            return measure.steps / self.steps if self.steps else math.inf
        if measure.absolute <= EPSILON:
            return 0.0
        allowed = self._relative(kind)
        return measure.relative / allowed if allowed else math.inf

    def _relative(self, kind: Kind) -> float:
        return {Kind.FLOAT: self.whole, Kind.HALF: self.half}.get(kind, self.coarse)


@dataclass(frozen=True, slots=True)
class Measure:
    """A tensor held against what was expected.

    absolute, relative, sqnr: as in `converter.difference.Difference`, of the numbers that quantised integers stand for.
    steps: the largest difference of quantised integers. problem: why there is nothing to measure, or what is wrong with
    NaN, infinities or strings.
    """

    absolute: float = 0.0
    relative: float = 0.0
    sqnr: float = math.inf
    steps: int | None = None
    problem: str = ""

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.absolute and not self.problem and not self.steps

    def __str__(self) -> str:
        if self.equal or self.problem:
            return self.problem or "equal"
        if self.steps is not None:
            return f"{self.steps} step" if self.steps == 1 else f"{self.steps} steps"
        return f"{self.relative:.1e} of the peak"

    def worse(self, other: Measure) -> Measure:
        """The larger one of the two."""
        return max(self, other, key=lambda m: (bool(m.problem), m.steps or 0, m.relative, m.absolute))

    def to_json(self) -> dict[str, Any]:
        """Plain data; what is not finite is null."""
        finite = {name: getattr(self, name) for name in ("absolute", "relative", "sqnr")}
        numbers = {name: value if math.isfinite(value) else None for name, value in finite.items()}
        return {**numbers, "steps": self.steps, "equal": self.equal, "problem": self.problem}


def measured(got: np.ndarray, expected: np.ndarray, tensor: Tensor) -> Measure:
    """`got` against `expected`, both values of `tensor`. NaN equals NaN; strings must be equal."""
    if got.shape != expected.shape:
        return _problem(f"shape {list(got.shape)}, expected {list(expected.shape)}")
    if "O" in (got.dtype.kind, expected.dtype.kind) or tensor.type.is_object:
        return _of_objects(got, expected)
    if got.dtype != expected.dtype:
        return _problem(f"dtype {got.dtype}, expected {expected.dtype}")
    q = tensor.quantization
    if not is_stored(tensor) or q is None:
        return _of(difference(got, expected))
    steps = np.abs(got.astype(np.int64) - expected.astype(np.int64)).max(initial=0)
    return _of(difference(_real(got, q), _real(expected, q)), int(steps))


def is_stored(tensor: Tensor) -> bool:
    """Whether it holds integers that stand for numbers."""
    q = tensor.quantization
    return q is not None and tensor.type in STORED and not q.block_size and bool(np.all(q.scales > 0))


def _real(stored: np.ndarray, q: Quantization) -> np.ndarray:
    """The numbers that quantised integers stand for, float64."""
    along = [1] * stored.ndim
    if q.per_channel:
        along[q.axis] = -1
    scales, points = np.asarray(q.scales, np.float64).reshape(along), np.asarray(q.zero_points).reshape(along)
    return np.asarray((stored.astype(np.float64) - points) * scales).reshape(stored.shape)


def _of(found: Difference, steps: int | None = None) -> Measure:
    return Measure(found.absolute, found.relative, found.sqnr, steps, found.problem)


def _of_objects(got: np.ndarray, expected: np.ndarray) -> Measure:
    pairs = zip(got.astype(object).reshape(-1).tolist(), expected.astype(object).reshape(-1).tolist(), strict=True)
    wrong = sum(a != b for a, b in pairs)
    return _problem(f"{wrong} of {got.size} strings differ") if wrong else Measure()


def _problem(text: str) -> Measure:
    return Measure(math.inf, math.inf, -math.inf, None, text)

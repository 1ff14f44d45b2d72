"""What measurements come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Any

import numpy as np

PERCENTILES = (10.0, 50.0, 90.0, 99.0)


@dataclass(frozen=True, slots=True)
class Distribution:
    """Of one or more numbers of one unit. `percentiles`: number below which so many percent of them lie."""

    count: int
    mean: float
    std: float
    low: float
    high: float
    median: float
    percentiles: Mapping[float, float]

    @classmethod
    def of(cls, values: Iterable[float], percentiles: Sequence[float] = PERCENTILES) -> Distribution:
        """Percentiles are interpolated linearly, as NumPy's are."""
        array = np.array(list(values), np.float64)
        named = dict(zip(percentiles, np.percentile(array, percentiles).tolist(), strict=True))
        low, high, median = float(array.min()), float(array.max()), float(np.median(array))
        return cls(len(array), float(array.mean()), float(array.std()), low, high, median, named)

    def to_json(self, unit: float = 1.0) -> dict[str, Any]:
        """Rounded to 6 digits, in parts of `unit`; percentiles as `p10`, `p99.9`."""
        numbers = {"mean": self.mean, "std": self.std, "min": self.low, "median": self.median, "max": self.high}
        numbers |= {f"p{percent:g}": value for percent, value in self.percentiles.items()}
        return {"count": self.count, **{name: float(f"{value / unit:.6g}") for name, value in numbers.items()}}


def geometric_mean(values: Iterable[float]) -> float:
    """Of one or more numbers above 0."""
    logarithms = [log(value) for value in values]
    return exp(sum(logarithms) / len(logarithms))

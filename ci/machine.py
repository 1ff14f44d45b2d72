"""What measurements hold for, and what they share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tflite_cupy.benchmark.machine import forget_peak, machine, memory, processor, version_of

__all__ = ["RESULTS", "ROOT", "forget_peak", "machine", "memory", "processor", "spread", "version_of"]

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "ci" / "results"


def spread(values: Any) -> dict[str, float]:
    """Median, and the limits between which the middle 80 % lie."""
    low, median, high = np.quantile(np.asarray(values), [0.1, 0.5, 0.9])
    return {"median": round(float(median), 4), "p10": round(float(low), 4), "p90": round(float(high), 4)}

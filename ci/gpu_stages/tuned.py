"""The benchmarks with products that were timed in several ways: what tuning gains, row by row."""

from __future__ import annotations

from . import benchmarks
from .progress import Progress
from .target import Target


def run(target: Target, progress: Progress) -> None:
    benchmarks.run(target, progress, tuned=True)

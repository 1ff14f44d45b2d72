"""Every operator and combination of element types that the reference takes, with random shapes and attributes: the GPU
delegate against the CPU delegate, launched, captured and replayed, in memory that holds NaN at first."""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

import numpy as np

from .operator_worker import REPORT, Sample
from .progress import Progress
from .target import Target
from .workers import shared_out

SHAPES = 20  # of each operator, at least
PRODUCTS = (
    *("BATCH_MATMUL", "CONV_2D", "CONV_3D", "CONV_3D_TRANSPOSE", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"),
    *("STABLEHLO_CONVOLUTION", "STABLEHLO_DOT_GENERAL", "TRANSPOSE_CONV"),
)
LIMITS = {"tf32": 1e-3, "fp16": 1e-2}
"""Relative RMS error of an operator's results over all its samples. In strict precision each has the draft's own."""

LISTED = 100  # failures at most that are listed


def run(target: Target, progress: Progress) -> None:
    samples = list(samples_of(SHAPES) if target.is_real else _few())
    verdicts: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    as_array: set[str] = set()
    squares: dict[tuple[str, str], np.ndarray] = defaultdict(lambda: np.zeros(2))

    def answered(task: Sample, answer: dict[str, Any]) -> None:
        verdict = answer["verdict"]
        verdicts[verdict] += 1
        if verdict == "equal":
            seen.add((task.operator, task.kinds))
        if answer.get("array_nodes"):
            as_array.add(task.operator)
        if "squares" in answer:
            squares[task.operator, task.precision] += answer["squares"]
        if verdict in ("different", "unsteady", "failed", "died") and verdicts["listed"] < LISTED:
            verdicts["listed"] += 1
            progress.row("failures", **task._asdict(), verdict=verdict, why=answer.get("why"), passed=False)

    processes = max(2, (os.cpu_count() or 2) - 4) if target.is_real else 2
    until = time.monotonic() + progress.left - 2
    left = shared_out("gpu_stages.operator_worker", [target.name], samples, answered, processes=processes, until=until)
    for (operator, precision), (error, size) in squares.items():
        relative = float(np.sqrt(error / size)) if size else 0.0
        passed = relative <= LIMITS[precision]
        progress.row("products", operator=operator, precision=precision, error=relative, passed=passed)
    del verdicts["listed"]
    progress.finish(
        verdicts["equal"] > 0,
        verdicts=dict(verdicts),
        samples=len(samples),
        not_reached=left,
        combinations={"equal": len(seen), "of": len({(s.operator, s.kinds) for s in samples})},
        operators=len({operator for operator, _ in seen}),
        as_array_code=sorted(as_array),
    )


def samples_of(shapes: int) -> Iterator[Sample]:
    """For each operator its combinations of kinds, over and over if they are few, in an order of their own; a few of
    each operator in turn, so that all have been looked at when time runs out. Products of float32 first."""
    agreed = agreements()
    for operator in PRODUCTS:
        for kinds in (k for k in agreed.get(operator, ()) if k.startswith("f32,f32")):
            yield from (Sample(operator, kinds, seed, precision) for precision in LIMITS for seed in range(6))
    lines = {}
    for operator, names in agreed.items():
        ordered = [str(k) for k in np.random.default_rng(3).permutation(names)]
        count = max(shapes, len(ordered))
        lines[operator] = [Sample(operator, k, n) for n, k in enumerate(islice(cycle(ordered), count))]
    for start in range(0, max(map(len, lines.values())), 5):
        for line in lines.values():
            yield from line[start : start + 5]


def _few() -> Iterator[Sample]:
    """For the emulated device."""
    agreed = agreements()
    for operator in [name for name in ("ADD", "MAXIMUM", "LOGISTIC", "FULLY_CONNECTED") if name in agreed]:
        yield from (
            Sample(operator, kinds, 0) for kinds in agreed[operator] if kinds.startswith(("f32,", "f32-", "i8q,"))
        )
    yield from (
        Sample("FULLY_CONNECTED", k, 0, "tf32") for k in agreed.get("FULLY_CONNECTED", ()) if k == "f32,f32,f32->f32"
    )


def agreements() -> dict[str, list[str]]:
    operators = json.loads(REPORT.read_text())["operators"]
    return {name: entry["agrees"] for name, entry in operators.items() if entry["agrees"]}

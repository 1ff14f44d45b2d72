"""Every operator and combination of element types that the reference takes, with random shapes and attributes: the GPU
delegate against the CPU delegate, launched, captured and replayed, in memory that holds NaN at first."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np

from .operator_worker import REPORT, Sample
from .progress import NOT_RUN, Progress
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

LETTERS = {
    "equal": "e", "different": "d", "unsteady": "u", "failed": "f", "died": "x", "undrawn": "-", "refused": "r",
    "elsewhere": "h", NOT_RUN: ".",
}  # fmt: skip
"""What the result says of each sample, in their order."""
BAD = "dufx"


class Tally:
    """What is known of the samples, from this process and from those before."""

    def __init__(self, samples: Sequence[Sample], before: Mapping[str, Any], *, again: bool) -> None:
        """again: whether samples that failed are to be tried once more."""
        if len(before.get("samples", "")) != len(samples):  # of others
            before = {"samples": LETTERS[NOT_RUN] * len(samples)}
        self.samples = samples
        bad = {(row["operator"], row["precision"]) for row in before.get("products", ()) if again and not row["passed"]}
        self.letters = [
            LETTERS[NOT_RUN] if (again and letter in BAD) or (s.operator, s.precision) in bad else letter
            for letter, s in zip(before["samples"], samples, strict=True)
        ]
        self.squares = {
            (operator, precision): np.array(sums)
            for operator, precision, *sums in before.get("squares", ())
            if (operator, precision) not in bad
        }
        self.as_array = set(before.get("as_array_code", ()))
        kept = {s for s, letter in zip(samples, self.letters, strict=True) if letter in BAD}
        self.failures = [row for row in before.get("failures", ()) if Sample(*(row[f] for f in Sample._fields)) in kept]

    def waiting(self) -> list[int]:
        """Numbers of samples that have not run."""
        return [number for number, letter in enumerate(self.letters) if letter == LETTERS[NOT_RUN]]

    def add(self, number: int, answer: Mapping[str, Any]) -> None:
        sample, verdict = self.samples[number], answer["verdict"]
        self.letters[number] = LETTERS[verdict]
        if answer.get("array_nodes"):
            self.as_array.add(sample.operator)
        if "squares" in answer:
            key = sample.operator, sample.precision
            self.squares[key] = self.squares.get(key, np.zeros(2)) + answer["squares"]
        if LETTERS[verdict] in BAD and len(self.failures) < LISTED:
            self.failures.append({**sample._asdict(), "verdict": verdict, "why": answer.get("why"), "passed": False})

    def fields(self) -> dict[str, Any]:
        """As the result has it."""
        left, names = len(self.waiting()), {letter: name for name, letter in LETTERS.items()}
        equal = {(s.operator, s.kinds) for s, letter in zip(self.samples, self.letters, strict=True) if letter == "e"}
        return {
            "verdicts": {names[letter]: count for letter, count in Counter(self.letters).items()},
            "samples": "".join(self.letters),
            "failures": self.failures,
            "squares": [[*key, *map(float, sums)] for key, sums in self.squares.items()],
            "combinations": {"equal": len(equal), "of": len({(s.operator, s.kinds) for s in self.samples})},
            "operators": len({operator for operator, _ in equal}),
            "as_array_code": sorted(self.as_array),
            NOT_RUN: {"samples": left} if left else {},
        }

    def products(self) -> list[dict[str, Any]]:
        """How far off operators are over all their samples."""
        found = []
        for (operator, precision), (error, size) in self.squares.items():
            relative = float(np.sqrt(error / size)) if size else 0.0
            passed = relative <= LIMITS[precision]
            found.append({"operator": operator, "precision": precision, "error": relative, "passed": passed})
        return found


def run(target: Target, progress: Progress) -> None:
    tally = Tally(list(samples_of(SHAPES) if target.is_real else _few()), progress.before, again=progress.again)
    progress.note(**tally.fields())
    written = time.monotonic()

    def answered(number: int, answer: dict[str, Any]) -> None:
        nonlocal written
        tally.add(number, answer)
        if time.monotonic() > written + 1:
            progress.note(**tally.fields())
            written = time.monotonic()

    processes = max(2, (os.cpu_count() or 2) - 4) if target.is_real else 2
    tasks = [(number, *tally.samples[number]) for number in tally.waiting()]
    shared_out(
        "gpu_stages.operator_worker", [target.name], tasks, lambda task, answer: answered(task[0], answer),
        processes=processes, until=time.monotonic() + progress.left - 2,
    )  # fmt: skip
    fields = tally.fields()
    progress.finish(fields["verdicts"].get("equal", 0) > 0, **fields, products=tally.products())


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

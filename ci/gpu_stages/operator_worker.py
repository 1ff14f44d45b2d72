"""Compares single operators on the GPU delegate with the CPU delegate, as told by lines of JSON on its input.

One sample again: `PYTHONPATH=.:ci python -m gpu_stages.operator_worker gpu ADD 'f32,f32->f32' SEED [PRECISION]`.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

import tflite_cupy as lite
from tests.reference.drafts import Draft, build
from tests.reference.drafts import Sample as BuiltModel
from tests.reference.probe import difference, kinds_of
from tests.reference.recipes import RECIPES
from tflite_cupy.interpreter.errors import TfliteError

from .target import Target, on_host

Item = TypeVar("Item")

REPORT = Path(__file__).parents[1] / "results" / "reference.json"
TURNS = ("launched", "captured", "replayed")
DRAWS = 30  # drafts that are drawn until one can have the kinds asked for


class Sample(NamedTuple):
    """What is compared: an operator, the kinds of its operands as the report names them, where its shapes come from."""

    operator: str
    kinds: str
    seed: int
    precision: str = "strict"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A `Chooser` of random numbers."""

    rng: np.random.Generator

    def integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def pick(self, options: Sequence[Item]) -> Item:
        return options[int(self.rng.integers(len(options)))]


def draw(sample: Sample, version: int) -> tuple[Draft, BuiltModel] | None:
    """The draft and the model of a sample, None if these kinds fit none of the shapes and attributes drawn."""
    words = f"{sample.operator} {sample.kinds}".encode()
    chooser = Drawn(np.random.default_rng([sample.seed, zlib.crc32(words)]))
    for _ in range(DRAWS):
        draft = RECIPES[sample.operator](chooser, sample.operator)
        kinds = kinds_of(draft, sample.kinds)
        if sample.kinds not in draft.unsound and all(kind in draft.variables[v] for v, kind in kinds.items()):
            return draft, build(draft, sample.operator, version, kinds, chooser.rng)
    return None


def compare(target: Target, sample: Sample, version: int) -> dict[str, Any]:
    """`verdict`: equal, or different, unsteady (turns differ), failed (with `why`); or what kept it from being tried:
    undrawn, refused (by the CPU too), elsewhere (no node ran on the GPU). `squares`: of errors, and of values."""
    drawn = draw(sample, version)
    if drawn is None:
        return {"verdict": "undrawn"}
    draft, made = drawn
    try:
        want = _called(on_host(made.model), made.feeds)
    except TfliteError:
        return {"verdict": "refused"}
    delegate = target.delegate(sample.precision)
    interpreter = lite.Interpreter(model_content=made.model, device="cpu", delegates=[delegate])
    with interpreter.trace() as ran:
        first = _called(interpreter, made.feeds)
    if delegate.name not in {name for _, _, name in ran}:
        return {"verdict": "elsewhere"}
    found = {"array_nodes": sum(p.details["array_nodes"] for p in delegate.programs)}
    for turn in TURNS[1:]:
        if not draft.random and not _equal(_called(interpreter, made.feeds), first):
            return {**found, "verdict": "unsteady", "why": f"{turn} differs from {TURNS[0]}"}
    if sample.precision != "strict":
        return {**found, "verdict": "equal", "squares": _squares(first, want)}
    why = difference(replace(draft, steps=0), first, want)
    return {**found, "verdict": "different" if why else "equal", "why": why}


def _called(interpreter: lite.Interpreter, feeds: Sequence[Any]) -> list[Any]:
    interpreter.allocate_tensors()
    interpreter.reset_all_variables()
    for detail, value in zip(interpreter.get_input_details(), feeds, strict=True):
        interpreter.set_tensor(detail["index"], value)
    with np.errstate(all="ignore"):
        interpreter.invoke()
    return [np.array(interpreter.get_tensor(d["index"])) for d in interpreter.get_output_details()]


def _equal(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """To the bit; Python objects by value."""
    return all((x == y).all() if x.dtype.hasobject else x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


def _squares(got: Sequence[Any], want: Sequence[Any]) -> tuple[float, float]:
    """Sums of the squares of errors and of the values that should be."""
    pairs = [(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(got, want, strict=True)]
    return sum(float(((a - b) ** 2).sum()) for a, b in pairs), sum(float((b**2).sum()) for _, b in pairs)


def answer(target: Target, sample: Sample, versions: dict[str, int]) -> dict[str, Any]:
    """`compare`, where an error is an answer; `leaving` if the device can't be used after it."""
    try:
        return compare(target, sample, versions[sample.operator])
    except Exception as error:  # whatever a sample dies of is what it found
        is_of_device = any(isinstance(e, target.device.errors) for e in (error, error.__cause__))
        return {"verdict": "failed", "why": f"{type(error).__name__}: {error}"[:600], "leaving": is_of_device}


def main(target: Target, *asked: str) -> int:
    """Answers what the arguments ask, or each line of the input with a line of the output."""
    versions = {name: entry["version"] for name, entry in json.loads(REPORT.read_text())["operators"].items()}
    if asked:
        operator, kinds, seed, *precision = asked
        print(json.dumps(answer(target, Sample(operator, kinds, int(seed), *precision), versions)))
        return 0
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)  # what libraries print goes elsewhere
        for line in sys.stdin:
            _, *sample = json.loads(line)  # its number comes first
            result = answer(target, Sample(*sample), versions)
            out.write(json.dumps(result) + "\n")
            out.flush()
            if result.get("leaving"):
                return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(Target(sys.argv[1], poisoned=True), *sys.argv[2:]))

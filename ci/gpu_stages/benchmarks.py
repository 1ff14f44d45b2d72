"""Times of this package: a call with device arrays in and out, and one with NumPy arrays, against the device's floor.

A time is the median of 50 calls after 10, each of which begins when the device has nothing else to do; four sets of
inputs take turns. Device times are taken by events, from before the call to after its work; NumPy times by the clock.
`expected_ms` is what a model of the device foretells (delegates/gpu/cost.py), `plan_s` how long it took to plan a
network, build its kernels and, where `tuned`, to time the ways of its products.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import tflite_cupy as lite
from tflite_cupy.interpreter.graph import Model

from .ceilings import ceilings
from .clock import Clock, median, on_host
from .progress import Progress
from .target import Target, inputs_of, runner
from .workloads import BATCHES, SMALL, WORKLOADS, Row, floor, moved_bytes, operations, rows, urgency

SETS = 4
LEAST = 3.0
"""Seconds without which no row is begun."""


def run(target: Target, progress: Progress, *, tuned: bool = False) -> None:
    """All rows, or as many as there is time for."""
    chosen = sorted(rows(WORKLOADS, BATCHES), key=urgency)
    if not target.is_real:
        chosen = [Row("BERT", 1, "strict"), Row("BERT", 2, "tf32")]
    left = progress.missing("rows", [row._asdict() | {"tuned": tuned} for row in chosen])
    found = progress.before.get("ceilings") or dict(ceilings(target, progress))
    progress.note(ceilings=found)
    for number, key in enumerate(progress.while_time(left, LEAST)):
        share = max(progress.left / (len(left) - number), 0.5)
        with progress.attempt("rows", **key) as fields:
            _measured(target, Row(key["model"], key["batch"], key["precision"]), share, found, fields)
    progress.finish()


@lru_cache(maxsize=len(WORKLOADS))
def made(model: str, batch: int) -> tuple[Model, bytes]:
    """A workload, as a model and as a file."""
    built = {**SMALL, **WORKLOADS}[model].make(batch=batch)
    return built, lite.write_model(built)


def _measured(target: Target, row: Row, seconds: float, ceilings: dict[str, float], fields: dict[str, Any]) -> None:
    """seconds: about how long it may take."""
    model, content = made(row.model, row.batch)
    delegate = target.delegate("strict" if row.precision == "int8" else row.precision, tune=fields["tuned"])
    call = runner(lite.Interpreter(model_content=content, device="cpu", delegates=[delegate]))
    host = [inputs_of(call, seed) for seed in range(SETS)]
    there, clock = [target.put(inputs) for inputs in host], Clock(target)
    began = time.monotonic()
    call(**there[0])
    fields["plan_s"] = round(time.monotonic() - began, 2)
    programs = list(delegate.programs)  # those of calls with NumPy arrays are others
    counts = {"warm": 10, "count": 50} if target.is_real else {"warm": 4, "count": 3}

    def turn(number: int) -> int:
        return number // 2 % SETS  # twice in a row, after which a call with these addresses is a graph

    fields["device_ms"] = median(lambda n: clock.once(lambda: call(**there[turn(n)])), seconds=0.3 * seconds, **counts)
    fields["host_ms"] = median(lambda n: on_host(lambda: call(**host[turn(n)])), seconds=0.3 * seconds, **counts)
    listings = [(program.listing, program.graph) for program in programs]
    work = {
        "launches": sum(listing.launches for listing, _ in listings),
        "operations": operations(model),
        "bytes": sum(moved_bytes(listing, graph) for listing, graph in listings),
    }
    least, sets_it = floor(work, ceilings, row.precision)
    fields |= work | {"array_nodes": sum(len(listing.array_steps) for listing, _ in listings)}
    expected = sum(program.details["time_us"] for program in programs) / 1000
    fields |= {"expected_ms": round(expected, 4), "times_expected": round(fields["device_ms"] / expected, 2)}
    fields |= {"floor_ms": round(least, 5), "floor": sets_it, "times_floor": round(fields["device_ms"] / least, 2)}

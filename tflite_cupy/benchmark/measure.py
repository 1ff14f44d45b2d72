"""Measures a signature of a model in one runtime, and against others."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..apart import Died, Host
from ..interpreter.errors import InputError
from ..interpreter.graph import Graph, Model, Signature
from ..runtimes import OURS, Runtime, entry, open_runtime
from .agreement import compare
from .loading import in_turn
from .machine import machine, processors
from .results import Benchmark, Comparison, Row, Timing
from .statistics import PERCENTILES, Distribution
from .turns import Clock, Effort, Run, Times, WarmUp, take_turns, warm_up

Progress = Callable[[int, int], None]

MIDDLE = (10.0, 90.0)
"""Percentiles of ratios: between them lie the middle 80 %."""


class _How(NamedTuple):
    """What the measurements of all rows share."""

    effort: Effort
    percentiles: Sequence[float]
    tolerance: float | None
    clock: Clock
    progress: Progress


class _Lane(NamedTuple):
    """What is timed: a runtime, from host to host or on its device."""

    runtime: Runtime
    on_device: bool
    run: Run


def benchmark(
    model: str | os.PathLike[str],
    inputs: Mapping[str, np.ndarray],
    *,
    signature: str | None = None,
    runtime: str = "auto",
    against: Sequence[str] = (),
    batches: Sequence[int] = (),
    threads: int | None = None,
    effort: Effort | None = None,
    percentiles: Sequence[float] = PERCENTILES,
    tolerance: float | None = None,
    with_loading: bool = True,
    options: Mapping[str, Any] | None = None,
    clock: Clock = time.perf_counter,
    progress: Progress = lambda done, total: None,
) -> Benchmark:
    """Time `runtime`, one of `runtimes.NAMES`, and those in `against`, by turns.

    inputs: of the signature; with `batches` they are repeated or cut along their leading dimension to these sizes.
    threads: of every runtime; None for as many as there are processors.
    tolerance: of outputs, as in `agreement.compare`. Wrong results are flagged in `Comparison`, not raised.
    with_loading: also what loading takes, in processes of their own.
    Runtimes of others make a call in a process of their own first: what ends there is told, and not compared with.
    options: further ones of `Interpreter`, for runtimes of this package.
    Raises the errors of `open_runtime` and `Runtime.call`.
    """
    threads, effort, given = threads or processors(), effort or Effort(), dict(options or {})
    how = _How(effort, percentiles, tolerance, clock, progress)
    others = [name for name in dict.fromkeys(against) if name not in (*OURS, runtime)]
    failures = dict(_failures(others, model, signature, inputs, batches, threads))
    names = [name for name in dict.fromkeys([runtime, *against]) if name not in failures]
    with ExitStack() as stack:
        opened = [stack.enter_context(open_runtime(name, model, threads=threads, **given)) for name in names]
        which = entry(opened[0].model, signature)
        rows = [_row(opened, which, signature, batch, inputs, how) for batch in batches or (None,)]
        first = batched(opened[0].model, which, inputs, batches[0]) if batches else inputs
        calls, asked = [(signature, first)], names if with_loading else []
        loads = in_turn(asked, Path(model), calls, threads=threads, **given)
        return Benchmark(
            model=os.fspath(model),
            signature=which.key or None,
            threads=threads,
            settings={**_settings(effort, given), "runtime": runtime},
            machine=machine(),
            file_bytes=Path(model).stat().st_size,
            weight_bytes=weight_bytes(opened[0].model),
            arena_bytes=opened[0].arena_bytes(signature),
            rows=tuple(rows),
            loading=tuple(loads),
            failures=tuple(failures.values()),
        )


def _failures(
    names: Sequence[str],
    model: str | os.PathLike[str],
    signature: str | None,
    inputs: Mapping[str, np.ndarray],
    batches: Sequence[int],
    threads: int,
) -> Iterator[tuple[str, str]]:
    """Names of the runtimes that the model ends, and how: found out in a process of their own."""
    for name in names:
        with Host(name, threads) as host:
            try:
                runtime = host.open(model)
                which = entry(runtime.model, signature)
                for batch in batches or (None,):
                    runtime.call(signature, inputs if batch is None else batched(runtime.model, which, inputs, batch))
            except Died as death:
                yield name, str(death)


def _row(
    opened: Sequence[Runtime],
    which: Signature,
    key: str | None,
    batch: int | None,
    inputs: Mapping[str, np.ndarray],
    how: _How,
) -> Row:
    """One batch size: outputs compared, runs warmed up and timed."""
    ours = opened[0]
    values = inputs if batch is None else batched(ours.model, which, inputs, batch)
    outputs = [one.call(key, values) for one in opened]
    lanes = [lane for one in opened for lane in _lanes(one, key, values)]
    warm = [warm_up(lane.run, how.effort, how.clock) for lane in lanes]
    runs = {str(position): lane.run for position, lane in enumerate(lanes)}
    times = list(take_turns(runs, how.effort, how.clock, progress=how.progress).values())
    on_host = [found for lane, found in zip(lanes, times, strict=True) if not lane.on_device]
    comparisons = [
        Comparison(
            one.name,
            one.title,
            Distribution.of(on_host[0].ratios(found), MIDDLE),
            compare(ours.model, which, outputs[0], result, how.tolerance),
        )
        for one, found, result in zip(opened[1:], on_host[1:], outputs[1:], strict=True)
    ]
    timings = [_timing(lane, w, t, batch, how.percentiles) for lane, w, t in zip(lanes, warm, times, strict=True)]
    kinds = {name: (_kind(value), value.shape) for name, value in values.items()}
    return Row(batch, kinds, tuple(timings), tuple(comparisons))


def _lanes(one: Runtime, key: str | None, inputs: Mapping[str, np.ndarray]) -> list[_Lane]:
    on_device = one.on_device(key, inputs)
    lanes = [_Lane(one, False, one.prepared(key, inputs))]
    return lanes if on_device is None else [*lanes, _Lane(one, True, on_device)]


def _timing(lane: _Lane, warm: WarmUp, found: Times, batch: int | None, percentiles: Sequence[float]) -> Timing:
    one = lane.runtime
    return Timing(one.name, one.title, lane.on_device, warm, Distribution.of(found.all, percentiles), batch)


def _settings(effort: Effort, options: Mapping[str, Any]) -> dict[str, Any]:
    """As plain data: None for no limit, options that are words or numbers."""
    plain = {name: value for name, value in options.items() if isinstance(value, str | int | float)}
    return plain | {name: value if value != math.inf else None for name, value in asdict(effort).items()}


def _kind(value: np.ndarray) -> str:
    return "string" if value.dtype.kind in "OSU" else value.dtype.name


def batched(model: Model, signature: Signature, inputs: Mapping[str, np.ndarray], batch: int) -> dict[str, np.ndarray]:
    """Inputs for `batch` elements: repeated or cut along the leading dimension.

    That is done to inputs whose leading dimension is unknown; where there is none, to those with dimensions, which must
    then have the same leading one. Raises InputError.
    """
    graph = model.graphs[signature.graph]
    chosen = [name for name in inputs if _is_open(graph, signature.inputs[name])]
    if not chosen:
        chosen = [name for name, value in inputs.items() if value.ndim]
        if len({inputs[name].shape[0] for name in chosen}) != 1:
            shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in inputs.items())
            hint = "Give inputs that agree in it, or leave the batch out."
            raise InputError(f"no leading dimension is the batch's in {shapes or 'no inputs'}", hint=hint)
    return {name: _repeated(value, batch) if name in chosen else value for name, value in inputs.items()}


def _is_open(graph: Graph, tensor: int) -> bool:
    dims = graph.tensors[tensor].dims
    return bool(dims) and dims is not None and dims[0] is None


def _repeated(value: np.ndarray, batch: int) -> np.ndarray:
    if not len(value):
        raise InputError("an input without elements can't be repeated to a batch", where=f"shape {list(value.shape)}")
    return np.concatenate([value] * -(-batch // len(value)))[:batch]


def weight_bytes(model: Model) -> int:
    """Bytes of the constants of a model; those that several tensors share count once."""
    found = {}
    for graph in model.graphs:
        for tensor in graph.tensors:
            if tensor.data is not None:
                found[tensor.data.__array_interface__["data"][0], tensor.data.nbytes] = tensor.data.nbytes
    return sum(found.values())

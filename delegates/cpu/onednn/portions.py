"""Batches computed in portions, by one program on one thread for each: portions run at once on several threads, and
the tensors of one stay in the processor's caches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from ....interpreter.graph import Array, TensorSpec
from ....interpreter.runtime.delegate import BoundNode
from ..kernels.threads import split
from .effort import LIGHT, effort, loading
from .epilogue import is_float
from .program import Program
from .rows import Batch, is_elementwise

if TYPE_CHECKING:
    from ....interpreter.runtime.lane import Lane

CACHE = 1 << 24
"""Bytes of operands and results of a node that a thread has room for in caches."""

STEP = 1 << 18
"""Multiplications in the time that a node takes whatever its size: some 4 us, for which threads wait for each other."""

AGAIN = 3
"""How many times the effort of reading weights it takes to read them again after all others."""

MEMORY = 5
"""Multiplications in the time that a byte takes that is not found in a cache: 12 GB/s."""

TOGETHER = 1.1
"""How many times as long threads take that meet after each primitive."""

GAIN = 0.95
"""Part of the time below which portions are worth it."""


def portion(batch: Batch, threads: int) -> int | None:
    """How many samples to compute at a time; None where the whole batch is to be one portion.

    By estimates from sizes and the number of threads: how busy the machine is changes no results.
    """
    nodes, samples = batch.partition.nodes, batch.samples
    heads = [bound for bound in nodes if not _joins(bound)]
    sizes = [_nbytes(bound, batch) for bound in heads]
    fixed = float(sum(map(loading, nodes)))
    by_sample = (sum(effort((bound,)) for bound in nodes) - fixed) / samples
    by_call = AGAIN * fixed + len(heads) * STEP * threads + (0 if threads == 1 else LIGHT)

    def takes(count: int) -> float:
        portions = -(-samples // count)
        return -(-portions // threads) * (by_call + count * by_sample)

    fewest = max(2, -(-max(sizes, default=0) // CACHE))
    best = min((-(-samples // portions) for portions in range(fewest, 2 * fewest + 2 * threads)), key=takes)
    uncached = MEMORY * sum(max(0, nbytes - CACHE) for nbytes in sizes)
    whole = fixed + samples * by_sample + uncached
    whole = whole / threads * (1 if threads == 1 else TOGETHER) + len(heads) * STEP
    return best if takes(best) < GAIN * whole else None


def _joins(bound: BoundNode) -> bool:
    """Whether a node most often is a part of the primitive before it."""
    return is_elementwise(bound) and is_float(bound)


def _nbytes(bound: BoundNode, batch: Batch) -> int:
    """Of the operands of a node that vary, and its results."""
    pairs = zip(bound.node.inputs, bound.ins, strict=True)
    read = (s.nbytes or 0 for t, s in pairs if s is not None and t not in batch.partition.constants)
    return sum(read) + sum(spec.nbytes or 0 for spec in bound.outs)


class Portions:
    """A program for a part of a batch, run for one portion after the other, on as many threads as are asked for.

    Where a batch is no multiple of a portion, the last one begins early, and what it computes again is left out. A
    forked process has no other threads; it runs the same program, so results are the same.
    """

    def __init__(self, program: Program, batch: Batch, samples: int, threads: int) -> None:
        self.program, self._samples = program, samples
        self._places = [(at, min(at, batch.samples - samples)) for at in range(0, batch.samples, samples)]
        self._threads = min(threads, len(self._places))
        known = _known(batch)
        self._inputs = [batch.rows(known[tensor]) for tensor in batch.partition.inputs]
        self._outputs = [(known[tensor], batch.rows(known[tensor])) for tensor in batch.partition.outputs]

    @property
    def details(self) -> dict[str, Any]:
        """What reports say of it."""
        details = self.program.details
        return details | {"portions": len(self._places), "arena_bytes": details["arena_bytes"] * self._threads}

    def __call__(self, lane: Lane, inputs: Sequence[Array]) -> list[Array]:
        results = [np.empty(spec.shape or (), spec.dtype) for spec, _ in self._outputs]
        (first, *rest), errors = enumerate(self._places), dict[int, BaseException]()
        places = iter(rest)  # which all threads take from
        is_recorded = lane.recording is not None  # on one thread, then, where each node takes as long as it takes
        others = _silent(lane) if lane.is_watched else lane

        def work(thread: int, _: int) -> None:
            for number, place in places if thread else chain([first], places):
                try:
                    self._run(others if number else lane, inputs, results, *place)
                except BaseException as error:  # it belongs to the caller
                    errors[number] = error
                    _drop(places)
                    if not isinstance(error, Exception):
                        raise  # as an interrupt, which no error of the network may hide

        threads = 1 if is_recorded or self.program.library.is_forked else self._threads
        split(threads, threads, work)
        if errors:
            raise errors.pop(min(errors))  # those before it have run: whichever thread is late, it is the same
        return results

    def _run(self, lane: Lane, inputs: Sequence[Array], results: Sequence[np.ndarray], first: int, start: int) -> None:
        """The portion of the samples from `start` on, whose results are new from `first` on."""
        end = start + self._samples
        pairs = zip(inputs, self._inputs, strict=True)
        found = self.program(lane, [array[start * rows : end * rows] for array, rows in pairs])
        for result, part, (_, rows) in zip(results, found, self._outputs, strict=True):
            result[first * rows : end * rows] = part[(first - start) * rows :]


def _known(batch: Batch) -> dict[int, TensorSpec]:
    """Specs of all tensors but constants."""
    nodes = batch.partition.nodes
    read = {t: s for bound in nodes for t, s in zip(bound.node.inputs, bound.ins, strict=True) if s is not None}
    return read | {t: s for bound in nodes for t, s in zip(bound.node.outputs, bound.outs, strict=True)}


def _silent(lane: Lane) -> Lane:
    """A lane for portions but the first: observers hear of each node once."""
    return replace(lane, observer=None if lane.deadline is None else lane.deadline.watching(None))


def _drop(places: Iterator[object]) -> None:
    """Leave none to take."""
    for _ in places:
        pass

"""What the steps of a listing should take on a device: bytes, arithmetic, launches, and the seconds these come to.

A floor is what nothing can pass. What is expected besides knows which bytes are still in the L2, how many blocks there
are, and what the model that chose a product's tiles makes of them. A measurement is to confirm or to refute it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from ...interpreter.graph import Graph
from .ceilings import Ceilings
from .listing import ArrayStep, Block, Gemm, Launch, Listing, Operand, Queued, Storage, Work

TABLES = frozenset({"GATHER", "GATHER_ND", "EMBEDDING_LOOKUP"})
"""Operators that read no more of a constant than they write."""

REACHED = 0.6
"""Of a unit's peak, by steps whose tiles no model has chosen."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One launch, or product of a library."""

    name: str
    nodes: tuple[int, ...]
    nbytes: int  # read and written
    far_bytes: int  # of these, between the L2 and memory
    work: Work
    blocks: int
    floor: float  # seconds
    expected: float
    limit: str  # what sets that: "launch", "memory", "cache", "arithmetic" or "tiles"

    @property
    def gap(self) -> float:
        """Seconds above the floor."""
        return self.expected - self.floor


@dataclass(frozen=True, slots=True)
class Total:
    """A call."""

    launches: int
    nbytes: int
    far_bytes: int
    operations: int
    floor: float  # seconds: the sum of all floors
    expected: float


def total(costs: Sequence[Cost]) -> Total:
    """All steps together, one after the other."""
    return Total(
        len(costs),
        sum(c.nbytes for c in costs),
        sum(c.far_bytes for c in costs),
        sum(c.work.operations for c in costs),
        sum(c.floor for c in costs),
        sum(c.expected for c in costs),
    )


def costs(listing: Listing, graph: Graph, ceilings: Ceilings) -> tuple[Cost, ...]:
    """Of each launch and product, in order, in a call that follows others like it; array steps are left out."""
    cache = _Cache(ceilings.cache_bytes)
    steps = [step for step in listing.steps if not isinstance(step, ArrayStep)]
    for step in steps:  # what an earlier call leaves behind
        cache.far_bytes(moved(step, graph), step.writes)
    return tuple(_cost(step, graph, ceilings, cache) for step in steps)


def moved(step: Queued, graph: Graph) -> dict[Operand, int]:
    """Bytes of each operand that a step reads or writes, each place once."""
    places = {(o.block, o.offset): o for o in step.operands if o.block.storage not in (Storage.COUNTS, Storage.FAULT)}
    sizes = {operand: operand.nbytes for operand in places.values()}
    if any(graph.nodes[n].name in TABLES for n in step.nodes):
        written = max((n for operand, n in sizes.items() if operand.block in step.writes), default=0)
        sizes = {o: min(n, written) if o.block.storage is Storage.CONSTANT else n for o, n in sizes.items()}
    return sizes


def work_of(step: Queued) -> Work:
    """The arithmetic of a step."""
    if isinstance(step, Launch):
        return step.work
    problem = step.problem
    unit = problem.precision if problem.dtype.itemsize == 4 else "fp16"
    return Work(2 * problem.rows * problem.columns * problem.depth * problem.batch, unit)


def _cost(step: Queued, graph: Graph, ceilings: Ceilings, cache: _Cache) -> Cost:
    sizes, work = moved(step, graph), work_of(step)
    nbytes, far = sum(sizes.values()), cache.far_bytes(sizes, step.writes)
    blocks = ceilings.multiprocessors if isinstance(step, Gemm) else prod(step.grid)
    busy = min(blocks, ceilings.multiprocessors)
    arithmetic = work.operations / ceilings.peak(work.unit)
    floor = max(ceilings.node, far / ceilings.memory, arithmetic)
    ways = {
        "memory": far / ceilings.memory + ceilings.latency,
        "cache": nbytes / min(ceilings.cache, busy * ceilings.per_multiprocessor) + ceilings.latency,
        "arithmetic": arithmetic * ceilings.multiprocessors / busy / REACHED + ceilings.latency,
    }
    if work.seconds:
        ways = {"memory": ways["memory"], "tiles": work.seconds}
    ways = {"launch": ceilings.node} | {name: ceilings.gap + seconds for name, seconds in ways.items()}
    limit = max(ways, key=lambda name: ways[name])
    return Cost(step.name, step.nodes, nbytes, far, work, blocks, floor, ways[limit], limit)


class _Cache:
    """An L2 that keeps what was touched last."""

    def __init__(self, nbytes: int) -> None:
        self._nbytes, self._clock = nbytes, 0
        self._touched: dict[Block, int] = {}  # by bytes that had passed before

    def far_bytes(self, sizes: dict[Operand, int], writes: Sequence[Block]) -> int:
        """How many of a step's bytes come from memory, or go there."""
        far = 0
        for operand, nbytes in sizes.items():
            last = self._touched.get(operand.block)
            is_kept = last is not None and self._clock - last + nbytes <= self._nbytes
            is_written = operand.block in writes and nbytes <= self._nbytes // 2
            far += 0 if is_kept or is_written else nbytes
        self._clock += sum(sizes.values())
        self._touched.update(dict.fromkeys((operand.block for operand in sizes), self._clock))
        return far

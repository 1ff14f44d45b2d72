"""The frozen steps of one call: what runs, in which order, and what is copied where.

A plan is made once for (subgraph, input shapes, input spaces) and then only read, by any number of threads. The
delegation report prints the very same object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from ..errors import KernelError
from ..graph import Array, Graph
from .access import NO_ACCESS, Access
from .delegate import HOST, Executable, Partition, Space
from .faults import BODY_ERRORS, node_error
from .lane import Lane
from .partition import Choice, Unit
from .recording import Kind, Recording, Task
from .simplify import Resolved


class Value(NamedTuple):
    """An array and the space that it lives in."""

    space: Space
    array: Array


SETTLED, FETCHED = Task(Kind.COPY, "values of control flow"), Task(Kind.COPY, "to host")

Place: TypeAlias = tuple[int, Space | None]
"""A slot, and the space of the array in it; None where it holds a `Value`, whose space is known in the call only."""


class Invoker(Protocol):
    """Runs subgraphs on behalf of control-flow steps (`runtime.engine.Engine`)."""

    def invoke(self, graph: int, values: Sequence[Value | None], lane: Lane) -> list[Value]: ...

    def settle(self, graphs: Sequence[int], values: Sequence[Value], lane: Lane) -> list[Value]: ...

    def once(self, graph: int, lane: Lane) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Run a partition.

    Like every step it says which slots it reads, so that what no later step reads can go (`PlanBuilder`).
    """

    unit: Unit
    partition: Partition
    executable: Executable
    inputs: tuple[int, ...]  # slots
    outputs: tuple[int, ...]
    texts: tuple[int, ...] = ()  # positions of outputs that hold strings

    @property
    def reads(self) -> tuple[int, ...]:
        return self.inputs

    @property
    def task(self) -> Task:
        nodes = self.partition.nodes
        name = self.unit.delegate.name if self.unit.delegate is not None else ""
        return Task(Kind.PARTITION, f"{len(nodes)} nodes", self.partition.graph.index, (nodes[0].node.index,), name)

    def __call__(self, slots: list[Any], lane: Lane, invoker: Invoker) -> None:
        results = self.executable(lane, [slots[i] for i in self.inputs])
        for position in self.texts:
            self._check_strings(lane, position, results[position])
        for slot, array in zip(self.outputs, results, strict=True):
            slots[slot] = array

    def _check_strings(self, lane: Lane, position: int, array: Array) -> None:
        tensor = self.partition.outputs[position]
        node = next(bound.node for bound in self.unit.nodes if tensor in bound.node.outputs)
        lane.budget.check_strings(node, array, self.partition.graph.where(node))


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """Copy tensors from one space to another, waiting once for all."""

    source: Space
    target: Space
    tensors: tuple[int, ...]
    nbytes: int | None  # None: not known before the call
    pairs: tuple[tuple[int, int], ...]  # (source slot, target slot)

    @property
    def reads(self) -> tuple[int, ...]:
        return tuple(source for source, _ in self.pairs)

    @property
    def task(self) -> Task:
        return Task(Kind.COPY, f"{self.source.name} to {self.target.name}")

    def __call__(self, slots: list[Any], lane: Lane, invoker: Invoker) -> None:
        arrays = self.source.get([slots[source] for source, _ in self.pairs])
        for (_, target), array in zip(self.pairs, arrays, strict=True):
            slots[target] = self.target.stage(array)


@dataclass(frozen=True, slots=True, eq=False)
class Settle:
    """Bring results of control flow, which may be anywhere, to one space; those that are there already stay."""

    target: Space
    tensors: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]  # (source slot, target slot)

    @property
    def reads(self) -> tuple[int, ...]:
        return tuple(source for source, _ in self.pairs)

    @property
    def task(self) -> Task:
        return Task(Kind.COPY, f"to {self.target.name}")

    def __call__(self, slots: list[Any], lane: Lane, invoker: Invoker) -> None:
        arrays = brought([slots[source] for source, _ in self.pairs], self.target)
        for (_, target), array in zip(self.pairs, arrays, strict=True):
            slots[target] = array


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """Read a variable tensor for nodes that take its value rather than the variable."""

    source: int
    target: int

    task = Task(Kind.COPY, "variables")

    @property
    def reads(self) -> tuple[int, ...]:
        return (self.source,)

    def __call__(self, slots: list[Any], lane: Lane, invoker: Invoker) -> None:
        slots[self.target] = slots[self.source].read()


@dataclass(frozen=True, slots=True, eq=False)
class Store:
    """Set a variable tensor to what a node that knows nothing of variables has written."""

    source: Place
    target: int
    shape: tuple[int, ...]

    task = Task(Kind.COPY, "variables")

    @property
    def reads(self) -> tuple[int, ...]:
        return self.source[0], self.target

    def __call__(self, slots: list[Any], lane: Lane, invoker: Invoker) -> None:
        space, array = value_at(slots, self.source)
        if array.shape != self.shape:
            raise KernelError(f"a variable of shape {list(self.shape)} got a value of shape {list(array.shape)}.")
        slots[self.target].assign(array, space)


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """Execute a control-flow node; its results stay where its subgraphs made them."""

    unit: Unit
    graph: Graph
    inputs: tuple[Place | None, ...]  # None: an absent operand
    outputs: tuple[Place, ...]

    @property
    def reads(self) -> tuple[int, ...]:
        return tuple(place[0] for place in self.inputs if place is not None)

    def __call__(self, slots: list[Any], lane: Lane, invoker: Invoker) -> None:
        bound = self.unit.nodes[0]
        call = _Subgraphs(invoker, lane)
        try:
            values = [place and value_at(slots, place) for place in self.inputs]
            results = bound.op.execute(call, *values)  # type: ignore[attr-defined]
            if lane.is_watched:
                lane.ran(self.graph.index, (bound.node.index,), "cpu")
        except BODY_ERRORS as error:
            if (named := node_error(error, self.graph, bound.node)) is error:
                raise
            raise named from error
        for (slot, space), value in zip(self.outputs, results, strict=True):
            slots[slot] = value if space is None else value.array


@dataclass(slots=True)
class _Subgraphs:
    """What a control-flow op sees of its call."""

    invoker: Invoker
    lane: Lane
    turns: int = 0

    def invoke(self, graph: int, values: Sequence[Value | None]) -> list[Value]:
        return self.invoker.invoke(graph, values, self.lane)

    def settle(self, graphs: Sequence[int], values: Sequence[Value]) -> list[Value]:
        if self.lane.recording is None:
            return self.invoker.settle(graphs, values, self.lane)
        with self.lane.recording.span(SETTLED):
            return self.invoker.settle(graphs, values, self.lane)

    def truth(self, value: Value) -> bool:
        condition = value.array if value.space is HOST else self.fetch([value])[0]
        if condition.size != 1:
            raise KernelError(f"the condition has {condition.size} elements, expected 1")
        return bool(condition.reshape(-1)[0])

    def count_turn(self) -> None:
        self.turns += 1
        self.lane.budget.check_turns(self.turns)

    def once(self, graph: int) -> None:
        self.invoker.once(graph, self.lane)

    def fetch(self, values: Sequence[Value]) -> list[np.ndarray]:
        if self.lane.recording is None:
            return fetch(values)
        with self.lane.recording.span(FETCHED):
            return fetch(values)

    def value(self, array: np.ndarray) -> Value:
        return Value(HOST, array)


def value_at(slots: Sequence[Any], place: Place) -> Value:
    """What a place holds."""
    slot, space = place
    value: Value = slots[slot] if space is None else Value(space, slots[slot])
    return value


def fetch(values: Sequence[Value]) -> list[np.ndarray]:
    """The values on the host, with one wait for each space that they come from."""
    return brought(values, HOST)


def brought(values: Sequence[Value], target: Space) -> list[Array]:
    """The values in `target`: those that live there uncopied, others with one wait for each space they come from."""
    results: list[Any] = [value.array for value in values]
    sources: dict[str, list[int]] = {}
    for index, value in enumerate(values):
        if value.space is not target:
            sources.setdefault(value.space.name, []).append(index)
    for name, indices in sources.items():
        if name == target.name:
            continue
        arrays = values[indices[0]].space.get([results[i] for i in indices])
        for index, array in zip(indices, arrays, strict=True):
            results[index] = target.stage(array)
    return results


def unshared(values: Sequence[Value], others: Sequence[Array], given: Sequence[Array] = ()) -> list[Value]:
    """The values, those on a device as arrays of their own in the caller's memory: copies, but for those `given`, once
    each and none of `others`."""
    taken = list(others)
    results = []
    for space, array in values:
        is_own = any(array is other for other in given) and not any(array is other for other in taken)
        result = array if space is HOST or is_own else space.give(array)
        taken.append(result)
        results.append(Value(space, result))
    return results


Step = Run | Move | Settle | Load | Store | Branch


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """All steps of a subgraph for one set of input shapes and spaces."""

    graph: Graph
    resolved: Resolved
    choices: tuple[Choice, ...]  # live nodes, in file order
    steps: tuple[Step, ...]
    preset: tuple[Any, ...]  # one entry a slot: a constant, or None
    inputs: tuple[int, ...]  # slots of graph.inputs
    wanted: tuple[Space | None, ...]  # per input, the device that it is copied to
    variables: tuple[tuple[int, int], ...]  # (slot, tensor) of tensors that the file marks as variable
    outputs: tuple[Place, ...]  # graph.outputs as control flow passes them on: on a device, if one has them
    kept: Mapping[int, Place] = field(default_factory=dict)  # tensor -> where it was made, for every tensor computed
    dead: tuple[tuple[int, ...], ...] = ()  # for each step, slots that neither later ones nor the caller read
    access: Access = NO_ACCESS
    peak: int = 0  # bytes that results take at a time, as far as shapes are known
    whole: Run | None = None  # the only step, where that takes the inputs as they come

    def run(self, arrays: Sequence[Array], lane: Lane, invoker: Invoker) -> list[Any]:
        """Run all steps on `arrays`, which live where the plan was made for; returns the slots."""
        slots = [*self.preset]
        for slot, array in zip(self.inputs, arrays, strict=True):
            slots[slot] = array
        for slot, tensor in self.variables:
            slots[slot] = lane.state.variable_tensor(self.graph.index, tensor, self.resolved.specs[tensor])
        lane.frames.append((self, slots))
        if lane.recording is not None:
            self._run_recorded(slots, lane, invoker, lane.recording)
            lane.frames.pop()
            return slots
        for step, dead in zip(self.steps, self.dead, strict=True):
            step(slots, lane, invoker)
            for slot in dead:
                slots[slot] = None
        lane.frames.pop()
        return slots

    def _run_recorded(self, slots: list[Any], lane: Lane, invoker: Invoker, recording: Recording) -> None:
        """The same with a span for each step. Copies to a device are waited for, so that they are not taken for what
        comes after them. A control-flow node is told of like any other, what it calls are spans within it."""
        recording.begin()
        for step, dead in zip(self.steps, self.dead, strict=True):
            if isinstance(step, Branch):
                recording.restart()
                step(slots, lane, invoker)
            else:
                task = recording.task(step)
                recording.begin()
                step(slots, lane, invoker)
                if isinstance(step, Move | Settle):
                    step.target.wait()
                elif isinstance(step, Run) and not recording.has_heard:
                    recording.ran(self.graph.index, [n.node.index for n in step.partition.nodes], task.delegate)
                recording.end(task)
            for slot in dead:
                slots[slot] = None
        recording.end(Task(Kind.SUBGRAPH, self.graph.name, self.graph.index))

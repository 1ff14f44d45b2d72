"""The frozen steps of one call: what runs, in which order, and what is copied where.

A plan is made once for (subgraph, input shapes, input spaces) and then only read, by any number of threads. The
delegation report prints the very same object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..errors import KernelError
from ..graph import ABSENT, Array, Graph
from .delegate import HOST, Executable, Partition, Space
from .faults import BODY_ERRORS, node_error
from .lane import Lane
from .partition import Choice, Unit, partition
from .simplify import Resolved


class Value(NamedTuple):
    """An array and the space that it lives in."""

    space: Space
    array: Array


class Invoker(Protocol):
    """Runs subgraphs on behalf of control-flow steps (`runtime.engine.Engine`)."""

    def invoke(self, graph: int, values: Sequence[Value], lane: Lane) -> list[Value]: ...

    def once(self, graph: int, lane: Lane) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Run a partition."""

    unit: Unit
    partition: Partition
    executable: Executable
    inputs: tuple[int, ...]  # slots
    outputs: tuple[int, ...]

    def __call__(self, slots: list[Any], lane: Lane, invoker: Invoker) -> None:
        results = self.executable(lane, [slots[i] for i in self.inputs])
        for slot, array in zip(self.outputs, results, strict=True):
            slots[slot] = array


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """Copy tensors from one space to another, waiting once for all."""

    source: Space
    target: Space
    tensors: tuple[int, ...]
    nbytes: int | None  # None: not known before the call
    pairs: tuple[tuple[int, int], ...]  # (source slot, target slot)

    def __call__(self, slots: list[Any], lane: Lane, invoker: Invoker) -> None:
        arrays = self.source.get([slots[source] for source, _ in self.pairs])
        for (_, target), array in zip(self.pairs, arrays, strict=True):
            slots[target] = self.target.put(array)


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """Execute a control-flow node; its results are brought to the host."""

    unit: Unit
    graph: Graph
    inputs: tuple[tuple[int, Space], ...]  # slots, and where each lives
    outputs: tuple[int, ...]

    def __call__(self, slots: list[Any], lane: Lane, invoker: Invoker) -> None:
        bound = self.unit.nodes[0]
        call = _Subgraphs(invoker, lane)
        try:
            results = bound.op.execute(call, *(Value(space, slots[slot]) for slot, space in self.inputs))  # type: ignore[attr-defined]
        except BODY_ERRORS as error:
            raise node_error(error, self.graph, bound.node) from error
        for slot, array in zip(self.outputs, fetch(results), strict=True):
            slots[slot] = array
        if lane.observer is not None:
            lane.observer(self.graph.index, bound.node.index, "cpu")


@dataclass(frozen=True, slots=True)
class _Subgraphs:
    """What a control-flow op sees of its call."""

    invoker: Invoker
    lane: Lane

    def invoke(self, graph: int, values: Sequence[Value]) -> list[Value]:
        return self.invoker.invoke(graph, values, self.lane)

    def truth(self, value: Value) -> bool:
        (condition,) = fetch([value])
        if condition.size != 1:
            raise KernelError(f"the condition has {condition.size} elements, expected 1")
        return bool(condition.reshape(-1)[0])

    def once(self, graph: int) -> None:
        self.invoker.once(graph, self.lane)


def fetch(values: Sequence[Value]) -> list[np.ndarray]:
    """The values on the host, with one wait for each space that they come from."""
    if all(value.space is HOST for value in values):
        return [value.array for value in values]
    results: list[Any] = [None] * len(values)
    by_space: dict[str, list[int]] = {}
    for index, value in enumerate(values):
        by_space.setdefault(value.space.name, []).append(index)
    for indices in by_space.values():
        arrays = values[indices[0]].space.get([values[i].array for i in indices])
        for i, array in zip(indices, arrays, strict=True):
            results[i] = array
    return results


Step = Run | Move | Branch


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """All steps of a subgraph for one set of input shapes and spaces."""

    graph: Graph
    resolved: Resolved
    choices: tuple[Choice, ...]  # live nodes, in file order
    steps: tuple[Step, ...]
    preset: tuple[Any, ...]  # one entry a slot: a constant, or None
    inputs: tuple[int, ...]  # slots of graph.inputs
    variables: tuple[tuple[int, int], ...]  # (slot, tensor) of tensors that the file marks as variable
    outputs: tuple[tuple[int, Space], ...]  # slots of graph.outputs, and where each lives
    kept: Mapping[int, tuple[int, Space]] = field(default_factory=dict)  # tensor -> slot, for every tensor computed

    def run(self, values: Sequence[Value], lane: Lane, invoker: Invoker) -> list[Any]:
        """Run all steps on `values`, which live where the plan was made for; returns the slots."""
        slots = list(self.preset)
        for slot, value in zip(self.inputs, values, strict=True):
            slots[slot] = value.array
        for slot, tensor in self.variables:
            slots[slot] = lane.state.variable_tensor(self.graph.index, tensor, self.resolved.specs[tensor])
        for step in self.steps:
            step(slots, lane, invoker)
        return slots


class PlanBuilder:
    """Lays out the slots and steps of one plan: a slot for each tensor and space."""

    def __init__(self, graph: Graph, resolved: Resolved, choices: Sequence[Choice], input_spaces: Sequence[Space]):
        self._graph, self._resolved, self._choices = graph, resolved, tuple(choices)
        self._preset: list[Any] = []
        self._slots: dict[tuple[int, str], int] = {}
        self._home: dict[int, Space] = {}  # where each tensor is first
        self._steps: list[Step] = []
        self._inputs = tuple(self._slot(i, space) for i, space in zip(graph.inputs, input_spaces, strict=True))
        self._variables = tuple(
            (self._slot(i, HOST), i) for i, t in enumerate(graph.tensors) if t.is_variable and i not in graph.inputs
        )

    def build(self, units: Sequence[Unit], keep_all: bool) -> Plan:
        """The plan that runs `units` in this order."""
        last_reader: dict[int, int] = {}
        for position, unit in enumerate(units):
            for bound in unit.nodes:
                last_reader.update((i, position) for i in bound.node.inputs)
        last_reader.update((i, len(units)) for i in self._graph.outputs)
        for position, unit in enumerate(units):
            if unit.delegate is None:
                self._branch(unit)
                continue
            later = {i for bound in unit.nodes for i in bound.node.outputs if last_reader.get(i, -1) > position}
            self._run(unit, partition(self._graph, unit, None if keep_all else later))
        return Plan(
            graph=self._graph,
            resolved=self._resolved,
            choices=self._choices,
            steps=tuple(self._steps),
            outputs=tuple(self._located(i) for i in self._graph.outputs),
            kept={tensor: (self._slots[tensor, space.name], space) for tensor, space in self._home.items()},
            preset=tuple(self._preset),
            inputs=self._inputs,
            variables=self._variables,
        )

    def _run(self, unit: Unit, part: Partition) -> None:
        assert unit.delegate is not None
        space = unit.delegate.space
        self._move([i for i in part.inputs if self._resolved.specs[i].type.is_object is False], space)
        inputs = tuple(self._slot_in(i, space) for i in part.inputs)
        executable = unit.delegate.compile(part)
        outputs = tuple(self._slot(i, space) for i in part.outputs)
        self._steps.append(Run(unit, part, executable, inputs, outputs))

    def _branch(self, unit: Unit) -> None:
        node = unit.nodes[0].node
        inputs = tuple(self._located(i) for i in node.inputs if i != ABSENT)
        self._steps.append(Branch(unit, self._graph, inputs, tuple(self._slot(i, HOST) for i in node.outputs)))

    def _slot(self, tensor: int, space: Space) -> int:
        """A new slot for a tensor that is made in `space`."""
        self._home.setdefault(tensor, space)
        return self._add(tensor, space, None)

    def _add(self, tensor: int, space: Space, value: Any) -> int:
        self._preset.append(value)
        self._slots[tensor, space.name] = len(self._preset) - 1
        return len(self._preset) - 1

    def _slot_in(self, tensor: int, space: Space) -> int:
        """The slot of a tensor in `space`; objects are the same everywhere."""
        key = (tensor, space.name)
        return self._slots[key] if key in self._slots else self._located(tensor)[0]

    def _located(self, tensor: int) -> tuple[int, Space]:
        """Slot and space of a tensor where it was made; constants live on the host."""
        if tensor not in self._home:
            self._home[tensor] = HOST
            value = self._resolved.specs[tensor].value
            self._add(tensor, HOST, value if value is not None else self._graph.tensors[tensor].data)
        space = self._home[tensor]
        return self._slots[tensor, space.name], space

    def _move(self, tensors: Sequence[int], target: Space) -> None:
        """Copy those of `tensors` that are not in `target` yet: one step for each space that they come from."""
        groups: dict[str, list[int]] = {}
        spaces: dict[str, Space] = {}
        for tensor in tensors:
            _, source = self._located(tensor)
            if (tensor, target.name) not in self._slots:
                groups.setdefault(source.name, []).append(tensor)
                spaces[source.name] = source
        for name, group in groups.items():
            sizes = [self._resolved.specs[i].nbytes for i in group]
            nbytes = None if None in sizes else sum(n for n in sizes if n is not None)
            pairs = tuple((self._slots[i, name], self._add(i, target, None)) for i in group)
            self._steps.append(Move(spaces[name], target, tuple(group), nbytes, pairs))

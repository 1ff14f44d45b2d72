"""Lays out a plan: a slot for each tensor in each space, and the steps in the order in which they run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import groupby
from typing import Any

from ..graph import ABSENT, Graph, TensorType
from ..ops.base import StatefulOp
from .delegate import HOST, Space
from .partition import Choice, Unit, partition
from .plan import Branch, Load, Move, Place, Plan, Run, Settle, Step, Store
from .simplify import Resolved, variable_tensors


class PlanBuilder:
    """Builds one plan. `devices`: whether there are spaces other than host memory, in which results may be left."""

    def __init__(
        self,
        graph: Graph,
        resolved: Resolved,
        choices: Sequence[Choice],
        spaces: Sequence[Space],
        *,
        devices: bool,
        donated: AbstractSet[int] = frozenset(),
    ) -> None:
        self._donated = donated  # inputs that the call may overwrite
        self._graph, self._resolved, self._choices, self._devices = graph, resolved, tuple(choices), devices
        self._preset: list[Any] = []
        self._slots: dict[int, dict[str, int]] = {}  # of each tensor, by space
        self._home: dict[int, Space | None] = {}  # where each tensor is first; None: control flow decides
        self._steps: list[Step] = []
        self._inputs = tuple(self._slot(i, space) for i, space in zip(graph.inputs, spaces, strict=True))
        self._variables = {i: self._new_slot() for i in sorted(variable_tensors(graph))}

    def build(self, units: Iterable[Unit], keep_all: bool) -> Plan:
        """The plan that runs `units` in this order."""
        order = [part for unit in units for part in self._split(unit)]
        last_reader: dict[int, int] = {}
        for position, unit in enumerate(order):
            for bound in unit.nodes:
                last_reader.update((i, position) for i in bound.node.inputs)
        last_reader.update((i, len(order)) for i in self._graph.outputs)
        for position, unit in enumerate(order):
            if unit.delegate is None:
                self._branch(unit)
                continue
            later = {i for bound in unit.nodes for i in bound.node.outputs if last_reader.get(i, -1) > position}
            last = {i for i in self._donated if last_reader.get(i) == position}
            self._run(unit, None if keep_all else later.union(self._variables), last)
        self._load(self._variables if keep_all else self._graph.outputs)
        places = {i: self._located(i) for i in self._graph.outputs}
        return Plan(
            graph=self._graph,
            resolved=self._resolved,
            choices=self._choices,
            steps=tuple(self._steps),
            wanted=tuple(place and place[1] for place in map(self._on_device, self._graph.inputs)),
            outputs=tuple(self._on_device(i) or places[i] for i in self._graph.outputs),
            kept={tensor: self._located(tensor) for tensor in self._home},
            dead=tuple(self._dead(keep_all)),
            preset=tuple(self._preset),
            inputs=self._inputs,
            variables=tuple((slot, tensor) for tensor, slot in self._variables.items()),
            whole=self._whole(),
        )

    def _whole(self) -> Run | None:
        """The only step, if it takes the inputs as they come and nothing is to be done beside it."""
        step = self._steps[0] if len(self._steps) == 1 else None
        if not isinstance(step, Run) or step.inputs != self._inputs or step.texts or self._variables:
            return None
        return step

    def _dead(self, keep_all: bool) -> list[tuple[int, ...]]:
        """For each step, the slots that are made in the call and that it is the last to read."""
        last = {slot: position for position, step in enumerate(self._steps) for slot in step.reads}
        asked = (*self._graph.inputs, *self._graph.outputs)
        held = {slot for tensor in asked for slot in self._slots[tensor].values()}.union(self._variables.values())
        dead: list[tuple[int, ...]] = [() for _ in self._steps]
        for slot, position in () if keep_all else last.items():
            if slot not in held and self._preset[slot] is None:
                dead[position] += (slot,)
        return dead

    def _split(self, unit: Unit) -> Iterator[Unit]:
        """A unit in parts: variable tensors are loaded just before nodes that take their values, and stored after nodes
        that write them."""
        if not self._variables or unit.delegate is None:
            yield unit
            return
        for _, choices in groupby(unit.choices, self._takes_variable):
            part: list[Choice] = []
            for choice in choices:
                part.append(choice)
                if not self._variables.keys().isdisjoint(choice.bound.node.outputs):
                    yield Unit(unit.delegate, tuple(part))
                    part = []
            if part:
                yield Unit(unit.delegate, tuple(part))

    def _takes_variable(self, choice: Choice) -> bool:
        """Whether a node reads the value of a variable tensor; ops with state get the variable itself."""
        bound = choice.bound
        return not isinstance(bound.op, StatefulOp) and not self._variables.keys().isdisjoint(bound.node.inputs)

    def _run(self, unit: Unit, read_later: set[int] | None, donated: set[int]) -> None:
        assert unit.delegate is not None
        space = unit.delegate.space
        part = partition(self._graph, unit, read_later, {i for i in donated if self._home[i] is space})
        variables = {} if self._takes_variable(unit.choices[0]) else self._variables
        values = [i for i in part.inputs if i not in variables]
        self._load(values)
        self._move([i for i in values if not self._is_object(i)], space)
        inputs = tuple(
            self._located(i)[0]
            if self._is_object(i)
            else variables[i]
            if i in variables
            else self._slots[i][space.name]
            for i in part.inputs
        )
        executable = unit.delegate.compile(part)
        outputs = tuple(self._slot(i, HOST if self._is_object(i) else space) for i in part.outputs)
        texts = tuple(p for p, i in enumerate(part.outputs) if self._resolved.specs[i].type is TensorType.STRING)
        self._steps.append(Run(unit, part, executable, inputs, outputs, texts))
        self._store(part.outputs)

    def _branch(self, unit: Unit) -> None:
        node = unit.nodes[0].node
        self._load(node.inputs)
        inputs = tuple(None if i == ABSENT else self._located(i) for i in node.inputs)
        homes = [HOST if self._is_object(i) or not self._devices else None for i in node.outputs]
        outputs = tuple((self._slot(i, home), home) for i, home in zip(node.outputs, homes, strict=True))
        self._steps.append(Branch(unit, self._graph, inputs, outputs))
        self._store(node.outputs)

    def _load(self, tensors: Iterable[int]) -> None:
        """Read those of `tensors` that are variable tensors; copies that were made of them before are out of date."""
        for tensor in tensors:
            if tensor in self._variables:
                self._steps.append(Load(self._variables[tensor], self._slot(tensor, HOST)))

    def _store(self, tensors: Iterable[int]) -> None:
        """Set those of `tensors` that are variable tensors to what a node has written."""
        for tensor in tensors:
            if tensor in self._variables:
                shape = self._graph.tensors[tensor].shape
                self._steps.append(Store(self._located(tensor), self._variables[tensor], shape))

    def _is_object(self, tensor: int) -> bool:
        """Whether the values are Python objects, which are on the host for everybody."""
        return self._resolved.specs[tensor].type.is_object

    def _slot(self, tensor: int, space: Space | None) -> int:
        """A new slot for a tensor that is made in `space`; what was made of it before is out of date."""
        self._home[tensor] = space
        self._slots[tensor] = {_name(space): self._new_slot()}
        return self._slots[tensor][_name(space)]

    def _new_slot(self, value: Any = None) -> int:
        self._preset.append(value)
        return len(self._preset) - 1

    def _located(self, tensor: int) -> Place:
        """Where a tensor was made; constants live on the host."""
        if tensor not in self._home:
            value = self._resolved.specs[tensor].value
            self._home[tensor] = HOST
            value = value if value is not None else self._graph.tensors[tensor].data
            self._slots[tensor] = {HOST.name: self._new_slot(value)}
        space = self._home[tensor]
        return self._slots[tensor][_name(space)], space

    def _on_device(self, tensor: int) -> Place | None:
        """Where a device has a tensor too. A loop passes that on, so that the next turn need not copy it again."""
        for step in self._steps:
            if isinstance(step, Move | Settle) and step.target.name != HOST.name and tensor in step.tensors:
                slot = self._slots[tensor].get(step.target.name)
                return None if slot is None else (slot, step.target)
        return None

    def _move(self, tensors: Sequence[int], target: Space) -> None:
        """Copy those of `tensors` that are not in `target` yet: one step for each space that they come from."""
        groups: dict[str, list[int]] = {}
        spaces: dict[str, Space | None] = {}
        for tensor in tensors:
            _, source = self._located(tensor)
            if target.name not in self._slots[tensor]:
                groups.setdefault(_name(source), []).append(tensor)
                spaces[_name(source)] = source
        for name, group in groups.items():
            pairs = tuple((self._slots[i][name], self._copy_slot(i, target)) for i in group)
            source = spaces[name]
            if source is None:
                self._steps.append(Settle(target, tuple(group), pairs))
                continue
            sizes = [self._resolved.specs[i].nbytes for i in group]
            nbytes = None if None in sizes else sum(n for n in sizes if n is not None)
            self._steps.append(Move(source, target, tuple(group), nbytes, pairs))

    def _copy_slot(self, tensor: int, target: Space) -> int:
        self._slots[tensor][target.name] = self._new_slot()
        return self._slots[tensor][target.name]


def _name(space: Space | None) -> str:
    return "" if space is None else space.name

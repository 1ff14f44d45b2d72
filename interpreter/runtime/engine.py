"""Runs the subgraphs of one model for one interpreter: plans them for the shapes that come, and keeps the plans."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import DelegationError, GraphError, KernelError, LimitError, PolicyError, TfliteError, UnsupportedError
from ..graph import Graph, Model, TensorSpec
from ..ops.base import ControlOp, Op
from ..ops.binding import UnknownOp
from ..ops.control import CallOnce
from ..ops.flex import Flex
from .builder import PlanBuilder
from .cache import HeldKey, OptionalShape, PlanCache, PlanKey
from .delegate import HOST, BoundNode, Delegate, Space
from .held import VariableName, variables_read
from .lane import Lane, Observer
from .partition import Nobody, choose, delegation_error, join_islands, stray_nodes, units
from .plan import Plan, Run, Value, brought, fetch, unshared, value_at
from .simplify import MAX_DEPTH, Resolved, Resolver
from .state import State

log = logging.getLogger("tflite_cupy")


class Engine:
    """The model, its delegates, its state and its plans. Calls may overlap: see `Lane`."""

    def __init__(
        self,
        model: Model,
        delegates: Sequence[Delegate],
        *,
        require: str | None = None,
        custom_ops: Mapping[str, type[Op]] = MappingProxyType({}),
    ) -> None:
        self.model = model
        self.delegates = tuple(delegates)
        self.state = State()
        self.observer: Observer | None = None
        self._require = require
        self._resolver = Resolver(model, custom_ops)
        self._caches = tuple(PlanCache() for _ in model.graphs)
        self._lock = threading.RLock()
        spaces = {d.space.name: d.space for d in self.delegates if d.space.name != HOST.name}
        self.device_spaces: tuple[Space, ...] = tuple(spaces.values())
        """Spaces other than host memory, whose arrays a caller may pass in uncopied."""
        self.shapes: dict[int, dict[int, tuple[int, ...]]] = {}
        """Per subgraph that a signature runner called, the shapes of its inputs and outputs in the last call."""
        self._reads: dict[int, tuple[tuple[VariableName, ...], tuple[int, ...]]] = {}
        self._logged: set[int] = set()
        self._checked: set[int] = set()

    def plan(
        self,
        graph: Graph,
        shapes: Sequence[OptionalShape],
        spaces: Sequence[Space] | None = None,
        *,
        keep_all: bool = False,
        donated: frozenset[int] = frozenset(),
    ) -> Plan:
        """The plan of a subgraph for these input shapes, made on first use.

        `shapes` and `spaces` are in the order of `graph.inputs`; a shape is None where it is not known. `keep_all`
        keeps every tensor; `donated` are inputs that the call may overwrite. Raises UnsupportedError or PolicyError for
        a node that no delegate runs, DelegationError for one that the required delegate does not run, KernelError for
        impossible shapes.
        """
        where = tuple(spaces) if spaces is not None else (HOST,) * len(graph.inputs)
        cache = self._caches[graph.index]
        held = cache.held(self._held(graph)) if self.device_spaces else ()
        key = (tuple(shapes), tuple([space.name for space in where]), keep_all, donated, held)
        plan = cache.find(key)
        if plan is None:
            with self._lock:
                plan = cache.find(key)
                if plan is None:
                    plan = self._make(graph, where, key)
                    cache.add(key, plan)
        return plan

    def latest_plan(self, graph: Graph) -> Plan:
        """The plan of a subgraph that was made last.

        If there is none: for the declared shapes, or for unknown ones where the nodes can't take those (an unknown
        dimension is declared as 1).
        """
        newest = self._caches[graph.index].newest
        if newest is not None:
            return newest
        try:
            return self.plan(graph, [graph.tensors[i].shape for i in graph.inputs])
        except KernelError:
            return self.plan(graph, [None] * len(graph.inputs))

    def survey(self, graph: Graph) -> Plan:
        """The latest plan; where no delegate takes some nodes, one to be reported only, in which `Nobody` has them."""
        try:
            return self.latest_plan(graph)
        except (PolicyError, UnsupportedError):
            resolved = self._declared(graph)
        choices = join_islands(choose(graph, resolved.live, [*self.delegates, Nobody()], None), self.delegates)
        spaces = [HOST] * len(graph.inputs)
        builder = PlanBuilder(graph, resolved, choices, spaces, devices=bool(self.device_spaces))
        return builder.build(units(choices), keep_all=False)

    def check(self) -> None:
        """Raise DelegationError that names all nodes of all subgraphs that the required delegate would not run."""
        strays: list[DelegationError] = []
        for graph in self.model.graphs:
            choices = choose(graph, self._declared(graph).live, self.delegates, None)
            strays += stray_nodes(graph, choices, self._require)
        if strays:
            raise delegation_error(strays)

    def _declared(self, graph: Graph) -> Resolved:
        """The subgraph for its declared input shapes, or for unknown ones where the nodes can't take those."""
        try:
            return self._resolver.resolve(graph, _input_specs(graph, [graph.tensors[i].shape for i in graph.inputs]))
        except KernelError:
            return self._resolver.resolve(graph, _input_specs(graph, [None] * len(graph.inputs)))

    def _held(self, graph: Graph) -> HeldKey:
        """Shapes of the variables that a subgraph reads, of those that have a value."""
        names, initialisers = self._stateful(graph)
        if not names or not all(map(self.state.is_initialised, initialisers)):
            return ()
        shapes = ((name, self.state.variable(*name).shape) for name in names)
        return tuple((name, shape) for name, shape in shapes if shape is not None)

    def _stateful(self, graph: Graph) -> tuple[tuple[VariableName, ...], tuple[int, ...]]:
        """The variables that a subgraph reads, and its initialisers."""
        if graph.index not in self._reads:
            ops = self._resolver.ops(graph)
            initialisers = tuple(i for op in ops if isinstance(op, CallOnce) for i in op.subgraphs)
            self._reads[graph.index] = variables_read(graph, ops), initialisers
        return self._reads[graph.index]

    def _make(self, graph: Graph, spaces: Sequence[Space], key: PlanKey) -> Plan:
        shapes, _, keep_all, donated, held = key
        specs = _input_specs(graph, shapes)
        resolved = self._resolver.resolve(graph, specs, keep_all=keep_all, held=dict(held))
        choices = choose(graph, resolved.live, self.delegates, self._require)
        self._check_bodies(graph)
        if self._require is None:
            choices = join_islands(choices, self.delegates)
        devices = bool(self.device_spaces)
        builder = PlanBuilder(graph, resolved, choices, spaces, devices=devices, donated=donated)
        plan = builder.build(units(choices), keep_all)
        self._log(plan)
        return plan

    def _check_bodies(self, graph: Graph) -> None:
        """Raise now for a node that nobody runs in a subgraph that control flow may reach later."""
        graphs = self.model.graphs
        for op in self._resolver.ops(graph):
            for index in op.subgraphs if isinstance(op, ControlOp) else ():
                if index in self._checked or not 0 <= index < len(graphs):
                    continue
                body = graphs[index]
                ops = zip(body.nodes, self._resolver.ops(body), strict=True)
                doubtful = [BoundNode(n, o, o.ins, o.outs) for n, o in ops if isinstance(o, UnknownOp | Flex)]
                choose(body, doubtful, self.delegates, None)
                self._checked.add(index)
                try:
                    self._check_bodies(body)
                except TfliteError:
                    self._checked.discard(index)
                    raise

    def _log(self, plan: Plan) -> None:
        graph = plan.graph
        if graph.index in self._logged:
            return
        self._logged.add(graph.index)
        for delegate in self.delegates:
            runs = [step for step in plan.steps if isinstance(step, Run) and step.unit.delegate is delegate]
            nodes = sum(len(run.unit.nodes) for run in runs)
            log.info(
                "%s delegate: %d nodes delegated out of %d nodes with %d partitions. (subgraph %s)",
                *(delegate.title, nodes, len(graph.nodes), len(runs), graph.name or graph.index),
            )

    def call(
        self,
        plan: Plan,
        values: Sequence[Value],
        tensors: Sequence[int],
        *,
        target: Space | None = HOST,
        donated: AbstractSet[int] = frozenset(),
        bodies: dict[int, dict[int, np.ndarray]] | None = None,
    ) -> list[Value]:
        """Run a plan as a call of its own: the values of `tensors` (outputs, or any that the plan keeps).

        They are brought to `target`, to the host with one wait, or left where they were made (None). `donated` are
        inputs that the plan may have overwritten. `bodies` is filled with the tensors of the last run of each subgraph
        that control flow called: {subgraph: {tensor: array}}.
        """
        with ExitStack() as stack:
            for space in self.device_spaces:
                stack.enter_context(space.lane())
            stack.enter_context(np.errstate(all="ignore"))
            lane = Lane(self.state, self.observer, bodies=None if bodies is None else {})
            stack.callback(self._release, lane)
            slots = plan.run(values, lane, self)
            results = [value_at(slots, plan.kept[tensor]) for tensor in tensors]
            if bodies is not None and lane.bodies is not None:
                bodies.update((graph, _fetched(body, kept)) for graph, (body, kept) in lane.bodies.items())
            if target is HOST:
                return [Value(HOST, array) for array in fetch(results)]
            if target is not None:
                results = [Value(target, array) for array in brought(results, target)]
            inputs = list(zip(plan.graph.inputs, values, strict=True))
            given = [value.array for tensor, value in inputs if tensor in donated]
            kept = [value.array for tensor, value in inputs if tensor not in donated]
            return unshared(results, [*kept, *(array for _, array in lane.borrowed)], given)

    def _release(self, lane: Lane) -> None:
        """Let go of variables' values, once nothing of the call reads them any more."""
        for space in self.device_spaces if lane.borrowed else ():
            space.wait()
        for variable, array in lane.borrowed:
            variable.release(array)

    def invoke(self, graph: int, values: Sequence[Value | None], lane: Lane) -> list[Value]:
        """Run a subgraph as part of the call that `lane` belongs to; None for an absent operand."""
        given = [self._blank(graph, place) if value is None else value for place, value in enumerate(values)]
        plan = self._body_plan(graph, given, lane)
        lane.depth += 1
        try:
            slots = plan.run(given, lane, self)
        finally:
            lane.depth -= 1
        if lane.bodies is not None:
            lane.bodies[graph] = plan, slots
        return [value_at(slots, place) for place in plan.outputs]

    def settle(self, graphs: Sequence[int], values: Sequence[Value], lane: Lane) -> list[Value]:
        """The values, those on the device that one of these subgraphs would copy there whenever it is called."""
        settled = list(values)
        for graph in graphs if self.device_spaces else ():
            plan = self._body_plan(graph, settled, lane)
            for index, space in enumerate(plan.wanted):
                if space is not None:
                    settled[index] = Value(space, brought([settled[index]], space)[0])
        return settled

    def _body_plan(self, graph: int, values: Sequence[Value], lane: Lane) -> Plan:
        target = self._graph(graph)
        if lane.depth >= MAX_DEPTH:
            raise LimitError(f"subgraphs call each other more than {MAX_DEPTH} deep", where=f"subgraphs[{graph}]")
        if len(values) != len(target.inputs):
            raise GraphError(f"subgraph {graph} takes {len(target.inputs)} values, got {len(values)}")
        shapes = self._caches[graph].body_shapes(tuple([v.array.shape for v in values]))
        return self.plan(target, shapes, [v.space for v in values], keep_all=lane.bodies is not None)

    def _blank(self, graph: int, place: int) -> Value:
        """A value of the declared shape that takes no memory."""
        target = self._graph(graph)
        tensor = target.tensors[target.inputs[place]]
        return Value(HOST, np.broadcast_to(np.zeros((), tensor.type.dtype), tensor.shape))

    def once(self, graph: int, lane: Lane) -> None:
        """Run an initialiser subgraph unless this interpreter has run it."""
        self.state.once(graph, lambda: self.invoke(graph, (), lane))

    def _graph(self, index: int) -> Graph:
        if not 0 <= index < len(self.model.graphs):
            raise GraphError(f"there is no subgraph {index}; the model has {len(self.model.graphs)}")
        return self.model.graphs[index]


def _fetched(plan: Plan, slots: Sequence[Any]) -> dict[int, np.ndarray]:
    """All tensors of a run, on the host."""
    return dict(zip(plan.kept, fetch([value_at(slots, place) for place in plan.kept.values()]), strict=True))


def _input_specs(graph: Graph, shapes: Sequence[OptionalShape]) -> list[TensorSpec]:
    tensors = [graph.tensors[i] for i in graph.inputs]
    return [TensorSpec(t.type, shape, t.quantization) for t, shape in zip(tensors, shapes, strict=True)]

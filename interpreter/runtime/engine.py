"""Runs the subgraphs of one model for one interpreter: plans them for the shapes that come, and keeps the plans."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TypeAlias

from ..errors import GraphError, KernelError, LimitError, TfliteError
from ..graph import Graph, Model, TensorSpec
from ..ops.base import ControlOp, UnknownOp
from ..ops.flex import Flex
from .delegate import HOST, BoundNode, Delegate, Space
from .lane import Lane, Observer
from .partition import choose, join_islands, units
from .plan import Plan, PlanBuilder, Run, Value, fetch
from .simplify import MAX_DEPTH, Resolver
from .state import State

log = logging.getLogger("tflite_cupy")

MAX_PLANS = 64
"""Plans that one interpreter keeps; the oldest goes first."""


_Shape: TypeAlias = tuple[int, ...] | None
_Key: TypeAlias = tuple[int, tuple[_Shape, ...], tuple[str, ...], bool]
"""Subgraph, input shapes, names of the input spaces, whether every tensor is kept."""


class Engine:
    """The model, its delegates, its state and its plans. Calls may overlap: see `Lane`."""

    def __init__(self, model: Model, delegates: Sequence[Delegate], *, require: str | None = None) -> None:
        self.model = model
        self.delegates = tuple(delegates)
        self.state = State()
        self.observer: Observer | None = None
        self._require = require
        self._resolver = Resolver(model)
        self._plans: OrderedDict[_Key, Plan] = OrderedDict()
        self._lock = threading.RLock()
        spaces = {d.space.name: d.space for d in self.delegates if d.space.name != HOST.name}
        self.device_spaces: tuple[Space, ...] = tuple(spaces.values())
        """Spaces other than host memory, whose arrays a caller may pass in uncopied."""
        self._logged: set[int] = set()
        self._checked: set[int] = set()

    def plan(
        self,
        graph: Graph,
        shapes: Sequence[_Shape],
        spaces: Sequence[Space] | None = None,
        *,
        keep_all: bool = False,
    ) -> Plan:
        """The plan of a subgraph for these input shapes (in the order of `graph.inputs`; None: not known); made on
        first use.

        `keep_all` plans every node by itself and keeps every tensor. Raises UnsupportedError (PolicyError,
        DelegationError) for a node that no delegate (not the required one) runs, KernelError for impossible shapes.
        """
        where = tuple(spaces) if spaces is not None else (HOST,) * len(graph.inputs)
        key = (graph.index, tuple(shapes), tuple([space.name for space in where]), keep_all)
        plan = self._plans.get(key)
        if plan is None:
            with self._lock:
                plan = self._plans.get(key)
                if plan is None:
                    plan = self._plans[key] = self._make(graph, key[1], where, keep_all)
                    if len(self._plans) > MAX_PLANS:
                        self._plans.popitem(last=False)
        return plan

    def latest_plan(self, graph: Graph) -> Plan:
        """The plan of a subgraph that was made last. If there is none: for the declared shapes, or for unknown ones
        where the nodes can't take those (an unknown dimension is declared as 1)."""
        with self._lock:
            made = [plan for key, plan in self._plans.items() if key[0] == graph.index]
        if made:
            return made[-1]
        try:
            return self.plan(graph, [graph.tensors[i].shape for i in graph.inputs])
        except KernelError:
            return self.plan(graph, [None] * len(graph.inputs))

    def _make(self, graph: Graph, shapes: Sequence[_Shape], spaces: Sequence[Space], keep_all: bool) -> Plan:
        tensors = [graph.tensors[i] for i in graph.inputs]
        specs = [TensorSpec(t.type, shape, t.quantization) for t, shape in zip(tensors, shapes, strict=True)]
        resolved = self._resolver.resolve(graph, specs, keep_all=keep_all)
        choices = choose(graph, resolved.live, self.delegates, self._require)
        self._check_bodies(graph)
        if self._require is None:
            choices = join_islands(choices, self.delegates)
        plan = PlanBuilder(graph, resolved, choices, spaces).build(units(choices), keep_all)
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

    def call(self, plan: Plan, values: Sequence[Value], tensors: Sequence[int], *, to_host: bool = True) -> list[Value]:
        """Run a plan as a call of its own: the values of `tensors` (outputs, or any that the plan keeps).

        They are brought to the host with one wait, or left where they were made.
        """
        with ExitStack() as stack:
            for space in self.device_spaces:
                stack.enter_context(space.lane())
            lane = Lane(self.state, self.observer)
            slots = plan.run(values, lane, self)
            results = [Value(space, slots[slot]) for slot, space in map(plan.kept.__getitem__, tensors)]
            return [Value(HOST, array) for array in fetch(results)] if to_host else results

    def invoke(self, graph: int, values: Sequence[Value], lane: Lane) -> list[Value]:
        """Run a subgraph as part of the call that `lane` belongs to."""
        target = self._graph(graph)
        if lane.depth >= MAX_DEPTH:
            raise LimitError(f"subgraphs call each other more than {MAX_DEPTH} deep", where=f"subgraphs[{graph}]")
        if len(values) != len(target.inputs):
            raise GraphError(f"subgraph {graph} takes {len(target.inputs)} values, got {len(values)}")
        plan = self.plan(target, [v.array.shape for v in values], [v.space for v in values])
        lane.depth += 1
        try:
            slots = plan.run(values, lane, self)
        finally:
            lane.depth -= 1
        return [Value(space, slots[slot]) for slot, space in plan.outputs]

    def once(self, graph: int, lane: Lane) -> None:
        """Run an initialiser subgraph unless this interpreter has run it."""
        self.state.once(graph, lambda: self.invoke(graph, (), lane))

    def _graph(self, index: int) -> Graph:
        if not 0 <= index < len(self.model.graphs):
            raise GraphError(f"there is no subgraph {index}; the model has {len(self.model.graphs)}")
        return self.model.graphs[index]

"""Runs the subgraphs of one model for one interpreter: plans them for the shapes that come, and keeps the plans."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, NoReturn, TypeAlias, TypeVar

import numpy as np

from ..details import blank
from ..errors import (
    DelegationError,
    GraphError,
    KernelError,
    MissingDependencyError,
    PolicyError,
    StateError,
    TfliteError,
    UnsupportedError,
)
from ..graph import Graph, Model, Shape, Tensor, TensorSpec
from ..limits import DEFAULT_LIMITS, Limits, beyond
from ..ops.base import ControlOp, Op
from ..ops.binding import UnknownOp
from ..ops.checks import refusal
from ..ops.control import CallOnce
from ..ops.flex import Flex
from ..sharing import settle
from .access import NO_ACCESS, Access, access_of
from .budget import Budget, Deadline, peak_bytes
from .builder import PlanBuilder
from .cache import HeldKey, OptionalShape, PlanCache, PlanKey
from .delegate import HOST, BoundNode, Delegate, Executable, Space
from .forks import survives_forks
from .held import VariableName, variables_read
from .lane import Lane, Observer
from .partition import Nobody, choose, delegation_error, join_islands, stray_nodes, units
from .plan import Plan, Run, Value, brought, fetch, unshared, value_at
from .queue import CallQueue, InQueue
from .recording import Kind, Recorder, Recording, Task
from .simplify import Resolved, Resolver
from .state import State
from .turns import Turn, during

T = TypeVar("T")
log = logging.getLogger("tflite_cupy")

_UNTIMED, _OUTPUTS = nullcontext(), Task(Kind.COPY, "outputs")

Watch: TypeAlias = Callable[[int, Mapping[int, np.ndarray]], None]
"""Called as watch(subgraph, {tensor: array}) after each run of a subgraph by control flow."""


class Engine:
    """The model, its delegates, its state and its plans. Calls may overlap: see `Lane`."""

    def __init__(
        self,
        model: Model,
        delegates: Sequence[Delegate],
        *,
        require: str | None = None,
        custom_ops: Mapping[str, type[Op]] = MappingProxyType({}),
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.model = model
        self.budget = Budget(limits)
        self._queue = CallQueue.of(limits)
        self.delegates = tuple(delegates)
        self.state = State()
        self.observer: Observer | None = None
        self.recorder: Recorder | None = None
        self._require = require
        self._resolver = Resolver(model, custom_ops, self.budget)
        self._caches: Sequence[PlanCache] = tuple(PlanCache() for _ in model.graphs)
        self._lock = threading.RLock()
        spaces = {d.space.name: d.space for d in self.delegates if d.space.name != HOST.name}
        self.device_spaces: tuple[Space, ...] = tuple(spaces.values())
        """Spaces other than host memory, whose arrays a caller may pass in uncopied."""
        self._is_plain = self._queue is None and not self.device_spaces and limits.deadline_ms is None
        self.shapes: dict[int, tuple[Sequence[int], Sequence[Shape]]] = {}
        """Per subgraph that a signature runner called, its inputs and outputs, and their shapes in the last call."""
        self._reads: dict[int, tuple[tuple[VariableName, ...], tuple[int, ...]]] = {}
        self._logged: set[int] = set()
        self._checked: set[int] = set()
        self._access: dict[int, Access] = {}
        survives_forks(self)

    def close(self, why: str = "the interpreter is closed.", hint: str = "Make another one.") -> None:
        """Give back what was made for calls. Calls in flight end, or raise StateError as later ones do."""
        with self._lock:
            self._caches, self.delegates = _Closed(why, hint), ()
            self._resolver = Resolver(self.model, {}, self.budget)
            self.shapes.clear()

    def after_fork(self) -> None:
        """Make locks anew that threads may have held which this process does not have; close where a device or library
        that does not survive a fork is in use."""
        self._lock = threading.RLock()
        if isinstance(self._caches, _Closed):
            return
        parts: list[Any] = [self._resolver, self.state, *self._caches]
        parts += [part for part in (self._queue, self.recorder, *self.delegates) if hasattr(part, "after_fork")]
        for part in parts:
            part.after_fork()
        runs = (step for cache in self._caches for plan in cache.plans for step in plan.steps if isinstance(step, Run))
        delegates = {id(run.unit.delegate): run.unit.delegate for run in runs}.values()
        for delegate in delegates:
            if delegate is not None and not getattr(delegate, "forkable", delegate.space.name == HOST.name):
                why = f"this process was forked from one in which the {delegate.title} was in use."
                self.close(why, "Make the interpreter in the new process, and start that by spawning it.")
                return

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
        cache = self._caches[graph.index]
        held = cache.held(self._held(graph)) if self.device_spaces else ()
        names = (HOST.name,) * len(shapes) if spaces is None else tuple([space.name for space in spaces])
        key = (tuple(shapes), names, keep_all, donated, held)
        plan = cache.find(key)
        if plan is None:
            where = (HOST,) * len(graph.inputs) if spaces is None else tuple(spaces)
            with self._span(Task(Kind.PLAN, graph.name, graph.index)), self._lock:
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
        except (MissingDependencyError, PolicyError, UnsupportedError):
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
        peak, node = peak_bytes(graph, resolved.live, keep_all=keep_all)
        if node is not None:
            self.budget.check_arena(peak, node, graph.where(node))
        builder = PlanBuilder(graph, resolved, choices, spaces, devices=devices, donated=donated)
        plan = replace(builder.build(units(choices), keep_all), access=self._access_of(graph), peak=peak)
        settle()
        self._log(plan)
        return plan

    def _access_of(self, graph: Graph) -> Access:
        if graph.index not in self._access:
            found = access_of(graph, self.model.graphs, self._resolver.ops)
            self._access[graph.index] = NO_ACCESS if found.is_none else found
        return self._access[graph.index]

    def _check_bodies(self, graph: Graph) -> None:
        """Raise now for a node that nobody runs in a subgraph that control flow may reach later."""
        graphs = self.model.graphs
        for op in self._resolver.ops(graph):
            for index in op.subgraphs if isinstance(op, ControlOp) else ():
                if index in self._checked or not 0 <= index < len(graphs):
                    continue
                body = graphs[index]
                ops = zip(body.nodes, self._resolver.ops(body), strict=True)
                doubtful = [
                    BoundNode(n, o, o.ins, o.outs, refusal(o, o.ins)) for n, o in ops if isinstance(o, UnknownOp | Flex)
                ]
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
        watch: Watch | None = None,
        deadline: Deadline | None = None,
    ) -> list[Value]:
        """Run a plan as a call of its own: the values of `tensors` (outputs, or any that the plan keeps).

        They are brought to `target`, to the host with one wait, or left where they were made (None). `donated` are
        inputs that the plan may have overwritten. `bodies` is filled with the tensors of the last run of each subgraph
        that control flow called: {subgraph: {tensor: array}}. `watch` is shown those of each such run. `deadline`
        is one of this call beside that of the limits, which starts when the call has its turn.
        """
        work = partial(self._run, plan, values, tensors, target, donated, bodies, watch, deadline)
        recording = None if self.recorder is None else self._recording
        if recording is not None and next(self._turns(plan), None) is not None:
            work = partial(_waited, recording, work)
            recording.begin()
        for turn in self._turns(plan):
            work = partial(during, turn, work)
        return work()

    def _run(
        self,
        plan: Plan,
        values: Sequence[Value],
        tensors: Sequence[int],
        target: Space | None,
        donated: AbstractSet[int],
        bodies: dict[int, dict[int, np.ndarray]] | None,
        watch: Watch | None,
        own_deadline: Deadline | None,
    ) -> list[Value]:
        last: dict[int, tuple[Plan, list[Any]]] = {}
        finished = None
        if bodies is not None or watch is not None:
            finished = partial(_note, last, watch)
        with self._on_devices(), np.errstate(all="ignore"):
            lane = Lane(self.state, self.observer, finished=finished, budget=self.budget, peak=plan.peak)
            if self.recorder is not None:
                lane.recording = self._recording
            if (deadline := self.budget.deadline(own_deadline)) is not None:
                deadline.check()
                lane.deadline, lane.observer = deadline, deadline.watching(self.observer)
            try:
                slots = plan.run([value.array for value in values], lane, self)
                results = [value_at(slots, plan.kept[tensor]) for tensor in tensors]
                if bodies is not None:
                    bodies.update((graph, _fetched(body, left)) for graph, (body, left) in last.items())
                with self._span(_OUTPUTS) if self.device_spaces else _UNTIMED:
                    if target is HOST:
                        return [Value(HOST, array) for array in fetch(results)]
                    if target is not None:
                        results = _moved(results, target)
                    inputs = list(zip(plan.graph.inputs, values, strict=True))
                    given = [value.array for tensor, value in inputs if tensor in donated]
                    kept = [value.array for tensor, value in inputs if tensor not in donated]
                    return unshared(results, [*kept, *(array for _, array in lane.borrowed)], given)
            finally:
                if lane.borrowed:
                    self._release(lane)

    def call_on_host(self, plan: Plan, arrays: Sequence[np.ndarray], tensors: Sequence[int]) -> Sequence[np.ndarray]:
        """The same with all on the host. Where no other call and no device has to do with it, it takes less time; even
        less where the plan is one step."""
        if self._is_plain and plan.access is NO_ACCESS:
            lane = Lane(self.state, self.observer, budget=self.budget, peak=plan.peak)
            if self.recorder is not None:
                lane.recording = self._recording
            elif plan.whole is not None and plan.whole.partition.outputs == tensors:
                run = plan.whole.executable
                return run(lane, arrays) if getattr(run, "is_silent", False) else _directly(run, lane, arrays)
            slots = _quietly(plan, arrays, lane, self)
            return [slots[plan.kept[tensor][0]] for tensor in tensors]
        return [array for _, array in self.call(plan, [Value(HOST, array) for array in arrays], tensors)]

    @contextmanager
    def recorded(self) -> Iterator[Recorder]:
        """Record the calls that end in the block. Raises StateError within another such block."""
        recorder = Recorder()
        with self._lock:
            if self.recorder is not None:
                raise StateError("this interpreter is being profiled already.", hint="End the other profile first.")
            self.recorder = recorder
        try:
            yield recorder
        finally:
            recorder.close()
            self.recorder = None

    @property
    def _recording(self) -> Recording | None:
        """What this thread's call is recorded in."""
        recorder = self.recorder
        return None if recorder is None else recorder.recording

    def _span(self, task: Task) -> AbstractContextManager[None]:
        recording = self._recording
        return _UNTIMED if recording is None else recording.span(task)

    def _turns(self, plan: Plan) -> Iterator[Turn]:
        """What a call has to wait for, the last thing first: nobody changes what it reads, it is alone with what it
        writes, and it has a place among the others."""
        access = plan.access
        if access.writes or not self.state.is_settled(access.initialisers):
            yield self.state.writing()
        elif access.reads:
            yield self.state.reading()
        if self._queue is not None:
            yield InQueue(self._queue)

    @contextmanager
    def _on_devices(self) -> Iterator[None]:
        """Entered around a call: what it needs of each device."""
        with ExitStack() as stack:
            for space in self.device_spaces:
                stack.enter_context(space.lane())
            yield

    def _release(self, lane: Lane) -> None:
        """Let go of variables' values, once nothing of the call reads them any more."""
        for space in self.device_spaces:
            space.wait()
        for variable, array in lane.borrowed:
            variable.release(array)

    def invoke(self, graph: int, values: Sequence[Value | None], lane: Lane) -> list[Value]:
        """Run a subgraph as part of the call that `lane` belongs to; None for an absent operand."""
        given = [self._blank(graph, place) if value is None else value for place, value in enumerate(values)]
        plan = self._body_plan(graph, given, lane)
        outer = lane.held, lane.peak
        lane.depth += 1
        lane.held, lane.peak = lane.held + lane.peak, plan.peak
        try:
            if lane.deadline is not None:
                lane.deadline.check()
            if lane.held + plan.peak > self.budget.granted:
                self.budget.check_arena(lane.held + plan.peak, f"subgraph {graph}")
            slots = plan.run([value.array for value in given], lane, self)
        finally:
            lane.depth -= 1
            lane.held, lane.peak = outer
        if lane.finished is not None:
            lane.finished(plan, slots)
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
        if lane.depth >= (most := self.budget.limits.max_call_depth):
            what = f"Subgraphs call each other {lane.depth + 1} deep"
            raise beyond(what, "max_call_depth", most, where=f"subgraphs[{graph}]")
        if len(values) != len(target.inputs):
            raise GraphError(f"subgraph {graph} takes {len(target.inputs)} values, got {len(values)}")
        shapes = self._caches[graph].body_shapes(tuple([v.array.shape for v in values]))
        return self.plan(target, shapes, [v.space for v in values], keep_all=lane.finished is not None)

    def blank(self, tensor: Tensor, shape: Sequence[int]) -> np.ndarray:
        """Zeros, or empty strings, of a tensor's type. Raises LimitError where they are too large."""
        spec = TensorSpec(tensor.type, tuple(shape))
        self.budget.check(f"tensor {tensor.name!r}", spec, self.budget.limits.max_view_rank)
        return blank(tensor, shape)

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


class _Closed(Sequence[PlanCache]):
    """Stands for the plans of an engine that makes no more calls."""

    def __init__(self, why: str, hint: str) -> None:
        self._why, self._hint = why, hint

    def __getitem__(self, index: Any) -> NoReturn:
        raise StateError(self._why, hint=self._hint)

    def __len__(self) -> int:
        return 0


def _waited(recording: Recording, work: Callable[[], T]) -> T:
    """What `work` gives, for which the call has waited."""
    recording.end(Task(Kind.WAIT, "turns"))
    return work()


@np.errstate(all="ignore")  # takes half as long as a `with`
def _quietly(plan: Plan, arrays: Sequence[np.ndarray], lane: Lane, engine: Engine) -> list[Any]:
    return plan.run(arrays, lane, engine)


@np.errstate(all="ignore")
def _directly(executable: Executable, lane: Lane, arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    return executable(lane, arrays)


def _note(last: dict[int, tuple[Plan, list[Any]]], watch: Watch | None, body: Plan, slots: list[Any]) -> None:
    """Remember the last run of each subgraph, and show each run to `watch`."""
    last[body.graph.index] = body, slots
    if watch is not None:
        watch(body.graph.index, _fetched(body, slots))


def _moved(values: Sequence[Value], target: Space) -> list[Value]:
    """The values in `target`, but for strings, which live on the host only."""
    numbers = [value for value in values if value.array.dtype != object]
    arrays = iter(brought(numbers, target))
    return [value if value.array.dtype == object else Value(target, next(arrays)) for value in values]


def _fetched(plan: Plan, slots: Sequence[Any]) -> dict[int, np.ndarray]:
    """All tensors of a run, on the host."""
    return dict(zip(plan.kept, fetch([value_at(slots, place) for place in plan.kept.values()]), strict=True))


def _input_specs(graph: Graph, shapes: Sequence[OptionalShape]) -> list[TensorSpec]:
    tensors = [graph.tensors[i] for i in graph.inputs]
    return [TensorSpec(t.type, shape, t.quantization) for t, shape in zip(tensors, shapes, strict=True)]

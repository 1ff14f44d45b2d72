"""What is known before a call: the spec of every tensor, and the values that do not depend on the inputs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..errors import GraphError
from ..graph import ABSENT, Graph, Model, Node, TensorSpec, TensorType
from ..limits import beyond
from ..ops.base import ControlOp, Op
from ..ops.binding import bind
from ..ops.checks import TypeMismatch, evaluate, infer_outputs, refusal
from ..sharing import contents, release, shared
from .budget import DEFAULT_BUDGET, Budget
from .delegate import BoundNode
from .faults import BODY_ERRORS, node_error
from .held import NOTHING_HELD, HeldShapes, Tracker

_FOLD_BYTES = 1 << 20
"""Folding may grow memory by this much, or by eight times the operands (float16 and int8 weights to float32)."""

_FOLDED_BYTES = 64 << 20
"""All folded values of a subgraph may take this much, or eight times the model's constants; further nodes are run."""

_SHARED_BYTES = 1 << 16
"""Folded values of this size are worth looking for those that are equal."""


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """One subgraph for one set of input shapes."""

    specs: tuple[TensorSpec, ...]  # per tensor; `.value` where it is known
    live: tuple[BoundNode, ...]  # nodes that a call has to run
    folded: tuple[BoundNode, ...]  # nodes whose outputs are all known
    unused: tuple[BoundNode, ...]  # nodes whose outputs nobody reads


class Resolver:
    """Resolves the subgraphs of one model. Thread-safe."""

    def __init__(self, model: Model, custom_ops: Mapping[str, type[Op]], budget: Budget = DEFAULT_BUDGET) -> None:
        self.model = model
        self._budget = budget
        self._visited = 0  # nodes, those of subgraphs once for each call, since `resolve` began
        self._folded_bytes = 0  # since then
        self._custom_ops = custom_ops
        self._ops: dict[int, tuple[Op, ...]] = {}
        self._constants: dict[tuple[int, int], tuple[np.ndarray, ...]] = {}  # folds that no input shape changes
        self._retyped: set[int] = set()
        self._lock = threading.RLock()

    def after_fork(self) -> None:
        """Make the lock anew, which a thread may have held that this process does not have."""
        self._lock = threading.RLock()

    def ops(self, graph: Graph) -> tuple[Op, ...]:
        """The ops of a graph's nodes, bound once."""
        with self._lock:
            if graph.index not in self._ops:
                self._ops[graph.index] = tuple(
                    bind(node, graph, self._custom_ops, self.model.graphs) for node in graph.nodes
                )
            return self._ops[graph.index]

    def resolve(
        self, graph: Graph, inputs: Sequence[TensorSpec], *, keep_all: bool = False, held: HeldShapes = NOTHING_HELD
    ) -> Resolved:
        """Specs and live nodes of `graph` for these input specs. Raises KernelError for shapes that a node can't take.

        `keep_all` keeps every node, so that every tensor is computed by a call; `held` are the shapes of variables.
        """
        with self._lock:
            return self._resolve(graph, inputs, keep_all, held)

    def outputs(self, graph: Graph, inputs: Sequence[TensorSpec], depth: int = 0) -> list[TensorSpec]:
        """Output specs of `graph` for these input specs."""
        with self._lock:
            specs, _ = self._infer(graph, inputs, depth, NOTHING_HELD)
            return [specs[i] for i in graph.outputs]

    def _resolve(self, graph: Graph, inputs: Sequence[TensorSpec], keep_all: bool, held: HeldShapes) -> Resolved:
        self._visited = self._folded_bytes = 0
        specs, bound = self._infer(graph, inputs, 0, held)
        if keep_all:
            return Resolved(tuple(specs), tuple(bound), (), ())
        folded = [b for b in bound if b.outs and all(specs[i].value is not None for i in b.node.outputs)
                  and not b.op.effects]  # fmt: skip
        gone = {b.node.index for b in folded}
        needed, live, unused = {*graph.outputs, *variable_tensors(graph)}, [], []
        for b in reversed(bound):
            if b.node.index in gone:
                continue
            if b.op.effects or not b.outs or not needed.isdisjoint(b.node.outputs):
                needed.update(b.node.inputs)
                live.append(b)
            else:
                unused.append(b)
        return Resolved(tuple(specs), tuple(reversed(live)), tuple(folded), tuple(reversed(unused)))

    def _infer(
        self, graph: Graph, inputs: Sequence[TensorSpec], depth: int, held: HeldShapes
    ) -> tuple[list[TensorSpec], list[BoundNode]]:
        try:
            return self._infer_as_bound(graph, inputs, depth, held)
        except TypeMismatch:
            if graph.index in self._retyped:
                raise
            self._retyped.add(graph.index)
            self._ops[graph.index] = tuple(_retyped(graph, self.ops(graph)))
            return self._infer_as_bound(graph, inputs, depth, held)

    def _infer_as_bound(
        self, graph: Graph, inputs: Sequence[TensorSpec], depth: int, held: HeldShapes
    ) -> tuple[list[TensorSpec], list[BoundNode]]:
        self._enter(graph, depth)
        specs = [_undetermined(graph, index) for index in range(len(graph.tensors))]
        fixed = {i for i, tensor in enumerate(graph.tensors) if tensor.data is not None}
        for place, (index, spec) in enumerate(zip(graph.inputs, inputs, strict=True)):
            specs[index] = replace(spec, name=graph.tensors[index].name, value=None)
            where = f"subgraphs[{graph.index}].inputs[{place}]"
            self._budget.check(f"input {specs[index].name!r}", spec, self._budget.limits.max_view_rank, where)
        bound = []
        variables, open_states = variable_tensors(graph), _open_states(graph)
        for index in sorted(variables):
            where = f"subgraphs[{graph.index}].tensors[{index}]"
            self._budget.check(
                f"variable {specs[index].name!r}", specs[index], self._budget.limits.max_view_rank, where
            )
        ops = self.ops(graph)
        tracker = Tracker(graph, ops, held)
        for node, op in zip(graph.nodes, ops, strict=True):
            if not open_states.keys().isdisjoint(node.inputs):
                _close_states(node, op, specs, open_states)
            ins = tuple(None if i == ABSENT else specs[i] for i in node.inputs)
            given, refused = self._node_outputs(graph, node, op, ins, fixed, depth)
            outs = tracker.passed(node, op, ins, given)
            for index, spec in zip(node.outputs, outs, strict=True):
                if index not in variables:  # which stay what they are declared as
                    specs[index] = spec
            bound.append(BoundNode(node, op, ins, tuple(outs), refused))
        return specs, bound

    def _enter(self, graph: Graph, depth: int) -> None:
        """Raise LimitError where subgraphs call each other too deep, or so often that their nodes are too many."""
        limits, where = self._budget.limits, f"subgraphs[{graph.index}]"
        if depth > limits.max_call_depth:
            what = f"Subgraphs call each other {depth} deep"
            raise beyond(what, "max_call_depth", limits.max_call_depth, where=where)
        self._visited += len(graph.nodes)
        if self._visited > limits.max_ops:
            what = f"Subgraphs that call each other come to {self._visited} operators"
            raise beyond(what, "max_ops", limits.max_ops, where=where)

    def _node_outputs(
        self, graph: Graph, node: Node, op: Op, ins: Sequence[TensorSpec | None], fixed: set[int], depth: int
    ) -> tuple[Sequence[TensorSpec], str | None]:
        """The specs of a node's outputs, and why its op can't run, if so."""
        try:
            refused = refusal(op, ins)
            if isinstance(op, ControlOp):
                return self._control_outputs(op, ins, depth), refused
            if refused:  # only a delegate of the caller's may run it; nothing is known of its results
                return [s.known(None) for s in op.outs], refused
            outs = infer_outputs(op, ins)
            self._budget.check_node(graph, node, op, outs)
            if op.pure and not op.host_only and all(s is None or s.value is not None for s in ins):
                outs = self._fold(graph, node, op, ins, outs, fixed)
            return outs, None
        except BODY_ERRORS as error:
            if (named := node_error(error, graph, node)) is error:
                raise
            raise named from error

    def _control_outputs(self, op: ControlOp, ins: Sequence[TensorSpec | None], depth: int) -> list[TensorSpec]:
        graphs = self.model.graphs

        def infer_graph(index: int, inputs: Sequence[TensorSpec | None]) -> list[TensorSpec]:
            if not 0 <= index < len(graphs):
                raise GraphError(f"{op.name} names subgraph {index}; the model has {len(graphs)}")
            if len(inputs) != len(graphs[index].inputs):
                raise GraphError(f"{op.name} gives {len(inputs)} values to subgraph {index} of "
                                 f"{len(graphs[index].inputs)} inputs")  # fmt: skip
            return self.outputs(graphs[index], _given(op, graphs[index], inputs), depth + 1)

        results = op.infer_through(infer_graph, ins)
        if len(results) != len(op.outs):
            raise GraphError(f"{op.name} has {len(op.outs)} outputs, its subgraphs give {len(results)}")
        for place, (declared, given) in enumerate(zip(op.outs, results, strict=True)):
            if declared.type is not given.type:
                raise GraphError(f"output {place} of {op.name} is {declared.type.name.lower()}, its subgraphs give "
                                 f"{given.type.name.lower()}")  # fmt: skip
        return [declared.known(s.shape) for declared, s in zip(op.outs, results, strict=True)]

    def _fold(self, graph: Graph, node: Node, op: Op, ins: Sequence[TensorSpec | None],
              outs: tuple[TensorSpec, ...], fixed: set[int]) -> tuple[TensorSpec, ...]:  # fmt: skip
        """The outputs' values, if they are small enough to keep."""
        if all(s.value is not None for s in outs):
            return outs
        before, after = sum(s.nbytes or 0 for s in ins if s is not None), sum(s.nbytes or 0 for s in outs)
        if any(s.nbytes is None for s in outs) or after > max(_FOLD_BYTES, 8 * before) or not self._has_room(after):
            return outs
        is_fixed = fixed.issuperset(i for i in node.inputs if i != ABSENT)
        values = self._constants.get((graph.index, node.index)) if is_fixed else None
        if values is None:
            try:
                values = evaluate(op, [None if s is None else s.value for s in ins])
            except BODY_ERRORS:
                return outs  # the call reports it, if it gets there
            for value in values:
                value.setflags(write=False)
            if is_fixed:
                values = tuple(_one_copy(value) for value in values)
                _release(ins)
        if is_fixed:
            self._constants[graph.index, node.index] = values
            fixed.update(node.outputs)
        return tuple(s.known(v.shape, v) for s, v in zip(outs, values, strict=True))

    def _has_room(self, nbytes: int) -> bool:
        """Whether further folded values may be kept; counts them if so."""
        if self._folded_bytes + nbytes > _FOLDED_BYTES and self._folded_bytes + nbytes > 8 * self._constant_bytes:
            return False
        self._folded_bytes += nbytes
        return True

    @cached_property
    def _constant_bytes(self) -> int:
        """What the constants of the model take, each buffer once."""
        data = (tensor.data for graph in self.model.graphs for tensor in graph.tensors if tensor.data is not None)
        return sum({array.__array_interface__["data"][0]: array.nbytes for array in data}.values())


def _one_copy(value: np.ndarray) -> np.ndarray:
    """The value, which other interpreters of the same model may have too."""
    if value.nbytes < _SHARED_BYTES or value.dtype == object:
        return value
    return shared(("folded", *contents(value)), lambda: value)


def _release(ins: Sequence[TensorSpec | None]) -> None:
    """Let go of the pages of constants of which another form is kept."""
    for spec in ins:
        if spec is not None and spec.value is not None:
            release(spec.value)


def _retyped(graph: Graph, ops: Sequence[Op]) -> Iterator[Op]:
    """The ops with the element types that they give rather than those that the file declares.

    As in the reference, whose kernels set the types of their results whatever the file says.
    """
    types: dict[int, TensorType] = {}
    for node, op in zip(graph.nodes, ops, strict=True):
        ins = tuple(s and replace(s, type=types.get(i, s.type)) for i, s in zip(node.inputs, op.ins, strict=True))
        op = replace(op, ins=ins)
        placed = [s and replace(s, shape=graph.tensors[i].shape) for i, s in zip(node.inputs, ins, strict=True)]
        try:
            given = () if isinstance(op, ControlOp) or refusal(op, placed) else op.infer(*placed)
        except BODY_ERRORS:
            given = ()  # placeholder shapes that do not fit say nothing
        found = given if isinstance(given, tuple) else (given,)
        types.update((i, s.type) for i, s in zip(node.outputs, found, strict=False))
        outs = (replace(s, type=types.get(i, s.type)) for i, s in zip(node.outputs, op.outs, strict=True))
        yield replace(op, outs=tuple(outs))


def _given(op: ControlOp, body: Graph, inputs: Sequence[TensorSpec | None]) -> list[TensorSpec]:
    """The input specs of a body; as declared for operands that are absent, which it must not read. GraphError if so."""
    absent = {tensor: place for place, (tensor, s) in enumerate(zip(body.inputs, inputs, strict=True)) if s is None}
    read = {i for node in body.nodes for i in node.inputs}.union(body.outputs) if absent else set()
    for tensor in absent.keys() & read:
        raise GraphError(f"{op.name} gives nothing as input {absent[tensor]} of subgraph {body.index}, which reads it")
    declared = (body.tensors[i] for i in body.inputs)
    return [TensorSpec(t.type, t.shape) if s is None else s for s, t in zip(inputs, declared, strict=True)]


def variable_tensors(graph: Graph) -> set[int]:
    """The tensors that keep their values from call to call; those that are inputs are given anew in each."""
    return {i for i, tensor in enumerate(graph.tensors) if tensor.is_variable}.difference(graph.inputs)


def _open_states(graph: Graph) -> dict[int, tuple[int | None, ...]]:
    """Declared dimensions of the variable tensors that have unknown ones."""
    tensors = ((i, graph.tensors[i].dims) for i in sorted(variable_tensors(graph)))
    return {i: dims for i, dims in tensors if dims is not None and None in dims}


def _close_states(node: Node, op: Op, specs: list[TensorSpec], open_states: dict[int, tuple[int | None, ...]]) -> None:
    """Give the open states of a node the first size among its input's dimensions (the batch) that the op takes.

    They keep their declared shape, in which unknown dimensions are 1, if it takes none.
    """
    states = {i: open_states.pop(i) for i in node.inputs if i in open_states}
    first = next((specs[i].shape for i in node.inputs if i != ABSENT and i not in states), None)
    for size in dict.fromkeys(first or ()):
        closed = {i: replace(specs[i], shape=tuple(size if n is None else n for n in d)) for i, d in states.items()}
        try:
            op.infer(*(None if i == ABSENT else closed.get(i, specs[i]) for i in node.inputs))
        except BODY_ERRORS:
            continue
        for index, spec in closed.items():
            specs[index] = spec
        return


def _undetermined(graph: Graph, index: int) -> TensorSpec:
    tensor = graph.tensors[index]
    shape = None
    if tensor.data is not None or tensor.is_variable:
        shape = tensor.shape
    return TensorSpec(tensor.type, shape, tensor.quantization, tensor.data, tensor.name, tensor.sparsity)

"""Reads what runs where off the plans that run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ..graph import ABSENT, Graph, Node, Signature, TensorSpec
from ..ops.base import ControlOp
from ..runtime.delegate import HOST, BoundNode
from ..runtime.engine import Engine
from ..runtime.partition import Choice, Nobody, best_refusal, is_bookkeeping
from ..runtime.plan import Branch, Move, Plan, Run, Settle
from .data import (
    CALLER,
    NOBODY,
    CopyReport,
    DelegateTotal,
    Named,
    NodeReport,
    PartitionReport,
    StepReport,
    SubgraphReport,
    TensorReport,
)
from .work import multiply_adds


def survey(
    engine: Engine,
) -> tuple[tuple[SubgraphReport, ...], dict[str, tuple[int, ...]], dict[str, tuple[Named, Named]]]:
    """Every subgraph, from the plan made last, or for the declared shapes if there is none; for each signature the
    subgraphs that it reaches, its own first, and its inputs and outputs. Nodes that no delegate takes are in it too,
    each with the reason."""
    model = engine.model
    plans = [engine.survey(graph) for graph in model.graphs]
    entries: dict[int, Signature | None] = {s.graph: s for s in reversed(model.signatures)} or {0: None}
    subgraphs = tuple(_subgraph(plan, plan.graph.index in entries, entries.get(plan.graph.index)) for plan in plans)
    reached = {s.key: tuple(_reachable(subgraphs, s.graph)) for s in model.signatures}
    return subgraphs, reached, {s.key: _ends_of(model.graphs[s.graph], s) for s in model.signatures}


def _reachable(subgraphs: Sequence[SubgraphReport], start: int) -> list[int]:
    order: list[int] = []
    waiting = [start]
    while waiting:
        index = waiting.pop(0)
        if index not in order and 0 <= index < len(subgraphs):
            order.append(index)
            waiting += [graph for node in subgraphs[index].nodes for graph in node.subgraphs]
    return order


def _subgraph(plan: Plan, is_entry: bool, signature: Signature | None) -> SubgraphReport:
    nodes: dict[int, NodeReport] = {}
    steps: list[StepReport] = []
    totals: dict[str, DelegateTotal] = {}
    count = 0
    for step, copies in _with_copies(plan):
        steps += copies
        unit, runner = step.unit, _runner(step)
        if runner == NOBODY:
            nodes |= {c.bound.node.index: _unsupported(c) for c in unit.choices}
            steps.append(_partition(step, runner, -1))
            continue
        for choice in unit.choices:
            known = _node(choice.bound)
            nodes[known.index] = replace(
                known, delegate=runner, partition=count, refusals=dict(choice.refusals),
                bookkeeping=is_bookkeeping(choice.bound),
            )  # fmt: skip
        steps.append(_partition(step, runner, count))
        totals.setdefault(runner, DelegateTotal()).add(DelegateTotal(len(unit.nodes), 1))
        count += 1
    for note, gone in (("folded", plan.resolved.folded), ("unused", plan.resolved.unused)):
        nodes |= {bound.node.index: replace(_node(bound), note=note) for bound in gone}
    is_known = _add_copies(plan, totals)
    for copy in _results(plan) if is_entry else ():
        steps.append(copy)
        is_known &= copy.is_certain and copy.nbytes is not None
        if copy.is_certain:
            totals.setdefault(copy.source, DelegateTotal()).add(DelegateTotal(bytes_out=copy.nbytes or 0))
    graph = plan.graph
    inputs, outputs = _ends_of(graph, signature)
    return SubgraphReport(
        index=graph.index,
        name=graph.name,
        nodes=tuple(nodes[index] for index in sorted(nodes)),
        steps=tuple(steps),
        totals=totals,
        unknown_moves=not is_known,
        tensors=_tensors(plan),
        inputs=inputs,
        outputs=outputs,
    )


def _runner(step: Run | Branch) -> str:
    return NOBODY if isinstance(step.unit.delegate, Nobody) else step.unit.choices[0].runner


def _partition(step: Run | Branch, runner: str, index: int) -> PartitionReport:
    nodes = tuple(bound.node.index for bound in step.unit.nodes)
    if isinstance(step, Run):
        details = getattr(step.executable, "details", {})
        return PartitionReport(runner, nodes, details, step.partition.inputs, step.partition.outputs, index)
    bound = step.unit.nodes[0]
    pairs = zip(bound.node.inputs, bound.ins, strict=True)
    values = tuple(i for i, spec in pairs if i != ABSENT and (spec is None or spec.value is None))
    return PartitionReport(runner, nodes, {}, values, bound.node.outputs, index)


def _node(bound: BoundNode) -> NodeReport:
    node, op = bound.node, bound.op
    return NodeReport(
        *(node.index, node.name, None, None, {}),
        inputs=node.inputs,
        outputs=node.outputs,
        subgraphs=op.subgraphs if isinstance(op, ControlOp) else (),
        multiply_adds=multiply_adds(bound),
    )


def _unsupported(choice: Choice) -> NodeReport:
    reason = str(best_refusal(choice.bound, choice.refusals))
    return replace(_node(choice.bound), refusals=dict(choice.refusals), note="unsupported", reason=reason)


def _with_copies(plan: Plan) -> Iterator[tuple[Run | Branch, list[CopyReport]]]:
    """Each step that runs nodes, with the copies that are made for it."""
    makers = dict.fromkeys(plan.graph.inputs, CALLER)
    waiting: list[Move | Settle] = []
    for step in plan.steps:
        if isinstance(step, Move | Settle):
            waiting.append(step)
        elif isinstance(step, Run | Branch):
            runner = _runner(step)
            yield step, [copy for move in waiting for copy in _copies(plan, move, runner, makers)]
            waiting = []
            makers |= {tensor: runner for bound in step.unit.nodes for tensor in bound.node.outputs}


def _copies(plan: Plan, move: Move | Settle, target: str, makers: Mapping[int, str]) -> Iterator[CopyReport]:
    by_maker: dict[str, list[int]] = {}
    for tensor in move.tensors:
        by_maker.setdefault(makers.get(tensor, "cpu"), []).append(tensor)
    for source, tensors in by_maker.items():
        nbytes = _nbytes(plan.resolved.specs, tensors)
        yield CopyReport(source, target, tuple(tensors), nbytes, isinstance(move, Move))


def _results(plan: Plan) -> Iterator[CopyReport]:
    """What is copied for a caller on the host when all has run: outputs that were made on a device. Where an input came
    on a device, they stay there."""
    if not all(_is_host(plan, tensor) for tensor in plan.graph.inputs):
        return
    makers = {i: _runner(step) for step in plan.steps if isinstance(step, Run | Branch)
              for bound in step.unit.nodes for i in bound.node.outputs}  # fmt: skip
    by_maker: dict[tuple[str, bool], list[int]] = {}
    for tensor in dict.fromkeys(plan.graph.outputs):
        _, space = plan.kept[tensor]
        if tensor in makers and not _is_host(plan, tensor):
            by_maker.setdefault((makers[tensor], space is not None), []).append(tensor)
    for (source, is_certain), tensors in by_maker.items():
        yield CopyReport(source, CALLER, tuple(tensors), _nbytes(plan.resolved.specs, tensors), is_certain)


def _is_host(plan: Plan, tensor: int) -> bool:
    """Whether a tensor is first on the host; False where control flow decides."""
    _, space = plan.kept[tensor]
    return space is not None and space.name == HOST.name


def _nbytes(specs: Sequence[TensorSpec], tensors: Sequence[int]) -> int | None:
    sizes = [specs[i].nbytes for i in tensors]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _add_copies(plan: Plan, totals: dict[str, DelegateTotal]) -> bool:
    """Add the bytes that are copied to and from devices; whether they are all known before a call."""
    delegates = {c.delegate.space.name: c.delegate.name for c in plan.choices if c.delegate is not None}
    delegates.pop(HOST.name, None)
    is_known = True
    for step in plan.steps:
        if isinstance(step, Settle):
            is_known &= not delegates
        if not isinstance(step, Move):
            continue
        is_known &= step.nbytes is not None
        nbytes = step.nbytes or 0
        if name := delegates.get(step.target.name):
            totals.setdefault(name, DelegateTotal()).add(DelegateTotal(bytes_in=nbytes))
        if name := delegates.get(step.source.name):
            totals.setdefault(name, DelegateTotal()).add(DelegateTotal(bytes_out=nbytes))
    return is_known


def _tensors(plan: Plan) -> dict[int, TensorReport]:
    graph = plan.graph
    named = {i for node in graph.nodes for i in _ends(node)} | {*graph.inputs, *graph.outputs}
    return {i: _tensor(i, graph.tensors[i].name, plan.resolved.specs[i]) for i in sorted(named) if i != ABSENT}


def _ends(node: Node) -> tuple[int, ...]:
    return (*node.inputs, *node.outputs)


def _tensor(index: int, name: str, spec: TensorSpec) -> TensorReport:
    shape = None if spec.shape is None else tuple(map(int, spec.shape))
    return TensorReport(index, name, spec.type.name.lower(), shape, spec.nbytes, spec.value is not None)


def _ends_of(graph: Graph, signature: Signature | None) -> tuple[Named, Named]:
    """Inputs and outputs as a signature calls them; those of none by their tensors' names."""
    names: tuple[Mapping[str, int], Mapping[str, int]] = (
        (signature.inputs, signature.outputs) if signature else ({}, {})
    )
    return _named(graph, graph.inputs, names[0]), _named(graph, graph.outputs, names[1])


def _named(graph: Graph, ends: Sequence[int], names: Mapping[str, int]) -> Named:
    called = [(name, tensor) for name, tensor in names.items() if tensor in ends]
    rest = [i for i in dict.fromkeys(ends) if i not in names.values()]
    return (*called, *((graph.tensors[i].name or f"tensor {i}", i) for i in rest))

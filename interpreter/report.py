"""What runs where, and why: read off the plans that run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from .graph import Node
from .ops.base import ControlOp
from .runtime.delegate import HOST
from .runtime.engine import Engine
from .runtime.partition import Choice, Nobody, best_refusal, is_bookkeeping
from .runtime.plan import Branch, Move, Plan, Run, Settle

NAMES = ("gpu", "cpu", "flex")
"""Delegates that every report lists, also those with nothing to do."""


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node: who runs it (None: nobody has to), in which partition, and what each delegate that refused it said."""

    index: int
    name: str
    delegate: str | None
    partition: int | None
    refusals: Mapping[str, str]
    note: str = ""  # why nobody runs it: "folded", "unused" or "unsupported"
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    reason: str = ""  # why it is unsupported
    bookkeeping: bool = False  # computes nothing itself: control flow, whose bodies count instead, handles of resources

    @property
    def counts(self) -> bool:
        """Whether it is work that some delegate has to do."""
        return not self.bookkeeping and self.note in ("", "unsupported")


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """Nodes that one delegate runs as a unit, and what it says of them itself."""

    delegate: str
    nodes: tuple[int, ...]
    details: Mapping[str, Any]


@dataclass(slots=True)
class DelegateTotal:
    """What one delegate does in a subgraph, a signature or the model."""

    nodes: int = 0
    partitions: int = 0
    bytes_in: int = 0  # copied into its space for one call
    bytes_out: int = 0  # copied out of its space for one call; graph outputs are not counted

    def add(self, other: DelegateTotal) -> None:
        self.nodes += other.nodes
        self.partitions += other.partitions
        self.bytes_in += other.bytes_in
        self.bytes_out += other.bytes_out


@dataclass(frozen=True, slots=True)
class SubgraphReport:
    """One subgraph."""

    index: int
    name: str
    nodes: tuple[NodeReport, ...]
    partitions: tuple[PartitionReport, ...]  # in the order in which they run
    totals: Mapping[str, DelegateTotal]
    unknown_moves: bool  # some copies' sizes depend on values

    def of(self, note: str) -> int:
        """How many nodes are "folded", "unused" or "unsupported"."""
        return sum(node.note == note for node in self.nodes)


@dataclass(frozen=True, slots=True)
class DelegationReport:
    """`str()` gives a table, `to_json()` plain data."""

    subgraphs: tuple[SubgraphReport, ...]
    signatures: Mapping[str, tuple[int, ...]]  # key -> the subgraphs it reaches, its own first
    titles: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)  # delegates that were not there to be asked, and why

    def totals(self, indices: Iterable[int] | None = None) -> dict[str, DelegateTotal]:
        """Totals per delegate over these subgraphs, by default all."""
        chosen = self.subgraphs if indices is None else [self.subgraphs[i] for i in indices]
        totals = {name: DelegateTotal() for name in (*NAMES, *self.titles)}
        for subgraph in chosen:
            for name, total in subgraph.totals.items():
                totals[name].add(total)
        return totals

    def reached(self, key: str | None = None) -> list[SubgraphReport]:
        """Subgraphs that a signature reaches, its own first; without a key all."""
        return [self.subgraphs[i] for i in self.signatures[key]] if key is not None else list(self.subgraphs)

    def coverage(self, delegate: str, key: str | None = None) -> float:
        """Percent of the nodes of a signature, or of all, that this delegate runs, of those that compute something."""
        nodes = [node for subgraph in self.reached(key) for node in subgraph.nodes if node.counts]
        return 100 * sum(node.delegate == delegate for node in nodes) / len(nodes) if nodes else 100.0

    def to_json(self) -> dict[str, Any]:
        """Fields named as in LiteRT's ModelRuntimeDetails where those exist, plus totals and refusals."""
        return {
            "schema_version": 1,
            "subgraphs": [_subgraph_json(s, self.titles) for s in self.subgraphs],
            "signatures": {
                key: {"subgraphs": list(indices), "totals": _totals_json(self.totals(indices))}
                for key, indices in self.signatures.items()
            },
            "totals": _totals_json(self.totals()),
            "folded": sum(s.of("folded") for s in self.subgraphs),
            "unused": sum(s.of("unused") for s in self.subgraphs),
            "unsupported": sum(s.of("unsupported") for s in self.subgraphs),
            "absent": dict(self.absent),
        }

    def __str__(self) -> str:
        entries = list(self.signatures.items())
        reached = {i for _, indices in entries for i in indices}
        left = tuple(s.index for s in self.subgraphs if s.index not in reached)
        blocks = [self._block(f"signature {key!r}", indices) for key, indices in entries]
        if left:
            blocks.append(self._block("subgraphs of no signature", left))
        blocks += [f"{name} was not asked: {reason}" for name, reason in self.absent.items()]
        return "\n\n".join(blocks)

    def _block(self, title: str, indices: Sequence[int]) -> str:
        lines = [title]
        for subgraph in (self.subgraphs[i] for i in indices):
            lines += _subgraph_lines(subgraph)
        return "\n".join(lines)


def delegation_report(engine: Engine, absent: Mapping[str, str]) -> DelegationReport:
    """The report of every subgraph, from the plan made last, or for the declared shapes if there is none.

    Nodes that no delegate takes are in it too, each with the reason.
    """
    model = engine.model
    plans = [engine.survey(graph) for graph in model.graphs]
    subgraphs = tuple(map(_subgraph, plans))
    signatures = {s.key: tuple(_reachable(plans, s.graph)) for s in model.signatures}
    return DelegationReport(subgraphs, signatures, {d.name: d.title for d in engine.delegates}, absent)


def _reachable(plans: Sequence[Plan], start: int) -> list[int]:
    order, waiting = [], [start]
    while waiting:
        index = waiting.pop(0)
        if index in order:
            continue
        order.append(index)
        for choice in plans[index].choices:
            if isinstance(choice.bound.op, ControlOp):
                waiting += [graph for graph in choice.bound.op.subgraphs if 0 <= graph < len(plans)]
    return order


def _subgraph(plan: Plan) -> SubgraphReport:
    nodes: dict[int, NodeReport] = {}
    partitions: list[PartitionReport] = []
    totals: dict[str, DelegateTotal] = {}
    for step in (step for step in plan.steps if isinstance(step, Run | Branch)):
        unit = step.unit
        if isinstance(unit.delegate, Nobody):
            nodes |= {c.bound.node.index: _unsupported(c) for c in unit.choices}
            continue
        runner = unit.choices[0].runner
        for choice in unit.choices:
            node = choice.bound.node
            nodes[node.index] = replace(
                _node(node, delegate=runner, partition=len(partitions), refusals=dict(choice.refusals)),
                bookkeeping=is_bookkeeping(choice.bound),
            )
        details = getattr(step.executable, "details", {}) if isinstance(step, Run) else {}
        partitions.append(PartitionReport(runner, tuple(bound.node.index for bound in unit.nodes), details))
        totals.setdefault(runner, DelegateTotal()).add(DelegateTotal(len(unit.nodes), 1))
    for note, gone in (("folded", plan.resolved.folded), ("unused", plan.resolved.unused)):
        nodes |= {bound.node.index: _node(bound.node, note=note) for bound in gone}
    is_known = _add_copies(plan, totals)
    ordered = tuple(nodes[index] for index in sorted(nodes))
    return SubgraphReport(plan.graph.index, plan.graph.name, ordered, tuple(partitions), totals, not is_known)


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


def _node(
    node: Node,
    *,
    delegate: str | None = None,
    partition: int | None = None,
    refusals: Mapping[str, str] = MappingProxyType({}),
    note: str = "",
    reason: str = "",
) -> NodeReport:
    return NodeReport(node.index, node.name, delegate, partition, refusals, note, node.inputs, node.outputs, reason)


def _unsupported(choice: Choice) -> NodeReport:
    reason = best_refusal(choice.bound, choice.refusals)
    return _node(choice.bound.node, refusals=dict(choice.refusals), note="unsupported", reason=str(reason))


def _totals_json(totals: Mapping[str, DelegateTotal]) -> dict[str, dict[str, int]]:
    return {
        name: {"nodes": t.nodes, "partitions": t.partitions, "bytes_in": t.bytes_in, "bytes_out": t.bytes_out}
        for name, t in totals.items()
    }


def _subgraph_json(subgraph: SubgraphReport, titles: Mapping[str, str]) -> dict[str, Any]:
    first = len(subgraph.nodes)  # ids of partitions follow those of nodes
    nodes = [
        {
            "id": n.index,
            "name": n.name,
            "type": n.name,
            "inputs": list(n.inputs),
            "outputs": list(n.outputs),
            "delegated_to_node_id": None if n.partition is None else first + n.partition,
            "delegate": n.delegate,
            "refusals": dict(n.refusals),
            "note": n.note,
            "reason": n.reason,
            "bookkeeping": n.bookkeeping,
        }
        for n in subgraph.nodes
    ]
    delegates = [
        {
            "id": first + position,
            "name": titles.get(part.delegate, part.delegate),
            "type": "delegate",
            "delegate_node_details": {
                "delegate_name": titles.get(part.delegate, part.delegate),
                "tflite_node_ids_replaced": list(part.nodes),
            },
            "details": dict(part.details),
        }
        for position, part in enumerate(subgraph.partitions)
    ]
    return {
        "subgraph_id": subgraph.index,
        "name": subgraph.name,
        "nodes": [*nodes, *delegates],
        "execution_plan": [d["id"] for d in delegates],
        "totals": _totals_json(subgraph.totals),
        "bytes_are_a_lower_bound": subgraph.unknown_moves,
    }


def _subgraph_lines(subgraph: SubgraphReport) -> list[str]:
    count = _count(len(subgraph.nodes), "node")
    lines = [f"  subgraph {subgraph.index} {subgraph.name!r}: {count}"]
    for name in (*NAMES, *(n for n in subgraph.totals if n not in NAMES)):
        total = subgraph.totals.get(name, DelegateTotal())
        least = "at least " if subgraph.unknown_moves else ""
        copies = f", copies {least}{_size(total.bytes_in)} in and {_size(total.bytes_out)} out"
        moved = copies if total.bytes_in or total.bytes_out else ""
        lines.append(f"    {name:<5} {total.nodes:>5} of {count} in {_count(total.partitions, 'partition')}{moved}")
    for note, why in (("folded", "known before the call"), ("unused", "nobody reads their outputs")):
        if subgraph.of(note):
            lines.append(f"    {note} {_count(subgraph.of(note), 'node')} ({why})")
    for node in subgraph.nodes:
        if node.note == "unsupported":
            lines.append(f"    nobody runs {node.name}#{node.index}: {node.reason}")
    for position, part in enumerate(subgraph.partitions):
        kinds = Counter(subgraph.nodes[i].name for i in part.nodes)
        listed = ", ".join(f"{kind} x{n}" if n > 1 else kind for kind, n in kinds.most_common(6))
        more = f", {_count(len(kinds) - 6, 'more kind')}" if len(kinds) > 6 else ""
        lines.append(f"    partition {position} on {part.delegate}: {listed}{more}")
        lines += [f"      {line}" for line in _detail_lines(part.details)]
    taken = [n for n in subgraph.nodes if n.note != "unsupported"]
    refused = Counter((name, sentence) for n in taken for name, sentence in n.refusals.items())
    for (name, sentence), n in refused.most_common():
        lines.append(f"    {name} refused {n}: {sentence}")
    return lines


def _detail_lines(details: Mapping[str, Any]) -> list[str]:
    """What a delegate says of a partition: sizes as such, reasons line by line, the rest as name and value."""
    facts = [(key.replace("_", " "), value) for key, value in details.items() if not isinstance(value, Mapping)]
    shown = (
        f"{name.removesuffix(' bytes')} {_size(value)}" if name.endswith(" bytes") else f"{value} {name}"
        for name, value in facts
    )
    lines = [", ".join(shown)] if facts else []
    reasons = (value for value in details.values() if isinstance(value, Mapping))
    return lines + [f"{name}: {why}" for each in reasons for name, why in each.items()]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _size(nbytes: int) -> str:
    return f"{nbytes:,} bytes" if nbytes < 10_000 else f"{nbytes / 1e6:,.2f} MB"

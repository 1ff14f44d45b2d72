"""Where calls spend their time: by node, operator and delegate, as a table, as JSON and as a trace.

A node's own time is what went by between the end of the node before it and its own. Nodes that are computed as one (a
convolution and its activation, in one primitive or launch) are one entry under the first of them, the head, which has
all of the time and names the others. A control-flow node's total has the subgraphs that it runs, its own time has not.
Own times of nodes, copies, planning, waiting, of the call itself and of getting from node to node add up to what the
calls took. Being recorded adds about a microsecond to each node, and two to getting to the next.

Where a GPU runs the nodes, their times are the device's, and their kernels are launched one by one: without a profile
they run as a graph, which takes less time where kernels are small.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .graph import Model, Node
from .runtime.recording import Kind, Recorder, Span, Task, Total
from .words import aligned, count, printable, shortened

SCHEMA_VERSION = 1
"""Of `Profile.to_json`."""


@dataclass(frozen=True, slots=True)
class NodeTime:
    """A node that ran, with those that are computed along with it."""

    subgraph: int
    node: int
    operator: str
    delegate: str
    calls: int  # how often it ran
    seconds: float  # its own
    total_seconds: float  # with the subgraphs that it ran
    tensor: str  # name of its first output
    kernels: tuple[str, ...]  # that computed it, as far as they have names
    fused: tuple[int, ...]  # the other nodes that are in its time


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """All nodes of one operator."""

    operator: str
    nodes: int
    fused: int  # further nodes of this operator, whose time is in that of others
    calls: int  # how often one of `nodes` ran
    seconds: float


@dataclass(frozen=True, slots=True)
class DelegateTime:
    """All nodes of one delegate."""

    delegate: str
    nodes: int  # those in the time of others included
    calls: int
    seconds: float


@dataclass(frozen=True, slots=True)
class CopyTime:
    """Copies of one kind: from one space to another, of variables, of outputs."""

    what: str
    count: int
    seconds: float


class Profile:
    """The calls that have ended in a block of `Interpreter.profile`; may be read within the block, too."""

    def __init__(self, model: Model, recorder: Recorder) -> None:
        self._model, self._recorder = model, recorder

    @property
    def calls(self) -> int:
        """How many calls have ended; those that were made within others are parts of these."""
        return self._recorder.calls

    @property
    def wall_seconds(self) -> float:
        """What the calls took, added up, also where they overlapped."""
        return self._recorder.wall / 1e9

    @property
    def nodes(self) -> tuple[NodeTime, ...]:
        """Every node that ran, in the order of the file."""
        parts: dict[tuple[int, int, str], list[tuple[Task, Total]]] = {}
        for task, total in self._of(Kind.NODE):
            parts.setdefault((task.graph, task.nodes[0], task.delegate), []).append((task, total))
        return tuple(self._node(*key, parts[key]) for key in sorted(parts))

    def by_node(self) -> tuple[NodeTime, ...]:
        """The same, the costliest first."""
        return tuple(sorted(self.nodes, key=lambda node: -node.seconds))

    def by_operator(self) -> tuple[OperatorTime, ...]:
        """Times by operator, the costliest first. What is fused counts for its head's operator."""
        groups: dict[str, list[NodeTime]] = {}
        fused: dict[str, set[tuple[int, int]]] = {}
        for node in self.nodes:
            groups.setdefault(node.operator, []).append(node)
            for index in node.fused:
                fused.setdefault(self._at(node.subgraph, index).name, set()).add((node.subgraph, index))
        rows = [
            OperatorTime(name, len(group), len(fused.get(name, ())), *_sums(group))
            for name in dict.fromkeys((*groups, *fused))
            for group in [groups.get(name, [])]
        ]
        return tuple(sorted(rows, key=lambda row: (-row.seconds, row.operator)))

    def by_delegate(self) -> tuple[DelegateTime, ...]:
        """Times by delegate, the costliest first. Control flow counts as the CPU's."""
        groups: dict[str, list[NodeTime]] = {}
        for node in self.nodes:
            groups.setdefault(node.delegate, []).append(node)
        rows = [
            DelegateTime(name, sum(1 + len(node.fused) for node in group), *_sums(group))
            for name, group in groups.items()
        ]
        return tuple(sorted(rows, key=lambda row: (-row.seconds, row.delegate)))

    @property
    def copies(self) -> tuple[CopyTime, ...]:
        """Copies between spaces, and of variables and outputs, the costliest first."""
        rows = [CopyTime(task.name, total.count, total.own / 1e9) for task, total in self._of(Kind.COPY)]
        return tuple(sorted(rows, key=lambda row: -row.seconds))

    @property
    def planning_seconds(self) -> float:
        """Making plans: shapes, delegation, kernels, packed weights. Once for the same shapes of inputs."""
        return self._seconds(Kind.PLAN)

    @property
    def waiting_seconds(self) -> float:
        """Waiting for other calls: for a turn at variables, or for a place where the number of calls has a limit."""
        return self._seconds(Kind.WAIT)

    @property
    def passing_seconds(self) -> float:
        """Getting from node to node: into partitions and subgraphs, passing tensors on, being recorded."""
        return self._seconds(Kind.SUBGRAPH) + self._seconds(Kind.PARTITION)

    @property
    def call_seconds(self) -> float:
        """The calls themselves: checking inputs, finding plans, handing out outputs."""
        return self._seconds(Kind.CALL)

    @property
    def covered(self) -> float:
        """The part of `wall_seconds` that nodes, copies, planning and waiting took, 0 to 1."""
        known = (Kind.NODE, Kind.COPY, Kind.PLAN, Kind.WAIT)
        return sum(map(self._seconds, known)) / self.wall_seconds if self._recorder.wall else 1.0

    def __str__(self) -> str:
        return self.table()

    def table(self, by: str = "both", top: int = 20) -> str:
        """For people, in 80 columns. by: "operator", "node" or "both"; top: rows of each table."""
        if not self.calls:
            return "no calls"
        nodes = sum(node.seconds for node in self.nodes)
        each, share = self._time(self.wall_seconds)[0], self._time(nodes)[1]
        parts = [f"{count(self.calls, 'call')}, {each} ms each; nodes take {share} of that"]
        if by in ("operator", "both"):
            parts.append(self._operator_table(top))
        if by in ("node", "both"):
            parts.append(self._node_table(top))
        return "\n\n".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Plain data; times in seconds, added up over all calls."""
        return {
            "schema_version": SCHEMA_VERSION,
            "calls": self.calls,
            "wall_seconds": self.wall_seconds,
            "covered": self.covered,
            "planning_seconds": self.planning_seconds,
            "waiting_seconds": self.waiting_seconds,
            "passing_seconds": self.passing_seconds,
            "call_seconds": self.call_seconds,
            "operators": [asdict(row) for row in self.by_operator()],
            "delegates": [asdict(row) for row in self.by_delegate()],
            "copies": [asdict(row) for row in self.copies],
            "nodes": [{**asdict(n), "kernels": list(n.kernels), "fused": list(n.fused)} for n in self.nodes],
        }

    def chrome_trace(self) -> dict[str, Any]:
        """What happened when, in the Trace Event Format of chrome://tracing and Perfetto: a track for each thread.

        It ends where it would have more than `recording.MAX_SPANS` events; `otherData` says how many were left out.
        """
        spans = self._recorder.spans
        threads = {thread: number for number, thread in enumerate(dict.fromkeys(t for t, _ in spans), 1)}
        origin = min((span.start for _, span in spans), default=0)
        common = {"pid": os.getpid()}
        events: list[dict[str, Any]] = [{**common, "ph": "M", "name": "process_name", "args": {"name": "tflite-cupy"}}]
        for number in threads.values():
            events.append(
                {**common, "tid": number, "ph": "M", "name": "thread_name", "args": {"name": f"thread {number}"}}
            )
        for thread, span in sorted(spans, key=lambda item: (threads[item[0]], item[1].start, -item[1].end)):
            events.append({**common, "tid": threads[thread], "ph": "X", **self._event(span, origin)})
        left_out = self._recorder.left_out
        return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"left_out": left_out}}

    def _of(self, kind: Kind) -> list[tuple[Task, Total]]:
        return [(task, total) for task, total in self._recorder.totals.items() if task.kind is kind]

    def _seconds(self, kind: Kind) -> float:
        return sum(total.own for _, total in self._of(kind)) / 1e9

    def _at(self, subgraph: int, index: int) -> Node:
        return self._model.graphs[subgraph].nodes[index]

    def _tensor(self, subgraph: int, node: Node) -> str:
        return self._model.graphs[subgraph].tensors[node.outputs[0]].name if node.outputs else ""

    def _node(self, subgraph: int, index: int, delegate: str, parts: list[tuple[Task, Total]]) -> NodeTime:
        node = self._at(subgraph, index)
        return NodeTime(
            subgraph,
            index,
            node.name,
            delegate,
            calls=sum(total.count for _, total in parts),
            seconds=sum(total.own for _, total in parts) / 1e9,
            total_seconds=sum(total.spent for _, total in parts) / 1e9,
            tensor=self._tensor(subgraph, node),
            kernels=tuple(dict.fromkeys(task.name for task, _ in parts if task.name)),
            fused=tuple(dict.fromkeys(i for task, _ in parts for i in task.nodes[1:] if i != index)),
        )

    def _operator_table(self, top: int) -> str:
        operators = self.by_operator()
        rows = [
            (row.operator, str(row.nodes or ""), str(row.fused or ""), row.calls, row.seconds)
            for row in operators[:top]
        ]
        if left := operators[top:]:
            rows.append((f"{len(left)} more", "", "", 0, sum(row.seconds for row in left)))
        rows += [(f"copies: {row.what}", "", "", row.count, row.seconds) for row in self.copies]
        others = [("planning", self.planning_seconds), ("waiting for other calls", self.waiting_seconds)]
        others = [other for other in others if other[1]]
        others += [("getting from node to node", self.passing_seconds), ("the call itself", self.call_seconds)]
        rows += [(name, "", "", 0, seconds) for name, seconds in others]
        cells = [(name, nodes, fused, self._runs(runs), *self._time(spent)) for name, nodes, fused, runs, spent in rows]
        return _table(("operator", "nodes", "fused", "runs", "ms a call", "share"), cells, 34)

    def _node_table(self, top: int) -> str:
        rows = []
        for node in self.by_node()[:top]:
            name = node.operator + (f" +{len(node.fused)}" if node.fused else "")
            if node.kernels:
                name = f"{name} ({node.kernels[-1]})"
            tensor = node.tensor
            if node.total_seconds > 1.01 * node.seconds:
                tensor = f"total {self._time(node.total_seconds)[0]}"
            place, tensor = f"{node.subgraph}:{node.node}", shortened(printable(tensor), 15)
            rows.append((place, name, node.delegate, self._runs(node.calls), *self._time(node.seconds), tensor))
        headers = ("node", "operator", "on", "runs", "ms a call", "share", "tensor")
        return _table(headers, rows, 28, left=(1, 2, 6))

    def _runs(self, count: int) -> str:
        """Times a call."""
        return f"{count / self.calls:.4g}" if count else ""

    def _time(self, seconds: float) -> tuple[str, str]:
        """Milliseconds a call, and the share of the wall time."""
        return f"{1e3 * seconds / self.calls:.3f}", f"{100 * seconds / self.wall_seconds:.1f} %"

    def _event(self, span: Span, origin: int) -> dict[str, Any]:
        """A span as a complete event, in microseconds."""
        task = span.task
        times = {"ts": (span.start - origin) / 1e3, "dur": (span.end - span.start) / 1e3}
        return {"name": self._title(task), "cat": task.kind.value, **times, "args": self._arguments(task)}

    def _title(self, task: Task) -> str:
        if task.kind is Kind.NODE:
            fused = f" +{len(task.nodes) - 1}" if len(task.nodes) > 1 else ""
            return self._at(task.graph, task.nodes[0]).name + fused
        names: dict[Kind, str] = {
            Kind.CALL: task.name,
            Kind.SUBGRAPH: task.name or f"subgraph {task.graph}",
            Kind.PARTITION: f"{task.delegate}: {task.name}",
            Kind.COPY: f"copy {task.name}",
            Kind.PLAN: f"plan {task.name}".rstrip(),
        }
        return names.get(task.kind, str(task.kind.value))

    def _arguments(self, task: Task) -> Mapping[str, Any]:
        if task.kind is not Kind.NODE:
            return {} if task.graph < 0 else {"subgraph": task.graph}
        node = self._at(task.graph, task.nodes[0])
        arguments = {"subgraph": task.graph, "node": node.index, "delegate": task.delegate}
        arguments |= {"tensor": self._tensor(task.graph, node)}
        fused = [str(self._at(task.graph, index)) for index in task.nodes[1:]]
        return arguments | ({"kernel": task.name} if task.name else {}) | ({"fused": fused} if fused else {})


def _sums(nodes: Iterable[NodeTime]) -> tuple[int, float]:
    """Runs and seconds."""
    pairs = [(node.calls, node.seconds) for node in nodes]
    return sum(calls for calls, _ in pairs), sum(seconds for _, seconds in pairs)


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]], most: int, left: Collection[int] = (0,)) -> str:
    """Lines of columns with a space between them; cells take `most` characters at most."""
    cells = [[shortened(printable(cell), most) for cell in row] for row in rows]
    return "\n".join(aligned([headers, *cells], left, gap=1))

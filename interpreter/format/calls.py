"""Which subgraph calls which, and how deep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import GraphError, LimitError
from ..graph import Graph, Node
from ..limits import Limits
from .schema import OPERATORS, TABLES

_FIELDS = {
    operator.name: fields
    for operator in OPERATORS
    if operator.options
    and (fields := [field.name for field in TABLES[operator.options].fields if "subgraph" in field.name])
}


def called(node: Node) -> Iterator[tuple[str, int]]:
    """Attributes of a node that name subgraphs, with the subgraph's index each."""
    return ((name, index) for name, indices in _callees(node) for index in indices)


def _callees(node: Node) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name in () if node.custom else _FIELDS.get(node.name, ()):
        value = node.attributes[name]
        yield name, value if isinstance(value, tuple) else (value,)


def check_calls(graphs: Sequence[Graph], limits: Limits) -> None:
    """Raises GraphError for calls of subgraphs that are not there and for recursion, LimitError for deep calls."""
    callees: list[set[int]] = [set() for _ in graphs]
    calls = 0
    for graph in graphs:
        for node in graph.nodes:
            for name, indices in _callees(node):
                calls += len(indices)
                if calls > limits.max_ops:
                    what = f"The model calls subgraphs more than max_ops = {limits.max_ops} times."
                    raise LimitError(what, where=graph.where(node))
                callees[graph.index].update(indices)
                if indices and not 0 <= min(indices) <= max(indices) < len(graphs):
                    index = next(index for index in indices if not 0 <= index < len(graphs))
                    what = f"{node.name} calls subgraph {index}; the model has {len(graphs)}."
                    raise GraphError(what, where=f"{graph.where(node)}.{name}")
    depth = _depths(callees)
    deepest = max(depth)
    if deepest > limits.max_call_depth:
        what = f"Calls of subgraphs are {deepest} deep, more than max_call_depth = {limits.max_call_depth}."
        raise LimitError(what, where=f"subgraphs[{depth.index(deepest)}]")


def _depths(callees: Sequence[set[int]]) -> list[int]:
    """Longest chain of calls from each subgraph, found from the leaves up."""
    callers: list[list[int]] = [[] for _ in callees]
    for caller, targets in enumerate(callees):
        for target in targets:
            callers[target].append(caller)
    waiting = [len(targets) for targets in callees]
    depth = [0] * len(callees)
    ready = [index for index, count in enumerate(waiting) if not count]
    for index in ready:
        for caller in callers[index]:
            depth[caller] = max(depth[caller], depth[index] + 1)
            waiting[caller] -= 1
            if not waiting[caller]:
                ready.append(caller)
    if len(ready) < len(callees):
        looping = next(index for index, count in enumerate(waiting) if count)
        raise GraphError("a subgraph calls itself, directly or through others.", where=f"subgraphs[{looping}]")
    return depth

"""Function bodies as TensorFlow stores them, read into one form: nodes in run order, inputs as (node, output index)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..interpreter.errors import ConversionError
from .tfapi import op_def


class Ref(NamedTuple):
    """Output number `output` of the node, or argument, called `node`."""

    node: str
    output: int


@dataclass(frozen=True, slots=True)
class BodyNode:
    """A node of a function: its NodeDef, its data inputs, the nodes that must have run before it."""

    definition: Any
    inputs: tuple[Ref, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Body:
    """A function: argument names, nodes in an order in which they can run, results."""

    name: str
    arguments: tuple[str, ...]
    nodes: tuple[BodyNode, ...]
    results: tuple[Ref, ...]


class Library:
    """The functions that a model's graphs call, by name."""

    def __init__(self) -> None:
        self._definitions: dict[str, Any] = {}
        self._bodies: dict[str, Body] = {}

    def add(self, definitions: Iterable[Any]) -> None:
        """Take in FunctionDefs."""
        self._definitions.update((d.signature.name, d) for d in definitions)

    def add_those_of(self, graph: Any) -> None:
        """Take in the functions that a GraphDef brings along."""
        self.add(graph.library.function)

    def definitions(self) -> Iterable[Any]:
        """All FunctionDefs."""
        return self._definitions.values()

    def __contains__(self, name: str) -> bool:
        return name in self._definitions

    def body(self, name: str) -> Body:
        """The function called `name`. Raises ConversionError if the model holds none."""
        if name not in self._bodies:
            if name not in self:
                raise ConversionError(f"the graph calls function {name!r}, which the model does not hold")
            self._bodies[name] = self._read(self._definitions[name])
        return self._bodies[name]

    def _read(self, definition: Any) -> Body:
        signature = definition.signature
        arguments = tuple(a.name for a in signature.input_arg)
        offsets = {n.name: self._offsets(n) for n in definition.node_def}

        def resolve(text: str) -> Ref:
            node, _, rest = text.partition(":")
            if not rest:
                return Ref(node, 0)
            output, _, index = rest.partition(":")
            return Ref(node, offsets[node][output] + int(index or 0))

        nodes = tuple(_node(n, resolve) for n in definition.node_def)
        results = tuple(resolve(definition.ret[a.name]) for a in signature.output_arg)
        return Body(signature.name, arguments, _in_run_order(nodes), results)

    def _offsets(self, node: Any) -> dict[str, int]:
        """Index of the first tensor of each named output of a node."""
        called = self._definitions.get(node.op)
        definition = called.signature if called is not None else op_def(node.op)
        if definition is None:
            raise ConversionError(f"operator {node.op!r} of node {node.name!r} is not registered in TensorFlow")
        offsets, total = {}, 0
        for output in definition.output_arg:
            offsets[output.name] = total
            if output.type_list_attr:
                total += len(node.attr[output.type_list_attr].list.type)
            else:
                total += node.attr[output.number_attr].i if output.number_attr else 1
        return offsets


def graph_body(name: str, graph_def: Any, arguments: Sequence[str], results: Sequence[str]) -> Body:
    """A GraphDef as a function; `arguments` are names of placeholders, `results` tensor names."""
    inside = set(arguments)
    nodes = tuple(_node(n, _tensor_ref) for n in graph_def.node if n.name not in inside)
    return Body(name, tuple(arguments), _in_run_order(nodes), tuple(map(_tensor_ref, results)))


def _tensor_ref(text: str) -> Ref:
    node, _, index = text.partition(":")
    return Ref(node, int(index or 0))


def _node(definition: Any, resolve: Any) -> BodyNode:
    data = tuple(resolve(text) for text in definition.input if not text.startswith("^"))
    control = tuple(text[1:] for text in definition.input if text.startswith("^"))
    return BodyNode(definition, data, control)


def _in_run_order(nodes: Sequence[BodyNode]) -> tuple[BodyNode, ...]:
    """Nodes sorted so that each follows what it depends on, otherwise as they stood."""
    position = {n.definition.name: i for i, n in enumerate(nodes)}
    waiting: list[set[int]] = []
    followers: dict[int, list[int]] = {}
    for i, node in enumerate(nodes):
        before = {position[name] for name in (*(r.node for r in node.inputs), *node.after) if name in position}
        waiting.append(before)
        for j in before:
            followers.setdefault(j, []).append(i)
    ready = [i for i, before in enumerate(waiting) if not before]
    heapq.heapify(ready)
    order = []
    while ready:
        i = heapq.heappop(ready)
        order.append(nodes[i])
        for j in followers.get(i, ()):
            waiting[j].discard(i)
            if not waiting[j]:
                heapq.heappush(ready, j)
    if len(order) < len(nodes):
        stuck = next(n.definition for n, before in zip(nodes, waiting, strict=True) if before)
        text, hint = "loops of TensorFlow 1 (Enter, NextIteration) are not supported.", "Use TensorFlow 2 control flow."
        raise ConversionError(text, where=f"node {stuck.name!r}", hint=hint)
    return tuple(order)

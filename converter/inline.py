"""Function bodies -> flat graphs: calls are replaced by what they call, pass-through nodes by what they pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..interpreter.errors import ConversionError
from .functions import Body, BodyNode, Library
from .tfapi import Dims
from .tfgraph import TfGraph, TfNode, TfValue

CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
PASS_THROUGH = frozenset({"Identity", "IdentityN", "StopGradient", "PreventGradient", "CheckNumerics", "Snapshot",
                          "PlaceholderWithDefault", "OptimizationBarrier"})  # fmt: skip
DROPPED = frozenset({"NoOp", "Assert", "PrintV2"})
"""Operators without results, for debugging only."""


class Spec(NamedTuple):
    """An argument that is known at run time only."""

    data_type: int
    dims: Dims


Argument: TypeAlias = Any
"""What a function is called with: a Spec, a constant ndarray, or a resource."""


def inline(body: Body, arguments: Sequence[Argument], functions: Library) -> TfGraph:
    """The function called with `arguments`; each Spec becomes an input of the graph."""
    inliner = _Inliner(functions, TfGraph())
    values = [inliner.argument(name, a) for name, a in zip(body.arguments, arguments, strict=True)]
    inliner.graph.outputs = inliner.run(body, values, "")
    return inliner.graph


def splice(graph: TfGraph, body: Body, values: Sequence[TfValue], functions: Library, scope: str) -> list[TfValue]:
    """Append a function, called with values of the graph, to the graph; its results."""
    return _Inliner(functions, graph).run(body, values, scope)


class _Inliner:
    def __init__(self, functions: Library, graph: TfGraph) -> None:
        self.functions = functions
        self.graph = graph
        self.handles: dict[int, TfValue] = {}

    def argument(self, name: str, argument: Argument) -> TfValue:
        if isinstance(argument, Spec):
            value = self.graph.add(TfNode(name, "Placeholder", [])).output()
            value.data_type, value.dims = argument
            self.graph.inputs.append(value)
            return value
        if isinstance(argument, np.ndarray):
            return self.graph.constant(name, argument)
        if id(argument) not in self.handles:
            handle = self.graph.add(TfNode(argument.name, "Handle", [], resource=argument))
            self.handles[id(argument)] = handle.output()
        return self.handles[id(argument)]

    def run(self, body: Body, arguments: Sequence[TfValue], scope: str) -> list[TfValue]:
        """Append the body's nodes; its results."""
        made: dict[str, TfNode | list[TfValue]] = {
            name: [value] for name, value in zip(body.arguments, arguments, strict=True)
        }
        for node in body.nodes:
            inputs = [_pick(made[ref.node], ref.output) for ref in node.inputs]
            made[node.definition.name] = self.place(node, inputs, scope)
        return [_pick(made[ref.node], ref.output) for ref in body.results]

    def place(self, node: BodyNode, inputs: list[TfValue], scope: str) -> TfNode | list[TfValue]:
        definition = node.definition
        name, op = _join(scope, definition.name), definition.op
        if op in PASS_THROUGH:
            return inputs
        if op in DROPPED:
            return []
        if op in CALLS:
            return self.run(self.functions.body(definition.attr["f"].func.name), inputs, name)
        if op in self.functions:
            return self.run(self.functions.body(op), inputs, name)
        if op == "Const":
            return [self.graph.constant(name, TfNode(name, op, [], definition).attr("value"))]
        if op == "Placeholder":
            raise ConversionError(f"placeholder {name!r} is no argument of the function", where=f"function {scope!r}")
        return self.graph.add(TfNode(name, op, inputs, definition))


def _pick(made: TfNode | list[TfValue], index: int) -> TfValue:
    return made.output(index) if isinstance(made, TfNode) else made[index]


def _join(scope: str, name: str) -> str:
    """Scope and name; calls that have no name of their own leave no trace."""
    parts = [p for p in scope.split("/") if p and not p.startswith(("PartitionedCall", "StatefulPartitionedCall"))]
    return "/".join([*parts, name])

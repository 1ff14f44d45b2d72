"""Shapes of variables: what a plan may assume of the values that its nodes read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias

from ..graph import Graph, Node, Shape, TensorSpec
from ..ops.base import ControlOp, Op
from ..ops.control import CallOnce
from ..ops.variables import AssignVariable, ReadVariable, VarHandle

VariableName: TypeAlias = tuple[str, str]  # container, shared name
HeldShapes: TypeAlias = Mapping[VariableName, Shape]
"""Shapes of the values that variables have when a call starts; empty while initialisers have yet to run."""

NOTHING_HELD: HeldShapes = MappingProxyType({})


def handles(graph: Graph, ops: Sequence[Op]) -> dict[int, VariableName]:
    """The variable behind each tensor that a VAR_HANDLE of the subgraph makes."""
    pairs = zip(graph.nodes, ops, strict=True)
    return {i: (op.container, op.shared_name) for node, op in pairs if isinstance(op, VarHandle) for i in node.outputs}


def variables_read(graph: Graph, ops: Sequence[Op]) -> tuple[VariableName, ...]:
    """The variables whose values the nodes of a subgraph read, as far as it names them itself."""
    names = handles(graph, ops)
    reads = (node.inputs[0] for node, op in zip(graph.nodes, ops, strict=True) if isinstance(op, ReadVariable))
    return tuple(dict.fromkeys(names[handle] for handle in reads if handle in names))


class Tracker:
    """Follows the shapes of variables through a subgraph, node by node."""

    def __init__(self, graph: Graph, ops: Sequence[Op], held: HeldShapes) -> None:
        self._names, self._shapes = handles(graph, ops), dict(held)
        self._is_initialised = bool(held)

    def passed(
        self, node: Node, op: Op, ins: Sequence[TensorSpec | None], outs: Sequence[TensorSpec]
    ) -> Sequence[TensorSpec]:
        """The node's outputs with what is known of the variable that it reads; remembers what it assigns."""
        if isinstance(op, ReadVariable):
            shape = self._shapes.get(self._names.get(node.inputs[0], ("", "")))
            return [replace(spec, shape=shape) for spec in outs]
        if isinstance(op, AssignVariable):
            name, value = self._names.get(node.inputs[0]), ins[1]
            if name is None:
                self._shapes.clear()
            elif value is None or value.shape is None:
                self._shapes.pop(name, None)
            else:
                self._shapes[name] = value.shape
        elif isinstance(op, ControlOp) and op.subgraphs and not (isinstance(op, CallOnce) and self._is_initialised):
            self._shapes.clear()
        return outs

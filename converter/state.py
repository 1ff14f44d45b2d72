"""Resources in the file: handles where they are used, and the one subgraph that fills them.

A resource that some node needs as TensorFlow's own is kept by TensorFlow throughout: its handle, its initialiser and
all that works on it are Flex nodes then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..interpreter.graph import TensorType
from .draft import DraftGraph, DraftNode, DraftTensor
from .flex import flex_node
from .resources import Resource, Variable
from .tfapi import SHAPED_TABLES, TYPES, node_def
from .tfgraph import TfNode

if TYPE_CHECKING:
    from .lower import GraphLowering

INIT = "NoOp"
"""Name of the initialiser subgraph, as in files of the official converter."""


class State:
    """The resources that some subgraph uses, numbered in the order of their first use."""

    def __init__(self) -> None:
        self.used: dict[Resource, int] = {}
        self.init = DraftGraph(INIT)
        self._handles: set[DraftNode] = set()

    def handle(self, graph: GraphLowering, resource: Resource) -> DraftTensor:
        """A handle in a subgraph; a resource that is new also gets its place in the initialiser."""
        if resource not in self.used:
            self.used[resource] = len(self.used)
            self._initialise(resource)
        return self._emit_handle(graph.draft, resource)

    def call_once(self, draft: DraftGraph) -> None:
        """Let a signature's subgraph begin with the initialiser, if anything that it runs has state."""
        if any(node in self._handles for graph in draft.reachable() for node in graph.nodes):
            once = DraftNode("CALL_ONCE", [], [], {"init_subgraph_index": self.init}, origin=INIT, effect=True)
            draft.nodes.insert(0, once)

    def _emit_handle(self, draft: DraftGraph, resource: Resource) -> DraftTensor:
        out = DraftTensor(resource.name, TensorType.RESOURCE, ())
        node = _flex_handle(resource, out) if resource.flex else self._builtin_handle(resource, out)
        node.origin = resource.name
        draft.nodes.append(node)
        self._handles.add(node)
        return out

    def _builtin_handle(self, resource: Resource, out: DraftTensor) -> DraftNode:
        if isinstance(resource, Variable):
            return DraftNode("VAR_HANDLE", [], [out], {"container": "", "shared_name": resource.name})
        types = {"key_dtype": TYPES[resource.key_type], "value_dtype": TYPES[resource.value_type]}
        return DraftNode("HASHTABLE", [], [out], {"table_id": self.used[resource], **types})

    def _initialise(self, resource: Resource) -> None:
        handle = self._emit_handle(self.init, resource)
        parts = {"value": resource.value} if isinstance(resource, Variable) else dict(
            zip(("keys", "values"), resource.entries, strict=True))  # fmt: skip
        contents = [_constant(f"{resource.name}/{part}", array) for part, array in parts.items()]
        if resource.flex:
            node = _flex_filling(resource, [handle, *contents])
        else:
            op = "ASSIGN_VARIABLE" if isinstance(resource, Variable) else "HASHTABLE_IMPORT"
            node = DraftNode(op, [handle, *contents], [])
        node.origin, node.effect = resource.name, True
        self.init.nodes.append(node)


def _constant(name: str, array: np.ndarray) -> DraftTensor:
    return DraftTensor(name, TensorType.of(array.dtype), array.shape, array)


def _flex_handle(resource: Resource, out: DraftTensor) -> DraftNode:
    assert resource.flex is not None
    operands = []
    if isinstance(resource, Variable):
        types, shape = {"dtype": resource.data_type}, {"shape": resource.dims}
        definition = node_def("VarHandleOp", resource.name, types, shape)
    else:
        types = {"key_dtype": resource.key_type, "value_dtype": resource.value_type}
        shape = {"value_shape": resource.entries[1].shape[1:]} if resource.operator in SHAPED_TABLES else {}
        definition = node_def(resource.operator, resource.name, types, shape)
        if "Dense" in resource.operator:
            operands = [_constant(f"{resource.name}/unused_{i}", key) for i, key in enumerate(resource.unused)]
    definition.attr["shared_name"].s = resource.name.encode()
    definition.attr["container"].s = b""
    return flex_node(TfNode(resource.name, definition.op, [], definition), operands, [out], resource.flex)


def _flex_filling(resource: Resource, operands: list[DraftTensor]) -> DraftNode:
    """What gives a resource of TensorFlow's its first content."""
    assert resource.flex is not None
    if isinstance(resource, Variable):
        definition = node_def("AssignVariableOp", resource.name, {"dtype": resource.data_type})
    elif resource.operator == "HashTableV2":
        types = {"Tkey": resource.key_type, "Tval": resource.value_type}
        definition = node_def("InitializeTableV2", resource.name, types)
    else:
        types = {"Tin": resource.key_type, "Tout": resource.value_type}
        definition = node_def("LookupTableImportV2", resource.name, types)
    return flex_node(TfNode(resource.name, definition.op, [], definition), operands, [], resource.flex)

"""Resources in the file: handles where they are used, and the one subgraph that fills them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..interpreter.errors import ConversionError
from ..interpreter.graph import TensorType
from .draft import DraftGraph, DraftNode, DraftTensor
from .resources import Resource, Table, Variable
from .tfapi import TYPES

if TYPE_CHECKING:
    from .lower import GraphLowering

INIT = "NoOp"
"""Name of the initialiser subgraph, as in files of the official converter."""


class State:
    """The resources that some subgraph uses, numbered in the order of their first use."""

    def __init__(self) -> None:
        self.used: dict[Resource, int] = {}
        self.init = DraftGraph(INIT)

    def handle(self, graph: GraphLowering, resource: Resource) -> DraftTensor:
        """A handle in a subgraph; a resource that is new also gets its place in the initialiser."""
        if resource not in self.used:
            self.used[resource] = len(self.used)
            self._initialise(resource)
        return self._emit_handle(graph.draft, resource)

    def _emit_handle(self, draft: DraftGraph, resource: Resource) -> DraftTensor:
        out = DraftTensor(resource.name, TensorType.RESOURCE, ())
        if isinstance(resource, Variable):
            node = DraftNode("VAR_HANDLE", [], [out], {"container": "", "shared_name": resource.name})
        else:
            attributes = {
                "table_id": self.used[resource],
                "key_dtype": TYPES[resource.key_type],
                "value_dtype": TYPES[resource.value_type],
            }
            node = DraftNode("HASHTABLE", [], [out], attributes)
        node.origin = resource.name
        draft.nodes.append(node)
        return out

    def _initialise(self, resource: Resource) -> None:
        handle = self._emit_handle(self.init, resource)
        if isinstance(resource, Variable):
            value = resource.value
            content = DraftTensor(f"{resource.name}/value", TYPES[resource.data_type], value.shape, value)
            node = DraftNode("ASSIGN_VARIABLE", [handle, content], [], origin=resource.name, effect=True)
        else:
            keys, values = (
                DraftTensor(f"{resource.name}/{part}", TensorType.of(array.dtype), array.shape, array)
                for part, array in zip(("keys", "values"), resource.entries, strict=True)
            )
            node = DraftNode("HASHTABLE_IMPORT", [handle, keys, values], [], origin=resource.name, effect=True)
        self.init.nodes.append(node)

    def call_once(self, draft: DraftGraph) -> None:
        """Let a signature's subgraph begin with the initialiser, if anything that it runs has state."""
        stateful = {"VAR_HANDLE", "HASHTABLE"}
        if any(node.op in stateful for graph in draft.reachable() for node in graph.nodes):
            once = DraftNode("CALL_ONCE", [], [], {"init_subgraph_index": self.init}, origin=INIT, effect=True)
            draft.nodes.insert(0, once)


def check(resource: Resource) -> None:
    """Raise ConversionError for a resource that a .tflite file can't hold."""
    if isinstance(resource, Table) and not resource.is_builtin:
        what = "written by the model" if resource.written else "neither string to int64 nor int64 to string"
        raise ConversionError(f"lookup table {resource.name!r} is {what}; a .tflite file can't hold such a table")

"""What functions capture: variables, lookup tables and constants, read from the live handles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from ..interpreter.errors import ConversionError
from .functions import Library
from .inline import Argument, Spec, inline
from .tfapi import TYPES, Dims, export_table, handle_type, read_variable, tensorflow
from .tfgraph import TfGraph, TfNode

READS = frozenset({"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp"})
BRANCHES = {
    "If": ("then_branch", "else_branch"),
    "StatelessIf": ("then_branch", "else_branch"),
    "While": ("cond", "body"),
    "StatelessWhile": ("cond", "body"),
}
"""Operators that run functions, with the attributes that name these."""


@dataclass(eq=False)
class Variable:
    """A variable behind a captured handle; `written` if some signature changes it."""

    name: str
    handle: Any
    data_type: int
    dims: Dims
    written: bool = False

    @cached_property
    def value(self) -> np.ndarray:
        """What it holds now. Raises ConversionError if that can't be read."""
        try:
            return read_variable(self.handle, self.data_type)
        except tensorflow().errors.OpError as error:
            text = f"variable {self.name!r} has no value that could be read: {error.message}."
            raise ConversionError(text, hint="Initialise the model's variables before converting it.") from error


@dataclass(eq=False)
class Table:
    """A lookup table behind a captured handle; its types are those of the nodes that use it."""

    name: str
    handle: Any
    key_type: int = 0
    value_type: int = 0
    written: bool = False

    @property
    def is_builtin(self) -> bool:
        """Whether the HASHTABLE operators can hold it: string <-> int64, never written."""
        pair = {TYPES[t].name for t in (self.key_type, self.value_type) if t in TYPES}
        return pair == {"STRING", "INT64"} and not self.written

    @cached_property
    def entries(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys and values, sorted by key. Raises ConversionError if the table is not initialised."""
        try:
            keys, values = export_table(self.handle, self.key_type, self.value_type)
        except tensorflow().errors.OpError as error:
            text = f"lookup table {self.name!r} has no content that could be read: {error.message}."
            raise ConversionError(text, hint="Initialise the model's tables before converting it.") from error
        order = np.argsort(keys, kind="stable")
        return keys[order], values[order]


Resource: TypeAlias = Variable | Table


@dataclass
class Resources:
    """The variables and tables of a model, in the order in which its signatures name them."""

    by_handle: dict[int, Resource] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)

    def capture(self, handle: Any, name: str) -> Argument:
        """What stands for a captured tensor: its resource, or its value if it is an ordinary tensor."""
        if handle.dtype != tensorflow().resource:
            return _constant(handle, name)
        if id(handle) not in self.by_handle:
            kind = handle_type(handle)
            unique = self._unique(name)
            resource = Table(unique, handle) if kind is None else Variable(unique, handle, *kind)
            self.by_handle[id(handle)] = resource
        return self.by_handle[id(handle)]

    @property
    def variables(self) -> list[Variable]:
        return [r for r in self.by_handle.values() if isinstance(r, Variable)]

    @property
    def tables(self) -> list[Table]:
        return [r for r in self.by_handle.values() if isinstance(r, Table)]

    def _unique(self, name: str) -> str:
        candidate, number = name, 1
        while candidate in self._names:
            candidate, number = f"{name}_{number}", number + 1
        self._names.add(candidate)
        return candidate


def _constant(tensor: Any, name: str) -> np.ndarray:
    if not hasattr(tensor, "numpy") or tensor.dtype == tensorflow().variant:
        text = f"captured tensor {name!r} has no value that a file can hold."
        raise ConversionError(text, hint="Pass it as an argument.")
    return np.asarray(tensor.numpy())


def mark_uses(graph: TfGraph, functions: Library) -> None:
    """Find out how resources are used: which variables and tables are written, and the types of tables."""
    for node in nodes_below(graph, functions):
        for resource in (v.resource for v in node.inputs if v.resource is not None):
            if isinstance(resource, Variable):
                resource.written |= node.op not in READS
            else:
                _note_table(resource, node)


def _note_table(table: Table, node: TfNode) -> None:
    keys, values = ("Tin", "Tout") if node.op != "LookupTableExportV2" else ("Tkeys", "Tvalues")
    if node.attr(keys) is not None:
        table.key_type, table.value_type = node.attr(keys), node.attr(values)
    table.written |= node.op in ("LookupTableInsertV2", "LookupTableImportV2", "LookupTableRemoveV2")


def nodes_below(graph: TfGraph, functions: Library) -> Iterator[TfNode]:
    """The nodes of a graph and of all functions that its control flow may run, with resources known throughout."""
    for node in graph.nodes:
        attributes = BRANCHES.get(node.op)
        if attributes is None:
            yield node
            continue
        passed = node.inputs[1:] if attributes[0] == "then_branch" else node.inputs
        arguments: Iterable[Argument] = [v.resource or Spec(v.data_type, None) for v in passed]
        for name in attributes:
            body = functions.body(node.attr(name))
            yield from nodes_below(inline(body, list(arguments), functions), functions)

"""What functions capture: variables, lookup tables and constants, read from the live handles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from ..interpreter.errors import ConversionError
from .expand import EXPANSIONS
from .functions import Library
from .inline import Argument, Spec, inline
from .tfapi import TYPES, Dims, export_table, handle_type, read_variable, table_operator, tensorflow
from .tfgraph import TfGraph, TfNode

READS = frozenset({"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp"})
TABLE_READS = frozenset({"LookupTableFindV2", "LookupTableSizeV2"})
BRANCHES = {
    "If": ("then_branch", "else_branch"),
    "StatelessIf": ("then_branch", "else_branch"),
    "Case": ("branches",),
    "StatelessCase": ("branches",),
    "While": ("cond", "body"),
    "StatelessWhile": ("cond", "body"),
}
"""Operators that run functions, with the attributes that name these."""


@dataclass(eq=False)
class Variable:
    """A variable behind a captured handle.

    `written` if some signature changes it; `flex` says why TensorFlow has to keep it, None if builtin operators can.
    """

    name: str
    handle: Any
    data_type: int
    dims: Dims
    written: bool = False
    flex: str | None = None

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
    """A lookup table behind a captured handle; its types are those of the nodes that use it.

    `flex` as that of a variable: the HASHTABLE operators hold string to int64 and back, and are filled once.
    """

    name: str
    handle: Any
    key_type: int = 0
    value_type: int = 0
    written: bool = False
    flex: str | None = None

    @cached_property
    def entries(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys and values, sorted by key. Raises ConversionError if the table is not initialised."""
        if not self.key_type:
            text = f"what {self.name!r} stands for is no variable or lookup table, and a .tflite file can't hold it."
            raise ConversionError(text, hint="Keep iterators, queues and the like outside of the model.")
        try:
            keys, values = export_table(self.handle, self.key_type, self.value_type)
        except tensorflow().errors.OpError as error:
            text = f"lookup table {self.name!r} has no content that could be read: {error.message}."
            raise ConversionError(text, hint="Initialise the model's tables before converting it.") from error
        order = np.argsort(keys, kind="stable") if keys.ndim == 1 else np.arange(len(keys))
        return keys[order], values[order]

    @property
    def unused(self) -> tuple[np.ndarray, np.ndarray]:
        """Two keys that a dense table sets aside. (The model's own are not known: a handle does not tell.)"""
        keys = self.entries[0]
        if keys.dtype == object:
            return np.array(b"\xff<empty>", object), np.array(b"\xff<deleted>", object)
        least = np.iinfo(keys.dtype).min if keys.dtype.kind in "iu" else -np.finfo(keys.dtype).max
        return np.array(least, keys.dtype), np.array(least + 1, keys.dtype)

    @cached_property
    def operator(self) -> str:
        """TensorFlow's operator for a table like this. Raises ConversionError if there is none."""
        keys, values = self.entries
        candidates = ["MutableHashTableV2"] if values.ndim == 1 else ["MutableHashTableOfTensorsV2"]
        if values.ndim == 1 and not self.written:
            candidates.insert(0, "HashTableV2")
        for name in (*candidates, "MutableDenseHashTableV2"):
            if keys.ndim == 1 and table_operator(name, self.key_type, self.value_type, values.shape[1:], self.unused):
                return name
        as_dtype = tensorflow().as_dtype
        types = f"{as_dtype(self.key_type).name} to {as_dtype(self.value_type).name}"
        raise ConversionError(f"lookup table {self.name!r} is of a kind ({types}) that a .tflite file can't hold.")


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

    def settle(self, *, all_flex: bool) -> None:
        """Decide who keeps each resource, once all of its uses are known."""
        for resource in self.by_handle.values():
            if all_flex:
                resource.flex = "builtin operators are switched off"
            elif isinstance(resource, Table) and resource.flex is None:
                resource.flex = _table_obstacle(resource)

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


def _table_obstacle(table: Table) -> str | None:
    pair = {TYPES[t].name for t in (table.key_type, table.value_type) if t in TYPES}
    if table.written:
        return f"lookup table {table.name!r} is written by the model, which no builtin operator does"
    if pair != {"STRING", "INT64"} or table.entries[1].ndim != 1:
        return f"lookup table {table.name!r} is neither of string to int64 nor of int64 to string"
    return None


def mark_uses(graph: TfGraph, functions: Library) -> None:
    """Find out how resources are used: which are written, which need TensorFlow, and the types of tables."""
    for node in nodes_below(graph, functions):
        for position, resource in enumerate(v.resource for v in node.inputs):
            if isinstance(resource, Variable):
                _note_variable(resource, node, position)
            elif resource is not None:
                _note_table(resource, node)


def _note_variable(variable: Variable, node: TfNode, position: int) -> None:
    expansion = EXPANSIONS.get(node.op)
    if expansion is not None and position in expansion.reads:
        variable.written |= position in expansion.assigns
    elif node.op not in READS:
        variable.written = True
        if node.op != "AssignVariableOp":
            variable.flex = f"variable {variable.name!r} is used by {node.op}, which has no builtin operator"


def _note_table(table: Table, node: TfNode) -> None:
    keys, values = ("Tin", "Tout") if node.op != "LookupTableExportV2" else ("Tkeys", "Tvalues")
    if node.attr(keys) is not None and node.attr(values) is not None:
        table.key_type, table.value_type = node.attr(keys), node.attr(values)
    table.written |= node.op in ("LookupTableInsertV2", "LookupTableImportV2", "LookupTableRemoveV2")
    if node.op not in TABLE_READS:
        table.flex = f"lookup table {table.name!r} is used by {node.op}, which has no builtin operator"


def nodes_below(graph: TfGraph, functions: Library) -> Iterator[TfNode]:
    """The nodes of a graph and of all functions that its control flow may run, with resources known throughout."""
    for node in graph.nodes:
        if node.op not in BRANCHES:
            yield node
            continue
        passed = node.inputs if "cond" in BRANCHES[node.op] else node.inputs[1:]
        arguments: Iterable[Argument] = [v.resource or Spec(v.data_type, None) for v in passed]
        for name in branch_functions(node):
            yield from nodes_below(inline(functions.body(name), list(arguments), functions), functions)


def branch_functions(node: TfNode) -> list[str]:
    """Names of the functions that a control-flow node may run."""
    values = (node.attr(attribute) for attribute in BRANCHES[node.op])
    return [name for value in values for name in (value if isinstance(value, tuple) else (value,))]

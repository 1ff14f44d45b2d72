"""TensorFlow itself, asked what signatures give. Variables and tables get back what they held before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from .functions import Library
from .inline import inline
from .load import Entry
from .resources import Resources, mark_uses
from .shapes import TfSession
from .tfapi import as_array, call_flat, export_table, fill_table, is_stateful, read_variable, tensorflow, write_variable
from .tfgraph import TfGraph, TfNode


class Call(NamedTuple):
    """One call of a signature; inputs in its order."""

    entry: Entry
    inputs: Sequence[np.ndarray]


class Oracle:
    """The signatures' functions with the variables and tables that they change."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._resources = Resources()
        self._functions = Library()
        for entry in entries:
            mark_uses(self._flat(entry), self._functions)
        self._variables = [v for v in self._resources.variables if v.written]
        self._tables = [t for t in self._resources.tables if t.written]

    @property
    def remembers(self) -> bool:
        """Whether a call may change what later calls give."""
        return bool(self._variables or self._tables)

    def run(self, calls: Sequence[Call]) -> list[list[np.ndarray]]:
        """Results of calls one after the other, each in the order of its outputs. Raises tf.errors.OpError."""
        with self._restored():
            return [call_flat(call.entry.function, call.inputs) for call in calls]

    def trace(self, calls: Sequence[Call]) -> dict[str, np.ndarray]:
        """All tensors that the last of the calls computes, by name; those whose names are not unique left out."""
        entry, inputs = calls[-1]
        graph = self._flat(entry)
        with self._restored():
            for call in calls[:-1]:
                call_flat(call.entry.function, call.inputs)
            return _run_all(graph, self._functions, inputs)

    def _flat(self, entry: Entry) -> TfGraph:
        return inline(entry.body(self._functions), entry.arguments(self._resources), self._functions)

    @contextmanager
    def _restored(self) -> Iterator[None]:
        values = [read_variable(v.handle, v.data_type) for v in self._variables]
        entries = [export_table(t.handle, t.key_type, t.value_type) for t in self._tables]
        try:
            yield
        finally:
            for variable, value in zip(self._variables, values, strict=True):
                write_variable(variable.handle, value, variable.data_type)
            for table, (keys, items) in zip(self._tables, entries, strict=True):
                fill_table(table.handle, keys, items, table.key_type, table.value_type)


def _run_all(graph: TfGraph, functions: Library, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Run a flat graph as a function of TensorFlow's, on the constants and resources that it was made with."""
    tf = tensorflow()
    arguments = [value.node for value in graph.inputs]
    specs = [tf.TensorSpec(value.dims, tf.as_dtype(value.data_type)) for value in graph.inputs]
    held = {n: n.resource.handle for n in graph.nodes if n.resource is not None}
    held |= {n: tf.constant(n.outputs[0].const) for n in graph.nodes if n.op == "Const" and n.definition is None}
    session = TfSession(graph)
    definition = session.tf_graph.as_graph_def()
    definition.library.function.extend(functions.definitions())
    _keep_order(definition, [session.names[n] for n in graph.nodes if n.definition is not None and is_stateful(n.op)])
    wanted = _by_name(graph, {*arguments, *held})

    def body(*tensors: Any) -> list[Any]:
        here = tf.compat.v1.get_default_graph()
        fed = dict(zip(arguments, tensors, strict=True)) | {node: here.capture(tensor) for node, tensor in held.items()}
        given = {f"{session.names[node]}:0": tensor for node, tensor in fed.items()}
        places = [f"{session.names[node]}:{index}" for node, index in wanted.values()]
        return list(tf.graph_util.import_graph_def(definition, given, places, name=""))

    run = tf.function(body, input_signature=specs, autograph=False)
    results = run(*(tf.constant(array, spec.dtype) for array, spec in zip(inputs, specs, strict=True)))
    return dict(zip(wanted, map(as_array, results), strict=True))


def _keep_order(definition: Any, stateful: Sequence[str]) -> None:
    """Let each of these nodes wait for the one before it."""
    protos = {proto.name: proto for proto in definition.node}
    for first, second in pairwise(stateful):
        protos[second].input.append(f"^{first}")


def _by_name(graph: TfGraph, fed: set[TfNode]) -> dict[str, tuple[TfNode, int]]:
    """Where the tensors are that NumPy can hold, by names that no other tensor has."""
    tf = tensorflow()
    values = [v for node in graph.nodes if node not in fed for v in node.outputs]
    counts = Counter(value.name for value in values)
    opaque = (tf.resource.as_datatype_enum, tf.variant.as_datatype_enum)
    return {v.name: (v.node, v.index) for v in values if counts[v.name] == 1 and v.data_type not in opaque}

"""Partitions made by hand: a whole graph of `tests.build` as one delegate runs it, without plans around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer
from tflite_cupy.interpreter.graph import ABSENT, Graph
from tflite_cupy.interpreter.ops.binding import bind
from tflite_cupy.interpreter.ops.checks import refusal
from tflite_cupy.interpreter.runtime.delegate import BoundNode, Delegate, Partition
from tflite_cupy.interpreter.runtime.lane import Lane
from tflite_cupy.interpreter.runtime.state import State


def whole(graph: Graph) -> Partition:
    """All nodes of a graph, with the specs that the file declares."""
    ops = (bind(node, graph) for node in graph.nodes)
    nodes = tuple(
        BoundNode(node, op, op.ins, op.outs, refusal(op, op.ins)) for node, op in zip(graph.nodes, ops, strict=True)
    )
    read = {tensor for node in graph.nodes for tensor in node.inputs} - {ABSENT}
    constants = {t: data for t in read if (data := graph.tensors[t].data) is not None}
    return Partition(graph, nodes, graph.inputs, graph.outputs, constants)


def bound(graph: Graph) -> BoundNode:
    """The first node of a graph."""
    return whole(graph).nodes[0]


def run(delegate: Delegate, graph: Graph, *inputs: Any, state: State | None = None) -> list[Any]:
    """Outputs of a graph that one delegate compiles and runs once."""
    return list(delegate.compile(whole(graph))(Lane(state or State()), inputs))


def flex_options(op: str, node_def: bytes, name: str | None = None) -> bytes:
    """Custom options of a TensorFlow node."""
    return write_flexbuffer([name or op, node_def])


def node_def(
    op: str, attributes: Mapping[str, bytes] | None = None, inputs: Sequence[str] = (), device: str = ""
) -> bytes:
    """An encoded NodeDef; attributes as encoded AttrValues."""
    entries = [field(5, field(1, key.encode()) + field(2, value)) for key, value in (attributes or {}).items()]
    names = [field(3, name.encode()) for name in inputs]
    return b"".join([field(1, b"node"), field(2, op.encode()), *names, field(4, device.encode()), *entries])


def field(number: int, value: bytes | int) -> bytes:
    """One protobuf field: bytes with their length, or a number."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value & 0xFFFFFFFFFFFFFFFF)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    digits = []
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def kind(number: int) -> bytes:
    """AttrValue of a DataType: 1 float32, 3 int32, 7 string, 9 int64, 20 resource, 21 variant."""
    return field(6, number)


def integer(value: int) -> bytes:
    """AttrValue of an int."""
    return field(3, value)


def integers(*values: int) -> bytes:
    """AttrValue of a list of ints."""
    return field(1, b"".join(field(3, value) for value in values))


def text(value: bytes) -> bytes:
    """AttrValue of a string."""
    return field(2, value)


def kinds(*numbers: int) -> bytes:
    """AttrValue of a list of DataTypes."""
    return field(1, b"".join(field(6, number) for number in numbers))


def shape(*dims: int) -> bytes:
    """AttrValue of a shape."""
    return field(7, shape_proto(*dims))


def shape_proto(*dims: int) -> bytes:
    return b"".join(field(2, field(1, dim)) for dim in dims)


def constant(dtype: int, content: bytes, *dims: int) -> bytes:
    """AttrValue of a constant tensor with these bytes as its content."""
    return field(8, field(1, dtype) + field(2, shape_proto(*dims)) + field(4, content))


def strings(*values: bytes) -> np.ndarray:
    """A string tensor of rank 1."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def f32(values: Any) -> np.ndarray:
    return np.asarray(values, np.float32)


def i32(values: Any) -> np.ndarray:
    return np.asarray(values, np.int32)


def i64(values: Any) -> np.ndarray:
    return np.asarray(values, np.int64)

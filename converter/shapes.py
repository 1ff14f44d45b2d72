"""Types and shapes of a flat graph, inferred by TensorFlow itself in a fresh tf.Graph."""

from __future__ import annotations

from typing import Any

from ..interpreter.errors import ConversionError
from .resources import Table, Variable
from .tfapi import Dims, dismantle, merged, shape_dims, tensorflow
from .tfgraph import TfGraph, TfNode, TfValue

SMALL = 1024
"""Constants of at most this many elements are in the tf.Graph by value, so that shapes can depend on them."""


class TfSession:
    """A flat graph as a tf.Graph: node i is called `n<i>`. Large constants are placeholders, to be fed."""

    def __init__(self, graph: TfGraph) -> None:
        self.names = {node: f"n{i}" for i, node in enumerate(graph.nodes)}
        self._ensured: dict[TfValue, Dims] = {}
        declared = {node: node.declared_dims() or [v.dims for v in node.outputs] for node in graph.nodes}
        self._build(graph)
        for node, shapes in declared.items():
            for value, dims in zip(node.outputs, shapes, strict=False):
                if dims is not None and merged(value.dims, dims) != value.dims:
                    self._ensured[value] = dims
        if self._ensured:
            self.close()
            self._build(graph)

    def close(self) -> None:
        """Free the tf.Graph."""
        dismantle(self.tf_graph)

    def tensor(self, node: TfNode, index: int) -> Any:
        """The tf.Tensor of an output."""
        return self.tf_graph.get_operation_by_name(self.names[node]).outputs[index]

    def _build(self, graph: TfGraph) -> None:
        tf = tensorflow()
        definition = tf.compat.v1.GraphDef()
        definition.versions.producer = tf.version.GRAPH_DEF_VERSION
        for node in graph.nodes:
            self._add(definition.node.add(), node)
            for value in node.outputs:
                if value in self._ensured:
                    self._ensure(definition.node.add(), value)
        self.tf_graph = tf.Graph()
        with self.tf_graph.as_default():
            try:
                tf.graph_util.import_graph_def(definition, name="")
            except (ValueError, tf.errors.OpError) as error:
                raise ConversionError(f"TensorFlow rejects the graph: {error}") from error
        for node in graph.nodes:
            self._annotate(node)

    def _source(self, value: TfValue) -> str:
        name = f"{self.names[value.node]}:{value.index}"
        return name.replace(":", "_ensured_") if value in self._ensured else name

    def _ensure(self, proto: Any, value: TfValue) -> None:
        proto.name, proto.op = self._source(value), "EnsureShape"
        proto.input.append(f"{self.names[value.node]}:{value.index}")
        proto.attr["T"].type = value.data_type
        proto.attr["shape"].shape.CopyFrom(tensorflow().TensorShape(self._ensured[value]).as_proto())

    def _add(self, proto: Any, node: TfNode) -> None:
        tf = tensorflow()
        proto.name = self.names[node]
        if node.definition is not None:
            proto.op = node.op
            for key, value in node.definition.attr.items():
                if not key.startswith("_"):
                    proto.attr[key].CopyFrom(value)
        elif node.op == "Const":
            _constant(proto, node.outputs[0].const)
        elif isinstance(node.resource, Variable):
            proto.op = "VarHandleOp"
            proto.attr["dtype"].type = node.resource.data_type
            proto.attr["shape"].shape.CopyFrom(tf.TensorShape(node.resource.dims).as_proto())
        elif isinstance(node.resource, Table):
            _placeholder(proto, tf.resource.as_datatype_enum, ())
        else:
            _placeholder(proto, node.outputs[0].data_type, node.outputs[0].dims)
        proto.input.extend(map(self._source, node.inputs))

    def _annotate(self, node: TfNode) -> None:
        operation = self.tf_graph.get_operation_by_name(self.names[node])
        if node.definition is not None:
            node.definition = operation.node_def  # unlike the stored one it has all default attributes
        for i, tensor in enumerate(operation.outputs):
            value = node.output(i)
            value.data_type = tensor.dtype.as_datatype_enum
            if value.const is None:
                value.dims = merged(shape_dims(tensor.shape), self._ensured.get(value))


def _placeholder(proto: Any, data_type: int, dims: Any) -> None:
    proto.op = "Placeholder"
    proto.attr["dtype"].type = data_type
    proto.attr["shape"].shape.CopyFrom(tensorflow().TensorShape(dims).as_proto())


def _constant(proto: Any, array: Any) -> None:
    tf = tensorflow()
    if array.size > SMALL:
        _placeholder(proto, tf.as_dtype(array.dtype).as_datatype_enum, array.shape)
        return
    proto.op = "Const"
    proto.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array))
    proto.attr["dtype"].type = proto.attr["value"].tensor.dtype

"""Types and shapes of a flat graph, inferred by TensorFlow itself in a fresh tf.Graph."""

from __future__ import annotations

from typing import Any

from ..interpreter.errors import ConversionError
from .resources import Table, Variable
from .tfapi import shape_dims, tensorflow
from .tfgraph import TfGraph, TfNode

SMALL = 1024
"""Constants of at most this many elements are in the tf.Graph by value, so that shapes can depend on them."""

_SAME_SHAPE = {(7, 9): "StringToHashBucket", (9, 7): "AsString"}  # DT_STRING is 7, DT_INT64 9


class TfSession:
    """A flat graph as a tf.Graph: node i is called `n<i>`. Large constants are placeholders, to be fed."""

    def __init__(self, graph: TfGraph) -> None:
        tf = tensorflow()
        self.names = {node: f"n{i}" for i, node in enumerate(graph.nodes)}
        definition = tf.compat.v1.GraphDef()
        definition.versions.producer = tf.version.GRAPH_DEF_VERSION
        for node in graph.nodes:
            self._add(definition.node.add(), node)
        self.tf_graph = tf.Graph()
        with self.tf_graph.as_default():
            try:
                tf.graph_util.import_graph_def(definition, name="")
            except (ValueError, tf.errors.OpError) as error:
                raise ConversionError(f"TensorFlow rejects the graph: {error}") from error
        for node in graph.nodes:
            self._annotate(node)

    def tensor(self, node: TfNode, index: int) -> Any:
        """The tf.Tensor of an output."""
        return self.tf_graph.get_operation_by_name(self.names[node]).outputs[index]

    def _add(self, proto: Any, node: TfNode) -> None:
        tf = tensorflow()
        proto.name = self.names[node]
        inputs = node.inputs
        same_shape = _same_shape(node)
        if same_shape:
            proto.op = same_shape
            inputs = node.inputs[1:2]
            if same_shape == "AsString":
                proto.attr["T"].type = node.attr("Tin")
            else:
                proto.attr["num_buckets"].i = 1
        elif node.definition is not None:
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
        proto.input.extend(f"{self.names[v.node]}:{v.index}" for v in inputs)

    def _annotate(self, node: TfNode) -> None:
        operation = self.tf_graph.get_operation_by_name(self.names[node])
        if node.definition is not None and node.op == operation.type:
            node.definition = operation.node_def  # unlike the stored one it has all default attributes
        for i, tensor in enumerate(operation.outputs):
            value = node.output(i)
            value.data_type = tensor.dtype.as_datatype_enum
            if value.const is None:
                value.dims = shape_dims(tensor.shape)


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


def _same_shape(node: TfNode) -> str | None:
    """Another operator of the same shape rule, where TensorFlow loses the shape: look-ups in tables."""
    return _SAME_SHAPE.get((node.attr("Tin"), node.attr("Tout"))) if node.op == "LookupTableFindV2" else None

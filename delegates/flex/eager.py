"""TensorFlow itself: the only file that imports it, on first use.

Operators run through TensorFlow's eager executor, on the CPU, as the reference's Flex delegate runs them. The private
names of TensorFlow are those that its own generated operator wrappers call.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...interpreter.errors import GraphError, KernelError, LimitError
from ...interpreter.format.nodedef import NodeDef

EagerTensor: TypeAlias = Any
CPU = "/job:localhost/replica:0/task:0/device:CPU:0"
STRING, RESOURCE = 7, 20  # of DataType

_FIELDS = {
    "int": "i",
    "float": "f",
    "bool": "b",
    "string": "s",
    "type": "type",
    "shape": "shape",
    "tensor": "tensor",
}
"""Fields of AttrValue by type of attribute."""

_import_lock = threading.Lock()
_PREFIX = re.compile(r"^\{\{function_node [^}]*\}\} ")
_SUFFIX = re.compile(r" \[Op:\w*\]$")


@cache
def installed() -> bool:
    """Whether a TensorFlow is there to be imported."""
    return "tensorflow" in sys.modules or find_spec("tensorflow") is not None


class Operator(NamedTuple):
    """An operator with the attributes of one node."""

    name: str
    attributes: Mapping[str, Any]  # as the executor takes them
    encoded: Mapping[str, Any]  # as AttrValue messages
    arity: tuple[int, int]  # operands and results, which the executor takes on trust
    minimums: Mapping[str, int]  # least value of an attribute, or least length of one that is a list
    handles: tuple[int, ...]  # operands that are resources


class Eager:
    """What this package needs of TensorFlow. Thread-safe."""

    def __init__(self) -> None:
        tf = _import()
        from tensorflow.core.framework import attr_value_pb2
        from tensorflow.python import pywrap_tfe
        from tensorflow.python.eager import context
        from tensorflow.python.framework import op_def_registry, ops

        self._context = context.context()
        self._context.ensure_initialized()
        self._execute, self._tensor, self._tf = pywrap_tfe.TFE_Py_Execute, ops.EagerTensor, tf
        self._op_def, self._attr_value = op_def_registry.get, attr_value_pb2.AttrValue

    def tensor(self, array: np.ndarray) -> EagerTensor:
        """`array` as a tensor, which may share its memory."""
        return self._tensor(array, CPU, STRING if array.dtype == object else None)

    def array(self, tensor: EagerTensor) -> np.ndarray:
        """A fresh array of a tensor's values, strings as bytes; a 0-d object array around a resource or variant.

        Raises KernelError for a shape that NumPy can't hold.
        """
        if tensor.dtype in (self._tf.resource, self._tf.variant):
            boxed = np.empty((), object)
            boxed[()] = tensor
            return boxed
        try:
            value = tensor.numpy()
        except self._tf.errors.OpError as error:
            raise KernelError(_words(error)) from error
        return np.asarray(value, object) if isinstance(value, bytes) else np.asarray(value)

    def string_bytes(self, tensor: EagerTensor) -> int:
        """Bytes of all strings of a tensor."""
        (lengths,) = self.execute("StringLength", ("unit", b"BYTE"), [tensor], 1)
        return int(lengths.numpy().sum(dtype=np.int64))

    def is_tensor(self, value: Any) -> bool:
        """Whether `value` is a tensor of TensorFlow."""
        return isinstance(value, self._tensor)

    def operator(self, node: NodeDef) -> Operator:
        """The operator of a node. Raises GraphError if TensorFlow has none, or if the node's attributes are not its."""
        op_def = self._op_def(node.op)
        if op_def is None:
            raise GraphError(f"TensorFlow {self._tf.__version__} has no operator {node.op!r}")
        encoded, values = {}, {}
        minimums = {a.name: int(a.minimum) for a in op_def.attr if a.has_minimum}
        for attribute in op_def.attr:
            name = attribute.name
            if name in node.attributes:
                encoded[name] = self._decoded(name, node.attributes[name])
            elif attribute.HasField("default_value"):
                encoded[name] = attribute.default_value
            else:
                raise GraphError(f"NodeDef of {node.op} lacks the attribute {name!r}")
            values[name] = _value(encoded[name], attribute.type, name)
        arity = _count(op_def.input_arg, values), _count(op_def.output_arg, values)
        handles = tuple(i for i, a in enumerate(op_def.input_arg) if a.type == RESOURCE)
        return Operator(node.op, values, encoded, arity, minimums, handles)

    def constant(self, operator: Operator) -> EagerTensor:
        """The value of a Const node."""
        try:
            value = self._tf.make_ndarray(operator.attributes["value"])
        except (TypeError, ValueError) as error:
            raise GraphError(f"the value of a Const node is malformed: {error}") from error
        return self.tensor(np.asarray(value))

    def execute(
        self, op: str, attributes: Sequence[Any], inputs: Sequence[EagerTensor], count: int
    ) -> Sequence[EagerTensor]:
        """Results of one operator; `attributes` alternates names and values.

        Raises KernelError with TensorFlow's words, LimitError where those are about memory.
        """
        results: Sequence[EagerTensor]
        try:
            results = self._execute(self._context._handle, CPU, op, list(inputs), tuple(attributes), count)
        except self._tf.errors.ResourceExhaustedError as error:
            raise LimitError(_words(error), hint="Use smaller inputs.") from error
        except self._tf.errors.OpError as error:
            raise KernelError(_words(error)) from error
        return results

    def result_shapes(
        self, operator: Operator, inputs: Sequence[EagerTensor], constants: Mapping[int, np.ndarray]
    ) -> list[tuple[int, ...] | None]:
        """What the operator's shape function says of these operands, None where it does not know; `constants` are the
        operands whose values it may look at. Raises KernelError with its words.

        Only TensorFlow's graphs ask it; the eager executor goes to the kernel straight away.
        """
        with self._tf.Graph().as_default() as graph:
            operands = [
                self._tf.constant(constants[i]) if i in constants
                else self._tf.compat.v1.placeholder(tensor.dtype, tensor.shape)
                for i, tensor in enumerate(inputs)
            ]  # fmt: skip
            try:
                node = graph.create_op(operator.name, operands, [], attrs=dict(operator.encoded))
            except (TypeError, ValueError, self._tf.errors.OpError) as error:
                raise KernelError(str(error).partition(" for '{{node ")[0]) from error
            return [tuple(t.shape) if t.shape.is_fully_defined() else None for t in node.outputs]

    def _decoded(self, name: str, encoded: bytes) -> Any:
        from google.protobuf.message import DecodeError

        try:
            return self._attr_value.FromString(encoded)
        except DecodeError as error:
            raise GraphError(f"NodeDef is malformed: attribute {name!r} is no AttrValue") from error


@cache
def load() -> Eager:
    """TensorFlow, imported on the first call (seconds)."""
    return Eager()


def note_types(handle: EagerTensor, types: tuple[int, ...]) -> EagerTensor:
    """The handle, with the DataTypes of what it stands for noted on it."""
    handle._tflite_types = types
    return handle


def types_behind(handle: EagerTensor) -> tuple[int, ...]:
    """DataTypes noted on a handle: that of a variable, or of a table's keys and values; none if it has no note."""
    noted: tuple[int, ...] = getattr(handle, "_tflite_types", ())
    return noted


def _import() -> Any:
    """Import TensorFlow quietly. If nobody has before, leave the GPUs to others: it would take all of their memory."""
    with _import_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = "tensorflow" not in sys.modules
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import tensorflow as tf

        if first:
            tf.config.set_visible_devices([], "GPU")
    return tf


def _value(encoded: Any, type: str, name: str) -> Any:
    """An AttrValue as the executor takes it, if it is of the type that the operator declares."""
    kind = encoded.WhichOneof("value")
    listed = type.startswith("list(")
    expected = _FIELDS.get(type[5:-1] if listed else type)
    if expected is None or kind != ("list" if listed else expected):
        raise GraphError(f"attribute {name!r} is no {type}")
    if listed:
        return [_shape(item) if expected == "shape" else item for item in getattr(encoded.list, expected)]
    value = getattr(encoded, kind)
    return _shape(value) if expected == "shape" else value


def _count(arguments: Sequence[Any], attributes: Mapping[str, Any]) -> int:
    return sum(
        attributes[a.number_attr] if a.number_attr else len(attributes[a.type_list_attr]) if a.type_list_attr else 1
        for a in arguments
    )


def _shape(proto: Any) -> list[int] | None:
    return None if proto.unknown_rank else [dim.size for dim in proto.dim]


def _words(error: Any) -> str:
    """TensorFlow's message without the names that the eager executor wraps around it."""
    return _SUFFIX.sub("", _PREFIX.sub("", error.message))

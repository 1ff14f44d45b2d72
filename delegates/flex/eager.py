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
from typing import Any, TypeAlias

import numpy as np

from ...interpreter.errors import GraphError, KernelError, LimitError
from ...interpreter.format.nodedef import NodeDef

EagerTensor: TypeAlias = Any
CPU = "/job:localhost/replica:0/task:0/device:CPU:0"
STRING, RESOURCE = 7, 20  # values of DataType

_import_lock = threading.Lock()
_PREFIX = re.compile(r"^\{\{function_node [^}]*\}\} ")
_SUFFIX = re.compile(r" \[Op:\w*\]$")


@cache
def installed() -> bool:
    """Whether a TensorFlow is there to be imported."""
    return "tensorflow" in sys.modules or find_spec("tensorflow") is not None


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
        """A fresh array of a tensor's values, strings as bytes; a 0-d object array around a resource or variant."""
        if tensor.dtype in (self._tf.resource, self._tf.variant):
            boxed = np.empty((), object)
            boxed[()] = tensor
            return boxed
        value = tensor.numpy()
        return (
            value if isinstance(value, np.ndarray) else np.asarray(value, object if tensor.dtype == "string" else None)
        )

    def is_tensor(self, value: Any) -> bool:
        """Whether `value` is a tensor of TensorFlow."""
        return isinstance(value, self._tensor)

    def attributes(self, node: NodeDef) -> dict[str, Any]:
        """Attributes of a node as the executor takes them. Raises GraphError for an operator that is not there."""
        op_def = self._op_def(node.op)
        if op_def is None:
            raise GraphError(f"TensorFlow {self._tf.__version__} has no operator {node.op!r}")
        values = {a.name: a.default_value for a in op_def.attr if a.HasField("default_value")}
        for name, encoded in node.attributes.items():
            if not name.startswith("_"):
                values[name] = self._decoded(name, encoded)
        missing = [a.name for a in op_def.attr if a.name not in values]
        if missing:
            raise GraphError(f"NodeDef of {node.op} lacks the attribute {missing[0]!r}")
        return {name: self._value(value) for name, value in values.items()}

    def arity(self, op: str, attributes: Mapping[str, Any]) -> tuple[int, int]:
        """Numbers of operands and results, which the executor takes on trust."""
        op_def = self._op_def(op)
        return _count(op_def.input_arg, attributes), _count(op_def.output_arg, attributes)

    def constant(self, node: NodeDef) -> EagerTensor:
        """The value of a Const node."""
        try:
            value = self._tf.make_ndarray(self._decoded("value", node.attributes.get("value", b"")).tensor)
        except (TypeError, ValueError) as error:
            raise GraphError(f"the value of a Const node is malformed: {error}") from error
        return self.tensor(np.asarray(value))

    def execute(
        self, op: str, attributes: Sequence[Any], inputs: Sequence[EagerTensor], count: int
    ) -> Sequence[EagerTensor]:
        """Results of one operator; `attributes` alternates names and values.

        Raises KernelError with TensorFlow's words, LimitError where those are about memory.
        """
        try:
            return self._execute(self._context._handle, CPU, op, list(inputs), tuple(attributes), count)
        except self._tf.errors.ResourceExhaustedError as error:
            raise LimitError(_words(error), hint="Use smaller inputs.") from error
        except self._tf.errors.OpError as error:
            raise KernelError(_words(error)) from error

    def _decoded(self, name: str, encoded: bytes) -> Any:
        from google.protobuf.message import DecodeError

        try:
            return self._attr_value.FromString(encoded)
        except DecodeError as error:
            raise GraphError(f"NodeDef is malformed: attribute {name!r} is no AttrValue") from error

    def _value(self, value: Any) -> Any:
        kind = value.WhichOneof("value")
        if kind == "list":
            _, items = next(iter(value.list.ListFields()), (None, ()))
            return [_shape(item) if hasattr(item, "unknown_rank") else item for item in items]
        return _shape(value.shape) if kind == "shape" else getattr(value, kind) if kind else None


@cache
def load() -> Eager:
    """TensorFlow, imported on the first call (seconds)."""
    return Eager()


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

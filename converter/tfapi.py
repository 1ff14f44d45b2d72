"""The one door to TensorFlow: imported on first use, and every private name of it that we need stands here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from ..interpreter.errors import MissingDependencyError
from ..interpreter.graph import TensorType

TYPES: dict[int, TensorType] = {
    1: TensorType.FLOAT32,
    2: TensorType.FLOAT64,
    3: TensorType.INT32,
    4: TensorType.UINT8,
    5: TensorType.INT16,
    6: TensorType.INT8,
    7: TensorType.STRING,
    8: TensorType.COMPLEX64,
    9: TensorType.INT64,
    10: TensorType.BOOL,
    14: TensorType.BFLOAT16,
    17: TensorType.UINT16,
    18: TensorType.COMPLEX128,
    19: TensorType.FLOAT16,
    20: TensorType.RESOURCE,
    21: TensorType.VARIANT,
    22: TensorType.UINT32,
    23: TensorType.UINT64,
}
"""Tensor type by number of TensorFlow's DataType (types.proto); a .tflite file has no counterpart of the others."""

Dims = tuple[int | None, ...] | None
"""A shape, None for an unknown dimension; None for an unknown rank."""


@cache
def tensorflow() -> Any:
    """The module `tensorflow`. Raises MissingDependencyError where it can't be imported."""
    try:
        import tensorflow as tf
    except ImportError as error:
        hint = "Install it with: pip install 'tflite-cupy[convert]'."
        raise MissingDependencyError(f"converting a model needs TensorFlow: {error}.", hint=hint) from error
    return tf


@cache
def op_def(name: str) -> Any:
    """OpDef of a registered operator, None if there is none of this name."""
    tensorflow()
    from tensorflow.python.framework import op_def_registry

    return op_def_registry.get(name)


def is_stateful(name: str) -> bool:
    """Whether TensorFlow marks an operator as stateful; unknown operators count as such."""
    definition = op_def(name)
    return definition is None or bool(definition.is_stateful)


def argument_types(node: Any) -> tuple[int, ...]:
    """DataTypes of a NodeDef's data inputs."""
    types: list[int] = []
    for argument in op_def(node.op).input_arg:
        if argument.type_list_attr:
            types += node.attr[argument.type_list_attr].list.type
        else:
            count = node.attr[argument.number_attr].i if argument.number_attr else 1
            types += [node.attr[argument.type_attr].type if argument.type_attr else argument.type] * count
    return tuple(types)


def variable_names(function: Any) -> dict[int, str]:
    """Names of the variables that a ConcreteFunction uses, by `id` of their handles."""
    try:
        variables = function.variables
    except AssertionError:  # the Python objects are gone; their values may still be there
        return {}
    return {id(v.handle): v.name.partition(":")[0] for v in variables if hasattr(v, "handle")}


def handle_type(handle: Any) -> tuple[int, Dims] | None:
    """(DataType, shape) of the variable behind a resource handle; None for a handle of something else."""
    data = getattr(handle, "_handle_data", None)
    if data is None or not data.is_set or not data.shape_and_type:
        return None
    entry = data.shape_and_type[0]
    return int(entry.dtype), proto_dims(entry.shape)


def read_variable(handle: Any, dtype: int) -> np.ndarray:
    """Current value of the variable behind a handle, shared, not copied. Raises tf.errors.OpError if there is none."""
    tf = tensorflow()
    if not tf.raw_ops.VarIsInitializedOp(resource=handle):  # reading it might give nothing instead of an error
        raise tf.errors.FailedPreconditionError(None, None, "it was never initialised")
    value = tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)
    try:
        return np.asarray(memoryview(value))
    except (TypeError, ValueError, BufferError):  # strings and types that Python's buffers lack
        return as_array(value)


def write_variable(handle: Any, value: np.ndarray, dtype: int) -> None:
    """Give the variable behind a handle a value."""
    tf = tensorflow()
    tf.raw_ops.AssignVariableOp(resource=handle, value=tf.constant(value, tf.as_dtype(dtype)))


def call_flat(function: Any, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What a ConcreteFunction gives for its own arguments, both as flat lists. Raises tf.errors.OpError."""
    tf = tensorflow()
    own = function.graph.inputs[: len(inputs)]
    tensors = [tf.constant(array, tensor.dtype) for array, tensor in zip(inputs, own, strict=True)]
    results = tf.nest.flatten(function._call_flat(tensors, function.captured_inputs), expand_composites=True)
    return [as_array(result) for result in results if result is not None]


def as_array(tensor: Any) -> np.ndarray:
    """The value of an eager tensor; strings are objects, of rank 0 too."""
    value = tensor.numpy()
    return np.array(value, object) if isinstance(value, bytes) else np.asarray(value)


def export_table(handle: Any, key_type: int, value_type: int) -> tuple[np.ndarray, np.ndarray]:
    """Keys and values that a lookup table holds now. Raises tf.errors.OpError if it is not initialised."""
    export = tensorflow().raw_ops.LookupTableExportV2
    keys, values = (t.numpy() for t in export(table_handle=handle, Tkeys=key_type, Tvalues=value_type))
    return (keys, values) if keys.ndim == 1 or keys.shape[1] != 1 else _export_dense(handle, keys[:, 0], values)


def _export_dense(handle: Any, keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A dense table exports all of its slots: those not in use repeat one key. Scalars come as rows of one."""
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    used = np.sort(first[counts == 1])
    keys, values = keys[used], values[used]
    try:
        default = np.zeros((), values.dtype) if values.dtype != object else b""
        tensorflow().raw_ops.LookupTableFindV2(table_handle=handle, keys=keys[:1], default_value=default)
    except tensorflow().errors.OpError:
        return keys, values
    return keys, values[:, 0]


SHAPED_TABLES = ("MutableHashTableOfTensorsV2", "MutableDenseHashTableV2")
"""Tables that say what shape their values have."""


def table_operator(
    name: str, key_type: int, value_type: int, value_shape: tuple[int, ...], unused: tuple[np.ndarray, np.ndarray]
) -> bool:
    """Whether TensorFlow has a table of these types under an operator's name; `unused` are keys for a dense one."""
    make = getattr(tensorflow().raw_ops, f"Anonymous{name.removesuffix('V2')}")
    extra: dict[str, Any] = {"value_shape": value_shape} if name in SHAPED_TABLES else {}
    if "Dense" in name:
        extra |= {"empty_key": unused[0], "deleted_key": unused[1]}
    else:
        extra["key_dtype"] = key_type
    try:
        make(value_dtype=value_type, **extra)
    except tensorflow().errors.OpError:
        return False
    return True


def node_def(
    op: str,
    name: str,
    types: Mapping[str, int],
    shapes: Mapping[str, Dims] | None = None,
    counts: Mapping[str, int] | None = None,
) -> Any:
    """A NodeDef with attributes that are DataTypes, others that are shapes, and others that are numbers."""
    definition = tensorflow().compat.v1.NodeDef(name=name, op=op)
    for key, number in types.items():
        definition.attr[key].type = number
    for key, dims in (shapes or {}).items():
        definition.attr[key].shape.CopyFrom(tensorflow().TensorShape(dims).as_proto())
    for key, count in (counts or {}).items():
        definition.attr[key].i = count
    return definition


def fill_table(handle: Any, keys: np.ndarray, values: np.ndarray, key_type: int, value_type: int) -> None:
    """Let a lookup table hold these keys and values and no others."""
    tf = tensorflow()
    keys, values = tf.constant(keys, tf.as_dtype(key_type)), tf.constant(values, tf.as_dtype(value_type))
    tf.raw_ops.LookupTableImportV2(table_handle=handle, keys=keys, values=values)


def dismantle(graph: Any) -> None:
    """Free a tf.Graph that is no longer used: it is one of reference cycles, which the garbage collector finds late."""
    from tensorflow.python.framework import ops

    ops.dismantle_graph(graph)


def proto_dims(shape: Any) -> Dims:
    """A TensorShapeProto as plain numbers."""
    return None if shape.unknown_rank else tuple(None if d.size < 0 else int(d.size) for d in shape.dim)


def shape_dims(shape: Any) -> Dims:
    """A tf.TensorShape as plain numbers."""
    return None if shape.rank is None else tuple(shape.as_list())


def merged(dims: Dims, more: Dims) -> Dims:
    """What two descriptions of one shape say together."""
    if dims is None or more is None or len(dims) != len(more):
        return more if dims is None else dims
    return tuple(b if a is None else a for a, b in zip(dims, more, strict=True))


def decode_attr(value: Any) -> Any:
    """An AttrValue as Python data: str, int, float, bool, DataType number, dims, ndarray, function name, or a tuple."""
    kind = value.WhichOneof("value")
    if kind == "list":
        _, items = next(((f, v) for f, v in value.list.ListFields()), (None, ()))
        return tuple(_plain(item) for item in items)
    return None if kind is None else _plain(getattr(value, kind))


def _plain(item: Any) -> Any:
    if isinstance(item, bytes):
        return item.decode(errors="surrogateescape")
    if isinstance(item, int | float | bool):
        return item
    if hasattr(item, "tensor_shape"):
        return tensorflow().make_ndarray(item)
    if hasattr(item, "unknown_rank"):
        return proto_dims(item)
    return item.name

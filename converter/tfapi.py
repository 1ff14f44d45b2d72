"""The one door to TensorFlow: imported on first use, and every private name of it that we need stands here."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ..interpreter.errors import ConversionError, MissingDependencyError
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
    value = tensorflow().raw_ops.ReadVariableOp(resource=handle, dtype=dtype)
    try:
        return np.asarray(memoryview(value))
    except (TypeError, ValueError, BufferError):  # strings and types that Python's buffers lack
        return np.asarray(value.numpy())


def export_table(handle: Any, key_type: int, value_type: int) -> tuple[np.ndarray, np.ndarray]:
    """Keys and values that a lookup table holds now. Raises tf.errors.OpError if it is not initialised."""
    export = tensorflow().raw_ops.LookupTableExportV2
    keys, values = export(table_handle=handle, Tkeys=key_type, Tvalues=value_type)
    return keys.numpy(), values.numpy()


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


def keras_inputs(model: Any) -> tuple[Any, list[str]]:
    """Inputs of a built Keras model as nested TensorSpecs, and their names in tf.nest order.

    Raises ConversionError if the model does not know its inputs yet.
    """
    tf = tensorflow()
    _require_tensorflow_backend(model)
    structure = getattr(model, "_inputs_struct", None)
    if structure is None:
        inputs = _declared_inputs(model)
        structure = inputs[0] if len(inputs) == 1 else inputs
    leaves = tf.nest.flatten(structure)
    names = [getattr(leaf, "name", None) or f"input_{i}" for i, leaf in enumerate(leaves)]
    specs = [tf.TensorSpec(leaf.shape, leaf.dtype) for leaf in leaves]
    return tf.nest.pack_sequence_as(structure, specs), names


def _require_tensorflow_backend(model: Any) -> None:
    """Raise ConversionError for a Keras 3 model that computes with JAX or PyTorch."""
    if not any(base.__module__.startswith("keras.") for base in type(model).__mro__):
        return
    import keras

    if keras.backend.backend() != "tensorflow":
        hint = "Set the environment variable KERAS_BACKEND=tensorflow before importing Keras."
        raise ConversionError(
            f"the Keras model computes with {keras.backend.backend()}, not with TensorFlow.", hint=hint
        )


def _declared_inputs(model: Any) -> list[Any]:
    try:
        inputs = list(model.inputs or ())
    except (AttributeError, ValueError):
        inputs = []
    shapes = getattr(model, "_build_shapes_dict", None) or {}
    if not inputs and shapes:
        tf = tensorflow()
        dtype = getattr(model, "input_dtype", "float32")
        inputs = [tf.TensorSpec((None, *shape[1:]), dtype, name=name.removesuffix("_shape"))
                  for name, shape in shapes.items()]  # fmt: skip
    if not inputs:
        text = f"the Keras model {getattr(model, 'name', '')!r} does not know the shapes of its inputs yet."
        raise ConversionError(text, hint="Build it, or call it once on an example, before converting it.")
    return inputs

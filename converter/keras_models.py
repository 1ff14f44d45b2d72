"""Keras models as functions of their inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..interpreter.errors import ConversionError
from .tfapi import tensorflow


def traced(model: Any) -> tuple[Any, list[str]]:
    """The ConcreteFunction of a built Keras model in inference mode, and the names of its inputs, in its order.

    Raises ConversionError if the model does not know its inputs yet.
    """
    tf = tensorflow()
    if not callable(model):
        raise ConversionError(f"from_keras_model takes a Keras model, got {type(model).__name__}")
    _require_tensorflow_backend(model)
    function = tf.function(lambda given: model(given, training=False))
    inputs = _declared(model)
    if inputs is None:
        inputs = _built_for(model)
        if len(inputs) == 1:
            inputs = next(iter(inputs.values()))
        else:
            function = tf.function(lambda given: model(**given, training=False))
    leaves = tf.nest.flatten(inputs)
    names = [getattr(leaf, "name", None) or f"input_{i}" for i, leaf in enumerate(leaves)]
    specs = [tf.TensorSpec(leaf.shape, leaf.dtype) for leaf in leaves]
    try:
        return function.get_concrete_function(tf.nest.pack_sequence_as(inputs, specs)), names
    except (TypeError, ValueError) as error:
        hint = "Convert a tf.function that calls it: from_concrete_functions({'serving_default': function})."
        reason = str(error).strip().splitlines()[-1].strip()  # above it, the frames of the traced code
        raise ConversionError(f"the Keras model could not be traced: {reason}.", hint=hint) from error


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


def _declared(model: Any) -> Any:
    """The inputs that a model declares, None if it declares none."""
    structure = getattr(model, "_inputs_struct", None)
    if structure is not None:
        return structure
    try:
        inputs = list(model.inputs or ())
    except (AttributeError, ValueError):
        return None
    return inputs[0] if len(inputs) == 1 else inputs or None


def _built_for(model: Any) -> dict[str, Any]:
    """The arguments that a model was built for, as nested TensorSpecs by name; their first dimension is the batch.

    Keras remembers no types: they have the model's own.
    """
    shapes = getattr(model, "_build_shapes_dict", None)
    if not shapes:
        text = f"the Keras model {getattr(model, 'name', '')!r} does not know the shapes of its inputs yet."
        raise ConversionError(text, hint="Build it, or call it once on an example, before converting it.")
    dtype = getattr(model, "input_dtype", "float32")
    names = {key: key.removesuffix("_shape") for key in shapes}
    return {name: _specs(shapes[key], name, dtype) for key, name in names.items() if shapes[key] is not None}


def _specs(shapes: Any, name: str, dtype: str) -> Any:
    """Shapes in nested dicts and lists as TensorSpecs called by their keys."""
    if isinstance(shapes, Mapping):
        return {key: _specs(shape, key, dtype) for key, shape in shapes.items()}
    if all(size is None or isinstance(size, int) for size in shapes):
        return tensorflow().TensorSpec((None, *shapes[1:]), dtype, name=name)
    return [_specs(shape, f"{name}_{i}", dtype) for i, shape in enumerate(shapes)]

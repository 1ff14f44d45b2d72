"""The three ways into the converter; each ends in entries: signature key, function, names of inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..interpreter.errors import ConversionError
from .functions import Body, Library, graph_body
from .inline import Argument, Spec
from .resources import Resources
from .tfapi import keras_inputs, shape_dims, tensorflow, variable_names


@dataclass(frozen=True, eq=False)
class Entry:
    """A signature to be: its function and the names of the function's inputs and outputs, in order."""

    key: str
    function: Any  # ConcreteFunction
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def body(self, functions: Library) -> Body:
        """The function's graph; the functions that it calls go into `functions`."""
        graph = self.function.graph
        definition = graph.as_graph_def(add_shapes=True)
        functions.add(definition.library.function)
        return graph_body(self.key, definition, [t.op.name for t in graph.inputs], [t.name for t in graph.outputs])

    def arguments(self, resources: Resources) -> list[Argument]:
        """What the body is called with: the signature's inputs, then what the function captured."""
        captured = self.function.captured_inputs
        tensors = self.function.graph.inputs
        own = tensors[: len(tensors) - len(captured)]
        names = variable_names(self.function)
        inside = [t.op.name for t in tensors[len(own) :]]
        given: list[Argument] = [Spec(t.dtype.as_datatype_enum, shape_dims(t.shape)) for t in own]
        pairs = zip(captured, inside, strict=True)
        return given + [resources.capture(tensor, names.get(id(tensor), name)) for tensor, name in pairs]


@dataclass(frozen=True, eq=False)
class Source:
    """What is converted. `keepalive` owns the variables: without it TensorFlow deletes them."""

    entries: tuple[Entry, ...]
    keepalive: Any = field(default=None, repr=False)


def load_saved_model(path: str, signature_keys: Sequence[str] | None) -> Source:
    """Signatures of a SavedModel folder; all of them if `signature_keys` is empty."""
    try:
        model = tensorflow().saved_model.load(str(path))
    except (OSError, tensorflow().errors.OpError) as error:
        raise ConversionError(f"the SavedModel could not be loaded: {error}", where=str(path)) from error
    found = dict(model.signatures)
    keys = list(signature_keys or found)
    if not keys:
        raise ConversionError("Only support at least one signature key.", hint="Save the model with `signatures=`.")
    for key in keys:
        if key not in found:
            raise ConversionError(f"Invalid signature key '{key}' found. Valid keys are '{','.join(found)}'.")
    if not signature_keys and hasattr(model, "serve") and {"serve", "serving_default"} <= set(keys):
        keys.remove("serve")  # Keras' `model.export` stores one function under both keys
    return Source(tuple(_entry(key, found[key]) for key in keys), model)


def load_keras(model: Any) -> Source:
    """A Keras model in inference mode, as signature `serving_default`."""
    tf = tensorflow()
    if not callable(model):
        raise ConversionError(f"from_keras_model takes a Keras model, got {type(model).__name__}")
    structure, names = keras_inputs(model)
    function = tf.function(lambda inputs: model(inputs, training=False))
    concrete = function.get_concrete_function(structure)
    return Source((_entry("serving_default", concrete, names),), model)


def load_functions(functions: Any, trackable: Any = None) -> Source:
    """ConcreteFunctions under their own names, or functions under the keys of a dict."""
    tf = tensorflow()
    if not functions:
        raise ConversionError("No ConcreteFunction is specified.")
    if isinstance(functions, Mapping):
        entries = tuple(_entry(str(key), _concrete(str(key), f)) for key, f in functions.items())
        return Source(entries, (trackable, functions))
    entries = ()
    for function in functions if isinstance(functions, Sequence) else [functions]:
        if not isinstance(function, _concrete_type(tf)):
            text = "This function takes in a list of ConcreteFunction."
            raise ConversionError(f"{text} To get the ConcreteFunction from a Function, call get_concrete_function.")
        entries += (_entry(function.graph.name, function),)
    keys = [e.key for e in entries]
    for key in keys:
        if keys.count(key) > 1:
            hint = f"Pass a dict: from_concrete_functions({{'{key}_1': f, '{key}_2': g}})."
            raise ConversionError(f"several functions are called {key!r}; a signature key is unique.", hint=hint)
    return Source(entries, (trackable, functions))


def _concrete_type(tf: Any) -> Any:
    return tf.types.experimental.ConcreteFunction


def _concrete(key: str, function: Any) -> Any:
    tf = tensorflow()
    if isinstance(function, _concrete_type(tf)):
        return function
    if not hasattr(function, "get_concrete_function"):
        got = type(function).__name__
        raise ConversionError(f"signature {key!r} needs a tf.function or a ConcreteFunction, got {got}")
    try:
        return function.get_concrete_function()
    except (TypeError, ValueError) as error:
        hint = "Give it an `input_signature`, or pass the result of its get_concrete_function(...)."
        raise ConversionError(f"the function of signature {key!r} could not be traced: {error}.", hint=hint) from error


def _entry(key: str, function: Any, inputs: Sequence[str] | None = None) -> Entry:
    """Names as the function declares them: arguments, keys of dicts, `output_<i>` for results without a name."""
    graph = function.graph
    own = graph.inputs[: len(graph.inputs) - len(function.captured_inputs)]
    names = list(inputs) if inputs is not None else _input_names(function, own)
    outputs = _output_names(function.structured_outputs)
    if len(names) != len(own) or len(outputs) != len(graph.outputs):
        text = f"inputs {names} and outputs {outputs} do not match the function's tensors."
        raise ConversionError(text, where=f"signature {key!r}", hint="Use plain tensors, lists and dicts of them.")
    return Entry(key, function, _unique(names), _unique(outputs))


def _input_names(function: Any, tensors: Sequence[Any]) -> list[str]:
    positional, keywords = function.structured_input_signature
    leaves = [*_leaves(positional), *_leaves(keywords)]
    paths = [path[1:] for path, leaf in leaves if hasattr(leaf, "dtype")]
    if len(paths) != len(tensors):
        return [t.op.name for t in tensors]
    bases = [_argument_name(t) for t in tensors]
    last = [path[-1] if path else base for base, path in zip(bases, paths, strict=True)]
    plain = [isinstance(n, str) and last.count(n) == 1 for n in last]
    joined = ["_".join(map(str, (base, *path))) for base, path in zip(bases, paths, strict=True)]
    return [str(n) if use else long for n, use, long in zip(last, plain, joined, strict=True)]


def _argument_name(tensor: Any) -> str:
    given = tensor.op.node_def.attr["_user_specified_name"].s.decode()
    return given or str(tensor.op.name)


def _output_names(structure: Any) -> list[str]:
    leaves = [path for path, leaf in _leaves(structure) if hasattr(leaf, "dtype")]
    if not isinstance(structure, Mapping):
        return [f"output_{i}" for i in range(len(leaves))]
    return ["_".join(map(str, path)) for path in leaves]


def _leaves(structure: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """(path, leaf) in the order of tf.nest: dicts by sorted key."""
    if isinstance(structure, Mapping):
        for key in sorted(structure):
            yield from _leaves(structure[key], (*path, key))
    elif isinstance(structure, list | tuple):
        for i, item in enumerate(structure):
            yield from _leaves(item, (*path, i))
    else:
        yield path, structure


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    taken: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in taken:
            candidate, number = f"{name}_{number}", number + 1
        taken.append(candidate)
    return tuple(taken)

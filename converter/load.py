"""The three ways into the converter; each ends in entries: signature key, function, names of inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..interpreter.errors import ConversionError, did_you_mean
from .functions import Body, Library, graph_body
from .inline import Argument, Spec
from .keras_models import traced
from .names import input_names, output_names, unique
from .resources import Resources
from .tfapi import shape_dims, tensorflow, variable_names


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
        functions.add_those_of(definition)
        return graph_body(self.key, definition, [t.op.name for t in graph.inputs], [t.name for t in graph.outputs])

    @property
    def specs(self) -> list[Spec]:
        """Types and shapes of the inputs."""
        own = self.function.graph.inputs[: len(self.inputs)]
        return [Spec(t.dtype.as_datatype_enum, shape_dims(t.shape)) for t in own]

    def arguments(self, resources: Resources) -> list[Argument]:
        """What the body is called with: the signature's inputs, then what the function captured."""
        names = variable_names(self.function)
        inside = [t.op.name for t in self.function.graph.inputs[len(self.inputs) :]]
        pairs = zip(self.function.captured_inputs, inside, strict=True)
        return [*self.specs, *(resources.capture(tensor, names.get(id(tensor), name)) for tensor, name in pairs)]


@dataclass(frozen=True, eq=False)
class Source:
    """What is converted. `keepalive` owns the variables: without it TensorFlow deletes them."""

    entries: tuple[Entry, ...]
    keepalive: Any = field(default=None, repr=False)


def load_saved_model(path: str, signature_keys: Sequence[str] | None) -> Source:
    """Signatures of a SavedModel folder, all of them if `signature_keys` is empty. Keys that are no signatures may be
    names of functions of the model, as models are published that have functions only."""
    try:
        model = tensorflow().saved_model.load(str(path))
    except (OSError, tensorflow().errors.OpError) as error:
        raise ConversionError(f"the SavedModel could not be loaded: {error}", where=str(path)) from error
    found = dict(model.signatures)
    functions = {name: f for name, f in vars(model).items() if hasattr(f, "concrete_functions")}
    keys = list(signature_keys or found)
    if not keys:
        has = "; ".join(f"{name}: {_traces(f)}" for name, f in sorted(functions.items()))
        hint = f"Name functions of the model as signature keys; it has {has}." if has else "Save it with `signatures=`."
        raise ConversionError("Only support at least one signature key.", where=str(path), hint=hint)
    if not signature_keys and hasattr(model, "serve") and {"serve", "serving_default"} <= set(keys):
        keys.remove("serve")  # Keras' `model.export` stores one function under both keys
    return Source(tuple(_entry(key, found.get(key) or _traced(key, functions, list(found))) for key in keys), model)


def _traced(key: str, functions: Mapping[str, Any], signatures: Sequence[str]) -> Any:
    """The one trace of a function of a SavedModel that is no signature."""
    if key not in functions:
        hint = did_you_mean(key, [*signatures, *functions]).strip()
        keys = ",".join(signatures or functions)
        raise ConversionError(f"Invalid signature key '{key}' found. Valid keys are '{keys}'.", hint=hint)
    traces = functions[key].concrete_functions
    if len(traces) != 1:
        hint = "Load the model, and pass the one that you mean to from_concrete_functions({key: function})."
        text = f"function {key!r} was saved with {len(traces)} traces: {_traces(functions[key])}."
        raise ConversionError(text, hint=hint)
    return traces[0]


def _traces(function: Any) -> str:
    """What arguments a function was saved for."""
    traces = [trace.structured_input_signature for trace in function.concrete_functions]
    texts = [", ".join(map(_brief, [*positional, *keywords.values()])) for positional, keywords in traces]
    return " or ".join(f"({text})" for text in texts) or "never traced"


def _brief(argument: Any) -> str:
    if not hasattr(argument, "shape") or not hasattr(argument, "dtype"):
        return repr(argument)
    dims = shape_dims(argument.shape)
    shape = "unknown" if dims is None else "[" + ", ".join("?" if n is None else str(n) for n in dims) + "]"
    return f"{argument.dtype.name} {shape}"


def load_keras_file(path: str) -> Source:
    """The model of a `.keras` or `.h5` file."""
    try:
        model = tensorflow().keras.models.load_model(str(path), compile=False)
    except (OSError, TypeError, ValueError, tensorflow().errors.OpError) as error:
        raise ConversionError(f"the Keras model could not be loaded: {error}", where=str(path)) from error
    return load_keras(model)


def load_keras(model: Any) -> Source:
    """A Keras model in inference mode, as signature `serving_default`."""
    function, names = traced(model)
    return Source((_entry("serving_default", function, names),), model)


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
    """The signature of a function; `inputs` are names where its arguments do not have those that people know."""
    graph = function.graph
    own = graph.inputs[: len(graph.inputs) - len(function.captured_inputs)]
    names = unique(inputs) if inputs is not None else input_names(function, own)
    outputs = output_names(function.structured_outputs)
    where, hint = f"signature {key!r}", "Use tensors, and lists, tuples and dicts of them."
    if len(names) != len(own) or len(outputs) != len(graph.outputs):
        text = f"inputs {list(names)} and outputs {list(outputs)} do not match the function's tensors."
        raise ConversionError(text, where=where, hint=hint)
    for name, tensor in (*zip(names, own, strict=True), *zip(outputs, graph.outputs, strict=True)):
        if tensor.dtype in (tensorflow().resource, tensorflow().variant):
            raise ConversionError(
                f"{name!r} is a {tensor.dtype.name}, which no signature can pass.", where=where, hint=hint
            )
    return Entry(key, function, names, outputs)

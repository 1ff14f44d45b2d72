"""The operator class behind a custom operator whose meaning is a user's Python function; `custom_op` makes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np

from ..errors import InputError, KernelError, ModelError, TfliteError
from ..format.flexbuffer import read_flexbuffer
from ..graph import Array, Node, TensorSpec, TensorType
from .base import ANY, Op, TypeSet

Function = Callable[..., Any]
ARRAY_MODULE, NODE, OPTIONS = "xp", "node", "custom_options"  # parameters that are neither operands nor attributes


@dataclass(frozen=True, eq=False)
class Parameters:
    """What a body asks for, read from its signature. Raises InputError for a function that can't be a body."""

    function: Function
    by_name: Mapping[str, inspect.Parameter] = field(init=False)

    def __post_init__(self) -> None:
        try:
            by_name = dict(inspect.signature(self.function).parameters)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{self.function!r} can't be the body of a custom operator: {error}.", hint="Wrap it in a function."
            ) from error
        object.__setattr__(self, "by_name", by_name)
        if self.asks_for(OPTIONS) and (self.attributes or self.any_attribute):
            what = f"{function_name(self.function)} takes both {OPTIONS} and attributes."
            raise InputError(what, hint=f"Read attributes from the bytes, or leave {OPTIONS} out.")

    @property
    def takes_module(self) -> bool:
        """Whether the first parameter is the array module."""
        return next(iter(self.by_name), "") == ARRAY_MODULE

    @property
    def operands(self) -> tuple[inspect.Parameter, ...]:
        """Positional parameters, `*inputs` among them."""
        named = [p for p in self.by_name.values() if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
        return tuple(named[self.takes_module :])

    @property
    def attributes(self) -> dict[str, inspect.Parameter]:
        """Keyword-only parameters, but for those that ask for the node or its raw options."""
        return {n: p for n, p in self.by_name.items() if p.kind is p.KEYWORD_ONLY and n not in (NODE, OPTIONS)}

    @property
    def any_attribute(self) -> bool:
        """Whether there is a `**attributes`."""
        return any(p.kind is p.VAR_KEYWORD for p in self.by_name.values())

    def asks_for(self, keyword: str) -> bool:
        """Whether the function is to be given this keyword argument if there is one."""
        found = self.by_name.get(keyword)
        if found is None:
            return self.any_attribute and keyword not in (NODE, OPTIONS)
        return found.kind is found.KEYWORD_ONLY

    def run_signature(self) -> inspect.Signature:
        """The signature that `Op.run` has for an op with these operands."""
        kind = inspect.Parameter.POSITIONAL_ONLY
        bound = [inspect.Parameter(name, kind) for name in ("self", "xp")]
        named = [p if p.kind is p.VAR_POSITIONAL else p.replace(kind=kind) for p in self.operands]
        return inspect.Signature([*bound, *named])


class Definition(Protocol):
    """What `PythonOp` needs to know of a custom operator."""

    @property
    def parameters(self) -> Parameters:
        """Of the body that runs on the host, and on a GPU too if it takes the array module."""

    @property
    def gpu_parameters(self) -> Parameters | None:
        """Of the body that runs on a GPU instead, if there is one."""

    @property
    def shape_function(self) -> Parameters | None:
        """Of the function from operand specs to output shapes, if there is one."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PythonOp(Op):
    """A node of a custom operator that a Python function computes; each operator is a subclass (`op_class`)."""

    definition: ClassVar[Definition]

    values: Mapping[str, Any] = field(default_factory=dict)  # attributes as the options hold them
    custom_options: bytes = b""
    unreadable: str = ""  # why the options are no attributes
    label: str = ""
    where: str = ""

    @classmethod
    def read_options(cls, node: Node, where: str) -> Mapping[str, Any]:
        place = {"custom_options": node.custom_options, "label": str(node), "where": where}
        if cls.definition.parameters.asks_for(OPTIONS) or not node.custom_options:
            return place
        try:
            values = read_flexbuffer(node.custom_options)
        except ModelError as error:
            return {**place, "unreadable": error.what.rstrip(".")}
        if not isinstance(values, dict):
            return {**place, "unreadable": f"they are a FlexBuffer of a {type(values).__name__}"}
        return {**place, "values": values}

    def refuses(self, *inputs: Any) -> str | None:
        parameters = self.definition.parameters
        if self.unreadable:
            return (
                f"custom operator {self.name} has options that are no map of attributes ({self.unreadable}); "
                f"its function may take the bytes as a keyword-only parameter `{OPTIONS}`."
            )
        unknown = [name for name in self.values if name not in parameters.attributes]
        if unknown and not parameters.any_attribute:
            taken = ", ".join(parameters.attributes) or "none"
            names = ", ".join(unknown)
            return (
                f"custom operator {self.name} got attributes that its function does not take: {names} (takes {taken})."
            )
        missing = [n for n, p in parameters.attributes.items() if p.default is p.empty and n not in self.values]
        if missing:
            return f"custom operator {self.name} needs attributes that the model does not give: {', '.join(missing)}."
        return None

    @cached_property
    def keywords(self) -> dict[str, Any]:
        """Everything that a function may ask for by keyword."""
        known = self.definition.parameters.attributes
        attributes = {n: _as_declared(v, known[n]) if n in known else v for n, v in self.values.items()}
        return {**attributes, NODE: self, OPTIONS: self.custom_options}

    def infer(self, *inputs: Any) -> tuple[TensorSpec, ...]:
        shape_function = self.definition.shape_function
        if shape_function is None:
            return tuple(replace(spec, shape=None, value=None) for spec in self.outs)
        found = _listed(self._call(shape_function, inputs))
        if len(found) != len(self.outs):
            raise KernelError(
                f"the shape function of {self.name} gave {len(found)} shapes, the node has {len(self.outs)} outputs."
            )
        return tuple(self._spec(position, shape) for position, shape in enumerate(found))

    def _spec(self, position: int, found: Any) -> TensorSpec:
        if isinstance(found, TensorSpec):
            return replace(found, value=None)
        if found is not None and not (_is_shape(found) and all(size >= 0 for size in found)):
            raise KernelError(f"the shape function of {self.name} gave {found!r} for output {position}, no shape.")
        return replace(self.outs[position], shape=None if found is None else tuple(map(int, found)), value=None)

    def run(self, xp: Any, *inputs: Array | None) -> tuple[Array, ...]:
        """What the body gives, checked against the node's outputs and the shape function."""
        on_host = xp is np
        body = self.definition.parameters if on_host else self.definition.gpu_parameters or self.definition.parameters
        operands = [_read_only(x) if isinstance(x, np.ndarray) else x for x in inputs]
        result = self._call(body, [xp, *operands] if body.takes_module else operands)
        results = result if isinstance(result, tuple) else () if result is None else (result,)
        if len(results) != len(self.outs):
            raise self._error(f"gave {len(results)} results, expected {len(self.outs)}, one for each output.")
        expected = self.infer(*self._specs_of(inputs))
        pairs = zip(results, expected, strict=True)
        return tuple(self._checked(xp, position, value, spec) for position, (value, spec) in enumerate(pairs))

    def _specs_of(self, inputs: Sequence[Array | None]) -> list[TensorSpec | None]:
        pairs = zip(inputs, self.ins, strict=True)
        return [
            None if x is None or spec is None else replace(spec, shape=getattr(x, "shape", None)) for x, spec in pairs
        ]

    def _checked(self, xp: Any, position: int, value: Any, expected: TensorSpec) -> Array:
        declared = self.outs[position]
        array = value if hasattr(value, "dtype") else self._converted(xp, position, value, declared)
        if declared.type is TensorType.STRING and array.dtype.kind in "SU":
            array = array.astype(object)
        if array.dtype != declared.dtype:
            hint = f"Convert it: result.astype({declared.dtype.name!r})."
            raise self._error(f"gave {array.dtype} as output {position}, the node has {declared.dtype}.", hint)
        if expected.shape is not None and tuple(array.shape) != expected.shape:
            raise self._error(
                f"gave output {position} of shape {tuple(array.shape)}, its shape function said {expected.shape}."
            )
        return _as_bytes(array) if declared.type is TensorType.STRING else array

    def _converted(self, xp: Any, position: int, value: Any, declared: TensorSpec) -> Array:
        """Python numbers, strings and lists of them as an array."""
        try:
            return xp.asarray(value, dtype=declared.dtype)
        except (TypeError, ValueError) as error:
            raise self._error(
                f"gave a {type(value).__name__} as output {position}, the node has {declared.dtype}: {error}."
            ) from error

    def _call(self, function: Parameters, arguments: Sequence[Any]) -> Any:
        """Raises KernelError that names the node, caused by whatever the function raised."""
        keywords = {name: value for name, value in self.keywords.items() if function.asks_for(name)}
        try:
            return function.function(*arguments, **keywords)
        except (TfliteError, MemoryError):
            raise
        except Exception as error:  # a user's function may raise anything
            name = function_name(function.function)
            raise self._error(f"failed: {name} raised {type(error).__name__}: {error}") from error

    def _error(self, what: str, hint: str = "") -> KernelError:
        return KernelError(f"custom operator {self.name} {what} (in {self.label})", where=self.where, hint=hint)


def op_class(name: str, definition: Definition, types: tuple[TypeSet, ...], *, effects: bool) -> type[PythonOp]:
    """The operator class of a custom operator."""

    def run(self: PythonOp, xp: Any, *inputs: Array | None) -> tuple[Array, ...]:
        return PythonOp.run(self, xp, *inputs)

    run.__signature__ = definition.parameters.run_signature()  # type: ignore[attr-defined]
    members = {
        "__doc__": definition.parameters.function.__doc__,
        "name": name,
        "types": types or (ANY,),
        "versions": 2**31 - 1,  # what versions mean is the function's to know: `node.version`
        "effects": effects,
        "pure": not effects,
        "host_only": not definition.parameters.takes_module and definition.gpu_parameters is None,
        "definition": definition,
        "run": run,
    }
    return type(name, (PythonOp,), members)


def function_name(function: Function) -> str:
    """As errors name it: module and qualified name."""
    name = getattr(function, "__qualname__", None)
    return repr(function) if name is None else f"{function.__module__}.{name}"


def _as_declared(value: Any, parameter: inspect.Parameter) -> Any:
    """FlexBuffers hold bytes for text, and 1 for 1.0 or True: as the parameter's default or annotation has it."""
    kinds = {type(parameter.default).__name__}
    if parameter.default in (parameter.empty, None):
        kinds = set(getattr(parameter.annotation, "__name__", str(parameter.annotation)).split(" | "))
    if "str" in kinds and isinstance(value, bytes):
        return value.decode(errors="replace")
    if "bool" in kinds and isinstance(value, int):
        return bool(value)
    return float(value) if "float" in kinds and isinstance(value, int) else value


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple | list) and all(isinstance(size, int | np.integer) for size in value)


def _listed(found: Any) -> Sequence[Any]:
    """What a shape function gave, one entry per output: it may give a single shape or spec as it is."""
    return found if isinstance(found, tuple | list) and not _is_shape(found) else [found]


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _as_bytes(strings: np.ndarray) -> np.ndarray:
    if all(type(text) is bytes for text in strings.ravel()):
        return strings
    encoded = [text.encode() if isinstance(text, str) else bytes(text) for text in strings.ravel()]
    return np.array(encoded, object).reshape(strings.shape)

"""What an operator is: one class that holds everything about it.

    @op("LEAKY_RELU", FLOAT, quantized=(INT8 | UINT8 | INT16,), versions=2)
    class LeakyRelu(Op):
        \"\"\"x where x > 0, alpha * x elsewhere.\"\"\"

        alpha: float = 0.0                              # read from and written to LeakyReluOptions by field name

        def infer(self, input): ...                     # specs -> specs; raises KernelError for shapes it can't take
        def refuses(self, input): ...                   # a sentence when it can't run these specs, else None
        def run(self, xp, input): ...                   # the meaning, in terms of an array module
        def run_quantized(self, xp, input): ...         # the meaning on quantised integers, where that differs

`run` names the operands as the schema's documentation does: parameters without a default are required, `= None` marks
optional ones (absent operands arrive as None), `*inputs` takes any number. It uses nothing but what NumPy and CuPy
both have on `xp`. A bound op also knows its operands' declared specs: `self.ins`, `self.outs` (types, quantisation,
constant values).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar, dataclass_transform, get_type_hints

import numpy as np

from ..errors import GraphError, KernelError, ModelError
from ..format.flexbuffer import read_flexbuffer
from ..graph import ABSENT, Array, Graph, Node, TensorSpec, TensorType

TypeSet: TypeAlias = frozenset[TensorType]
"""Element types that an operand may have; sets are joined with `|`."""

FLOAT = frozenset({TensorType.FLOAT32})
HALF = frozenset({TensorType.FLOAT16, TensorType.BFLOAT16})
DOUBLE = frozenset({TensorType.FLOAT64})
FLOAT8 = frozenset({TensorType.FLOAT8_E4M3FN, TensorType.FLOAT8_E5M2})
INT8 = frozenset({TensorType.INT8})
UINT8 = frozenset({TensorType.UINT8})
INT16 = frozenset({TensorType.INT16})
INT32 = frozenset({TensorType.INT32})
INT64 = frozenset({TensorType.INT64})
PACKED = frozenset({TensorType.INT4, TensorType.INT2, TensorType.UINT4})
INDEX = INT32 | INT64
INTEGER = INT8 | UINT8 | INT16 | INDEX | frozenset({TensorType.UINT16, TensorType.UINT32, TensorType.UINT64})
COMPLEX = frozenset({TensorType.COMPLEX64, TensorType.COMPLEX128})
BOOL = frozenset({TensorType.BOOL})
STRING = frozenset({TensorType.STRING})
RESOURCE = frozenset({TensorType.RESOURCE})
NUMBER = FLOAT | HALF | DOUBLE | INTEGER
ANY = frozenset(TensorType)

Specs: TypeAlias = "TensorSpec | tuple[TensorSpec, ...]"
OptionalSpec: TypeAlias = "TensorSpec | None"


class Padding(IntEnum):
    """How a window operator treats the border."""

    SAME = 0
    VALID = 1


class Activation(IntEnum):
    """The activation that an operator applies to its result."""

    NONE = 0
    RELU = 1
    RELU_N1_TO_1 = 2
    RELU6 = 3
    TANH = 4
    SIGN_BIT = 5


@dataclass(frozen=True, eq=False, kw_only=True)
class Op:
    """One operator with its attributes, bound to the declared specs of its operands."""

    name: ClassVar[str] = ""
    versions: ClassVar[int] = 1
    types: ClassVar[tuple[TypeSet, ...]] = ()  # per operand; the last one stands for all further operands
    quantized: ClassVar[tuple[TypeSet, ...]] = ()  # the same for `run_quantized`; empty: there is none
    sparse: ClassVar[frozenset[int]] = frozenset()  # positions of operands that may be sparse constants
    effects: ClassVar[bool] = False  # reads or writes state, or is random: never folded, dropped or reordered
    pure: ClassVar[bool] = True  # the result depends on the inputs alone
    host_only: ClassVar[bool] = False  # works on Python objects or needs values on the host

    ins: tuple[TensorSpec | None, ...] = ()
    outs: tuple[TensorSpec, ...] = ()
    intermediates: tuple[TensorSpec, ...] = ()
    version: int = 1

    @classmethod
    def read_options(cls, node: Node, where: str) -> Mapping[str, Any]:
        """Attributes from a custom operator's options: a FlexBuffer map by default, {"options": ...} for other values.

        Raises GraphError, at `where`, for malformed ones.
        """
        if not node.custom_options:
            return {}
        decoded = read_flexbuffer(node.custom_options, where)
        return decoded if isinstance(decoded, dict) else {"options": decoded}

    def link(self, graphs: Sequence[Graph]) -> Op:
        """This op with what it needs of the model's subgraphs, or an op that stands for it. Raises GraphError."""
        return self

    def infer(self, *inputs: Any) -> Specs:
        """Output specs (type and shape; shape None where it depends on values) from input specs of known shape."""
        raise NotImplementedError(type(self).__name__)

    def refuses(self, *inputs: Any) -> str | None:
        """Why this op can't run with these specs, a sentence; None if it can. Types and arity are checked already."""
        return None

    def run(self, xp: Any, *inputs: Any) -> Any:
        """The result, or a tuple of results, computed with the array module `xp`."""
        raise NotImplementedError(type(self).__name__)

    def run_quantized(self, xp: Any, *inputs: Any) -> Any:
        """The same on quantised integers, bit for bit as the reference kernels do; scales from `ins` and `outs`."""
        raise NotImplementedError(type(self).__name__)

    @cached_property
    def is_quantized(self) -> bool:
        """Whether the quantised meaning applies: there is one, and some operand is a quantised integer."""
        specs = [s for s in (*self.ins, *self.outs) if s is not None]
        return bool(self.quantized) and any(s.quantization is not None and s.type in _QUANTIZABLE for s in specs)

    @property
    def body(self) -> Callable[..., Any]:
        """`run` or `run_quantized`, whichever applies; called as body(xp, *inputs)."""
        return self.run_quantized if self.is_quantized else self.run

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes by options field name, as the writer takes them."""
        return {name: getattr(self, name) for name in _attribute_names(type(self))}


_QUANTIZABLE = INT8 | UINT8 | INT16 | INT32 | PACKED


@dataclass(frozen=True, eq=False, kw_only=True)
class StatefulOp(Op):
    """An op on resources: it runs on the host as `run_with(state, *inputs)`; resources are Python objects in slots."""

    effects: ClassVar[bool] = True
    pure: ClassVar[bool] = False
    host_only: ClassVar[bool] = True

    place: tuple[int, int] = (0, 0)  # (graph, node) in the model: names what this node remembers between calls

    def run_with(self, state: Any, *inputs: Any) -> Any:
        """The result, or a tuple of results; `state` is the interpreter's (`runtime.state.State`)."""
        raise NotImplementedError(type(self).__name__)


class Subgraphs(Protocol):
    """What a control-flow op may ask of the call that it is part of."""

    def invoke(self, graph: int, values: Sequence[Any]) -> list[Any]:
        """Run a subgraph; values stay wherever they are (host or device)."""

    def settle(self, graphs: Sequence[int], values: Sequence[Any]) -> list[Any]:
        """The values where these subgraphs, which all take them as inputs, work on them: for values of many runs."""

    def truth(self, value: Any) -> bool:
        """A boolean tensor of one element, fetched to the host."""

    def once(self, graph: int) -> None:
        """Run a subgraph unless this interpreter has run it before."""

    def fetch(self, values: Sequence[Any]) -> list[np.ndarray]:
        """The values as arrays on the host, with one wait."""

    def value(self, array: np.ndarray) -> Any:
        """A host array as a value."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ControlOp(Op):
    """An op that runs subgraphs. The runtime itself executes it, between partitions."""

    effects: ClassVar[bool] = True
    pure: ClassVar[bool] = False
    host_only: ClassVar[bool] = True
    computes: ClassVar[bool] = False  # does arithmetic of its own, on the host, beside choosing what runs

    @property
    def subgraphs(self) -> tuple[int, ...]:
        """Indices of the subgraphs that it may run."""
        return ()

    def execute(self, call: Subgraphs, *values: Any) -> list[Any]:
        """Output values from input values."""
        raise NotImplementedError(type(self).__name__)

    def infer_through(self, infer_graph: Callable[[int, Sequence[TensorSpec]], list[TensorSpec]],
                      inputs: Sequence[TensorSpec]) -> list[TensorSpec]:  # fmt: skip
        """Output specs, where `infer_graph(index, input specs)` gives a subgraph's output specs."""
        raise NotImplementedError(type(self).__name__)


OPS: dict[str, type[Op]] = {}
"""Every operator class by name: builtin name, or custom code."""

OpClass = TypeVar("OpClass", bound=type[Op])


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def op(
    name: str, *types: TypeSet, quantized: Sequence[TypeSet] = (), versions: int = 1
) -> Callable[[OpClass], OpClass]:
    """Register a class as the meaning of operator `name`, versions 1 to `versions`.

    `types` are the element types each operand may have (the last entry stands for all further ones); `quantized` the
    same for operands of `run_quantized`.
    """

    def register(cls: OpClass) -> OpClass:
        if name in OPS:
            raise ValueError(f"operator {name} is registered twice")
        dataclass(frozen=True, eq=False, kw_only=True)(cls)
        cls.name, cls.types, cls.quantized, cls.versions = name, types, tuple(quantized), versions
        OPS[name] = cls
        return cls

    return register


_NAMES_ALONE = frozenset({"CONCAT_EMBEDDINGS", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"})
"""Builtin operators that nothing says the meaning of: LiteRT registers no kernel for them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class UnknownOp(Op):
    """Stands for an operator that this version has no class for; every delegate refuses it."""

    operator: str = ""
    custom: bool = False

    def infer(self, *inputs: Any) -> Specs:
        return tuple(replace(s, shape=None) for s in self.outs)

    def refuses(self, *inputs: Any) -> str | None:
        if self.custom:
            return f"Encountered unresolved custom op: {self.operator}."
        if self.operator in _NAMES_ALONE:
            return f"operator {self.operator} is not supported: the schema names it, no runtime has a kernel for it."
        return f"operator {self.operator} is not supported."


def bind(node: Node, graph: Graph, custom_ops: Mapping[str, type[Op]] = MappingProxyType({}),
         graphs: Sequence[Graph] = ()) -> Op:  # fmt: skip
    """The op of a node, with its attributes checked and its operands' declared specs attached.

    `custom_ops` are classes by custom code that come before those of `OPS`. With the model's `graphs` the op is linked.
    """
    ins = tuple(None if i == ABSENT else declared_spec(graph, i) for i in node.inputs)
    outs = tuple(declared_spec(graph, i) for i in node.outputs)
    intermediates = tuple(declared_spec(graph, i) for i in node.intermediates if i != ABSENT)
    name = "Flex" if node.custom and node.name.startswith("Flex") else node.name
    cls = (custom_ops.get(node.name) if node.custom else None) or OPS.get(name)
    if cls is None:
        return UnknownOp(operator=node.name, custom=node.custom, ins=ins, outs=outs, version=node.version)
    values = dict(node.attributes)
    if node.custom:
        values = dict(cls.read_options(node, graph.where(node)))
    hints = _attribute_types(cls)
    try:
        attributes = {key: _convert(hints[key], value) for key, value in values.items() if key in hints}
    except (ValueError, TypeError, OverflowError) as error:
        raise GraphError(f"{node.name}: attribute out of range: {error}", where=graph.where(node)) from error
    if issubclass(cls, StatefulOp):
        attributes["place"] = (graph.index, node.index)
    try:
        op = cls(ins=ins, outs=outs, intermediates=intermediates, version=node.version, **attributes)
        return op.link(graphs) if graphs else op
    except ModelError as error:  # attributes that contradict each other or the model
        raise type(error)(error.what, where=graph.where(node)) from error


def declared_spec(graph: Graph, index: int) -> TensorSpec:
    """Spec of a tensor as the file declares it; the shape is None if any part of it is unknown."""
    tensor = graph.tensors[index]
    dims = tensor.dims
    shape = None if dims is None or None in dims else tuple(n for n in dims if n is not None)
    return TensorSpec(tensor.type, shape, tensor.quantization, tensor.data, tensor.name, tensor.sparsity)


def _convert(kind: Any, value: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, IntEnum | bool | int | float):
        return kind(value)
    return value


_HINTS: dict[type[Op], dict[str, Any]] = {}


def _attribute_types(cls: type[Op]) -> dict[str, Any]:
    if cls not in _HINTS:
        hints = get_type_hints(cls)
        _HINTS[cls] = {name: hints[name] for name in _attribute_names(cls)}
    return _HINTS[cls]


_BOUND = ("ins", "outs", "intermediates", "version", "place", "function")


def _attribute_names(cls: type[Op]) -> list[str]:
    return [f.name for f in fields(cls) if f.name not in _BOUND]


@dataclass(frozen=True, slots=True)
class Arity:
    """Operands that an op takes: names, how many are required, whether any number may follow."""

    names: tuple[str, ...]
    required: int
    variadic: bool


_ARITIES: dict[type[Op], Arity] = {}


def arity(cls: type[Op]) -> Arity:
    """Read from the parameters of `run` (of `run_with` or `execute` for ops with state or subgraphs)."""
    if cls not in _ARITIES:
        _ARITIES[cls] = _read_arity(cls)
    return _ARITIES[cls]


def _read_arity(cls: type[Op]) -> Arity:
    method = cls.run_with if issubclass(cls, StatefulOp) else cls.execute if issubclass(cls, ControlOp) else cls.run
    parameters = list(inspect.signature(method).parameters.values())[2:]
    names = tuple(p.name for p in parameters if p.kind is not p.VAR_POSITIONAL)
    required = sum(p.default is p.empty and p.kind is not p.VAR_POSITIONAL for p in parameters)
    return Arity(names, required, len(names) < len(parameters))


def refusal(op: Op, inputs: Sequence[TensorSpec | None]) -> str | None:
    """Why `op` can't run with these input specs: version, arity, types, then the op's own limits. None if it can."""
    if isinstance(op, UnknownOp):
        return op.refuses()
    if op.version > op.versions:
        return f"operator {op.name} version {op.version} is not supported; versions 1 to {op.versions} are."
    takes = arity(type(op))
    if len(inputs) < takes.required or (len(inputs) > len(takes.names) and not takes.variadic):
        return f"operator {op.name} got {len(inputs)} operands and takes {_count(takes)}."
    for position, spec in enumerate(inputs):
        label = takes.names[position] if position < len(takes.names) else f"operand {position}"
        if spec is None:
            if position < takes.required:
                return f"operator {op.name} needs operand `{label}`, which is absent."
            continue
        accepted = _accepted(op, position)
        if spec.type not in accepted:
            names = ", ".join(t.name.lower() for t in sorted(accepted))
            return f"operator {op.name} is not supported with {spec.type.name.lower()} `{label}`; it takes {names}."
        if spec.sparsity is not None and position not in op.sparse:
            return f"operator {op.name} is not supported with sparse {label}; it needs a DENSIFY before it."
    return op.refuses(*inputs)


def _count(takes: Arity) -> str:
    if takes.variadic:
        return f"at least {takes.required}"
    low, high = takes.required, len(takes.names)
    return str(low) if low == high else f"{low} to {high}"


def _accepted(op: Op, position: int) -> TypeSet:
    types = op.quantized if op.is_quantized else op.types
    return types[min(position, len(types) - 1)] if types else ANY


class TypeMismatch(KernelError):
    """An operator gives another element type than the file declares for its output."""


def infer_outputs(op: Op, inputs: Sequence[TensorSpec | None]) -> tuple[TensorSpec, ...]:
    """Specs of the outputs: shapes from the op's rule where the inputs' shapes are known, the rest as declared."""
    if any(s is not None and s.shape is None for s in inputs):
        return tuple(replace(s, shape=None, value=None) for s in op.outs)
    result = op.infer(*inputs)
    specs = result if isinstance(result, tuple) else (result,)
    if len(specs) != len(op.outs):
        raise KernelError(f"{op.name} gives {len(specs)} outputs, the node declares {len(op.outs)}")
    for position, (got, declared) in enumerate(zip(specs, op.outs, strict=True)):
        if got.type != declared.type:
            got_name, name = got.type.name.lower(), declared.type.name.lower()
            raise TypeMismatch(f"{op.name} gives {got_name} as output {position}, the node declares {name}")
    return tuple(replace(d, shape=s.shape, value=s.value) for s, d in zip(specs, op.outs, strict=True))


def evaluate(op: Op, inputs: Sequence[Array | None]) -> tuple[np.ndarray, ...]:
    """Run a pure op on host arrays with NumPy; each result an array of the declared type."""
    with np.errstate(all="ignore"):
        result = op.body(np, *inputs)
    results = result if isinstance(result, tuple) else (result,)
    return tuple(np.asarray(r, dtype=spec.dtype) for r, spec in zip(results, op.outs, strict=True))

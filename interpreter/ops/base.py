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
optional ones (absent operands arrive as None), `*inputs` takes any number, `*inputs: Array` any number of which none is
absent. It uses nothing but what NumPy and CuPy both have on `xp`. A bound op (`binding.bind`) also knows its operands'
declared specs: `self.ins`, `self.outs` (types, quantisation, constant values). `checks` says whether it can run, and
whether it gives what its node declares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum
from functools import cached_property
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar, dataclass_transform

import numpy as np

from ..format.flexbuffer import read_flexbuffer
from ..graph import Graph, Node, TensorSpec, TensorType

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
UINT16 = frozenset({TensorType.UINT16})
UINT32 = frozenset({TensorType.UINT32})
UINT64 = frozenset({TensorType.UINT64})
PACKED = frozenset({TensorType.INT4, TensorType.INT2, TensorType.UINT4})
INDEX = INT32 | INT64
INTEGER = INT8 | UINT8 | INT16 | UINT16 | UINT32 | UINT64 | INDEX
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

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The limits to which it holds its argument, None where there is none."""
        return _BOUNDS.get(self, (None, None))


_BOUNDS = {Activation.RELU: (0.0, None), Activation.RELU_N1_TO_1: (-1.0, 1.0), Activation.RELU6: (0.0, 6.0)}


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

    def string_bytes(self, *inputs: Any) -> int:
        """Bytes of the strings that the result will hold, where those may be more than the operands hold; else 0."""
        return 0

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
        return {name: getattr(self, name) for name in attribute_names(type(self))}


_QUANTIZABLE = INT8 | UINT8 | INT16 | INT32 | PACKED


@dataclass(frozen=True, eq=False, kw_only=True)
class StatefulOp(Op):
    """An op on resources: it runs on the host as `run_with(state, *inputs)`; resources are Python objects in slots."""

    effects: ClassVar[bool] = True
    pure: ClassVar[bool] = False
    host_only: ClassVar[bool] = True
    writes: ClassVar[bool] = True  # calls with such a node are ordered: what one leaves is what the next one finds

    place: tuple[int, int] = (0, 0)  # (graph, node) in the model: names what this node remembers between calls

    def run_with(self, state: Any, *inputs: Any) -> Any:
        """The result, or a tuple of results; `state` is the interpreter's (`runtime.state.State`)."""
        raise NotImplementedError(type(self).__name__)


class Subgraphs(Protocol):
    """What a control-flow op may ask of the call that it is part of."""

    def invoke(self, graph: int, values: Sequence[Any]) -> list[Any]:
        """Run a subgraph; values stay wherever they are (host or device), None for absent ones."""

    def settle(self, graphs: Sequence[int], values: Sequence[Any]) -> list[Any]:
        """The values where these subgraphs, which all take them as inputs, work on them: for values of many runs."""

    def truth(self, value: Any) -> bool:
        """A boolean tensor of one element, fetched to the host."""

    def count_turn(self) -> None:
        """Another turn of this node's loop begins. Raises LimitError where that is one too many."""

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

    def infer_through(self, infer_graph: Callable[[int, Sequence[OptionalSpec]], list[TensorSpec]],
                      inputs: Sequence[OptionalSpec]) -> list[TensorSpec]:  # fmt: skip
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


_BOUND = ("ins", "outs", "intermediates", "version", "place", "function")


def attribute_names(cls: type[Op]) -> list[str]:
    return [f.name for f in fields(cls) if f.name not in _BOUND]

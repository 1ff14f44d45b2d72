"""Subgraphs that an operator applies to elements: the bodies of reductions and scatters, the comparators of sorts.

Such a subgraph is declared on scalars. `BodyOp.link` looks at it once, when the model is read:

- Pointwise operators mean the same on whole arrays, so a body of these alone becomes a `Pointwise` function of arrays.
  The operator is then like any other: it is folded, delegated and run where its operands live. A body of one binary
  operator is known by its name ("add"), for which array modules have reductions of their own.
- For any other body a `ByElement` stands in: a control-flow operator that runs the subgraph for one element after the
  other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

import numpy as np

from ...errors import GraphError, KernelError
from ...graph import ABSENT, Array, Graph, TensorSpec
from ..base import Activation, ControlOp, Op, OptionalSpec, Specs, Subgraphs
from ..binding import bind
from ..checks import infer_outputs, refusal
from ..control import InferGraph
from ..shared.lookup import Resident
from .compare import CompareType, Direction

Arrays: TypeAlias = tuple[Array, ...]

_POINTWISE = """
    ABS ADD ATAN2 BITWISE_XOR CAST CEIL COS DIV ELU EQUAL EXP FLOOR FLOOR_DIV FLOOR_MOD GREATER GREATER_EQUAL LESS
    LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC MAXIMUM MINIMUM MUL NEG NOT_EQUAL POW RELU RIGHT_SHIFT
    ROUND RSQRT SELECT SELECT_V2 SIGN SIN SQRT SQUARE SQUARED_DIFFERENCE SUB TANH
    STABLEHLO_ABS STABLEHLO_ADD STABLEHLO_AND STABLEHLO_CBRT STABLEHLO_CLAMP STABLEHLO_COMPARE STABLEHLO_CONVERT
    STABLEHLO_COSINE STABLEHLO_DIVIDE STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_LOGISTIC
    STABLEHLO_MAXIMUM STABLEHLO_MINIMUM STABLEHLO_MULTIPLY STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER
    STABLEHLO_REMAINDER STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SHIFT_LEFT STABLEHLO_SUBTRACT
    STABLEHLO_TANH
"""
POINTWISE = frozenset(_POINTWISE.split())
"""Operators whose body computes each element of the result from the elements at that position alone."""

_BINARY = {
    "ADD": "add",
    "MUL": "multiply",
    "MAXIMUM": "maximum",
    "MINIMUM": "minimum",
    "LOGICAL_AND": "bitwise_and",
    "LOGICAL_OR": "bitwise_or",
    "STABLEHLO_ADD": "add",
    "STABLEHLO_MULTIPLY": "multiply",
    "STABLEHLO_MAXIMUM": "maximum",
    "STABLEHLO_MINIMUM": "minimum",
    "STABLEHLO_AND": "bitwise_and",
    "STABLEHLO_OR": "bitwise_or",
}


@dataclass(frozen=True, eq=False)
class Function:
    """A function of scalars that takes whole arrays of one shape, or that broadcast; it gives a tuple of arrays."""

    operator: str | None = None
    """Name in array modules of the binary, associative and commutative operator that this is; "replace" for the
    function that gives the second of two operands."""

    order: tuple[int, bool] | None = None
    """(k, whether descending) of a comparator that only looks at its operands 2 k and 2 k + 1."""

    def __call__(self, xp: Any, *arrays: Array) -> Arrays:
        raise NotImplementedError(type(self).__name__)


@dataclass(frozen=True, eq=False)
class Binary(Function):
    """A binary operator of the array module."""

    def __call__(self, xp: Any, *arrays: Array) -> Arrays:
        assert self.operator is not None
        return (getattr(xp, self.operator)(*arrays),)


@dataclass(frozen=True, eq=False, kw_only=True)
class Pointwise(Function):
    """A subgraph of pointwise operators as a function of arrays."""

    graph: Graph
    ops: tuple[Op, ...]

    def __call__(self, xp: Any, *arrays: Array) -> Arrays:
        values = {index: constant.on(xp) for index, constant in self._constants.items()}
        values.update(zip(self.graph.inputs, arrays, strict=True))
        for node, op in zip(self.graph.nodes, self.ops, strict=True):
            result = op.body(xp, *(values[i] for i in node.inputs))
            results = result if isinstance(result, tuple) else (result,)
            for index, array, spec in zip(node.outputs, results, op.outs, strict=True):
                values[index] = xp.asarray(array, dtype=spec.dtype)
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
        given = (values[index] for index in self.graph.outputs)
        return tuple(a if a.shape == shape else xp.broadcast_to(a, shape) for a in given)

    @cached_property
    def _constants(self) -> dict[int, Resident]:
        tensors = enumerate(self.graph.tensors)
        return {index: Resident(t.data.reshape(())) for index, t in tensors if t.data is not None}


def pointwise(graph: Graph) -> Pointwise | None:
    """The subgraph as a function of arrays; None unless all of it is pointwise."""
    if any(t.is_variable or (t.data is not None and t.data.size != 1) for t in graph.tensors):
        return None
    if any(node.custom or node.name not in POINTWISE or ABSENT in node.inputs for node in graph.nodes):
        return None
    ops = tuple(bind(node, graph) for node in graph.nodes)
    try:
        if any(refusal(op, op.ins) or not infer_outputs(op, op.ins) for op in ops):
            return None
    except KernelError:  # shapes or types that the operators would not give
        return None
    return Pointwise(_operator(graph, ops), _order(graph), graph=graph, ops=ops)


def _operator(graph: Graph, ops: Sequence[Op]) -> str | None:
    if not ops and len(graph.inputs) == 2 and graph.outputs == graph.inputs[1:]:
        return "replace"
    if len(ops) != 1 or graph.outputs != graph.nodes[0].outputs or len(graph.inputs) != 2:
        return None
    node, op = graph.nodes[0], ops[0]
    is_plain = not op.is_quantized and getattr(op, "fused_activation_function", Activation.NONE) is Activation.NONE
    return _BINARY.get(node.name) if is_plain and sorted(node.inputs) == sorted(graph.inputs) else None


def _order(graph: Graph) -> tuple[int, bool] | None:
    if len(graph.nodes) != 1 or graph.outputs != graph.nodes[0].outputs:
        return None
    node = graph.nodes[0]
    direction, kind = (int(node.attributes.get(name, 0)) for name in ("comparison_direction", "compare_type"))
    less = node.name == "LESS" or (node.name == "STABLEHLO_COMPARE" and direction == Direction.LT)
    greater = node.name == "GREATER" or (node.name == "STABLEHLO_COMPARE" and direction == Direction.GT)
    if kind == CompareType.FLOAT_TOTAL_ORDER or not (less or greater):
        return None
    for k in range(len(graph.inputs) // 2):
        pair = graph.inputs[2 * k : 2 * k + 2]
        if node.inputs in (pair, pair[::-1]):
            return k, greater == (node.inputs == pair)
    return None


@dataclass(frozen=True, eq=False, kw_only=True)
class BodyOp(Op):
    """An op that applies a subgraph to elements of its operands."""

    function: Function | None = None

    @property
    def body_graph(self) -> int:
        """Index of the subgraph."""
        raise NotImplementedError(type(self).__name__)

    @property
    def body_takes(self) -> int:
        """Number of values that the subgraph takes."""
        raise NotImplementedError(type(self).__name__)

    @property
    def body_gives(self) -> tuple[np.dtype[Any], ...]:
        """dtypes of the values that it gives."""
        return tuple(spec.dtype for spec in self.outs)

    @property
    def applied(self) -> Function:
        """The subgraph as a function; only of a linked op."""
        assert self.function is not None
        return self.function

    def link(self, graphs: Sequence[Graph]) -> Op:
        index = self.body_graph
        if not 0 <= index < len(graphs):
            raise GraphError(f"{self.name} names subgraph {index}; the model has {len(graphs)}")
        body = graphs[index]
        takes, gives = self.body_takes, len(self.body_gives)
        if (len(body.inputs), len(body.outputs)) != (takes, gives):
            raise GraphError(
                f"{self.name} applies subgraph {index}, which takes {len(body.inputs)} values and gives "
                f"{len(body.outputs)}, expected {takes} and {gives}"
            )
        function = pointwise(body)
        if function is None:
            return ByElement(inner=self, ins=self.ins, outs=self.outs, version=self.version)
        return replace(self, function=function)


@dataclass(frozen=True, eq=False, kw_only=True)
class ByElement(ControlOp):
    """Stands for a `BodyOp` whose subgraph is more than pointwise: runs it for one element after the other."""

    computes: ClassVar[bool] = True

    inner: BodyOp

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.inner.name)

    @property
    def subgraphs(self) -> tuple[int, ...]:
        return (self.inner.body_graph,)

    def refuses(self, *inputs: TensorSpec) -> str | None:
        return refusal(self.inner, inputs)

    def execute(self, call: Subgraphs, *values: Any) -> list[Any]:
        function = _Repeated(call=call, graph=self.inner.body_graph, dtypes=self.inner.body_gives)
        results = replace(self.inner, function=function).run(np, *call.fetch(values))
        return [call.value(array) for array in (results if isinstance(results, tuple) else (results,))]

    def infer_through(self, infer_graph: InferGraph, inputs: Sequence[OptionalSpec]) -> list[TensorSpec]:
        if any(spec is None or spec.shape is None for spec in inputs):
            return [replace(spec, shape=None) for spec in self.outs]
        specs: Specs = self.inner.infer(*inputs)
        return list(specs if isinstance(specs, tuple) else (specs,))


@dataclass(frozen=True, eq=False, kw_only=True)
class _Repeated(Function):
    """A subgraph, run for each element of host arrays."""

    call: Subgraphs
    graph: int
    dtypes: tuple[np.dtype[Any], ...]

    def __call__(self, xp: Any, *arrays: Array) -> Arrays:
        spread = np.broadcast_arrays(*arrays)
        results = tuple(np.empty(spread[0].shape, dtype) for dtype in self.dtypes)
        for index in np.ndindex(spread[0].shape):
            given = self.call.invoke(self.graph, [self.call.value(np.asarray(a[index])) for a in spread])
            for result, value in zip(results, self.call.fetch(given), strict=True):
                result[index] = value.reshape(())
        return results

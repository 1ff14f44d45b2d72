"""Flat TensorFlow graphs -> subgraphs of a .tflite file: one rule per TensorFlow operator, Flex where no rule applies.

    @lowers("LeakyRelu")
    def leaky_relu(op: Lowering) -> DraftTensor:
        return op.emit("LEAKY_RELU", op.input(0), alpha=op.attr("alpha"))

A rule emits builtin operators and returns the results. Where it can't, or where a kernel does not take the types, the
rule is tried again on operands of wider types (`kernels.WIDER`), whose results are cast back. If that fails too,
`NotBuiltin("why")` says why: what was emitted is undone and the node becomes a Flex node with that reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..interpreter.graph import TensorType
from .draft import DraftGraph, DraftNode, DraftTensor
from .fold import has_effect
from .guard import refusal_of
from .kernels import WIDER
from .tfapi import Dims
from .tfgraph import TfGraph, TfNode, TfValue

if TYPE_CHECKING:
    from .convert import Conversion

Result: TypeAlias = DraftTensor | Sequence[DraftTensor]
Operand: TypeAlias = DraftTensor | np.ndarray | None
Rule: TypeAlias = "Callable[[Lowering], Result]"

RULES: dict[str, Rule] = {}
"""Rule by TensorFlow operator."""

SMALL_CONSTANT = 64
"""Constants of at most this many elements are compared by content, so that a subgraph holds each once."""


class NotBuiltin(Exception):
    """No builtin operator does what a node does; the text says why."""


def lowers(*ops: str) -> Callable[[Rule], Rule]:
    """Register a function as the rule of TensorFlow operators."""

    def register(rule: Rule) -> Rule:
        for op in ops:
            if op in RULES:
                raise ValueError(f"operator {op} has two rules")
            RULES[op] = rule
        return rule

    return register


class GraphLowering:
    """A subgraph that is being made: which draft tensor stands for which TensorFlow value."""

    def __init__(self, conversion: Conversion, name: str) -> None:
        self.conversion = conversion
        self.draft = DraftGraph(name)
        self.tensors: dict[TfValue, DraftTensor] = {}
        self._constants: dict[Any, DraftTensor] = {}
        self._used: set[TfValue] = set()

    def run(self, graph: TfGraph, input_names: Sequence[str]) -> DraftGraph:
        """The subgraph of a flat graph whose constants are folded."""
        for value, name in zip(graph.inputs, input_names, strict=True):
            self.tensors[value] = DraftTensor(name, self.type_of(value), value.dims)
        self.draft.inputs = [self.tensors[value] for value in graph.inputs]
        self._used = {value for node in graph.nodes for value in node.inputs} | set(graph.outputs)
        for node in graph.nodes:
            if node.op not in ("Placeholder", "Const", "Handle"):
                self._place(node)
        self.draft.outputs = [self.tensor(value) for value in graph.outputs]
        return self.draft

    def tensor(self, value: TfValue) -> DraftTensor:
        """What stands for a value; constants and handles are made when first asked for."""
        if value not in self.tensors:
            if value.const is not None and value.type is not None:
                self.tensors[value] = self.constant(value.const, value.name)
            elif value.const is not None:
                self.tensors[value] = DraftTensor(value.name, self.type_of(value), value.dims)
            elif value.resource is not None:
                self.tensors[value] = self.conversion.state.handle(self, value.resource)
        return self.tensors[value]

    def constant(self, array: np.ndarray, name: str) -> DraftTensor:
        """A constant tensor; equal ones are shared."""
        array = np.asarray(array)
        key: object = id(array)
        if array.size <= SMALL_CONSTANT:
            content = array.tobytes() if array.dtype != object else tuple(array.ravel().tolist())
            key = array.dtype, array.shape, content
        if key not in self._constants:
            self._constants[key] = DraftTensor(name, TensorType.of(array.dtype), array.shape, array)
        return self._constants[key]

    def type_of(self, value: TfValue) -> TensorType:
        """Type of a value; a problem is noted where the file format has none like it."""
        if value.type is None:
            text = f"tensor {value.name!r} has a type (DataType {value.data_type}) that the file format lacks"
            self.conversion.problem(self.draft, value.node, text)
            return TensorType.FLOAT32
        return value.type

    def _place(self, node: TfNode) -> None:
        mark = len(self.draft.nodes)
        try:
            results = self._builtin(node, mark)
        except NotBuiltin as error:
            self._undo(node, mark)
            results = self.conversion.fallback(self, node, str(error))
        for made in self.draft.nodes[mark:]:
            made.effect |= has_effect(node)
        for value, result in zip(node.outputs, results, strict=False):
            self.tensors[value] = result

    def _undo(self, node: TfNode, mark: int) -> None:
        """Forget the nodes from `mark` on, which stand for `node`, and the handles of its inputs among them."""
        undone = {id(t) for made in self.draft.nodes[mark:] for t in made.outputs}
        for value in node.inputs:
            if id(self.tensors.get(value)) in undone:
                del self.tensors[value]
        del self.draft.nodes[mark:]

    def _builtin(self, node: TfNode, mark: int) -> Sequence[DraftTensor]:
        rule = RULES.get(node.op)
        if rule is None:
            raise NotBuiltin(f"no builtin operator stands for {node.op}")
        if self.conversion.all_flex and node.op not in self.conversion.always_builtin:
            raise NotBuiltin("builtin operators are switched off")
        if any(v.type is None for v in (*node.inputs, *node.outputs)):
            raise NotBuiltin("a tensor's type is not in the file format")
        try:
            return self._apply(rule, Lowering(node, self), mark)
        except NotBuiltin:
            wider = _wider(node)
            if not wider or node.op in self.conversion.always_builtin:
                raise
            self._undo(node, mark)
            results = self._try_wider(rule, Lowering(node, self, wider), mark)
            if results is None:
                raise
            return results

    def _try_wider(self, rule: Rule, op: Lowering, mark: int) -> Sequence[DraftTensor] | None:
        """Results of a rule on operands of wider types, cast back; None if that does not work either."""
        try:
            results = self._apply(rule, op, mark)
            return [op.cast(t, self.type_of(v)) for t, v in zip(results, op.node.outputs, strict=False)]
        except NotBuiltin:
            return None

    def _apply(self, rule: Rule, op: Lowering, mark: int) -> Sequence[DraftTensor]:
        """Results of a rule, which all the nodes that it emits can give."""
        result = rule(op)
        results = [result] if isinstance(result, DraftTensor) else result
        if any(value in self._used for value in op.node.outputs[len(results) :]):
            raise NotBuiltin(f"results of {op.node.op} are used that have no builtin operator")
        for made in self.draft.nodes[mark:]:
            refusal = refusal_of(made)
            if refusal is not None:
                raise NotBuiltin(refusal)
        return results


def _wider(node: TfNode) -> Mapping[TensorType, TensorType]:
    """The types of a node's tensors that have a wider one."""
    types = {v.type for v in (*node.inputs, *node.outputs)}
    return {narrow: wide for narrow, wide in WIDER.items() if narrow in types}


class Lowering:
    """One TensorFlow node under a rule: what goes in, what comes out, and `emit`.

    Tensors of types that are in `wider` go in and come out as the types that this gives.
    """

    def __init__(
        self, node: TfNode, graph: GraphLowering, wider: Mapping[TensorType, TensorType] | None = None
    ) -> None:
        self.node, self.graph = node, graph
        self.attr = node.attr
        self._wider = wider or {}
        self._widened: dict[TfValue, DraftTensor] = {}

    def __len__(self) -> int:
        """Number of inputs."""
        return len(self.node.inputs)

    def input(self, index: int) -> DraftTensor:
        return self._operand(self.node.inputs[index])

    @property
    def inputs(self) -> list[DraftTensor]:
        return [self._operand(value) for value in self.node.inputs]

    def _operand(self, value: TfValue) -> DraftTensor:
        tensor = self.graph.tensor(value)
        if tensor.type not in self._wider:
            return tensor
        if value not in self._widened:
            self._widened[value] = self.cast(tensor, self._wider[tensor.type])
        return self._widened[value]

    def const(self, index: int, what: str) -> np.ndarray:
        """The value of an input that must be constant; `what` names it."""
        value = self.known(index)
        if value is None:
            raise NotBuiltin(f"{what} is not constant")
        return value

    def known(self, index: int) -> np.ndarray | None:
        """The value of an input, if it is constant."""
        value = self.node.inputs[index].const
        return value.astype(self.type(index).dtype) if value is not None and self._wider else value

    def dims(self, index: int) -> tuple[int | None, ...]:
        """Dimensions of an input of known rank."""
        dims = self.node.inputs[index].dims
        if dims is None:
            raise NotBuiltin(f"the rank of input {index} is not known")
        return dims

    @property
    def is_widened(self) -> bool:
        """Whether some tensors go in as wider types than they have."""
        return bool(self._wider)

    def output(self, index: int = 0) -> TfValue:
        return self.node.output(index)

    def type(self, index: int = 0) -> TensorType:
        """Type of an input."""
        return self._type(self.node.inputs[index])

    def output_type(self, index: int = 0) -> TensorType:
        """Type of an output."""
        return self._type(self.output(index))

    def _type(self, value: TfValue) -> TensorType:
        kind = self.graph.type_of(value)
        return self._wider.get(kind, kind)

    def require(self, condition: bool, why: str) -> None:
        """Give the node up for Flex, with the reason `why`, unless `condition` holds."""
        if not condition:
            raise NotBuiltin(why)

    def require_type(self, index: int, *types: TensorType) -> None:
        """Give the node up for Flex unless an input has one of these types."""
        got = self.type(index)
        if got not in types:
            names = ", ".join(t.name.lower() for t in types)
            raise NotBuiltin(f"{self.node.op} of {got.name.lower()} has no builtin operator; of {names} it has")

    def tensor(self, type: TensorType, dims: Dims, suffix: str = "") -> DraftTensor:
        """A new tensor, named after the node."""
        return DraftTensor(self.node.name + suffix, type, dims)

    def constant(self, array: Any, suffix: str = "") -> DraftTensor:
        return self.graph.constant(np.asarray(array), self.node.name + suffix)

    def results(self) -> list[DraftTensor]:
        """New tensors for all outputs of the node."""
        return [DraftTensor(v.name, self._type(v), v.dims) for v in self.node.outputs]

    def emit(self, op: str, *inputs: Operand, out: DraftTensor | None = None, version: int = 1,
             **attributes: Any) -> DraftTensor:  # fmt: skip
        """Add a builtin operator with one result: `out`, or a tensor like the node's first output."""
        if out is None:
            out = self.tensor(self.output_type(), self.output().dims)
        return self.emit_many(op, inputs, [out], version, **attributes)[0]

    def emit_many(self, op: str, inputs: Sequence[Operand], outputs: list[DraftTensor], version: int = 1,
                  **attributes: Any) -> list[DraftTensor]:  # fmt: skip
        """Add a builtin operator with the given results. Arrays among the inputs become constants."""
        operands = [self.constant(x, f"/{op.lower()}") if isinstance(x, np.ndarray) else x for x in inputs]
        node = DraftNode(op, operands, outputs, attributes, version, origin=self.node.name)
        self.graph.draft.nodes.append(node)
        return outputs

    def cast(self, tensor: DraftTensor, type: TensorType) -> DraftTensor:
        """The same values as another type; the tensor itself if it has that type."""
        if tensor.type is type:
            return tensor
        if tensor.data is not None:
            return self.constant(tensor.data.astype(type.dtype), f"/{type.name.lower()}")
        out = self.tensor(type, tensor.dims, f"/{type.name.lower()}")
        return self.emit("CAST", tensor, out=out, in_data_type=tensor.type, out_data_type=type)

    def int32(self, index: int) -> DraftTensor:
        """An index-like input as int32. Constants that do not fit give the node up for Flex."""
        value = self.known(index)
        limit = np.iinfo(np.int32)
        if value is not None and value.size and not (limit.min <= value.min() and value.max() <= limit.max):
            raise NotBuiltin(f"input {index} holds numbers past 32 bits")
        return self.cast(self.input(index), TensorType.INT32)

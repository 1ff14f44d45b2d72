"""From a node of the file to the op that it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from ..errors import GraphError, ModelError
from ..format.schema import OPERATORS_BY_NAME
from ..graph import ABSENT, Graph, Node, TensorSpec
from .arity import arity
from .base import OPS, Op, Specs, StatefulOp, attribute_names

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
    """The op of a node, with its attributes and number of operands checked and its operands' declared specs attached.

    `custom_ops` are classes by custom code that come before those of `OPS`. With the model's `graphs` the op is linked.
    """
    ins = tuple(None if i == ABSENT else declared_spec(graph, i) for i in node.inputs)
    outs = tuple(declared_spec(graph, i) for i in node.outputs)
    intermediates = tuple(declared_spec(graph, i) for i in node.intermediates if i != ABSENT)
    cls = (custom_ops.get(node.name) or class_of_custom(node.name)) if node.custom else OPS.get(node.name)
    if cls is None:
        return UnknownOp(operator=node.name, custom=node.custom, ins=ins, outs=outs, version=node.version)
    if not node.custom and (misfit := arity(cls).misfit(node.name, ins)):
        sentence, place = misfit
        raise GraphError(sentence, where=graph.where(node) + ("" if place is None else f".inputs[{place}]"))
    values = dict(node.attributes)
    if node.custom:
        values = dict(cls.read_options(node, graph.where(node)))
    kinds = _attribute_types(cls)
    try:
        attributes = {key: kinds[key](value) for key, value in values.items() if key in kinds}
    except (ValueError, TypeError, OverflowError) as error:
        raise GraphError(f"{node.name}: attribute out of range: {error}", where=graph.where(node)) from error
    if issubclass(cls, StatefulOp):
        attributes["place"] = (graph.index, node.index)
    try:
        op = cls(ins=ins, outs=outs, intermediates=intermediates, version=node.version, **attributes)
        return op.link(graphs) if graphs else op
    except ModelError as error:  # attributes that contradict each other or the model
        raise type(error)(error.what, where=graph.where(node)) from error


def class_of_custom(code: str) -> type[Op] | None:
    """The class in `OPS` for a custom code, if there is one; a builtin operator of that name is another operator."""
    if code in OPERATORS_BY_NAME:
        return None
    return OPS.get("Flex" if code.startswith("Flex") else code)


def declared_spec(graph: Graph, index: int) -> TensorSpec:
    """Spec of a tensor as the file declares it; the shape is None if any part of it is unknown."""
    tensor = graph.tensors[index]
    dims = tensor.dims
    shape = None if dims is None or None in dims else tensor.shape
    return TensorSpec(tensor.type, shape, tensor.quantization, tensor.data, tensor.name, tensor.sparsity, tensor.shape)


_TYPES: dict[type[Op], dict[str, Callable[[Any], Any]]] = {}


def _attribute_types(cls: type[Op]) -> dict[str, Callable[[Any], Any]]:
    """What makes a value that an attribute may have: the type of its default if that is a number or one of an enum."""
    if cls not in _TYPES:
        names = set(attribute_names(cls))
        defaults = {each.name: each.default for each in fields(cls) if each.name in names}
        _TYPES[cls] = {name: type(d) if isinstance(d, int | float) else _unchanged for name, d in defaults.items()}
    return _TYPES[cls]


def _unchanged(value: Any) -> Any:
    return value

"""TensorFlow nodes carried as they are: Flex operators, and custom operators of the user's own."""

from __future__ import annotations

from typing import Any

from ..interpreter.format.flexbuffer import write_flexbuffer
from .draft import DraftNode, DraftTensor
from .tfapi import tensorflow
from .tfgraph import TfNode

PYTHON = frozenset({"EagerPyFunc", "PyFunc", "PyFuncStateless"})
"""Operators that call a function of the process that made them."""


def flex_node(node: TfNode, inputs: list[DraftTensor], outputs: list[DraftTensor], reason: str) -> DraftNode:
    """Custom operator `Flex<Op>`; its options are a FlexBuffer vector of the operator's name and the NodeDef."""
    definition = tensorflow().compat.v1.NodeDef(name=node.name, op=node.op, input=[""] * len(inputs))
    for key, value in _attributes(node).items():
        definition.attr[key].CopyFrom(value)
    options = write_flexbuffer([node.op, definition.SerializeToString(deterministic=True)])
    return _custom(f"Flex{node.op}", node, inputs, outputs, options, reason)


def is_flex(node: DraftNode) -> bool:
    """Whether a node is a TensorFlow node, not a custom operator of the user's own."""
    return node.custom and node.op.startswith("Flex")


def custom_node(node: TfNode, inputs: list[DraftTensor], outputs: list[DraftTensor], reason: str) -> DraftNode:
    """Custom operator `<Op>`; its options are a FlexBuffer map of the attributes."""
    attributes = {key: node.attr(key) for key in _attributes(node)}
    plain = {key: value for key, value in attributes.items() if isinstance(value, bool | int | float | str | tuple)}
    options = write_flexbuffer(dict(sorted(plain.items())))
    return _custom(node.op, node, inputs, outputs, options, reason)


def obstacle(node: TfNode) -> str | None:
    """Why a node can't be carried either, None if it can."""
    builtin = [v.resource.name for v in node.inputs if v.resource is not None and v.resource.flex is None]
    if builtin:
        return f"builtin operators keep {builtin[0]!r}, which it works on"
    if node.op in PYTHON:
        return "it calls a Python function, which a file can't hold"
    if any(v.type is None for v in (*node.inputs, *node.outputs)):
        return "one of its tensors has a type that the file format lacks"
    functions = [key for key, value in _attributes(node).items() if value.HasField("func") or value.list.func]
    if functions:
        return f"its attribute {functions[0]!r} is a function, which a node in a .tflite file can't hold"
    return None


def _attributes(node: TfNode) -> dict[str, Any]:
    return {key: value for key, value in node.definition.attr.items() if not key.startswith("_")}


def _custom(code: str, node: TfNode, inputs: list[DraftTensor], outputs: list[DraftTensor], options: bytes,
            reason: str) -> DraftNode:  # fmt: skip
    return DraftNode(code, list(inputs), outputs, custom=True, custom_options=options, origin=node.name, reason=reason)

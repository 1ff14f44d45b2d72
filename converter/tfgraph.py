"""A TensorFlow graph as the converter works on it: flat, with shapes, types and constant values attached to tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from ..interpreter.graph import TensorType
from .shaped import Shaped
from .tfapi import TYPES, Dims, decode_attr, proto_dims

Resource: TypeAlias = Any
"""A `resources.Variable` or `resources.Table`; None where there is none."""


@dataclass(eq=False, slots=True)
class TfValue(Shaped):
    """One tensor. `data_type` is TensorFlow's DataType; `const` the value, where that is known."""

    node: TfNode
    index: int
    data_type: int = 0
    dims: Dims = None
    const: np.ndarray | None = None
    partial: np.ndarray | None = None  # integers of which some are known (`partial.find_partial`)

    @property
    def type(self) -> TensorType | None:
        """Type in a .tflite file, None if that has no such type."""
        return TYPES.get(self.data_type)

    @property
    def name(self) -> str:
        return self.node.name if self.index == 0 else f"{self.node.name}:{self.index}"

    @property
    def resource(self) -> Resource:
        """The variable or table that this handle stands for."""
        return self.node.resource


@dataclass(eq=False, slots=True)
class TfNode:
    """One operator. `name` is for people: it need not be unique."""

    name: str
    op: str
    inputs: list[TfValue]
    definition: Any = None  # NodeDef; None for arguments, constants and handles
    resource: Resource = None
    outputs: list[TfValue] = field(default_factory=list)

    def output(self, index: int = 0) -> TfValue:
        """An output; made when first asked for."""
        while len(self.outputs) <= index:
            self.outputs.append(TfValue(self, len(self.outputs)))
        return self.outputs[index]

    def declared_dims(self) -> list[Dims]:
        """Shapes that the Python code gave the outputs; they may know more than inference does."""
        if self.definition is None or "_output_shapes" not in self.definition.attr:
            return []
        return [proto_dims(shape) for shape in self.definition.attr["_output_shapes"].list.shape]

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute as Python data (`tfapi.decode_attr`), `default` if the node has none of this name."""
        if self.definition is None or name not in self.definition.attr:
            return default
        return decode_attr(self.definition.attr[name])


@dataclass(eq=False, slots=True)
class TfGraph:
    """A function without calls: arguments, nodes in run order, results."""

    inputs: list[TfValue] = field(default_factory=list)
    nodes: list[TfNode] = field(default_factory=list)
    outputs: list[TfValue] = field(default_factory=list)

    def add(self, node: TfNode) -> TfNode:
        self.nodes.append(node)
        return node

    def constant(self, name: str, array: np.ndarray) -> TfValue:
        """A new constant."""
        value = self.add(TfNode(name, "Const", [])).output()
        value.const, value.dims = array, array.shape
        return value

    def release(self) -> None:
        """Let go of all nodes. They and their values hold each other, which the garbage collector would find late."""
        waiting = [*self.nodes, *(v.node for v in self.outputs)]
        while waiting:
            node = waiting.pop()
            waiting += [v.node for v in node.inputs]
            node.inputs, node.outputs, node.definition = [], [], None

    def values(self) -> Iterator[TfValue]:
        """All tensors, arguments included, in run order."""
        for node in self.nodes:
            yield from node.outputs

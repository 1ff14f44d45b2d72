"""Subgraphs of a .tflite file while they are being made: the interpreter's graph, but open to change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..interpreter.graph import TensorType
from .shaped import Shaped
from .tfapi import Dims


@dataclass(eq=False, slots=True)
class DraftTensor(Shaped):
    """A tensor; `data` is the value of a constant."""

    name: str
    type: TensorType
    dims: Dims
    data: np.ndarray | None = None


@dataclass(eq=False, slots=True)
class DraftNode:
    """An operator. Subgraphs that it runs stand in `attributes` as DraftGraphs."""

    op: str  # builtin operator, or the custom code of a custom operator
    inputs: list[DraftTensor | None]  # None: an optional operand that is not given
    outputs: list[DraftTensor]
    attributes: dict[str, Any] = field(default_factory=dict)
    version: int = 1
    custom: bool = False
    custom_options: bytes = b""
    origin: str = ""  # the TensorFlow node that it comes from
    reason: str = ""  # why it is a Flex node
    effect: bool = False  # it matters even if nothing uses its results

    @property
    def is_activated(self) -> bool:
        """Whether it applies an activation function to its result."""
        return bool(self.attributes.get("fused_activation_function"))

    @property
    def subgraphs(self) -> list[DraftGraph]:
        return [value for value in self.attributes.values() if isinstance(value, DraftGraph)]


@dataclass(eq=False, slots=True)
class DraftGraph:
    """A subgraph: inputs, nodes in run order, outputs."""

    name: str
    inputs: list[DraftTensor] = field(default_factory=list)
    nodes: list[DraftNode] = field(default_factory=list)
    outputs: list[DraftTensor] = field(default_factory=list)

    def reachable(self) -> Iterator[DraftGraph]:
        """This subgraph and all that its nodes may run, each once, outer ones first."""
        seen: dict[DraftGraph, None] = {}
        queue = [self]
        while queue:
            graph = queue.pop(0)
            if graph not in seen:
                seen[graph] = None
                queue.extend(below for node in graph.nodes for below in node.subgraphs)
        yield from seen

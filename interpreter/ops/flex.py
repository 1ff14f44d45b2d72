"""TensorFlow operators that a model carries as custom operators ("Flex"): what can be known without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from ..errors import GraphError
from ..format.flexbuffer import read_flexbuffer
from ..format.nodedef import NodeDef, read_nodedef
from ..graph import Node, TensorSpec, TensorType
from .base import ANY, Op, op

_RANDOM = ("Random", "Multinomial", "TruncatedNormal", "Stateful")


@op("Flex", ANY)
class Flex(Op):
    """A node of a TensorFlow graph: `code` is "Flex" and its operator's name, `options` a FlexBuffer [name, NodeDef].

    Raises GraphError if these contradict each other or are malformed.
    """

    code: str = ""
    options: bytes = b""

    def __post_init__(self) -> None:
        object.__setattr__(self, "pure", False)  # NumPy has no meaning for it, so it is never folded
        object.__setattr__(self, "effects", self._has_effects())

    @classmethod
    def read_options(cls, node: Node, where: str) -> Mapping[str, Any]:
        return {"options": node.custom_options, "code": node.name}

    @cached_property
    def node_def(self) -> NodeDef:
        """The node as TensorFlow describes it."""
        decoded = read_flexbuffer(self.options)
        if not (isinstance(decoded, list) and len(decoded) == 2 and all(isinstance(text, bytes) for text in decoded)):
            raise GraphError(f"{self.code} holds no [operator name, NodeDef] in its custom options")
        name, message = decoded
        node = read_nodedef(message)
        if not self.code == f"Flex{node.op}" == f"Flex{name.decode(errors='replace')}":
            raise GraphError(f"custom operator {self.code!r} holds {name!r} and a NodeDef of operator {node.op!r}")
        return node

    def infer(self, *inputs: Any) -> tuple[TensorSpec, ...]:
        return tuple(replace(spec, shape=None, value=None) for spec in self.outs)

    def _has_effects(self) -> bool:
        """Whether it may touch a resource or draw random numbers, or is there for nothing but an effect."""
        touches = any(s is not None and s.type is TensorType.RESOURCE for s in (*self.ins, *self.outs))
        name = self.node_def.op
        random = any(word in name for word in _RANDOM) and not name.startswith("Stateless")
        return touches or random or not self.outs

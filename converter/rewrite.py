"""Subgraphs made smaller: neighbours fused, constants folded into weights, what nothing uses removed.

    @fuses("RELU")
    def activation(graph: Rewriter, node: DraftNode) -> None:
        maker = graph.maker(node.inputs[0])          # the node that makes the input for this node alone
        if maker is not None and ...:
            graph.absorb(maker, node)                # maker takes over what node made

A fusion looks at one node, of float32 results, and at those before it. It either changes the graph or leaves it alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeAlias

from ..interpreter.graph import TensorType
from ..interpreter.ops.base import OPS
from .draft import DraftGraph, DraftNode, DraftTensor

Fusion: TypeAlias = "Callable[[Rewriter, DraftNode], None]"

RESHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")

FUSIONS: dict[str, list[tuple[Fusion, bool]]] = {}
"""Fusions by the operator that they look at, in the order in which they are tried, and whether any type suits them."""


def fuses(*ops: str, any_type: bool = False) -> Callable[[Fusion], Fusion]:
    """Register a fusion that looks at operators of these names: those that make float32, or all."""

    def register(fusion: Fusion) -> Fusion:
        for op in ops:
            FUSIONS.setdefault(op, []).append((fusion, any_type))
        return fusion

    return register


def rewrite(graph: DraftGraph) -> None:
    """Merge, fuse and clean up a subgraph, in place."""
    merge_duplicates(graph)
    rewriter = Rewriter(graph)
    for node in graph.nodes:
        rewriter.resolve(node)
        _fuse(rewriter, node)
    graph.nodes = [node for node in graph.nodes if node not in rewriter.gone]
    graph.outputs = [rewriter.aliases.get(t, t) for t in graph.outputs]
    drop_dead(graph)


def _fuse(rewriter: Rewriter, node: DraftNode) -> None:
    """Try the fusions of a node's operator; of that which it becomes, too."""
    tried = None
    floats = all(t.type is TensorType.FLOAT32 for t in node.outputs)
    while node.op != tried:
        tried = node.op
        for fusion, any_type in FUSIONS.get(node.op, ()):
            if node.op == tried and node not in rewriter.gone and (floats or any_type):
                fusion(rewriter, node)


def merge_duplicates(graph: DraftGraph) -> None:
    """Let nodes that compute the same from the same be one."""
    aliases: dict[DraftTensor, DraftTensor] = {}
    first: dict[object, DraftNode] = {}
    kept = []
    for node in graph.nodes:
        node.inputs = [t if t is None else aliases.get(t, t) for t in node.inputs]
        same = first.setdefault(_meaning(node), node) if _is_pure(node) else node
        if same is node:
            kept.append(node)
        else:
            aliases.update(zip(node.outputs, same.outputs, strict=True))
    graph.nodes = kept
    graph.outputs = [aliases.get(t, t) for t in graph.outputs]


def _is_pure(node: DraftNode) -> bool:
    operator = OPS.get(node.op)
    return operator is not None and operator.pure and not operator.effects and not node.custom and not node.effect


def _meaning(node: DraftNode) -> object:
    types = tuple(t.type for t in node.outputs)
    return node.op, tuple(map(id, node.inputs)), tuple(sorted(node.attributes.items())), types


def drop_dead(graph: DraftGraph) -> None:
    """Remove nodes that have no effect and whose results nothing uses."""
    needed = set(map(id, graph.outputs))
    kept = []
    for node in reversed(graph.nodes):
        if node.effect or any(id(t) in needed for t in node.outputs):
            kept.append(node)
            needed.update(map(id, node.inputs))
    graph.nodes = kept[::-1]


def number(tensor: DraftTensor | None) -> float | None:
    """The value of a constant of one element, None for any other tensor."""
    if tensor is None or tensor.data is None or tensor.data.size != 1:
        return None
    return float(tensor.data.item())


def become(node: DraftNode, op: str, *inputs: DraftTensor | None, **attributes: Any) -> None:
    """Turn a node into another operator with the same result."""
    node.op, node.inputs, node.attributes, node.version = op, list(inputs), attributes, 1


class Rewriter:
    """Who makes and who uses the tensors of a subgraph, kept up to date while nodes are fused."""

    def __init__(self, graph: DraftGraph) -> None:
        self.makers = {id(t): node for node in graph.nodes for t in node.outputs}
        used = [t for node in graph.nodes for t in node.inputs if t is not None]
        self.uses = Counter(map(id, (*used, *graph.outputs)))
        self.gone: set[DraftNode] = set()
        self.aliases: dict[DraftTensor, DraftTensor] = {}

    def resolve(self, node: DraftNode) -> None:
        """Let a node use what stands for its inputs by now."""
        node.inputs = [t if t is None else self.aliases.get(t, t) for t in node.inputs]

    def skip(self, node: DraftNode, stand_in: DraftTensor) -> None:
        """Take a node out: `stand_in`, one of its inputs, has the same value as its result."""
        self.uses[id(stand_in)] += self.uses[id(node.outputs[0])] - 1
        self.aliases[node.outputs[0]] = stand_in
        self.gone.add(node)

    def bypass(self, node: DraftNode, position: int, tensor: DraftTensor) -> None:
        """Let a node take an operand of the maker of its input instead of that; the maker goes if nothing else uses it.

        The maker has one result.
        """
        passed = node.inputs[position]
        node.inputs[position] = tensor
        self.uses[id(passed)] -= 1
        if self.uses[id(passed)] == 0:
            self.gone.add(self.makers[id(passed)])
        else:
            self.uses[id(tensor)] += 1

    def source(self, tensor: DraftTensor | None) -> DraftNode | None:
        """The node that makes a tensor, None for inputs and constants."""
        return self.makers.get(id(tensor))

    def maker(self, tensor: DraftTensor | None) -> DraftNode | None:
        """The node that makes a tensor for one user alone."""
        return self.makers.get(id(tensor)) if tensor is not None and self.uses[id(tensor)] == 1 else None

    def makers_through_reshape(self, tensor: DraftTensor | None) -> tuple[DraftNode | None, DraftNode | None]:
        """The node that makes a tensor, and the same or, if that only reshapes, the node before it."""
        last = self.maker(tensor)
        return last, self.maker(last.inputs[0]) if last is not None and last.op in RESHAPES else last

    def absorb(self, kept: DraftNode, gone: DraftNode) -> None:
        """Let `kept` make what `gone` made."""
        kept.outputs = gone.outputs
        self.makers[id(gone.outputs[0])] = kept
        self.gone.add(gone)

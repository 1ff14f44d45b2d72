"""What quantisation made of a model: which nodes it changed, and why others stayed as they were."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...interpreter.graph import Graph, Node


@dataclass(frozen=True, slots=True)
class NodeOutcome:
    """One node of the model that was given, with what became of it."""

    graph: int
    node: int
    op: str
    where: str  # path of the node
    reason: str  # why it stayed float, a sentence; "" for a node that was quantised

    @property
    def quantized(self) -> bool:
        return not self.reason


@dataclass(frozen=True, slots=True)
class QuantizationReport:
    """Outcomes of all nodes that compute on real numbers, and the sizes of the files in bytes."""

    mode: str
    outcomes: tuple[NodeOutcome, ...]
    size_before: int = 0
    size_after: int = 0

    @property
    def quantized(self) -> tuple[NodeOutcome, ...]:
        """Nodes that were quantised."""
        return tuple(outcome for outcome in self.outcomes if outcome.quantized)

    @property
    def kept_float(self) -> tuple[NodeOutcome, ...]:
        """Nodes that stayed float, each with its reason."""
        return tuple(outcome for outcome in self.outcomes if not outcome.quantized)

    def __str__(self) -> str:
        lines = [f"{self.mode}: {len(self.quantized)} of {len(self.outcomes)} nodes quantised"]
        if self.size_before:
            lines[0] += f", {self.size_before} -> {self.size_after} bytes"
        lines += [f"  {outcome.op} [at {outcome.where}] stays float: {outcome.reason}" for outcome in self.kept_float]
        return "\n".join(lines)


def outcomes(graph: Graph, judged: Iterable[tuple[Node, str]]) -> list[NodeOutcome]:
    """Outcomes of nodes from (node, reason)."""
    return [NodeOutcome(graph.index, node.index, node.name, graph.where(node), reason) for node, reason in judged]

"""Building a subgraph anew from another one: tensors changed and added, nodes appended in the order of a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...interpreter.graph import ABSENT, Graph, Model, Node, Quantization, TensorType


class GraphEditor:
    """The tensors of a subgraph with their indices, and an empty list of nodes."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors = list(graph.tensors)
        self.inputs, self.outputs = list(graph.inputs), list(graph.outputs)
        self._nodes: list[Node] = []
        self._names = {tensor.name for tensor in graph.tensors}

    def like(self, index: int, suffix: str, **changes: Any) -> int:
        """A new tensor like another one, but for `changes`; its name gets a suffix."""
        tensor = self.tensors[index]
        self.tensors.append(replace(tensor, name=self._unused(tensor.name + suffix), **changes))
        return len(self.tensors) - 1

    def change(self, index: int, **changes: Any) -> None:
        """Change a tensor in place."""
        self.tensors[index] = replace(self.tensors[index], **changes)

    def keep(self, node: Node, **changes: Any) -> None:
        """Append a node of the old subgraph."""
        self._nodes.append(replace(node, **changes))

    def add(self, name: str, source: int, target: int, version: int = 1) -> None:
        """Append a node of one operand and one result."""
        self._nodes.append(Node(0, name, (source,), (target,), version=version))

    def finished(self, named: Sequence[int]) -> tuple[Graph, dict[int, int]]:
        """The subgraph without tensors that nobody uses, and new indices by old; `named` are used by signatures."""
        nodes = [replace(node, index=i) for i, node in enumerate(self._nodes)]
        used = {*self.inputs, *self.outputs, *named}
        for node in nodes:
            used.update(node.inputs, node.outputs, node.intermediates)
        moved = {old: new for new, old in enumerate(sorted(used - {ABSENT}))}

        def places(indices: Sequence[int]) -> tuple[int, ...]:
            return tuple(moved.get(i, ABSENT) for i in indices)

        renumbered = tuple(
            replace(n, inputs=places(n.inputs), outputs=places(n.outputs), intermediates=places(n.intermediates))
            for n in nodes
        )
        tensors = tuple(self.tensors[old] for old in moved)
        graph = self.graph
        return Graph(graph.index, graph.name, tensors, renumbered, places(self.inputs), places(self.outputs)), moved

    def _unused(self, name: str) -> str:
        number, wanted = 1, name
        while wanted in self._names:
            number += 1
            wanted = f"{name}_{number}"
        self._names.add(wanted)
        return wanted


def rebuilt(model: Model, editors: Sequence[GraphEditor]) -> Model:
    """The model with subgraphs as edited, signatures following their tensors."""
    named: dict[int, list[int]] = {editor.graph.index: [] for editor in editors}
    for signature in model.signatures:
        named[signature.graph] += [*signature.inputs.values(), *signature.outputs.values()]
    finished = [editor.finished(named[editor.graph.index]) for editor in editors]

    def follow(slots: Mapping[str, int], graph: int) -> dict[str, int]:
        return {name: finished[graph][1][index] for name, index in slots.items()}

    signatures = tuple(
        replace(s, inputs=follow(s.inputs, s.graph), outputs=follow(s.outputs, s.graph)) for s in model.signatures
    )
    return replace(model, graphs=tuple(graph for graph, _ in finished), signatures=signatures)


def int8(parameters: Quantization) -> dict[str, Any]:
    """What changes in a tensor that becomes int8."""
    return {"type": TensorType.INT8, "quantization": parameters}

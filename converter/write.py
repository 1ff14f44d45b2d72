"""Drafts -> the interpreter's frozen model, which the writer turns into bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..interpreter.graph import ABSENT, Graph, Model, Node, Signature, Tensor
from .draft import DraftGraph, DraftNode, DraftTensor
from .guard import freeze_tensor

DESCRIPTION = "Converted by tflite-cupy."


@dataclass(frozen=True)
class Draft:
    """A signature with its subgraph; names belong to the subgraph's inputs and outputs, in order."""

    key: str
    graph: DraftGraph
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def freeze(drafts: Sequence[Draft]) -> Model:
    """The model of some signatures: their subgraphs first, then those that these run."""
    own = list(dict.fromkeys(d.graph for d in drafts))
    graphs = list(dict.fromkeys([*own, *(below for graph in own for below in graph.reachable())]))
    index = {graph: i for i, graph in enumerate(graphs)}
    if len(own) == 1:
        own[0].name = "main"
    numbered = {graph: _number(graph) for graph in graphs}
    frozen = tuple(_freeze_graph(graph, index, numbered[graph]) for graph in graphs)
    signatures = tuple(_signature(d, index, numbered[d.graph]) for d in drafts)
    return Model(frozen, signatures, description=DESCRIPTION)


def _number(graph: DraftGraph) -> dict[DraftTensor, int]:
    """Index of each tensor: inputs first, then in the order of use."""
    used = [t for node in graph.nodes for t in (*node.inputs, *node.outputs) if t is not None]
    return {tensor: i for i, tensor in enumerate(dict.fromkeys([*graph.inputs, *used, *graph.outputs]))}


def _freeze_graph(graph: DraftGraph, index: dict[DraftGraph, int], numbers: dict[DraftTensor, int]) -> Graph:
    tensors = tuple(_freeze_tensor(t) for t in numbers)
    nodes = tuple(_freeze_node(i, node, index, numbers) for i, node in enumerate(graph.nodes))
    inputs, outputs = (tuple(numbers[t] for t in ends) for ends in (graph.inputs, graph.outputs))
    return Graph(index[graph], graph.name, tensors, nodes, inputs, outputs)


def _freeze_tensor(tensor: DraftTensor) -> Tensor:
    if tensor.data is not None:
        tensor.data.setflags(write=False)
    return freeze_tensor(tensor)


def _freeze_node(i: int, node: DraftNode, index: dict[DraftGraph, int], numbers: dict[DraftTensor, int]) -> Node:
    attributes = {k: index[v] if isinstance(v, DraftGraph) else v for k, v in node.attributes.items()}
    inputs = tuple(ABSENT if t is None else numbers[t] for t in node.inputs)
    outputs = tuple(numbers[t] for t in node.outputs)
    return Node(i, node.op, inputs, outputs, attributes, node.version, node.custom, node.custom_options)


def _signature(draft: Draft, index: dict[DraftGraph, int], numbers: dict[DraftTensor, int]) -> Signature:
    inputs = {name: numbers[t] for name, t in zip(draft.inputs, draft.graph.inputs, strict=True)}
    outputs = {name: numbers[t] for name, t in zip(draft.outputs, draft.graph.outputs, strict=True)}
    return Signature(draft.key, inputs, outputs, index[draft.graph])

"""Tensors that are written several times, as several tensors: all else relies on one value a tensor and call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

from ..graph import Graph


def single_assignment(graph: Graph, rewritten: Collection[int]) -> tuple[Graph, Mapping[int, int]]:
    """The graph with a tensor for each value of the `rewritten` ones, and where their last values are.

    An input keeps its index for the value that is given; other tensors keep theirs for the last value. Further tensors
    come after those of the file, each with the name and type that the file declares.
    """
    left = Counter(i for node in graph.nodes for i in node.outputs if i in rewritten)
    left.update(set(graph.inputs).intersection(rewritten))
    tensors, nodes = list(graph.tensors), []
    present: dict[int, int] = {}
    for node in graph.nodes:
        inputs = tuple(present.get(i, i) for i in node.inputs)
        for i in left.keys() & node.outputs:
            left[i] -= 1
            present[i] = len(tensors) if left[i] else i
            if left[i]:
                tensors.append(graph.tensors[i])
        nodes.append(replace(node, inputs=inputs, outputs=tuple(present.get(i, i) for i in node.outputs)))
    outputs = tuple(present.get(i, i) for i in graph.outputs)
    return replace(graph, tensors=tuple(tensors), nodes=tuple(nodes), outputs=outputs), present

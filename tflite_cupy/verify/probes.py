"""Models made from a model to look into it: with every tensor as an output, and with every node on its own.

Any runtime runs them as it runs the model itself, so that nothing is asked of it but calls: no tensors that a delegate
has kept to itself, no fused nodes that left nothing behind.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..interpreter.details import OPAQUE
from ..interpreter.format.writer import write_model
from ..interpreter.graph import ABSENT, Graph, Model, Node, Signature, Tensor, TensorType
from ..interpreter.ops.base import OPS
from ..interpreter.ops.binding import bind, class_of_custom
from ..interpreter.ops.checks import evaluate
from ..interpreter.ops.flex import Flex
from ..runtimes import Runtime

Tensors = Mapping[int, np.ndarray]
"""Values of tensors of one subgraph by index."""


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A model with a signature `key` that takes and gives tensors of one subgraph of the original by index."""

    content: bytes
    key: str
    takes: tuple[int, ...]
    gives: tuple[int, ...]

    def run(self, runtime: Runtime, values: Tensors) -> dict[int, np.ndarray]:
        """One call in a runtime that holds `content`; `values` may hold more than it takes."""
        inputs = {_input(index): values[index] for index in self.takes}
        outputs = runtime.call(self.key, inputs)
        return {index: outputs[_output(index)] for index in self.gives}


def exposed(model: Model, index: int, inputs: Collection[int]) -> Probe:
    """The model with the results of all nodes of subgraph `index` among its outputs. `inputs`: those that calls set."""
    graph = model.graphs[index]
    gives = _results(graph)
    outputs = (*graph.outputs, *(t for t in gives if t not in graph.outputs))
    takes = tuple(t for t in dict.fromkeys(graph.inputs) if t in inputs)
    slots = {t: t for t in takes}
    return _probe(model, replace(graph, outputs=outputs), slots, gives, kept=model.signatures)


def isolated(model: Model, index: int, inputs: Collection[int]) -> Probe:
    """The same with every node on its own: what one makes and another reads becomes an input, for the reader.

    Resources and values that depend on constants alone still go from node to node.
    """
    graph = model.graphs[index]
    tensors, feeds, nodes = list(graph.tensors), dict[int, int](), []
    gives = _results(graph)
    cut = set(gives)
    for node in graph.nodes:
        for t in node.inputs:
            if t in cut and t not in feeds:
                feeds[t] = len(tensors)
                tensors.append(replace(tensors[t], name=f"{tensors[t].name}/given"))
        nodes.append(replace(node, inputs=tuple(feeds.get(t, t) for t in node.inputs)))
    whole = replace(
        graph, tensors=tuple(tensors), nodes=tuple(nodes), inputs=(*graph.inputs, *feeds.values()), outputs=gives
    )
    slots = {t: t for t in dict.fromkeys(graph.inputs) if t in inputs} | feeds
    others = [s for s in model.signatures if s.graph != index]
    return _probe(model, whole, slots, gives, kept=others)


def fixed_value(graph: Graph, tensor: int) -> np.ndarray | None:
    """A tensor that is the same in every call, computed with NumPy; None for others."""
    data: np.ndarray | None = graph.tensors[tensor].data
    if data is not None or tensor not in _fixed(graph):
        return data
    node = next(node for node in graph.nodes if tensor in node.outputs)
    operands = [None if t == ABSENT else fixed_value(graph, t) for t in node.inputs]
    return evaluate(bind(node, graph), operands)[node.outputs.index(tensor)]


def _probe(
    model: Model, graph: Graph, slots: Mapping[int, int], gives: tuple[int, ...], kept: Collection[Signature]
) -> Probe:
    """slots: where the subgraph takes the tensors that calls set."""
    key = "probe"
    while any(signature.key == key for signature in model.signatures):
        key += "_"
    inputs = {_input(tensor): slot for tensor, slot in slots.items()}
    signature = Signature(key, inputs, {_output(tensor): tensor for tensor in gives}, graph.index)
    graphs = (*model.graphs[: graph.index], graph, *model.graphs[graph.index + 1 :])
    rewritten = replace(model, graphs=graphs, signatures=(*kept, signature), metadata={})
    return Probe(write_model(rewritten), key, tuple(slots), gives)


def _results(graph: Graph) -> tuple[int, ...]:
    """What nodes make and every runtime can hand out: not what is known before a call, which may never be computed."""
    made = dict.fromkeys(t for node in graph.nodes for t in node.outputs if t != ABSENT)
    fixed = _fixed(graph)
    return tuple(t for t in made if t not in fixed and _can_leave(graph.tensors[t]))


def _can_leave(tensor: Tensor) -> bool:
    packed_or_opaque = tensor.type in OPAQUE or 0 < tensor.type.bits < 8
    return not packed_or_opaque and tensor.type is not TensorType.BFLOAT16 and not tensor.is_variable


def _fixed(graph: Graph) -> set[int]:
    """Results that are the same in every call."""
    fixed = {t for t, tensor in enumerate(graph.tensors) if tensor.data is not None}
    for node in graph.nodes:
        if _is_pure(node) and all(t == ABSENT or t in fixed for t in node.inputs):
            fixed.update(node.outputs)
    return fixed


def _is_pure(node: Node) -> bool:
    cls = class_of_custom(node.name) if node.custom else OPS.get(node.name)
    return cls is not None and cls is not Flex and cls.pure and not cls.effects


def _input(index: int) -> str:
    return f"in_{index}"


def _output(index: int) -> str:
    return f"out_{index}"

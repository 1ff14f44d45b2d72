"""Constants that a file keeps small behind DEQUANTIZE, as the float32 constants that they stand for."""

from __future__ import annotations

import numpy as np

from ...interpreter.graph import Graph, Model, TensorType
from ...interpreter.ops.binding import bind
from ...interpreter.ops.checks import evaluate, refusal
from .editor import GraphEditor, rebuilt


def unpacked(model: Model) -> Model:
    """The model with constants in place of DEQUANTIZE nodes that have a constant operand."""
    return rebuilt(model, [_unpacked(graph) for graph in model.graphs])


def _unpacked(graph: Graph) -> GraphEditor:
    editor = GraphEditor(graph)
    for node in graph.nodes:
        source = graph.tensors[node.inputs[0]] if node.name == "DEQUANTIZE" else None
        if source is None or source.data is None or node.outputs[0] in graph.outputs:
            editor.keep(node)
            continue
        op = bind(node, graph)
        if refusal(op, op.ins) is not None:
            editor.keep(node)
            continue
        (value,) = evaluate(op, [source.data])
        real = np.asarray(value, np.float32)
        editor.change(node.outputs[0], type=TensorType.FLOAT32, data=real, shape=real.shape, shape_signature=None)
    return editor

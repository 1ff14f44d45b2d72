"""Floating-point constants in 16 bits: each becomes a float16 constant and a DEQUANTIZE that all its readers share."""

from __future__ import annotations

import numpy as np

from ...interpreter.graph import ABSENT, Graph, Model, TensorType
from .editor import GraphEditor, rebuilt
from .report import NodeOutcome, QuantizationReport, outcomes

_VERSION = 3  # of DEQUANTIZE, from which on it takes float16


def float16_constants(model: Model) -> tuple[Model, QuantizationReport]:
    """The model with its float32 constants in float16, except those that are outputs or beyond float16's range."""
    editors, judged = [], []
    for graph in model.graphs:
        editor, seen = _halved(graph)
        editors.append(editor)
        judged += seen
    return rebuilt(model, editors), QuantizationReport("float16", tuple(judged))


def _halved(graph: Graph) -> tuple[GraphEditor, list[NodeOutcome]]:
    editor = GraphEditor(graph)
    kept = {*graph.outputs, *graph.inputs}
    read = dict.fromkeys(i for node in graph.nodes for i in node.inputs if i != ABSENT and i not in kept)
    wide: dict[int, str] = {}
    real: dict[int, int] = {}
    for index in read:
        reason = _refusal(graph, index)
        if reason is None:
            data = graph.tensors[index].data
            real[index] = editor.like(index, "_float", data=None)
            editor.change(index, type=TensorType.FLOAT16, data=np.asarray(data, np.float16))
            editor.add("DEQUANTIZE", index, real[index], _VERSION)
        elif reason:
            wide[index] = reason
    for node in graph.nodes:
        editor.keep(node, inputs=tuple(real.get(i, i) for i in node.inputs))
    readers = [n for n in graph.nodes if not real.keys().isdisjoint(n.inputs) or not wide.keys().isdisjoint(n.inputs)]
    reasons = [(n, next((wide[i] for i in n.inputs if i in wide), "")) for n in readers]
    return editor, outcomes(graph, reasons)


def _refusal(graph: Graph, index: int) -> str | None:
    """None for a constant that float16 can hold; why not; "" for what is no plain float32 constant."""
    tensor = graph.tensors[index]
    if tensor.type is not TensorType.FLOAT32 or tensor.data is None or tensor.sparsity or tensor.is_variable:
        return ""
    limit = float(np.finfo(np.float16).max)
    if np.any(np.abs(tensor.data) > limit):
        return f"its constant `{tensor.name}` holds numbers beyond {limit:g}, the greatest of float16."
    return None

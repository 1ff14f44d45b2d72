"""8-bit weights: kernels quantise their inputs as they go (hybrid kernels), and everything else stays float32."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from ...interpreter.graph import Graph, Model, Node, Quantization, TensorSpec, TensorType
from ...interpreter.ops.base import Op
from ...interpreter.ops.binding import bind
from ...interpreter.ops.checks import refusal
from ...interpreter.ops.indexing import Gather
from .editor import GraphEditor, int8, rebuilt
from .report import NodeOutcome, QuantizationReport, outcomes
from .roles import channel_axis, hybrid_weights
from .scales import stored, symmetric
from .versions import hybrid_version

MIN_ELEMENTS = 1024
"""Smaller constants stay float, as in the reference's quantiser: they save little."""

_DEQUANTIZE_INT8 = 2


def dynamic_range(model: Model, min_elements: int = MIN_ELEMENTS) -> tuple[Model, QuantizationReport]:
    """The model with int8 weights: one scale a channel where the hybrid kernel takes that, else one a tensor."""
    editors, judged = [], []
    for graph in model.graphs:
        weights = _Weights(graph, min_elements)
        weights.rewrite()
        editors.append(weights.editor)
        judged += weights.outcomes
    return rebuilt(model, editors), QuantizationReport("dynamic", tuple(judged))


class _Weights:
    """The weights of one subgraph."""

    def __init__(self, graph: Graph, min_elements: int) -> None:
        self.editor = GraphEditor(graph)
        self.outcomes: list[NodeOutcome] = []
        self._graph, self._least = graph, min_elements
        self._stored: dict[tuple[int, int | None], int] = {}  # by constant and axis

    def rewrite(self) -> None:
        for node in self._graph.nodes:
            op = bind(node, self._graph)
            positions = hybrid_weights(op)
            if not positions:
                self.editor.keep(node)
                continue
            reason = self._refusal(op, positions)
            self.outcomes += outcomes(self._graph, [(node, reason or "")])
            if reason is not None:
                self.editor.keep(node)
            else:
                self._quantize(node, op, positions)

    def _refusal(self, op: Op, positions: tuple[int, ...]) -> str | None:
        sizes = [np.asarray(spec.value).size for i in positions if (spec := op.ins[i]) is not None]
        if max(sizes) < self._least:
            return f"its weights have {max(sizes)} elements, fewer than {self._least}."
        ins = list(op.ins)
        for i in positions:
            ins[i] = _as_int8(op.ins[i], channel_axis(op))
        outs = (_as_int8(op.outs[0], None),) if isinstance(op, Gather) else op.outs
        changes: dict[str, Any] = {"ins": tuple(ins), "outs": outs, **_asymmetric(op)}
        candidate = replace(op, **changes)
        return refusal(candidate, candidate.ins)

    def _quantize(self, node: Node, op: Op, positions: tuple[int, ...]) -> None:
        inputs = list(node.inputs)
        for i in positions:
            inputs[i] = self._constant(inputs[i], channel_axis(op))
        changes: dict[str, Any] = {"inputs": tuple(inputs), "version": hybrid_version(node)}
        if not isinstance(op, Gather):
            self.editor.keep(node, attributes={**node.attributes, **_asymmetric(op)}, **changes)
            return
        parameters, result = self.editor.tensors[inputs[positions[0]]].quantization, node.outputs[0]
        assert parameters is not None
        rows = self.editor.like(result, "_int8", **int8(parameters))
        self.editor.keep(node, outputs=(rows,), **changes)
        self.editor.add("DEQUANTIZE", rows, result, _DEQUANTIZE_INT8)

    def _constant(self, index: int, axis: int | None) -> int:
        """The int8 form of a constant, made once."""
        key = index, axis
        if key not in self._stored:
            data = self._graph.tensors[index].data
            assert data is not None
            parameters = symmetric(data, axis)
            self._stored[key] = self.editor.like(index, "_int8", data=stored(data, parameters), **int8(parameters))
        return self._stored[key]


def _as_int8(spec: TensorSpec | None, axis: int | None) -> TensorSpec:
    assert spec is not None
    count = 1 if axis is None else np.asarray(spec.value).shape[axis]
    parameters = Quantization(np.ones(count, np.float32), np.zeros(count, np.int64), axis or 0)
    return replace(spec, type=TensorType.INT8, quantization=parameters)


def _asymmetric(op: Op) -> dict[str, bool]:
    """Hybrid kernels that can are asked to give their quantised inputs zero points, which is more accurate."""
    name = "asymmetric_quantize_inputs"
    return {name: True} if any(field.name == name for field in fields(op)) else {}

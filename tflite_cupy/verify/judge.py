"""Which tolerance goes for which tensor of a model."""

from __future__ import annotations

from functools import cache

import numpy as np

from ..interpreter.graph import ABSENT, Graph, Model, Node, TensorType
from ..interpreter.ops.base import ControlOp
from ..interpreter.ops.binding import bind
from .measure import STORED, Kind, Measure, Tolerance, is_stored, measured

_HALVES = (TensorType.FLOAT16, TensorType.BFLOAT16, TensorType.FLOAT8_E4M3FN, TensorType.FLOAT8_E5M2)
_RANK = (Kind.FLOAT, Kind.HALF, Kind.COARSE)


class Judge:
    """Says how far tensors of a model are off, and whether that is too far."""

    def __init__(self, model: Model, tolerance: Tolerance) -> None:
        self._model, self.tolerance = model, tolerance
        self._floats = cache(self._floats_of)

    def measure(self, graph: int, tensor: int, got: np.ndarray, want: np.ndarray) -> tuple[Measure, float]:
        """How far off a tensor of a subgraph is, and that in parts of what is allowed: above 1 it is too far."""
        found = measured(got, want, self._model.graphs[graph].tensors[tensor])
        return found, self.tolerance.excess(self.kind(graph, tensor), found)

    def allowed(self, graph: int, tensor: int) -> str:
        """The tolerance, as reports say it."""
        return self.tolerance.text(self.kind(graph, tensor))

    def kind(self, graph: int, tensor: int) -> Kind:
        """What a tensor holds. Floats are coarse where rounded integers have a part in computing them."""
        declared = self._model.graphs[graph].tensors[tensor]
        if is_stored(declared):
            return Kind.STEPS
        if declared.type.dtype.kind not in "fcV":
            return Kind.EXACT
        return _RANK[max(self._floats(graph)[tensor], 1 if declared.type in _HALVES else 0)]

    def _floats_of(self, index: int) -> list[int]:
        """How coarse each tensor of a subgraph is if it holds floats, as a place in `_RANK`."""
        graph = self._model.graphs[index]
        ranks = [0] * len(graph.tensors)
        for node in graph.nodes:
            operands = [ranks[t] for t in node.inputs if t != ABSENT]
            rank = max((*operands, self._rank(graph, node)))
            for t in node.outputs:
                ranks[t] = max(ranks[t], rank)
        return ranks

    def _rank(self, graph: Graph, node: Node) -> int:
        """What a node itself does to floats."""
        op = bind(node, graph)
        if isinstance(op, ControlOp):
            bodies = [i for i in op.subgraphs if i < len(self._model.graphs) and i != graph.index]
            return max((rank for i in bodies for rank in self._floats(i)), default=0)
        tensors = [graph.tensors[t] for t in (*node.inputs, *node.outputs) if t != ABSENT]
        computed = [t for t in tensors if t.data is None]
        weights = [t for t in tensors if t.data is not None] if node.name != "DEQUANTIZE" else []
        if any(map(is_stored, computed)) or any(t.quantization is not None and t.type in STORED for t in weights):
            return 2
        return 1 if any(t.type in _HALVES for t in computed) else 0

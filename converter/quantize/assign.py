"""A scale for each real tensor of a subgraph: from its range, from what kernels take for granted, or from neighbours.

Where operands and results must have one scale, an operator of one real operand passes the operand's on to its results,
and one of several (a concatenation, say) asks its operands to have that of its result; an operand that has another one
already is requantised. (Reference: RemoveRedundantStatsOps, QuantizationDriver.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...interpreter.graph import Graph, Quantization
from ...interpreter.ops.base import StatefulOp
from .constraints import FIXED_RESULTS, SAME_SCALE, least_scale
from .judge import Judged, is_real
from .ranges import Ranges
from .scales import NARROWEST_COMPUTED, asymmetric


@dataclass(slots=True)
class Assignment:
    """Scales of tensors, and those that operands of same-scale nodes need."""

    tensors: dict[int, Quantization] = field(default_factory=dict)
    operands: dict[tuple[int, int], Quantization] = field(default_factory=dict)  # by (node, position)


def assign(graph: Graph, judged: Sequence[Judged], ranges: Ranges) -> Assignment:
    """Scales for all real tensors that quantised nodes read or write; constants other than of same-scale nodes have
    none."""
    return _Assigner(graph, judged, ranges).run()


class _Assigner:
    def __init__(self, graph: Graph, judged: Sequence[Judged], ranges: Ranges) -> None:
        self._graph, self._ranges = graph, ranges
        self._nodes = [j for j in judged if j.is_quantized]
        self._result = Assignment()
        self._known = self._result.tensors
        for j in self._nodes:
            if j.op.name in FIXED_RESULTS:
                self._known[j.node.outputs[0]] = FIXED_RESULTS[j.op.name]

    def run(self) -> Assignment:
        for j in reversed(self._nodes):
            if j.op.name in SAME_SCALE:
                self._backward(j)
        for j in self._nodes:
            self._forward(j)
        return self._result

    def _backward(self, j: Judged) -> None:
        """Ask the operands of a node to have the scale of its results, if that is settled or there are several."""
        outputs, operands = _real_outputs(j), _real_operands(j)
        settled = next((self._known[t] for t in outputs if t in self._known), None)
        if settled is None and len(operands) > 1:
            settled = self._seen(outputs[0])
        if settled is None:
            return
        for tensor in outputs:
            self._known[tensor] = settled
        for position in operands:
            tensor = j.node.inputs[position]
            if self._is_constant(tensor) or self._known.setdefault(tensor, settled) is not settled:
                self._result.operands[j.node.index, position] = settled

    def _forward(self, j: Judged) -> None:
        """Give scales to what has none yet."""
        for position in _real_operands(j):
            tensor = j.node.inputs[position]
            if not self._is_constant(tensor) and tensor not in self._known:
                self._known[tensor] = self._seen(tensor)
        for tensor in _real_outputs(j):
            if tensor not in self._known:
                self._known[tensor] = self._passed_on(j) if j.op.name in SAME_SCALE else self._computed(j, tensor)

    def _passed_on(self, j: Judged) -> Quantization:
        """The scale of the only real operand of a same-scale node, a constant's from its values."""
        (position,) = _real_operands(j)
        tensor = j.node.inputs[position]
        if not self._is_constant(tensor):
            return self._known[tensor]
        return self._result.operands.setdefault((j.node.index, position), self._seen(tensor))

    def _computed(self, j: Judged, tensor: int) -> Quantization:
        """The scale of a result by its range, which is widened where kernels can't take so small a scale."""
        operands = [j.node.inputs[position] for position in _real_operands(j)]
        parameters = [self._seen(t) if self._is_constant(t) else self._known[t] for t in operands]
        least = least_scale(j.op.name, [float(p.scales[0]) for p in parameters])
        return self._seen(tensor, 256 * least)

    def _seen(self, tensor: int, narrowest: float = NARROWEST_COMPUTED) -> Quantization:
        seen = self._ranges.of(self._graph, tensor)
        assert seen is not None
        return asymmetric(*seen, max(narrowest, NARROWEST_COMPUTED))

    def _is_constant(self, tensor: int) -> bool:
        return self._graph.tensors[tensor].data is not None


def _real_operands(j: Judged) -> list[int]:
    """Positions of operands that hold real numbers; of a layer with states that of its input alone."""
    if isinstance(j.op, StatefulOp):
        return [0]
    return [i for i, spec in enumerate(j.op.ins) if is_real(spec)]


def _real_outputs(j: Judged) -> list[int]:
    return [tensor for tensor, spec in zip(j.node.outputs, j.op.outs, strict=True) if is_real(spec)]

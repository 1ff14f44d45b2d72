"""Whether runtimes gave the same results, which times are compared of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..interpreter.graph import Graph, Model, Node, Signature, Tensor, TensorType

FLOATS, HALVES, ROUNDED = 1e-3, 3e-2, 0.3
"""Of `difference`: graphs of float32; those that compute in 16 bits; those whose operators round to integers, which
each runtime does in its own way, so that outputs of deep networks differ by much without one being wrong."""

_HALF = (TensorType.FLOAT16, TensorType.BFLOAT16)
_INTEGERS = (TensorType.INT8, TensorType.UINT8, TensorType.INT16, TensorType.INT4, TensorType.INT2)


@dataclass(frozen=True, slots=True)
class Agreement:
    """The largest difference of an output, and how much is taken for the same."""

    difference: float
    tolerance: float
    output: str

    @property
    def agrees(self) -> bool:
        return self.difference <= self.tolerance

    def to_json(self) -> dict[str, Any]:
        """A difference that is not finite is None."""
        difference = float(f"{self.difference:.3g}") if np.isfinite(self.difference) else None
        return {
            "agrees": self.agrees,
            "difference": difference,
            "tolerance": self.tolerance,
            "output": self.output,
        }


def compare(
    model: Model,
    signature: Signature,
    results: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    tolerance: float | None = None,
) -> Agreement:
    """Results of one call of two runtimes; the tolerance comes from the subgraph's types unless it is given."""
    graph = model.graphs[signature.graph]
    apart = {
        name: difference(results[name], expected[name], graph.tensors[tensor])
        for name, tensor in signature.outputs.items()
    }
    worst = max(apart, key=lambda name: apart[name], default="")
    return Agreement(apart.get(worst, 0.0), usual_tolerance(graph) if tolerance is None else tolerance, worst)


def difference(result: np.ndarray, expected: np.ndarray, tensor: Tensor) -> float:
    """Root mean square of what two values of a tensor differ by, as a part of that of the second.

    Of integers that stand for themselves, truth values and strings: the part of the elements that differ. Infinite for
    shapes that differ, and where one is not finite and the other is another.
    """
    if result.shape != expected.shape:
        return float("inf")
    if not result.size:
        return 0.0
    if result.dtype.kind not in "fcV" and tensor.quantization is None:
        return float(np.mean(result != expected))
    ours, theirs = real(result, tensor), real(expected, tensor)
    odd = ~(np.isfinite(ours) & np.isfinite(theirs))
    if odd.any():
        same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        if not same[odd].all():
            return float("inf")
        ours, theirs = ours[~odd], theirs[~odd]
    return _size(ours - theirs) / max(_size(theirs), 1e-9)


def real(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Numbers that a tensor's elements stand for, as float64 or complex128."""
    kind = np.complex128 if values.dtype.kind == "c" else np.float64
    q, numbers = tensor.quantization, values.astype(kind)
    if q is None or not len(q.scales) or values.dtype.kind not in "iu":
        return numbers
    shape = [1] * values.ndim
    if q.per_channel:
        shape[q.axis] = len(q.scales)
    points = q.zero_points if len(q.zero_points) == len(q.scales) else np.zeros(len(q.scales))
    scales = q.scales.astype(np.float64)
    result: np.ndarray = (numbers - points.reshape(shape)) * scales.reshape(shape)
    return result


def usual_tolerance(graph: Graph) -> float:
    """By the types that a subgraph computes with."""
    computed = [graph.tensors[i] for node in graph.nodes for i in node.outputs if i >= 0]
    if any(map(_is_stored, computed)) or any(_is_hybrid(graph, node) for node in graph.nodes):
        return ROUNDED
    return HALVES if any(tensor.type in _HALF for tensor in computed) else FLOATS


def _is_stored(tensor: Tensor) -> bool:
    return tensor.type in _INTEGERS and tensor.quantization is not None and len(tensor.quantization.scales) > 0


def _is_hybrid(graph: Graph, node: Node) -> bool:
    """Whether it rounds its activations to integers, because its weights are such."""
    weights = [graph.tensors[i] for i in node.inputs[1:] if i >= 0]
    return any(tensor.data is not None and _is_stored(tensor) for tensor in weights)


def _size(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(np.abs(values))))) if values.size else 0.0

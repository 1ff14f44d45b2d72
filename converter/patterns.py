"""Groups of TensorFlow nodes that one builtin operator stands for, where their single nodes have none: GELU.

A match gives its last node a new operator, `rules` of which are in `rules.activation`; `fold.prune` drops the rest.
"""

from __future__ import annotations

import math

import numpy as np

from .fold import prune
from .tfgraph import TfGraph, TfNode, TfValue

GELU = "Gelu"
"""What a matched node is called; TensorFlow has no operator of this name."""

FLOAT = 1  # DT_FLOAT


def find_patterns(graph: TfGraph) -> None:
    """Replace the groups of nodes that are found."""
    found = False
    for node in graph.nodes:
        if node.op == "Mul" and node.output().data_type == FLOAT:
            source = _gelu(node)
            if source is not None:
                node.op, node.inputs, node.definition = GELU, [source], None
                found = True
    if found:
        prune(graph)


def _gelu(node: TfNode) -> TfValue | None:
    """x of x/2 * erfc(-x / sqrt 2) or x/2 * (1 + erf(x / sqrt 2)), in whatever order the factors stand."""
    factors = _factors(node.output(), 3)
    scale, values = _split(factors)
    if not math.isclose(scale, 0.5, rel_tol=1e-6) or len(values) != 2:
        return None
    for x, bell in (values, values[::-1]):
        if _erfc_of(bell) == (x, -1) or _one_plus_erf_of(bell) == (x, 1):
            return x
    return None


def _erfc_of(value: TfValue) -> tuple[TfValue, int] | None:
    """(x, sign) of erfc(sign * x / sqrt 2)."""
    return _root_half(value.node.inputs[0]) if value.node.op == "Erfc" else None


def _one_plus_erf_of(value: TfValue) -> tuple[TfValue, int] | None:
    """(x, sign) of 1 + erf(sign * x / sqrt 2)."""
    if value.node.op not in ("Add", "AddV2"):
        return None
    for one, erf in (value.node.inputs, value.node.inputs[::-1]):
        if _scalar(one) == 1 and erf.node.op == "Erf":
            return _root_half(erf.node.inputs[0])
    return None


def _root_half(value: TfValue) -> tuple[TfValue, int] | None:
    """(x, sign) of sign * x / sqrt 2."""
    scale, values = _split(_factors(value, 3))
    if len(values) != 1 or not math.isclose(abs(scale), math.sqrt(0.5), rel_tol=1e-6):
        return None
    return values[0], 1 if scale > 0 else -1


def _factors(value: TfValue, depth: int) -> list[TfValue | float]:
    """What a value is a product of: numbers, and values that are no products themselves."""
    number = _scalar(value)
    if number is not None:
        return [number]
    node = value.node
    if depth and node.op == "Neg":
        return [-1.0, *_factors(node.inputs[0], depth - 1)]
    if depth and node.op == "Mul":
        return [f for v in node.inputs for f in _factors(v, depth - 1)]
    if depth and node.op == "RealDiv" and _scalar(node.inputs[1]):
        return [1 / (_scalar(node.inputs[1]) or 1), *_factors(node.inputs[0], depth - 1)]
    return [value]


def _split(factors: list[TfValue | float]) -> tuple[float, list[TfValue]]:
    numbers = [f for f in factors if not isinstance(f, TfValue)]
    return math.prod(numbers), [f for f in factors if isinstance(f, TfValue)]


def _scalar(value: TfValue) -> float | None:
    const = value.const
    return (
        float(const.item())
        if const is not None and const.size == 1 and np.issubdtype(const.dtype, np.floating)
        else None
    )

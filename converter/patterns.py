"""Groups of TensorFlow nodes that one builtin operator stands for, where their single nodes have none: GELU.

A match gives its last node a new operator, `rules` of which are in `rules.activation`; `fold.prune` drops the rest.
"""

from __future__ import annotations

import math

import numpy as np

from .fold import prune
from .tfgraph import TfGraph, TfNode, TfValue

GELU, GELU_TANH = "Gelu", "GeluTanh"
"""What matched nodes are called: the exact function, its approximation. TensorFlow has no operators of these names."""

FLOAT = 1  # DT_FLOAT


def find_patterns(graph: TfGraph) -> None:
    """Replace the groups of nodes that are found."""
    found = False
    for node in graph.nodes:
        if node.op == "Mul" and node.output().data_type == FLOAT:
            match = _gelu(node)
            if match is not None and match[1].rank == node.output().rank:
                node.op, source = match
                node.inputs, node.definition = [source], None
                found = True
    if found:
        prune(graph)


def _gelu(node: TfNode) -> tuple[str, TfValue] | None:
    """(operator, x) of x/2 * erfc(-x / sqrt 2), x/2 * (1 + erf(x / sqrt 2)) or x/2 * (1 + tanh(...)), in any order."""
    factors = _factors(node.output(), 3)
    scale, values = _split(factors)
    if not math.isclose(scale, 0.5, rel_tol=1e-6) or len(values) != 2:
        return None
    for x, bell in (values, values[::-1]):
        if _erfc_of(bell) == (x, -1) or _one_plus_erf_of(bell) == (x, 1):
            return GELU, x
        tanh = _one_plus(bell, "Tanh")
        if tanh is not None and _is_cubic(tanh, x):
            return GELU_TANH, x
    return None


def _erfc_of(value: TfValue) -> tuple[TfValue, int] | None:
    """(x, sign) of erfc(sign * x / sqrt 2)."""
    return _root_half(value.node.inputs[0]) if value.node.op == "Erfc" else None


def _one_plus_erf_of(value: TfValue) -> tuple[TfValue, int] | None:
    """(x, sign) of 1 + erf(sign * x / sqrt 2)."""
    inside = _one_plus(value, "Erf")
    return None if inside is None else _root_half(inside)


def _one_plus(value: TfValue, op: str) -> TfValue | None:
    """y of 1 + op(y)."""
    if value.node.op in ("Add", "AddV2"):
        for one, other in (value.node.inputs, value.node.inputs[::-1]):
            if _scalar(one) == 1 and other.node.op == op:
                return other.node.inputs[0]
    return None


def _is_cubic(value: TfValue, x: TfValue) -> bool:
    """Whether a value is sqrt(2 / pi) * (x + 0.044715 * x^3)."""
    scale, values = _split(_factors(value, 3))
    if len(values) != 1 or not math.isclose(scale, math.sqrt(2 / math.pi), rel_tol=1e-6):
        return False
    if values[0].node.op not in ("Add", "AddV2"):
        return False
    for first, cube in (values[0].node.inputs, values[0].node.inputs[::-1]):
        weight, powers = _split(_factors(cube, 4))
        if first is x and math.isclose(weight, 0.044715, rel_tol=1e-6) and sum(_power(p, x) for p in powers) == 3:
            return True
    return False


def _power(value: TfValue, x: TfValue) -> float:
    """n of x^n; NaN for anything else."""
    if value is x:
        return 1
    if value.node.op == "Square" and value.node.inputs[0] is x:
        return 2
    exponent = _scalar(value.node.inputs[1]) if value.node.op == "Pow" and value.node.inputs[0] is x else None
    return math.nan if exponent is None else exponent


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

"""Index vectors of which some elements are known: what becomes of the known dimensions of a shape.

Shapes are computed with in graphs (`tf.shape(x)[0]`, products of dimensions, new shapes packed from parts). Where only
the batch is unknown, most of that arithmetic is known; this pass finds it. A partly known value is an object array that
holds None for unknown elements. Rules give None where they cannot tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from ..interpreter.graph import TensorType
from .tfgraph import TfGraph, TfNode, TfValue

Partial: TypeAlias = np.ndarray
Rule: TypeAlias = "Callable[[TfNode, list[Partial]], Partial | None]"

LIMIT = 64
"""Longer vectors are no shapes."""


def find_partial(graph: TfGraph) -> None:
    """Set `partial` of values that are partly known integers, and `const` of those that turn out to be all known."""
    for node in graph.nodes:
        for value in node.outputs:
            if value.const is not None and value.const.dtype.kind in "iu" and value.const.size <= LIMIT:
                value.partial = value.const.astype(object)
        partial = _evaluate(node)
        if partial is not None:
            _note(node.output(), partial)


def _evaluate(node: TfNode) -> Partial | None:
    rule = _RULES.get(node.op)
    inputs = [v.partial for v in node.inputs if v.partial is not None]
    if rule is None or len(inputs) < len(node.inputs):
        return _shape(node) if node.op == "Shape" else None
    return rule(node, inputs)


def _note(value: TfValue, partial: Partial) -> None:
    value.partial = partial
    items = list(partial.flat)
    if value.const is not None or value.type is None or value.type.dtype.kind not in "iu" or None in items:
        return
    if _fits(partial, value.type):
        value.const = partial.astype(value.type.dtype)


def _array(items: Sequence[int | None], shape: tuple[int, ...]) -> Partial:
    result = np.empty(len(items), object)
    result[:] = items
    return result.reshape(shape)


def _shape(node: TfNode) -> Partial | None:
    dims = node.inputs[0].dims
    return None if dims is None else _array(dims, (len(dims),))


def _gather(node: TfNode, inputs: list[Partial]) -> Partial | None:
    params, indices, axis = inputs
    if params.ndim != 1 or axis.item() != 0 or not all(n is not None and 0 <= n < params.size for n in indices.flat):
        return None
    return np.asarray(params[indices.astype(np.int64)], object)


def _strided_slice(node: TfNode, inputs: list[Partial]) -> Partial | None:
    vector, *bounds = inputs
    begin_mask, end_mask, shrink, *others = (node.attr(f"{name}_mask", 0) for name in _MASKS)
    if vector.ndim != 1 or any(x.size != 1 or x.item() is None for x in bounds) or any(others):
        return None
    begin, end, step = (x.item() for x in bounds)
    if shrink:
        return _array([vector[begin]], ()) if -vector.size <= begin < vector.size else None
    return vector[None if begin_mask else begin : None if end_mask else end : step]


_MASKS = ("begin", "end", "shrink_axis", "ellipsis", "new_axis")


def _product(node: TfNode, inputs: list[Partial]) -> Partial | None:
    items, axes = list(inputs[0].flat), inputs[1]
    if inputs[0].ndim != 1 or axes.size != 1:
        return None
    return _array([None if None in items else math.prod(items)], (1,) if node.attr("keep_dims") else ())


def _elementwise(function: Callable[[int, int], int]) -> Rule:
    def apply(node: TfNode, inputs: list[Partial]) -> Partial:
        pairs = np.broadcast(*inputs)
        return _array([None if a is None or b is None else function(a, b) for a, b in pairs], pairs.shape)

    return apply


def _cast(node: TfNode, inputs: list[Partial]) -> Partial | None:
    """Integers that stay what they are; those that may not fit the result's type are not known."""
    kind = node.output().type
    return inputs[0] if kind in (TensorType.INT32, TensorType.INT64) and _fits(inputs[0], kind) else None


def _fits(partial: Partial, kind: TensorType) -> bool:
    limits = np.iinfo(kind.dtype)
    return all(n is None or limits.min <= n <= limits.max for n in partial.flat)


def _concat(node: TfNode, inputs: list[Partial]) -> Partial | None:
    parts = inputs[:-1]
    return np.concatenate(parts) if all(part.ndim == 1 for part in parts) else None


def _pack(node: TfNode, inputs: list[Partial]) -> Partial | None:
    return _array([x.item() for x in inputs], (len(inputs),)) if all(x.ndim == 0 for x in inputs) else None


def _reshaped(node: TfNode, inputs: list[Partial]) -> Partial | None:
    static = node.output().static
    return None if static is None else inputs[0].reshape(static)


_RULES: dict[str, Rule] = {
    "AddV2": _elementwise(lambda a, b: a + b),
    "Cast": _cast,
    "ConcatV2": _concat,
    "ExpandDims": _reshaped,
    "GatherV2": _gather,
    "Mul": _elementwise(lambda a, b: a * b),
    "Pack": _pack,
    "Prod": _product,
    "Reshape": _reshaped,
    "Squeeze": _reshaped,
    "StridedSlice": _strided_slice,
    "Sub": _elementwise(lambda a, b: a - b),
}

"""Constant folding: whatever depends on constants alone is computed by TensorFlow, in one Session.run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ..interpreter.graph import TensorType
from .partial import find_partial
from .resources import Variable
from .shapes import SMALL, TfSession
from .tfapi import is_stateful, tensorflow
from .tfgraph import TfGraph, TfNode, TfValue

Feeds: TypeAlias = dict[TfValue, np.ndarray]

HANDLES = (TensorType.RESOURCE, TensorType.VARIANT)
GROWTH = 4
"""A folded value may hold at most this many times the elements of what it is computed from, or `SMALL` ones."""


def fold(graph: TfGraph, session: TfSession) -> None:
    """Attach `const` to all values that are constant, and drop the nodes that nothing needs any more."""
    find_partial(graph)
    feeds = _freeze(graph)
    known = {v for v in graph.values() if v.const is not None}
    computed = [node for node in graph.nodes if _is_foldable(node, known)]
    wanted = _frontier(graph, set(computed))
    for value, array in zip(wanted, _evaluate(session, wanted, _below(wanted, feeds)), strict=True):
        value.const = array
    prune(graph)


def _freeze(graph: TfGraph) -> Feeds:
    """Give reads of variables that nothing writes, sizes and ranks their values; all values that must be fed."""
    for node in graph.nodes:
        resource = node.inputs[0].resource if node.inputs else None
        if node.op == "ReadVariableOp" and isinstance(resource, Variable) and not resource.written:
            node.output().const = resource.value
        elif node.op == "Rank" and node.inputs[0].rank is not None:
            node.output().const = _index(node, node.inputs[0].rank)
        elif node.op == "Size" and node.inputs[0].static is not None:
            node.output().const = _index(node, math.prod(node.inputs[0].static))
    return {
        v: v.const for v in graph.values() if v.const is not None and (v.node.op != "Const" or v.const.size > SMALL)
    }


def _index(node: TfNode, number: int) -> np.ndarray:
    """A number of the node's type; one that does not fit wraps around, as TensorFlow's kernel lets it."""
    return np.array(number, np.int64).astype(tensorflow().as_dtype(node.output().data_type).as_numpy_dtype)


def _is_foldable(node: TfNode, known: set[TfValue]) -> bool:
    """Whether all results of a node are constants; adds them to `known`."""
    if not node.inputs or any(v not in known for v in node.inputs) or is_stateful(node.op):
        return False
    if node.outputs and node.outputs[0].const is not None:
        return False
    if any(v.type is None or v.type in HANDLES for v in node.outputs) or _grows(node):
        return False
    known.update(node.outputs)
    return True


def _grows(node: TfNode) -> bool:
    budget = max(SMALL, GROWTH * sum(_size(v) for v in node.inputs))
    return any(v.static is None or _size(v) > budget for v in node.outputs)


def _size(value: TfValue) -> int:
    return int(np.prod(value.static or (), dtype=np.int64))


def _frontier(graph: TfGraph, computed: set[TfNode]) -> list[TfValue]:
    """Computed values that something else than computed nodes uses, in run order."""
    users = [v for node in graph.nodes if node not in computed for v in node.inputs]
    needed = dict.fromkeys(v for v in (*users, *graph.outputs) if v.node in computed)
    return list(needed)


def _below(wanted: Sequence[TfValue], feeds: Feeds) -> Feeds:
    """The feeds that the wanted values depend on."""
    found: Feeds = {}
    seen: set[TfNode] = set()
    stack = [v.node for v in wanted]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            found |= {v: feeds[v] for v in node.inputs if v in feeds}
            stack += [v.node for v in node.inputs if v not in feeds]
    return found


def _evaluate(session: TfSession, wanted: Sequence[TfValue], feeds: Feeds) -> list[np.ndarray | None]:
    """Values of tensors; None for one that TensorFlow fails to compute (it then fails at run time, if reached)."""
    if not wanted:
        return []
    tf = tensorflow()
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    fed = {session.tensor(v.node, v.index): array for v, array in feeds.items()}
    tensors = [session.tensor(v.node, v.index) for v in wanted]
    with tf.compat.v1.Session(graph=session.tf_graph, config=config) as run:
        try:
            return [np.asarray(a) for a in run.run(tensors, fed)]
        except tf.errors.OpError:
            return [_evaluate_one(run, tensor, fed) for tensor in tensors]


def _evaluate_one(run: Any, tensor: Any, fed: Any) -> np.ndarray | None:
    try:
        return np.asarray(run.run(tensor, fed))
    except tensorflow().errors.OpError:
        return None


def prune(graph: TfGraph) -> None:
    """Drop the nodes whose results neither the graph's outputs nor any effect need."""
    needed: set[TfNode] = {v.node for v in graph.outputs if v.const is None}
    kept = []
    for node in reversed(graph.nodes):
        if node in needed or has_effect(node) or node.op == "Placeholder":
            kept.append(node)
            needed.update(v.node for v in node.inputs if v.const is None)
    graph.nodes = kept[::-1]


def has_effect(node: TfNode) -> bool:
    """Whether a node matters even if nothing uses its results."""
    return node.op in ("Case", "If", "While") or (
        node.definition is not None and not node.outputs and is_stateful(node.op)
    )

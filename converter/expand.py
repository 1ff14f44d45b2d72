"""Operators that work on a variable, written out: what they read, what they compute, what they assign.

`ResourceGather` becomes a read and a gather, an optimiser's step becomes reads, arithmetic and assignments. So
variables need two builtin operators, and the rest falls to the rules of ordinary operators. What is computed is said in
TensorFlow's own functions, which are traced; the formulas are those of TensorFlow's kernels (training_ops.cc).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from .functions import Body, Library, graph_body
from .inline import splice
from .tfapi import argument_types, node_def, tensorflow
from .tfgraph import TfGraph, TfNode, TfValue

Formula: TypeAlias = Callable[..., Any]
"""(tf, node, *operands) -> new values of the variables that are assigned; or the node's result."""


@dataclass(frozen=True)
class Expansion:
    """How an operator is written out. `reads` and `assigns` are positions of operands that are handles."""

    formula: Formula
    reads: tuple[int, ...]
    assigns: tuple[int, ...]


EXPANSIONS: dict[str, Expansion] = {}
"""Expansion by TensorFlow operator."""


def expands(*ops: str, reads: int = 1, assigns: Sequence[int] = ()) -> Callable[[Formula], Formula]:
    """Register a formula for operators whose first `reads` operands are handles of variables."""

    def register(formula: Formula) -> Formula:
        EXPANSIONS.update(dict.fromkeys(ops, Expansion(formula, tuple(range(reads)), tuple(assigns))))
        return formula

    return register


class Expander:
    """Writes operators out; traced formulas are kept, since a model repeats them."""

    def __init__(self, functions: Library) -> None:
        self.functions = functions
        self._bodies: dict[Any, Body] = {}

    def run(self, graph: TfGraph) -> None:
        """Replace the nodes of a flat graph that work on builtin variables and have an expansion."""
        if not any(_is_expandable(node) for node in graph.nodes):
            return
        old, graph.nodes = graph.nodes, []
        replaced: dict[TfValue, TfValue] = {}
        for node in old:
            node.inputs = [replaced.get(v, v) for v in node.inputs]
            if _is_expandable(node):
                results = self._expand(graph, node)
                replaced.update(zip(node.outputs, results, strict=False))
            else:
                graph.add(node)
        graph.outputs = [replaced.get(v, v) for v in graph.outputs]

    def _expand(self, graph: TfGraph, node: TfNode) -> Sequence[TfValue]:
        expansion = EXPANSIONS[node.op]
        operands = [_read(graph, node, v) if i in expansion.reads else v for i, v in enumerate(node.inputs)]
        results = splice(graph, self._body(node, expansion), operands, self.functions, node.name)
        for position, value in zip(expansion.assigns, results, strict=False):
            handle = node.inputs[position]
            _add(graph, node, "AssignVariableOp", [handle, value], dtype=handle.resource.data_type)
        return [] if expansion.assigns else results

    def _body(self, node: TfNode, expansion: Expansion) -> Body:
        """The traced formula, for operands of any shape."""
        tf = tensorflow()
        types = _operand_types(node)
        attributes = sorted((k, v) for k, v in node.definition.attr.items() if not k.startswith("_"))
        key = (node.op, types, tuple((k, v.SerializeToString()) for k, v in attributes))
        if key not in self._bodies:
            function = tf.function(lambda *operands: expansion.formula(tf, node, *operands), autograph=False)
            traced = function.get_concrete_function(*(tf.TensorSpec(None, tf.as_dtype(t)) for t in types)).graph
            definition = traced.as_graph_def()
            self.functions.add_those_of(definition)
            names = [t.op.name for t in traced.inputs], [t.name for t in traced.outputs]
            self._bodies[key] = graph_body(node.op, definition, *names)
        return self._bodies[key]


def _is_expandable(node: TfNode) -> bool:
    if node.op not in EXPANSIONS:
        return False
    resources = [node.inputs[i].resource for i in EXPANSIONS[node.op].reads]
    return all(r is not None and not r.flex for r in resources)


def _read(graph: TfGraph, node: TfNode, handle: TfValue) -> TfValue:
    return _add(graph, node, "ReadVariableOp", [handle], dtype=handle.resource.data_type).output()


def _add(graph: TfGraph, source: TfNode, op: str, inputs: list[TfValue], **types: int) -> TfNode:
    return graph.add(TfNode(f"{source.name}/{op}", op, inputs, node_def(op, source.name, types)))


def _operand_types(node: TfNode) -> tuple[int, ...]:
    """DataTypes of the operands, those of variables in place of their handles."""
    declared = argument_types(node.definition)
    return tuple(
        v.resource.data_type if v.resource is not None else t for v, t in zip(node.inputs, declared, strict=True)
    )


@expands("ResourceGather")
def gather(tf: Any, node: TfNode, variable: Any, indices: Any) -> Any:
    axis = node.attr("batch_dims", 0)
    return tf.raw_ops.GatherV2(params=variable, indices=indices, axis=axis, batch_dims=axis)


@expands("ResourceGatherNd")
def gather_nd(tf: Any, node: TfNode, variable: Any, indices: Any) -> Any:
    return tf.gather_nd(variable, indices)


@expands("VariableShape")
def variable_shape(tf: Any, node: TfNode, variable: Any) -> Any:
    return tf.shape(variable, tf.as_dtype(node.attr("out_type", 3)))


@expands("VarIsInitializedOp")
def is_initialised(tf: Any, node: TfNode, variable: Any) -> Any:
    """Always: the initialiser runs first."""
    return tf.constant(True)


@expands("AssignAddVariableOp", assigns=[0])
def assign_add(tf: Any, node: TfNode, variable: Any, delta: Any) -> Any:
    return variable + delta


@expands("AssignSubVariableOp", assigns=[0])
def assign_sub(tf: Any, node: TfNode, variable: Any, delta: Any) -> Any:
    return variable - delta


_SCATTERS = {"Update": "update", "Add": "add", "Sub": "sub", "Max": "max", "Min": "min"}


@expands(*(f"ResourceScatter{name}" for name in _SCATTERS), assigns=[0])
def scatter(tf: Any, node: TfNode, variable: Any, indices: Any, updates: Any) -> Any:
    """Rows of a variable; a scalar update goes to all of them."""
    rows = tf.broadcast_to(updates, tf.concat([tf.shape(indices), tf.shape(variable)[1:]], 0))
    name = _SCATTERS[node.op.removeprefix("ResourceScatter")]
    return getattr(tf, f"tensor_scatter_nd_{name}")(variable, tf.expand_dims(indices, -1), rows)


@expands(*(f"ResourceScatterNd{name}" for name in _SCATTERS), assigns=[0])
def scatter_nd(tf: Any, node: TfNode, variable: Any, indices: Any, updates: Any) -> Any:
    name = _SCATTERS[node.op.removeprefix("ResourceScatterNd")]
    return getattr(tf, f"tensor_scatter_nd_{name}")(variable, indices, updates)


@expands("ResourceApplyGradientDescent", assigns=[0])
def gradient_descent(tf: Any, node: TfNode, variable: Any, rate: Any, gradient: Any) -> Any:
    return variable - rate * gradient


@expands("ResourceApplyMomentum", reads=2, assigns=[0, 1])
def momentum(tf: Any, node: TfNode, variable: Any, sums: Any, rate: Any, gradient: Any, decay: Any) -> Any:
    sums = sums * decay + gradient
    step = gradient + sums * decay if node.attr("use_nesterov", False) else sums
    return variable - rate * step, sums


@expands("ResourceApplyKerasMomentum", reads=2, assigns=[0, 1])
def keras_momentum(tf: Any, node: TfNode, variable: Any, sums: Any, rate: Any, gradient: Any, decay: Any) -> Any:
    sums = sums * decay - rate * gradient
    step = sums * decay - rate * gradient if node.attr("use_nesterov", False) else sums
    return variable + step, sums


@expands("ResourceApplyAdam", reads=3, assigns=[0, 1, 2])
def adam(tf: Any, node: TfNode, variable: Any, mean: Any, square: Any, power1: Any, power2: Any, rate: Any, decay1: Any,
         decay2: Any, epsilon: Any, gradient: Any) -> Any:  # fmt: skip
    mean = mean + (gradient - mean) * (1 - decay1)
    square = square + (tf.square(gradient) - square) * (1 - decay2)
    step = mean * decay1 + (1 - decay1) * gradient if node.attr("use_nesterov", False) else mean
    scaled = rate * tf.sqrt(1 - power2) / (1 - power1)
    return variable - step * scaled / (tf.sqrt(square) + epsilon), mean, square


@expands("ResourceApplyRMSProp", reads=3, assigns=[0, 1, 2])
def rms_prop(tf: Any, node: TfNode, variable: Any, square: Any, sums: Any, rate: Any, decay: Any, momentum: Any,
             epsilon: Any, gradient: Any) -> Any:  # fmt: skip
    square = square + (tf.square(gradient) - square) * (1 - decay)
    sums = sums * momentum + rate * gradient / tf.sqrt(square + epsilon)
    return variable - sums, square, sums


@expands("ResourceApplyAdagradV2", reads=2, assigns=[0, 1])
def adagrad(tf: Any, node: TfNode, variable: Any, sums: Any, rate: Any, epsilon: Any, gradient: Any) -> Any:
    sums = sums + tf.square(gradient) if node.attr("update_slots", True) else sums
    return variable - rate * gradient / (tf.sqrt(sums) + epsilon), sums

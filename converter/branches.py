"""Conditionals whose condition is known: the branch that is taken stands in their place, the others are gone."""

from __future__ import annotations

from .functions import Library
from .inline import splice
from .resources import branch_functions
from .tfgraph import TfGraph, TfNode, TfValue

CONDITIONALS = ("If", "StatelessIf", "Case", "StatelessCase")


def take_branches(graph: TfGraph, functions: Library) -> bool:
    """Replace the conditionals of a folded graph that are decided; whether there were any.

    Shapes and constants of what stands there now are to be found again.
    """
    if not any(_choice(node) is not None for node in graph.nodes):
        return False
    replaced: dict[TfValue, TfValue] = {}
    old, graph.nodes = graph.nodes, []
    for node in old:
        node.inputs = [_present(graph, v, replaced) for v in node.inputs]
        choice = _choice(node)
        if choice is None:
            graph.add(node)
        else:
            results = splice(graph, functions.body(choice), node.inputs[1:], functions, node.name)
            replaced.update(zip(node.outputs, results, strict=True))
    graph.outputs = [_present(graph, v, replaced) for v in graph.outputs]
    return True


def _choice(node: TfNode) -> str | None:
    """Name of the function that a conditional always runs, None if that is not known or the node is none."""
    condition = node.inputs[0].const if node.op in CONDITIONALS else None
    if condition is None or condition.shape != ():
        return None
    branches, number = branch_functions(node), condition.item()
    if node.op.endswith("If"):
        return branches[0 if number else 1]
    return branches[number if 0 <= number < len(branches) else -1]


def _present(graph: TfGraph, value: TfValue, replaced: dict[TfValue, TfValue]) -> TfValue:
    """What stands for a value; folding drops the nodes of constants, so they get new ones."""
    if value not in replaced and value.const is not None:
        replaced[value] = graph.constant(value.name, value.const)
    return replaced.get(value, value)

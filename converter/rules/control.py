"""Conditionals and loops: their functions become subgraphs.

Constants and resources that a branch or a loop only reads do not travel through its operands; the subgraphs get their
own. (A While passes everything that it captures, weights included, through all its operands.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...interpreter.graph import TensorType
from ..draft import DraftGraph, DraftNode, DraftTensor
from ..inline import Argument, Spec, inline
from ..kernels import KERNELS
from ..lower import Lowering, NotBuiltin, lowers
from ..resources import branch_functions
from ..tfgraph import TfValue


@lowers("If", "StatelessIf")
def if_(op: Lowering) -> Sequence[DraftTensor]:
    values = op.node.inputs[1:]
    arguments = [_bound(value) for value in values]
    branches = [_function(op, branch, arguments) for branch in ("then_branch", "else_branch")]
    operands = [op.graph.tensor(v) for v, a in zip(values, arguments, strict=True) if isinstance(a, Spec)]
    return op.emit_many("IF", [_condition(op), *operands], op.results(), then_subgraph_index=branches[0],
                        else_subgraph_index=branches[1])  # fmt: skip


@lowers("Case", "StatelessCase")
def case(op: Lowering) -> Sequence[DraftTensor]:
    """Conditionals within conditionals: is it the first branch, else is it the second, ... else the last."""
    values = op.node.inputs[1:]
    arguments = [_bound(value) for value in values]
    conversion, name = op.graph.conversion, f"{op.graph.draft.name}/{op.node.name}"
    branches = []
    for i, function in enumerate(branch_functions(op.node)):
        branch = conversion.subgraph(conversion.functions.body(function), arguments, f"{name}/{i}")
        branch.inputs.insert(0, DraftTensor(f"{branch.name}/index", TensorType.INT32, ()))
        branches.append(branch)
    operands = [op.graph.tensor(v) for v, a in zip(values, arguments, strict=True) if isinstance(a, Spec)]
    chosen = DraftGraph(name, [op.input(0), *operands])
    _choose(chosen, op.results(), branches, 0)
    op.graph.draft.nodes.extend(chosen.nodes)
    return chosen.outputs


def _choose(graph: DraftGraph, results: list[DraftTensor], branches: Sequence[DraftGraph], number: int) -> None:
    """Let a graph, the inputs of which are an index and the operands, run the branch `number` or one after it."""
    last = number == len(branches) - 2 or len(branches) == 1
    otherwise = branches[-1]
    if not last:
        copies = [DraftTensor(t.name, t.type, t.dims) for t in graph.inputs]
        otherwise = DraftGraph(f"{graph.name}/else", copies)
        _choose(otherwise, [DraftTensor(t.name, t.type, t.dims) for t in results], branches, number + 1)
    tests = DraftTensor(f"{graph.name}/test", TensorType.BOOL, ())
    wanted = DraftTensor(f"{graph.name}/number", TensorType.INT32, (), np.array(number, np.int32))
    graph.nodes.append(DraftNode("EQUAL", [graph.inputs[0], wanted], [tests], origin=graph.name))
    attributes = {"then_subgraph_index": branches[number], "else_subgraph_index": otherwise}
    graph.nodes.append(DraftNode("IF", [tests, *graph.inputs], results, attributes, origin=graph.name, effect=True))
    graph.outputs = results


def _condition(op: Lowering) -> DraftTensor:
    """The condition as a boolean; TensorFlow takes any scalar number."""
    condition = op.input(0)
    if condition.type is TensorType.BOOL:
        return condition
    if condition.type is TensorType.STRING or condition.type.is_object or op.dims(0) != ():
        raise NotBuiltin("its condition is no scalar number")
    truth = op.tensor(TensorType.BOOL, (), "/truth")
    return op.emit("NOT_EQUAL", condition, np.zeros((), condition.type.dtype), out=truth)


def _bound(value: TfValue) -> Argument:
    """What a function is called with: a resource, a constant, or whatever is there at run time."""
    if value.resource is not None:
        return value.resource
    return value.const if value.const is not None else Spec(value.data_type, value.dims)


def _function(op: Lowering, attribute: str, arguments: Sequence[Argument]) -> DraftGraph:
    conversion = op.graph.conversion
    body = conversion.functions.body(op.attr(attribute))
    return conversion.subgraph(body, arguments, _name(op, attribute))


def _name(op: Lowering, attribute: str) -> str:
    return f"{op.graph.draft.name}/{op.node.name}/{attribute.removesuffix('_branch')}"


@lowers("While", "StatelessWhile")
def while_(op: Lowering) -> Sequence[DraftTensor]:
    conversion = op.graph.conversion
    cond, body = (conversion.functions.body(op.attr(name)) for name in ("cond", "body"))
    arguments = _loop_arguments(op)
    carried = [i for i, argument in enumerate(arguments) if isinstance(argument, Spec)]
    test = conversion.subgraph(cond, arguments, _name(op, "cond"))
    if test.outputs[0].type is not TensorType.BOOL:
        raise NotBuiltin("its condition is no boolean")
    turn = inline(body, arguments, conversion.functions)
    turn.outputs = [turn.outputs[i] for i in carried]
    step = conversion.lower(turn, _name(op, "body"))
    _keep_apart(step)
    results = op.results()
    operands = [op.input(i) for i in carried]
    op.emit_many("WHILE", operands, [results[i] for i in carried], cond_subgraph_index=test, body_subgraph_index=step)
    constant = {i for i, argument in enumerate(arguments) if isinstance(argument, np.ndarray)}
    return [op.input(i) if i in constant else result for i, result in enumerate(results)]


def _keep_apart(turn: DraftGraph) -> None:
    """Copy inputs that a turn passes on to a later place: the reference overwrites inputs one by one, in order."""
    for place, tensor in enumerate(turn.outputs):
        moves = tensor in turn.inputs[:place] and turn.outputs[turn.inputs.index(tensor)] is not tensor
        copy = DraftTensor(f"{turn.name}/copy_{place}", tensor.type, tensor.dims)
        node = _copying(tensor, copy) if moves else None
        if node is not None:
            turn.nodes.append(node)
            turn.outputs[place] = copy


def _copying(tensor: DraftTensor, copy: DraftTensor) -> DraftNode | None:
    """A node that copies a tensor in the reference, too; None for single strings, which no kernel copies."""
    if tensor.type in KERNELS["CAST"].types:
        types = {"in_data_type": tensor.type, "out_data_type": tensor.type}
        return DraftNode("CAST", [tensor], [copy], types, origin=copy.name)
    if not tensor.rank:
        return None
    once = np.ones(tensor.rank, np.int32)
    times = DraftTensor(f"{copy.name}/times", TensorType.INT32, once.shape, once)
    return DraftNode("TILE", [tensor, times], [copy], origin=copy.name)


def _loop_arguments(op: Lowering) -> list[Argument]:
    """Resources and constants for what no turn changes; for the rest, types and shapes that hold in every turn."""
    functions = op.graph.conversion.functions
    values = op.node.inputs
    specs = [v.resource or Spec(v.data_type, o.dims) for v, o in zip(values, op.node.outputs, strict=True)]
    turn = inline(functions.body(op.attr("body")), specs, functions)
    inputs = iter(turn.inputs)
    arguments: list[Argument] = []
    for value, spec, output in zip(values, specs, turn.outputs, strict=True):
        if not isinstance(spec, Spec):
            arguments.append(spec)
            continue
        if next(inputs) is not output:
            arguments.append(spec)
        else:
            arguments.append(Spec(value.data_type, value.dims) if value.const is None else value.const)
    return arguments

"""Asks whether the reference runtime and the interpreter's own operators would run what the converter emits."""

from __future__ import annotations

from ..interpreter.errors import KernelError
from ..interpreter.graph import ABSENT, Graph, Node, Tensor
from ..interpreter.ops import binding, checks
from ..interpreter.ops.base import OPS
from .draft import DraftNode, DraftTensor
from .kernels import refused_operand


def freeze_tensor(tensor: DraftTensor) -> Tensor:
    """The tensor as a file declares it: unknown dimensions 1 in `shape` and -1 in `shape_signature`."""
    dims = tensor.dims or ()
    shape = tuple(1 if n is None else n for n in dims)
    signature = tuple(-1 if n is None else n for n in dims) if None in dims else None
    return Tensor(tensor.name, tensor.type, shape, signature, tensor.dims is not None, data=tensor.data)


def refusal_of(node: DraftNode) -> str | None:
    """Why an operator is refused with these operands, None if both runtimes take it; shapes count where known."""
    refused = refused_operand(node)
    if refused is not None:
        return refused
    if node.custom or node.op not in OPS or node.subgraphs:
        return None
    tensors = [t for t in node.inputs if t is not None] + node.outputs
    index = {id(t): i for i, t in enumerate(tensors)}
    inputs = tuple(ABSENT if t is None else index[id(t)] for t in node.inputs)
    outputs = tuple(index[id(t)] for t in node.outputs)
    bare = Node(0, node.op, inputs, outputs, node.attributes, node.version)
    graph = Graph(0, "", tuple(map(freeze_tensor, tensors)), (bare,), (), ())
    op = binding.bind(bare, graph)
    refusal = checks.refusal(op, op.ins)
    if refusal is not None:
        return refusal
    try:
        checks.infer_outputs(op, op.ins)
    except KernelError as error:
        return str(error)
    return None

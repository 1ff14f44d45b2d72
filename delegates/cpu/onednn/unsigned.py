"""Signed bytes between convolutions, kept without sign: a zero point of -128 is 0 then, and instructions that multiply
bytes take one operand without sign."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import zip_longest

import numpy as np

from ....interpreter.graph import TensorSpec, TensorType
from ....interpreter.ops.conv import Conv2D, DepthwiseConv2D
from ....interpreter.runtime.delegate import BoundNode, Partition

CONVOLUTIONS = (Conv2D, DepthwiseConv2D)

_OFFSET = 128


def without_sign(partition: Partition) -> tuple[Partition, AbstractSet[int]]:
    """The partition with tensors of int8 that convolutions make and only convolutions read as uint8 in the specs of its
    nodes, and those tensors.

    These nodes can run as primitives only: the ops still have the specs of the file.
    """
    tensors = _between_convolutions(partition)
    nodes = tuple(_with_specs(bound, tensors) for bound in partition.nodes)
    return replace(partition, nodes=nodes) if tensors else partition, tensors


def _between_convolutions(partition: Partition) -> set[int]:
    found = {
        tensor
        for bound in partition.nodes
        if isinstance(bound.op, CONVOLUTIONS)
        for tensor, spec in zip(bound.node.outputs, bound.outs, strict=True)
        if spec.type is TensorType.INT8 and spec.quantization is not None and spec.quantization.scales.size == 1
    }
    for bound in partition.nodes:
        others = bound.node.inputs[1:] if isinstance(bound.op, CONVOLUTIONS) else bound.node.inputs
        found.difference_update(others)
    return found.difference(partition.outputs)


def _with_specs(bound: BoundNode, tensors: AbstractSet[int]) -> BoundNode:
    if tensors.isdisjoint((*bound.node.inputs, *bound.node.outputs)):
        return bound
    read = [s is not None and t in tensors for t, s in zip(bound.node.inputs, bound.ins, strict=False)]
    ins = tuple(_unsigned(s) if s and is_read else s for s, is_read in zip_longest(bound.ins, read))
    outs = tuple(_unsigned(s) if t in tensors else s for t, s in zip(bound.node.outputs, bound.outs, strict=True))
    return replace(bound, ins=ins, outs=outs)


def _unsigned(spec: TensorSpec) -> TensorSpec:
    assert spec.quantization is not None
    moved = replace(spec.quantization, zero_points=np.asarray(spec.quantization.zero_points) + _OFFSET)
    return replace(spec, type=TensorType.UINT8, quantization=moved)

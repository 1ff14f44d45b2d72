"""Partitions whose nodes work row by row: any part of a batch can be computed on its own.

A *row* is what lies at one position of the first dimension. A *sample* is as many rows of each tensor as belong
together: where a tensor [n, s, w] is viewed as [n * s, w], a sample has s rows of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import gcd
from typing import TypeAlias

import numpy as np

from ....interpreter.graph import TensorSpec
from ....interpreter.ops.indexing import Gather
from ....interpreter.ops.layout import Concatenation, Pack, Unpack
from ....interpreter.ops.shared.products import WeightedOp
from ....interpreter.ops.slicing import StridedSlice
from ....interpreter.runtime.delegate import BoundNode, Partition

Constants: TypeAlias = Mapping[int, np.ndarray]
Rule: TypeAlias = Callable[[BoundNode, Constants], bool]
"""Whether any rows of the results depend on the same rows of the operands alone, all in the order in which they lie."""


@dataclass(frozen=True, eq=False)
class Batch:
    """A partition that works row by row on so many samples."""

    partition: Partition
    samples: int

    @classmethod
    def of(cls, partition: Partition) -> Batch | None:
        """None where rows have to do with each other, or may have, and where there is one sample."""
        if not all(map(_has_rows, _specs(partition))):
            return None
        samples = gcd(*(spec.shape[0] for spec in _specs(partition) if spec.shape))
        works_by_row = samples > 1 and all(_works_by_row(bound, partition.constants) for bound in partition.nodes)
        return cls(partition, samples) if works_by_row else None

    def rows(self, spec: TensorSpec) -> int:
        """Of a sample of a tensor."""
        assert spec.shape is not None
        return spec.shape[0] // self.samples

    def part(self, samples: int) -> Partition:
        """The same for fewer samples."""
        nodes = tuple(self._of_part(bound, samples) for bound in self.partition.nodes)
        return replace(self.partition, nodes=nodes)

    def _of_part(self, bound: BoundNode, samples: int) -> BoundNode:
        def of_part(spec: TensorSpec) -> TensorSpec:
            assert spec.shape is not None
            return replace(spec, shape=(self.rows(spec) * samples, *spec.shape[1:]))

        constants = self.partition.constants
        ins = tuple(
            spec if spec is None or tensor in constants else of_part(spec)
            for tensor, spec in zip(bound.node.inputs, bound.ins, strict=True)
        )
        return replace(bound, ins=ins, outs=tuple(map(of_part, bound.outs)))


def _specs(partition: Partition) -> Iterator[TensorSpec]:
    """Of all tensors but constants."""
    for bound in partition.nodes:
        yield from (
            s
            for t, s in zip(bound.node.inputs, bound.ins, strict=False)
            if s is not None and t not in partition.constants
        )
        yield from bound.outs


def _has_rows(spec: TensorSpec) -> bool:
    """Whether a tensor has several rows of known shape that mean the same, whichever they are."""
    if not spec.shape or spec.shape[0] < 2 or 0 in spec.shape or spec.dtype == object:
        return False
    return spec.quantization is None or spec.quantization.scales.size <= 1


def _works_by_row(bound: BoundNode, constants: Constants) -> bool:
    rule = _RULES.get(bound.node.name)
    if rule is None or bound.node.custom or len(bound.ins) != len(bound.node.inputs):
        return False
    return bool(_varying(bound, constants)) and rule(bound, constants)


def is_elementwise(bound: BoundNode) -> bool:
    """Whether an operator computes each element of its result from one of each operand."""
    return not bound.node.custom and _RULES.get(bound.node.name) is _each


def _varying(bound: BoundNode, constants: Constants) -> list[TensorSpec]:
    """Specs of the operands that are not constant."""
    pairs = zip(bound.node.inputs, bound.ins, strict=True)
    return [spec for tensor, spec in pairs if spec is not None and tensor not in constants]


def _keeps_rows(bound: BoundNode, constants: Constants) -> bool:
    """Whether all that varies has as many rows."""
    counts = {spec.shape[0] for spec in (*_varying(bound, constants), *bound.outs) if spec.shape}
    return len(counts) == 1


def _each(bound: BoundNode, constants: Constants) -> bool:
    """Operators on elements: constants are the same for all rows."""
    result = bound.outs[0].shape or ()
    fixed = (s for t, s in zip(bound.node.inputs, bound.ins, strict=True) if s is not None and t in constants)
    are_alike = all(spec.shape is not None and _is_same_for_rows(spec.shape, result) for spec in fixed)
    ranks = {spec.rank for spec in _varying(bound, constants)}
    return are_alike and ranks == {len(result)} and _keeps_rows(bound, constants)


def _is_same_for_rows(shape: tuple[int, ...], result: tuple[int, ...]) -> bool:
    return len(shape) < len(result) or (len(shape) == len(result) and shape[0] == 1)


def _data_alone(bound: BoundNode, constants: Constants) -> bool:
    """One operand varies, and that is the data."""
    position = bound.op.positions[0] if isinstance(bound.op, WeightedOp) else 0
    return len(_varying(bound, constants)) == 1 and bound.node.inputs[position] not in constants


def _images(bound: BoundNode, constants: Constants) -> bool:
    """Operators on one image after the other, with constants that say nothing of their number."""
    return _data_alone(bound, constants) and _keeps_rows(bound, constants)


def _vectors(bound: BoundNode, constants: Constants) -> bool:
    """Operators along the last dimension, where that is not the first one."""
    return _images(bound, constants) and bound.outs[0].rank > 1


def _in_order(bound: BoundNode, constants: Constants) -> bool:
    """Operators that take elements one after another: all, or as many as a row of constant weights has at a time."""
    is_one_row = isinstance(bound.op, WeightedOp) and bound.outs[0].rank == 1
    return _data_alone(bound, constants) and len(bound.outs) == 1 and not is_one_row


def _reduction(bound: BoundNode, constants: Constants) -> bool:
    source, axes = bound.ins[0], constants.get(bound.node.inputs[1])
    if source is None or axes is None or bound.node.inputs[0] in constants:
        return False
    return bool(np.all(axes.reshape(-1) % source.rank)) and _keeps_rows(bound, constants)


def _axis_at(position: int) -> Rule:
    """A rule for operators that work along an axis, which is the operand at `position`."""

    def rule(bound: BoundNode, constants: Constants) -> bool:
        axis, values = constants.get(bound.node.inputs[position]), _varying(bound, constants)
        if axis is None or axis.size != 1 or len(values) != 1:
            return False
        return int(axis.reshape(-1)[0]) % values[0].rank != 0 and _keeps_rows(bound, constants)

    return rule


def _axis(bound: BoundNode, constants: Constants) -> bool:
    """Operators that join or take apart what varies along an axis."""
    op, values = bound.op, _varying(bound, constants)
    assert isinstance(op, Concatenation | Pack | Unpack)
    rank = bound.outs[0].rank if isinstance(op, Concatenation | Pack) else values[0].rank
    return len(values) == len(bound.ins) and op.axis % rank != 0 and _keeps_rows(bound, constants)


def _transpose(bound: BoundNode, constants: Constants) -> bool:
    order = constants.get(bound.node.inputs[1])
    return order is not None and order.size > 0 and int(order.reshape(-1)[0]) == 0 and _images(bound, constants)


def _pad(bound: BoundNode, constants: Constants) -> bool:
    amounts = constants.get(bound.node.inputs[1])
    return amounts is not None and not np.any(amounts[0]) and _images(bound, constants)


def _slice(bound: BoundNode, constants: Constants) -> bool:
    """All rows: as many as there are, not a number of them."""
    begin, size = (constants.get(tensor) for tensor in bound.node.inputs[1:3])
    takes_all = begin is not None and size is not None and begin[0] == 0 and size[0] == -1
    return bool(takes_all) and _images(bound, constants)


def _strided_slice(bound: BoundNode, constants: Constants) -> bool:
    op, (begin, _, strides) = bound.op, (constants.get(tensor) for tensor in bound.node.inputs[1:4])
    assert isinstance(op, StridedSlice)
    if begin is None or strides is None or not begin.size or (op.ellipsis_mask | op.new_axis_mask) & 1 or op.offset:
        return False
    is_first = bool(op.begin_mask & 1) or begin[0] == 0
    takes_all = is_first and strides[0] == 1 and op.end_mask & 1 and not op.shrink_axis_mask & 1
    return bool(takes_all) and _images(bound, constants)


def _gather(bound: BoundNode, constants: Constants) -> bool:
    """Rows of a constant table."""
    op, table = bound.op, bound.ins[0]
    assert isinstance(op, Gather)
    if table is None or bound.node.inputs[0] not in constants or op.batch_dims != 0:
        return False
    return op.axis % table.rank == 0 and _keeps_rows(bound, constants)


def _batch_matmul(bound: BoundNode, constants: Constants) -> bool:
    """Of two operands that vary and have one type, a product for each position of the first dimension."""
    a, b = bound.ins[:2]
    if a is None or b is None or len(_varying(bound, constants)) != 2 or a.type is not b.type:
        return False
    return min(a.rank, b.rank) > 2 and a.rank == b.rank and _keeps_rows(bound, constants)


_OPERATORS: tuple[tuple[Rule, str], ...] = (
    (
        _each,
        "ABS ADD CAST CEIL COS DEQUANTIZE DIV ELU EQUAL EXP FLOOR GELU GREATER GREATER_EQUAL HARD_SWISH LEAKY_RELU",
    ),
    (_each, "LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC MAXIMUM MINIMUM MUL NEG NOT_EQUAL POW"),
    (_each, "PRELU QUANTIZE RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 ROUND RSQRT SIGN SIN SQRT SQUARE SQUARED_DIFFERENCE"),
    (_each, "SUB TANH"),
    (_images, "AVERAGE_POOL_2D CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION"),
    (_images, "MAX_POOL_2D RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SPACE_TO_DEPTH TRANSPOSE_CONV"),
    (_vectors, "L2_NORMALIZATION LOG_SOFTMAX SOFTMAX"),
    (_in_order, "EXPAND_DIMS FULLY_CONNECTED RESHAPE SQUEEZE"),
    (_reduction, "MEAN REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD SUM"),
    (_axis_at(0), "SPLIT"),
    (_axis_at(1), "ARG_MAX ARG_MIN"),
    (_axis_at(2), "SPLIT_V"),
    (_axis, "CONCATENATION PACK UNPACK"),
    (_transpose, "TRANSPOSE"),
    (_pad, "MIRROR_PAD PAD PADV2"),
    (_slice, "SLICE"),
    (_strided_slice, "STRIDED_SLICE"),
    (_gather, "GATHER"),
    (_batch_matmul, "BATCH_MATMUL"),
)
_RULES: dict[str, Rule] = {name: rule for rule, names in _OPERATORS for name in names.split()}

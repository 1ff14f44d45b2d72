"""Nodes that put elements in another order: what they launch, what they cost nothing, and their results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.build import F32, I32, GraphBuilder
from tests.delegates.gpu.checks import check, noise
from tests.ops.harness import Case, const, q
from tflite_cupy.interpreter.ops.padding import MirrorPadMode


def numbers(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def axes(*values: int) -> Any:
    return const(np.int32(values))


@pytest.mark.parametrize(
    ("shape", "perm", "launches"),
    [
        ((40, 50), (1, 0), 1),
        ((2, 33, 70), (0, 2, 1), 1),
        ((3, 4, 5), (2, 0, 1), 1),
        ((2, 9, 4, 16), (0, 2, 1, 3), 1),
        ((2, 12, 10, 9), (0, 3, 1, 2), 1),
        ((9, 2, 10, 3, 12), (3, 4, 1, 2, 0), 1),
        ((1, 5, 1, 7), (2, 1, 0, 3), 0),
        ((5, 1, 7), (0, 2, 1), 0),
    ],
)
def test_transpose(shape: Sequence[int], perm: Sequence[int], launches: int) -> None:
    for dtype in (np.float32, np.int8) if launches else (np.float32,):
        check(Case("TRANSPOSE", [numbers(*shape, dtype=dtype), axes(*perm)]), launches=launches, apart=False)


@pytest.mark.parametrize("dtype", [np.float16, np.int16, np.int64, np.bool_, np.float64])
def test_all_types_of_a_size_share_kernels(dtype: Any) -> None:
    check(Case("TRANSPOSE", [noise(20, 24, dtype=dtype), axes(1, 0)]), launches=1, apart=False)
    check(Case("TRANSPOSE", [noise(3, 5, 4, dtype=dtype), axes(1, 0, 2)]), launches=1, apart=False)


def test_a_tail_works_on_transposed_elements() -> None:
    for shape, perm in (((2, 16, 24), (0, 2, 1)), ((3, 4, 5), (1, 0, 2))):
        b = GraphBuilder()
        x = b.input(F32, shape)
        out = [shape[i] for i in perm]
        y = b.add("TRANSPOSE", [x, b.constant(np.int32(perm))], out)
        z = b.add("ADD", [b.add("RELU", [y]), b.constant(noise(out[-1]))])
        check(b.graph([z]), [noise(*shape)], launches=1)


@pytest.mark.parametrize(
    ("begin", "size", "launches"),
    [((0, 1, 0, 0), (2, 2, 3, 4), 1), ((1, 0, 0, 0), (1, 3, 3, 4), 0), ((0, 0, 1, 1), (-1, 2, 2, 3), 1)],
)
def test_slice(begin: Sequence[int], size: Sequence[int], launches: int) -> None:
    check(Case("SLICE", [numbers(2, 3, 3, 4), axes(*begin), axes(*size)]), launches=launches)


@pytest.mark.parametrize(
    ("begin", "end", "strides", "masks", "launches"),
    [
        ((0, 1, 0), (4, 6, 8), (1, 2, 1), {}, 1),
        ((0, -1, 7), (4, -7, 0), (2, -2, -3), {}, 1),
        ((2, 0, 0), (3, 6, 8), (1, 1, 1), {"shrink_axis_mask": 1}, 0),
        ((0, 0, 2), (0, 0, 3), (1, 1, 1), {"ellipsis_mask": 1, "shrink_axis_mask": 4, "new_axis_mask": 2}, 1),
    ],
)
def test_strided_slice(
    begin: Sequence[int], end: Sequence[int], strides: Sequence[int], masks: dict[str, int], launches: int
) -> None:
    limits = [axes(*values) for values in (begin, end, strides)]
    check(Case("STRIDED_SLICE", [numbers(4, 6, 8), *limits], masks), launches=launches)


def test_a_view_may_be_read_where_vectors_do_not_fit() -> None:
    b = GraphBuilder()
    x = b.input(F32, [9, 3])
    y = b.add("SLICE", [x, b.constant(np.int32([1, 0])), b.constant(np.int32([8, 3]))], [8, 3])
    check(b.graph([b.add("NEG", [y])]), [noise(9, 3)], launches=1)


def test_walks_of_stablehlo() -> None:
    bounds = {"start_indices": (0, 1, 2), "limit_indices": (3, 4, 8), "strides": (1, 2, 3)}
    check(Case("STABLEHLO_SLICE", [numbers(3, 4, 8)], bounds), launches=1)
    check(Case("STABLEHLO_TRANSPOSE", [numbers(3, 4, 8)], {"permutation": (2, 0, 1)}), launches=1)
    b = GraphBuilder()
    y = b.add("STABLEHLO_BROADCAST_IN_DIM", [b.input(F32, [4, 1])], [4, 3, 5], broadcast_dimensions=(0, 2))
    check(b.graph([b.add("STABLEHLO_RESHAPE", [y], [12, 5])]), [numbers(4, 1)], launches=1)


def test_reverse_and_tile() -> None:
    check(Case("REVERSE_V2", [numbers(3, 4, 5), axes(1)]), launches=1)
    check(Case("REVERSE_V2", [numbers(3, 4, 5), axes(0, 2)]), launches=1)
    check(Case("TILE", [numbers(3, 4, 5), axes(2, 1, 3)]), launches=1)
    check(Case("TILE", [numbers(3, 1, 4), axes(1, 5, 1)]), launches=1)


def test_space_and_depth() -> None:
    check(Case("SPACE_TO_DEPTH", [numbers(2, 4, 6, 4)], {"block_size": 2}), launches=1)
    check(Case("DEPTH_TO_SPACE", [numbers(2, 3, 2, 12)], {"block_size": 2}), launches=1)


def test_space_and_batch() -> None:
    square, none = axes(2, 3), const(np.zeros((2, 2), np.int32))
    check(Case("SPACE_TO_BATCH_ND", [numbers(2, 4, 6, 5), square, none]), launches=1)
    check(Case("BATCH_TO_SPACE_ND", [numbers(12, 2, 2, 5), square, none]), launches=1)
    border = const(np.int32([[1, 2], [0, 1]]))
    check(Case("SPACE_TO_BATCH_ND", [numbers(2, 3, 5, 4), square, border]), launches=2)
    check(Case("BATCH_TO_SPACE_ND", [numbers(12, 3, 2, 4), square, border]), launches=2)


@pytest.mark.parametrize(
    ("shapes", "axis"),
    [
        ([(2, 3, 4), (2, 3, 8)], 2),
        ([(2, 3), (2, 5), (2, 1)], -1),
        ([(2, 3), (4, 3)], 0),
        ([(3, n + 1, 2) for n in range(11)], 1),
    ],
)
def test_concatenation(shapes: Sequence[tuple[int, ...]], axis: int) -> None:
    launches = -(-len(shapes) // 8)
    check(Case("CONCATENATION", [noise(*shape) for shape in shapes], {"axis": axis}), launches=launches)


def test_concatenation_of_stored_integers() -> None:
    x, y = noise(2, 3, dtype=np.int8), noise(2, 16, dtype=np.int8)
    check(Case("CONCATENATION", [q(x, 0.5, 3), q(y, 0.5, 3)], {"axis": 1}, outputs=[q(None, 0.5, 3)]), launches=1)
    check(Case("CONCATENATION", [q(x, 0.5, 3), q(y, 0.25, 3)], {"axis": 1}, outputs=[q(None, 0.5, 3)]), array_steps=1)


def test_a_tail_works_on_joined_elements() -> None:
    b = GraphBuilder()
    x, y = b.input(F32, [2, 3]), b.input(F32, [2, 5])
    check(b.graph([b.add("RELU", [b.add("CONCATENATION", [x, y], [2, 8], axis=1)])]), [noise(2, 3), noise(2, 5)])


def parts(name: str, inputs: list[Any], shape: Sequence[int], sizes: Sequence[Sequence[int]], **attributes: Any) -> Any:
    """A graph of one node with several results."""
    b = GraphBuilder()
    x = b.input(F32, shape)
    operands = [x if operand is None else b.constant(np.int32(operand)) for operand in inputs]
    outs = b.op(name, operands, [b.tensor(F32, size) for size in sizes], **attributes)
    return b.graph(outs)


@pytest.mark.parametrize(("axis", "launches"), [(0, 0), (1, 1), (2, 1)])
def test_split(axis: int, launches: int) -> None:
    shape = [4, 4, 8]
    size = [n // 4 if i == axis else n for i, n in enumerate(shape)]
    check(parts("SPLIT", [axis, None], shape, [size] * 4, num_splits=4), [noise(*shape)], launches=launches)


def test_split_of_other_sizes() -> None:
    sizes = [[2, 3], [2, 1], [2, 4]]
    graph = parts("SPLIT_V", [None, [3, 1, 4], 1], [2, 8], sizes, num_splits=3)
    check(graph, [noise(2, 8)], launches=1)
    graph = parts("SPLIT_V", [None, [3, 1, 4], 1], [1, 8], [[1, n] for n in (3, 1, 4)], num_splits=3)
    check(graph, [noise(1, 8)], launches=0)


def test_unpack_and_pack() -> None:
    check(parts("UNPACK", [None], [3, 4], [[4]] * 3, num=3, axis=0), [noise(3, 4)], launches=0)
    check(parts("UNPACK", [None], [4, 11], [[4]] * 11, num=11, axis=1), [noise(4, 11)], launches=2)
    for axis in (0, 1, 2):
        values = [noise(3, 4, seed=i) for i in range(3)]
        check(Case("PACK", values, {"values_count": 3, "axis": axis}), launches=1, apart=False)


@pytest.mark.parametrize("pads", [((0, 0), (1, 2), (3, 0), (0, 0)), ((1, 0), (0, 0), (0, 0), (0, 5))])
def test_padding(pads: Sequence[tuple[int, int]]) -> None:
    x, paddings = noise(2, 3, 5, 4), const(np.int32(pads))
    check(Case("PAD", [x, paddings]), launches=1)
    check(Case("PADV2", [x, paddings, const(np.float32(-7))]), launches=1)
    small = noise(2, 3, 5, 4, dtype=np.int8)
    check(Case("PAD", [q(small, 0.5, -3), paddings], outputs=[q(None, 0.5, -3)]), launches=1, apart=False)


def test_padding_with_a_tail() -> None:
    b = GraphBuilder()
    x = b.input(F32, [2, 3])
    y = b.add("PAD", [x, b.constant(np.int32([[1, 1], [0, 2]]))], [4, 5])
    check(b.graph([b.add("EXP", [y])]), [noise(2, 3)], launches=1)


@pytest.mark.parametrize("mode", list(MirrorPadMode))
def test_mirrored_padding(mode: MirrorPadMode) -> None:
    for shape, pads in (((4, 5, 8), ((2, 3), (1, 2), (0, 0))), ((3, 4), ((0, 0), (3, 1)))):
        case = Case("MIRROR_PAD", [noise(*shape), const(np.int32(pads))], {"mode": mode})
        check(case, launches=1, apart=False)


def test_reshaping_ends_and_crosses_a_chain() -> None:
    b = GraphBuilder()
    x = b.input(F32, [2, 12])
    y = b.add("RESHAPE", [b.add("NEG", [x]), b.constant(np.int32([2, 3, 4]))], [2, 3, 4])
    z = b.add("ADD", [y, b.constant(noise(3, 1))])
    check(b.graph([b.add("SQUEEZE", [b.add("EXPAND_DIMS", [z, b.constant(np.int32(0))], [1, 2, 3, 4])], [2, 3, 4])]),
          [noise(2, 12)], launches=1)  # fmt: skip


def test_operands_that_are_known_in_the_call_only_are_left_to_array_code() -> None:
    b = GraphBuilder()
    x, axis = b.input(F32, [4, 4]), b.input(I32, [1])
    y = b.add("REVERSE_V2", [x, axis])
    check(b.graph([y]), [noise(4, 4), np.int32([1])], launches=0, array_steps=1)

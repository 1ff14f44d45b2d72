"""FULLY_CONNECTED and BATCH_MATMUL as launches."""

from __future__ import annotations

import numpy as np
import pytest

from tests.build import F32, GraphBuilder
from tests.delegates.gpu.checks import check, noise
from tests.ops.harness import Case, Operand


def constant(*shape: int, seed: int = 1) -> Operand:
    return Operand(data=noise(*shape, seed=seed), constant=True)


@pytest.mark.parametrize(
    ("x", "units", "attributes"),
    [
        ((1, 64), 10, {}),
        ((3, 37), 5, {"fused_activation_function": 1}),
        ((9, 32), 40, {"fused_activation_function": 3}),
        ((2, 20, 33), 17, {"keep_num_dims": True}),
        ((70, 16), 33, {}),
    ],
)
def test_fully_connected(x: tuple[int, ...], units: int, attributes: dict[str, int]) -> None:
    inputs = [noise(*x), constant(units, x[-1]), constant(units, seed=2)]
    check(Case("FULLY_CONNECTED", inputs, attributes), launches=1)


def test_fully_connected_without_bias_and_with_weights_of_the_call() -> None:
    check(Case("FULLY_CONNECTED", [noise(6, 24), noise(20, 24, seed=3), None]), launches=1)


@pytest.mark.parametrize("first", [0, 1, 4])
def test_biases_that_begin_anywhere(first: int) -> None:
    """A bias of the call that is a part of a vector, at a multiple of 16 bytes or not."""
    b = GraphBuilder()
    x, numbers = b.input(F32, [12, 16]), b.input(F32, [28])
    bounds = (b.constant(np.int32([value])) for value in (first, 20))
    bias = b.add("SLICE", [numbers, *bounds], [20])
    out = b.add("FULLY_CONNECTED", [x, b.constant(noise(20, 16), np.float32), bias], [12, 20])
    check(b.graph([out]), [noise(12, 16, seed=4), noise(28, seed=5)], launches=1)


def test_the_nodes_that_follow_are_part_of_the_launch() -> None:
    b = GraphBuilder()
    x, residual = b.input(F32, [12, 16]), b.input(F32, [12, 20])
    weights = b.constant(noise(20, 16), np.float32)
    product = b.add("FULLY_CONNECTED", [x, weights, -1], [12, 20])
    out = b.add("ADD", [product, residual], fused_activation_function=1)
    check(b.graph([out]), [noise(12, 16, seed=4), noise(12, 20, seed=5)], launches=1)


@pytest.mark.parametrize(
    ("x", "y", "attributes"),
    [
        ((5, 7), (7, 6), {}),
        ((3, 20, 24), (3, 24, 36), {}),
        ((2, 3, 20, 8), (2, 3, 12, 8), {"adj_y": True}),
        ((4, 8, 20), (8, 12), {"adj_x": True}),
        ((2, 1, 9, 8), (3, 8, 11), {}),
        ((1, 2, 3, 4, 5), (1, 2, 3, 5, 4), {}),
    ],
)
def test_batch_matmul(x: tuple[int, ...], y: tuple[int, ...], attributes: dict[str, bool]) -> None:
    check(Case("BATCH_MATMUL", [noise(*x), noise(*y, seed=1)], attributes), launches=1)


def test_batches_broadcast_in_three_runs_have_no_kernel() -> None:
    case = Case("BATCH_MATMUL", [noise(2, 1, 2, 3, 4), noise(1, 2, 1, 4, 3)])
    check(case, array_steps=1)


def test_transpositions_are_part_of_the_product() -> None:
    b = GraphBuilder()
    x, y = b.input(F32, [2, 10, 3, 8]), b.input(F32, [2, 3, 8, 12])
    left = b.add("TRANSPOSE", [x, b.constant([0, 2, 1, 3], np.int32)], [2, 3, 10, 8])
    product = b.add("BATCH_MATMUL", [left, y], [2, 3, 10, 12])
    back = b.add("TRANSPOSE", [product, b.constant([0, 2, 1, 3], np.int32)], [2, 10, 3, 12])
    check(b.graph([b.add("NEG", [back])]), [noise(2, 10, 3, 8), noise(2, 3, 8, 12, seed=1)], launches=1)

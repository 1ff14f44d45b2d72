"""STABLEHLO_SORT: by one comparison, by any comparator, by a comparator run element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.build import BOOL, F32, I32, GraphBuilder
from tests.ops.stablehlo.bodies import GREATER, LESS, linked, looped, one_op, run
from tflite_cupy.interpreter.errors import KernelError
from tflite_cupy.interpreter.graph import Graph, Model, TensorType
from tflite_cupy.interpreter.ops.base import ControlOp
from tflite_cupy.interpreter.ops.stablehlo.bodies import BodyOp

OPERATORS = ("STABLEHLO_SORT",)
RNG = np.random.default_rng(4)


def comparison(name: str, kinds: list[TensorType], key: int, swapped: bool = False, **attributes: Any) -> Graph:
    """(a0, b0, a1, b1, ...) -> name(a_key, b_key)."""
    b = GraphBuilder(name)
    inputs = [b.input(kind) for kind in kinds for _ in range(2)]
    pair = inputs[2 * key : 2 * key + 2][:: -1 if swapped else 1]
    return b.graph(list(b.op(name, pair, [b.tensor(BOOL)], **attributes)))


def by_magnitude(kinds: list[TensorType]) -> Graph:
    """|a0| < |b0|"""
    b = GraphBuilder("magnitude")
    inputs = [b.input(kind) for kind in kinds for _ in range(2)]
    pair = [b.add("ABS", [i]) for i in inputs[:2]]
    return b.graph(list(b.op("LESS", pair, [b.tensor(BOOL)])))


def sort(operands: list[np.ndarray], comparator: Graph, dimension: int = -1) -> Model:
    outputs = [(TensorType.of(x.dtype), x.shape) for x in operands]
    return one_op("STABLEHLO_SORT", operands, outputs, comparator, dimension=dimension, is_stable=True,
                  comparator_subgraph_index=1)  # fmt: skip


@pytest.mark.parametrize("dimension", [0, 1, -1])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    ("name", "attributes"),
    [("LESS", {}), ("GREATER", {}), ("STABLEHLO_COMPARE", {"comparison_direction": LESS}),
     ("STABLEHLO_COMPARE", {"comparison_direction": GREATER})],
)  # fmt: skip
def test_by_one_comparison(name: str, attributes: dict[str, int], descending: bool, dimension: int) -> None:
    keys = RNG.integers(0, 5, (4, 9)).astype(np.float32)
    places = np.arange(36, dtype=np.int32).reshape(4, 9)
    swapped = descending == (name == "LESS" or attributes.get("comparison_direction") == LESS)
    source = sort([places, keys], comparison(name, [I32, F32], 1, swapped, **attributes), dimension)
    op = linked(source)
    assert isinstance(op, BodyOp)
    assert op.applied.order == (1, descending)
    order = np.argsort(-keys if descending else keys, axis=dimension, kind="stable")
    got = run(source, [places, keys])
    for result, operand in zip(got, (places, keys), strict=True):
        np.testing.assert_array_equal(result, np.take_along_axis(operand, order, axis=dimension))


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 13, 33])
def test_by_any_comparator(length: int) -> None:
    keys = RNG.integers(-4, 5, (3, length)).astype(np.float32)
    places = np.broadcast_to(np.arange(length, dtype=np.int32), keys.shape)
    source = sort([keys, places], by_magnitude([F32, I32]))
    got, order = run(source, [keys, places])
    want = np.argsort(np.abs(keys), axis=1, kind="stable")
    np.testing.assert_array_equal(order, want)
    np.testing.assert_array_equal(got, np.take_along_axis(keys, want, axis=1))


def test_by_total_order() -> None:
    keys = np.float32([np.nan, 0.0, -0.0, 1, -np.inf, -1])
    comparator = comparison("STABLEHLO_COMPARE", [F32], 0, comparison_direction=LESS, compare_type=2)
    (got,) = run(sort([keys], comparator), [keys])
    np.testing.assert_array_equal(got, np.float32([-np.inf, -1, -0.0, 0.0, 1, np.nan]))
    assert np.signbit(got).tolist() == [True, True, True, False, False, False]


def test_by_a_comparator_that_is_not_pointwise() -> None:
    keys = RNG.integers(-4, 5, (2, 6)).astype(np.float32)
    source = sort([keys], looped(by_magnitude([F32])), 1)
    assert isinstance(linked(source), ControlOp)
    want = np.take_along_axis(keys, np.argsort(np.abs(keys), axis=1, kind="stable"), axis=1)
    np.testing.assert_array_equal(run(source, [keys])[0], want)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1,)])
def test_nothing_to_sort(shape: tuple[int, ...]) -> None:
    keys = np.ones(shape, np.float32)
    assert run(sort([keys], by_magnitude([F32])), [keys])[0].shape == shape


def test_what_does_not_fit_is_an_error() -> None:
    keys = np.ones((2, 3), np.float32)
    with pytest.raises(KernelError, match="dimension 2 is out of range"):
        run(sort([keys], by_magnitude([F32]), 2), [keys])
    operands = [keys, np.ones((3, 2), np.int32)]
    with pytest.raises(KernelError, match="expected equal shapes"):
        run(sort(operands, by_magnitude([F32, I32])), operands)

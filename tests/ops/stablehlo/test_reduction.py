"""STABLEHLO_REDUCE: reductions that array modules have, any body on whole arrays, and bodies run element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.build import BOOL, F32, I32, GraphBuilder
from tests.engines import engine_of
from tests.fakes import FakeGpuDelegate
from tests.ops.stablehlo.bodies import linked, looped, one_node, one_op, run
from tflite_cupy.delegates.cpu import CpuDelegate
from tflite_cupy.interpreter.errors import GraphError, KernelError
from tflite_cupy.interpreter.graph import Graph, Model, TensorType
from tflite_cupy.interpreter.ops.base import ControlOp
from tflite_cupy.interpreter.runtime.engine import Engine

OPERATORS = ("STABLEHLO_REDUCE",)
X = np.random.default_rng(0).integers(-9, 9, (3, 5, 4)).astype(np.float32)


def reduce(x: np.ndarray, start: Any, dimensions: tuple[int, ...], body: Graph, **more: Any) -> Model:
    shape = np.delete(x.shape, dimensions).tolist()
    outputs = [(TensorType.of(x.dtype), shape)]
    operands = [x, np.asarray(start, x.dtype)]
    return one_op("STABLEHLO_REDUCE", operands, outputs, body, dimensions=dimensions, body_subgraph_index=1, **more)


@pytest.mark.parametrize("dimensions", [(), (0,), (2,), (1, 2), (2, 0), (0, 1, 2)])
@pytest.mark.parametrize(
    ("name", "start", "function"),
    [
        ("STABLEHLO_ADD", 2, np.sum),
        ("ADD", 0, np.sum),
        ("STABLEHLO_MULTIPLY", 1, np.prod),
        ("STABLEHLO_MAXIMUM", -np.inf, np.max),
        ("MINIMUM", 100, np.min),
    ],
)
def test_of_one_operator(name: str, start: float, function: Any, dimensions: tuple[int, ...]) -> None:
    (got,) = run(reduce(X, start, dimensions, one_node(name, F32)), [X, np.float32(start)])
    offset = 2 if start == 2 else 0
    np.testing.assert_allclose(got, function(X, axis=dimensions) + offset, rtol=1e-6)


@pytest.mark.parametrize(("name", "function"), [("STABLEHLO_AND", np.all), ("LOGICAL_OR", np.any)])
def test_of_booleans(name: str, function: Any) -> None:
    flags, start = X > 0, np.array(name == "STABLEHLO_AND")
    (got,) = run(reduce(flags, start, (1,), one_node(name, BOOL)), [flags, start])
    np.testing.assert_array_equal(got, function(flags, axis=1))


def test_bitwise_operators_of_integers() -> None:
    x = np.array([[6, 5], [3, 7], [2, 4]], np.int32)
    (got,) = run(reduce(x, -1, (0,), one_node("STABLEHLO_AND", I32)), [x, np.int32(-1)])
    assert got.tolist() == [6 & 3 & 2, 5 & 7 & 4]


def test_of_nothing_is_the_start_value() -> None:
    x = np.zeros((0, 2), np.float32)
    (got,) = run(reduce(x, 7, (0,), one_node("ADD", F32)), [x, np.float32(7)])
    assert got.tolist() == [7, 7]


def test_shapes_that_are_not_known_before_the_call() -> None:
    (got,) = run(reduce(X, 0, (0,), one_node("ADD", F32), declared=False), [X, np.float32(0)])
    np.testing.assert_allclose(got, X.sum(axis=0))


def greatest_and_its_place() -> Graph:
    """(value, index) pairs -> the pair of the greater value, of the lower index among equals."""
    b = GraphBuilder("argmax")
    v, i, w, j = b.input(F32), b.input(I32), b.input(F32), b.input(I32)
    greater = b.op("GREATER", [v, w], [b.tensor(BOOL)])[0]
    equal = b.op("EQUAL", [v, w], [b.tensor(BOOL)])[0]
    earlier = b.op("LESS", [i, j], [b.tensor(BOOL)])[0]
    keep = b.add("LOGICAL_OR", [greater, b.add("LOGICAL_AND", [equal, earlier])])
    value = b.op("SELECT", [keep, v, w], [b.tensor(F32)])[0]
    return b.graph([value, b.op("SELECT", [keep, i, j], [b.tensor(I32)])[0]])


@pytest.mark.parametrize("by_element", [False, True])
def test_of_several_operands(by_element: bool) -> None:
    places = np.broadcast_to(np.arange(5, dtype=np.int32).reshape(1, 5, 1), X.shape)
    body = looped(greatest_and_its_place()) if by_element else greatest_and_its_place()
    operands = [X, places, np.float32(-np.inf), np.int32(0)]
    outputs = [(F32, (3, 4)), (I32, (3, 4))]
    source = one_op("STABLEHLO_REDUCE", operands, outputs, body, dimensions=(1,), body_subgraph_index=1)
    assert isinstance(linked(source), ControlOp) is by_element
    values, found = run(source, operands)
    np.testing.assert_array_equal(values, X.max(axis=1))
    np.testing.assert_array_equal(found, X.argmax(axis=1))


def last_but_zero() -> Graph:
    """(a, b) -> b unless it is 0: associative, but not commutative."""
    b = GraphBuilder("last")
    x, y = b.input(F32), b.input(F32)
    given = b.op("NOT_EQUAL", [y, b.constant(np.float32(0))], [b.tensor(BOOL)])[0]
    return b.graph([b.op("SELECT", [given, y, x], [b.tensor(F32)])[0]])


@pytest.mark.parametrize("by_element", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 6, 7, 13])
def test_order_is_kept(count: int, by_element: bool) -> None:
    x = np.arange(1, count + 1, dtype=np.float32)
    x[-2:-1] = 0
    body = looped(last_but_zero()) if by_element else last_but_zero()
    (got,) = run(reduce(x, 0, (0,), body), [x, np.float32(0)])
    assert got == count


def test_a_constant_reduction_is_folded() -> None:
    b = GraphBuilder()
    constants = [b.constant(X), b.constant(np.float32(0))]
    x = b.input(F32, (5, 4))
    (total,) = b.op("STABLEHLO_REDUCE", constants, [b.tensor(F32, (5, 4))], dimensions=(0,), body_subgraph_index=1)
    source = one_op("NEG", [X], [(F32, X.shape)], one_node("ADD", F32))
    source = Model((b.graph([b.add("ADD", [x, total])]), source.graphs[1]))
    plan = engine_of(source).plan(source.graphs[0], [(5, 4)])
    assert [bound.node.name for bound in plan.resolved.folded] == ["STABLEHLO_REDUCE"]


def test_a_device_runs_what_array_modules_can() -> None:
    for body, runner in ((one_node("ADD", F32), "gpu"), (last_but_zero(), "gpu"), (looped(last_but_zero()), "cpu")):
        source = reduce(X, 0, (0,), body)
        engine = Engine(source, [FakeGpuDelegate(), CpuDelegate()])
        plan = engine.plan(source.graphs[0], [X.shape, ()])
        assert [choice.runner for choice in plan.choices] == [runner]


def test_what_does_not_fit_is_an_error() -> None:
    operands = [X, np.float32(0)]
    with pytest.raises(KernelError, match=r"dimensions \[3\], expected different ones out of 3"):
        run(one_op("STABLEHLO_REDUCE", operands, [(F32, (3, 5))], one_node("ADD", F32), dimensions=(3,),
                   body_subgraph_index=1), operands)  # fmt: skip
    with pytest.raises(GraphError, match="subgraph 9; the model has 2"):
        run(one_op("STABLEHLO_REDUCE", operands, [(F32, (3, 5))], one_node("ADD", F32), body_subgraph_index=9),
            operands)  # fmt: skip
    with pytest.raises(GraphError, match="takes 4 values and gives 2, expected 2 and 1"):
        run(reduce(X, 0, (0,), greatest_and_its_place()), operands)

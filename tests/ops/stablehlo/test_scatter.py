"""STABLEHLO_SCATTER against the reference, and what the reference does not take against the definition."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.build import BOOL, F32, I32, GraphBuilder
from tests.ops.stablehlo.bodies import linked, looped, one_node, one_op, reference, run, second
from tflite_cupy.interpreter.errors import KernelError, UnsupportedError
from tflite_cupy.interpreter.graph import Graph, Model, TensorType
from tflite_cupy.interpreter.ops.base import ControlOp

OPERATORS = ("STABLEHLO_SCATTER",)
RNG = np.random.default_rng(2)
DTYPES = [np.float32, np.float64, np.float16, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64,
          np.uint64]  # fmt: skip
BODIES = ["STABLEHLO_ADD", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM", "second"]
ROWS = {
    "update_window_dims": (1, 2),
    "inserted_window_dims": (0,),
    "scatter_dims_to_operand_dims": (0, 1),
    "index_vector_dim": 0,
}


def body(name: str, kind: TensorType) -> Graph:
    return second(kind) if name == "second" else one_node(name, kind)


def scatter(operands: list[np.ndarray], computation: Graph, **attributes: Any) -> Model:
    outputs = [(TensorType.of(x.dtype), x.shape) for x in operands[: len(operands) // 2]]
    index = {"update_computation_subgraph_index": 1}
    return one_op("STABLEHLO_SCATTER", operands, outputs, computation, **(ROWS | index | attributes))


def operands(dtype: Any, index: Any = np.int32) -> list[np.ndarray]:
    """Rows of two for a tensor of (4, 5, 3), some of which reach out of it."""
    x, updates = (RNG.integers(0, 5, shape).astype(dtype) for shape in ((4, 5, 3), (6, 2, 3)))
    return [x, RNG.integers(0, 5, (2, 6)).astype(index), updates]


@pytest.mark.reference
@pytest.mark.parametrize(("dtype", "name"), list(product(DTYPES, BODIES)))
def test_as_the_reference(dtype: Any, name: str) -> None:
    given = operands(dtype)
    source = scatter(given, body(name, TensorType.of(dtype)))
    np.testing.assert_array_equal(run(source, given)[0], reference(source, given)[0])


@pytest.mark.reference
@pytest.mark.parametrize(
    ("attributes", "indices", "updates"),
    [
        ({"update_window_dims": (0, 1)}, (2, 5), (2, 3, 5)),
        ({"update_window_dims": (0, 1), "index_vector_dim": 1}, (5, 2), (2, 3, 5)),
        ({"update_window_dims": (), "inserted_window_dims": (0, 1, 2), "scatter_dims_to_operand_dims": (2, 0, 1)},
         (3, 2, 4), (2, 4)),
        ({"update_window_dims": (0, 1, 3), "inserted_window_dims": (), "scatter_dims_to_operand_dims": (1,)},
         (1, 4), (2, 3, 4, 2)),
    ],
)  # fmt: skip
def test_geometry(attributes: dict[str, Any], indices: tuple[int, ...], updates: tuple[int, ...]) -> None:
    given = [RNG.normal(size=(4, 5, 3)), RNG.integers(0, 4, indices), RNG.normal(size=updates)]
    given = [given[0].astype(np.float32), given[1], given[2].astype(np.float32)]
    source = scatter(given, one_node("STABLEHLO_ADD", F32), **attributes)
    np.testing.assert_allclose(run(source, given)[0], reference(source, given)[0], rtol=1e-6)


LIST = {"update_window_dims": (), "inserted_window_dims": (0,), "scatter_dims_to_operand_dims": (0,)}


def doubled_plus(kind: TensorType) -> Graph:
    """(a, b) -> a + a + b: the order of updates matters."""
    b = GraphBuilder("doubled")
    x, y = b.input(kind), b.input(kind)
    return b.graph([b.add("ADD", [b.add("ADD", [x, x]), y])])


@pytest.mark.parametrize("by_element", [False, True])
def test_updates_of_one_element_in_order(by_element: bool) -> None:
    computation = looped(doubled_plus(I32)) if by_element else doubled_plus(I32)
    given = [np.int32([1, 1, 1]), np.int32([[2], [0], [2], [-1], [2], [3]]), np.int32([5, 6, 7, 8, 9, 10])]
    source = scatter(given, computation, index_vector_dim=1, **LIST)
    assert isinstance(linked(source), ControlOp) is by_element
    assert run(source, given)[0].tolist() == [8, 1, ((2 + 5) * 2 + 7) * 2 + 9]


def test_several_operands() -> None:
    b = GraphBuilder("swap")
    x, y, u, v = (b.input(F32) for _ in range(4))
    computation = b.graph([b.add("ADD", [y, u]), b.add("ADD", [x, v])])
    given = [np.float32([1, 2]), np.float32([3, 4]), np.int32([1, 1]), np.float32([10, 20]), np.float32([30, 40])]
    first, other = run(scatter(given, computation, index_vector_dim=1, **LIST), given)
    assert first.tolist() == [1, 2 + 30 + 20]
    assert other.tolist() == [3, 4 + 10 + 40]


def test_booleans() -> None:
    given = [np.array([True, False, True]), np.int32([1, 2]), np.array([True, False])]
    for name, want in (("STABLEHLO_AND", [True, False, False]), ("LOGICAL_OR", [True, True, True])):
        source = scatter(given, one_node(name, BOOL), index_vector_dim=1, **LIST)
        assert run(source, given)[0].tolist() == want


def test_nothing_to_scatter() -> None:
    given = [np.float32([1, 2]), np.zeros(0, np.int32), np.zeros(0, np.float32)]
    for name in ("second", "STABLEHLO_ADD", "STABLEHLO_MULTIPLY"):
        source = scatter(given, body(name, F32), index_vector_dim=1, **LIST)
        assert run(source, given)[0].tolist() == [1, 2]


def test_what_does_not_fit_is_an_error() -> None:
    x, indices, updates = operands(np.float32)
    for wrong in ([x, indices, updates[:5]], [x, indices[:1], updates], [x[0], indices, updates]):
        with pytest.raises(KernelError, match="STABLEHLO_SCATTER"):
            run(scatter(wrong, one_node("STABLEHLO_ADD", F32)), wrong)
    wrong = [x, indices.astype(np.int16), updates]
    with pytest.raises(UnsupportedError, match="int16 indices"):
        run(scatter(wrong, one_node("STABLEHLO_ADD", F32)), wrong)

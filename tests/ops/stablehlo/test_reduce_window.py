"""Reductions of windows: STABLEHLO_REDUCE_WINDOW, REDUCE_WINDOW."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.build import F32, I32
from tests.ops.harness import Case, check, const, matrix
from tests.ops.stablehlo.bodies import one_node, one_op, reference, run
from tests.ops.stablehlo.test_reduction import greatest_and_its_place, last_but_zero
from tflite_cupy.interpreter.errors import KernelError
from tflite_cupy.interpreter.graph import Graph, Model, TensorType
from tflite_cupy.interpreter.ops.stablehlo.reduce_window import ReduceWindowFunction

RNG = np.random.default_rng(1)
NUMBERS = [np.float32, np.float64, np.int8, np.uint8, np.int16, np.int32, np.int64]
GEOMETRY = {
    "window_dimensions": (2, 3),
    "window_strides": (2, 2),
    "base_dilations": (2, 1),
    "window_dilations": (1, 2),
    "padding": (1, 2, -1, 3),
}
BODIES = ["ADD", "MUL", "MAXIMUM", "MINIMUM", "STABLEHLO_ADD", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM"]


def numbers(dtype: Any, *shape: int) -> np.ndarray:
    if np.dtype(dtype).kind == "b":
        return RNG.integers(0, 2, shape).astype(np.bool_)
    lowest = 0 if np.dtype(dtype).kind == "u" else -4
    return RNG.integers(lowest, lowest + 9, shape).astype(dtype)


def windowed(x: np.ndarray, start: Any, body: Graph, **geometry: Any) -> Model:
    rank = x.ndim
    whole = dict.fromkeys(GEOMETRY, (1,) * rank) | {"padding": (0,) * 2 * rank} | geometry
    kind = TensorType.of(x.dtype)
    return one_op("STABLEHLO_REDUCE_WINDOW", [x, np.asarray(start, x.dtype)], [(kind, (1,) * rank)], body,
                  body_subgraph_index=1, **whole)  # fmt: skip


@pytest.mark.reference
@pytest.mark.parametrize(("dtype", "name"), [*product(NUMBERS, BODIES), (np.bool_, "LOGICAL_AND"),
                                             (np.bool_, "LOGICAL_OR"), (np.bool_, "STABLEHLO_AND")])  # fmt: skip
def test_as_the_reference(dtype: Any, name: str) -> None:
    x, start = numbers(dtype, 6, 7), numbers(dtype, 1)[0]
    source = windowed(x, start, one_node(name, TensorType.of(x.dtype)), **GEOMETRY)
    (got,), (want,) = run(source, [x, start]), reference(source, [x, start])
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.reference
def test_integers_as_statements() -> None:
    x, start = np.array([6, 3, 4, 0], np.int32), np.int32(5)
    source = windowed(x, start, one_node("STABLEHLO_AND", I32), window_dimensions=(2,))
    assert run(source, [x, start])[0].tolist() == reference(source, [x, start])[0].tolist() == [1, 1, 0]


@pytest.mark.parametrize("window", range(1, 12))
def test_windows_of_any_length_keep_the_order(window: int) -> None:
    x = np.arange(1, 13, dtype=np.float32)
    x[3] = x[7] = 0
    (got,) = run(windowed(x, 0, last_but_zero(), window_dimensions=(window,)), [x, np.float32(0)])
    want = [next((v for v in x[i : i + window][::-1] if v), 0) for i in range(13 - window)]
    assert got.tolist() == want


def test_running_sums() -> None:
    x = np.arange(10, dtype=np.float32)
    source = windowed(x, 0, one_node("ADD", F32), window_dimensions=(10,), padding=(9, 0))
    np.testing.assert_allclose(run(source, [x, np.float32(0)])[0], np.cumsum(x))


def test_of_several_operands() -> None:
    x = numbers(np.float32, 8)
    operands = [x, np.arange(8, dtype=np.int32), np.float32(-np.inf), np.int32(0)]
    geometry = dict.fromkeys(GEOMETRY, (1,)) | {"window_dimensions": (3,), "padding": (1, 0)}
    source = one_op("STABLEHLO_REDUCE_WINDOW", operands, [(F32, (7,)), (I32, (7,))], greatest_and_its_place(),
                    body_subgraph_index=1, **geometry)  # fmt: skip
    values, places = run(source, operands)
    windows = [x[max(i - 1, 0) : i + 2] for i in range(7)]
    assert values.tolist() == [w.max() for w in windows]
    assert [x[p] for p in places] == values.tolist()


def test_windows_that_do_not_fit_give_nothing() -> None:
    x = numbers(np.float32, 3, 4)
    source = windowed(x, 0, one_node("ADD", F32), window_dimensions=(5, 1))
    assert run(source, [x, np.float32(0)])[0].shape == (0, 4)


@pytest.mark.parametrize(("name", "value"), [("window_strides", (0, 1)), ("base_dilations", (1,)), ("padding", (1, 1)),
                                             ("window_dimensions", (1, 1, 1)), ("padding", (-9, 0, 0, 0))])  # fmt: skip
def test_geometry_that_makes_no_sense(name: str, value: tuple[int, ...]) -> None:
    x = numbers(np.float32, 3, 4)
    with pytest.raises(KernelError, match="STABLEHLO_REDUCE_WINDOW"):
        run(windowed(x, 0, one_node("ADD", F32), **{name: value}), [x, np.float32(0)])


def builtin(dtype: Any, function: ReduceWindowFunction, *window: list[int], **more: Any) -> Case:
    shape, strides, dilations = (const(np.int64(w)) for w in window or ([2, 3], [2, 1], [1, 2]))
    more = {"label": f"{function.name} of {np.dtype(dtype).name}"} | more
    return Case("REDUCE_WINDOW", [numbers(dtype, 6, 7), numbers(dtype, 1).reshape(()), shape, strides, dilations],
                {"reduce_function": function}, **more)  # fmt: skip


ADD, ANY = ReduceWindowFunction.ADD, ReduceWindowFunction.ANY
CASES = [
    *(builtin(dtype, f) for dtype in [*NUMBERS, np.bool_] for f in ReduceWindowFunction
      if f and (dtype is not np.bool_ or f > ReduceWindowFunction.MAXIMUM)),
    builtin(np.float32, ADD, [7, 1], [1, 1], [1, 1], label="does not fit"),
    builtin(np.float32, ADD, [6, 7], [1, 1], [1, 1], label="whole"),
    builtin(np.float32, ReduceWindowFunction.UNSUPPORTED, refused="without a reduce function"),
    builtin(np.float16, ADD, refused="not supported with float16"),
    builtin(np.float32, ADD, [2], [1, 1], [1, 1], raises="expected 2 numbers above 0", unreferenced="it reads past it"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


OPERATORS = ("STABLEHLO_REDUCE_WINDOW",)

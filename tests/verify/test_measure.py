"""How far tensors are apart, in the units of their kinds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.build import BOOL, F32, I32, STRING, GraphBuilder, model
from tflite_cupy.interpreter.graph import Model, Quantization, Tensor, TensorType
from tflite_cupy.verify.judge import Judge
from tflite_cupy.verify.measure import Kind, Measure, Tolerance, measured

HALF_STEPS = Quantization(np.float32([0.5]), np.int64([10]))


def tensor(kind: TensorType, q: Quantization | None = None) -> Tensor:
    return Tensor("t", kind, (2,), quantization=q)


def test_floats_are_measured_against_the_peak() -> None:
    found = measured(np.float32([1, -4.5]), np.float32([1, -4]), tensor(F32))
    assert found.absolute == 0.5
    assert found.relative == 0.125
    assert found.sqnr == pytest.approx(10 * math.log10(17 / 0.25))
    assert str(found) == "1.2e-01 of the peak"


def test_quantised_integers_are_measured_in_steps_and_in_what_they_stand_for() -> None:
    found = measured(np.int8([10, 14]), np.int8([10, 16]), tensor(TensorType.INT8, HALF_STEPS))
    assert (found.steps, found.absolute) == (2, 1.0)
    assert found.relative == pytest.approx(1 / 3)


def test_steps_of_a_scale_per_channel() -> None:
    q = Quantization(np.float32([1, 10]), np.int64([0, 0]), axis=1)
    declared = Tensor("t", TensorType.INT8, (1, 2), quantization=q)
    found = measured(np.int8([[1, 4]]), np.int8([[1, 3]]), declared)
    assert (found.steps, found.absolute) == (1, 10.0)
    assert found.relative == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("got", "want", "kind", "problem"),
    [
        (np.zeros(2, "f"), np.zeros(3, "f"), F32, "shape [2], expected [3]"),
        (np.zeros(2, "i"), np.zeros(2, "f"), F32, "dtype int32, expected float32"),
        (np.float32([np.nan, 1]), np.float32([2, 1]), F32, "1 of 2 elements are NaN or infinite"),
        (np.array([b"a", b"b"], object), np.array([b"a", b"c"], object), STRING, "1 of 2 strings differ"),
    ],
)
def test_what_can_not_be_measured_is_said(got: Any, want: Any, kind: TensorType, problem: str) -> None:
    found = measured(got, want, tensor(kind))
    assert problem in found.problem
    assert not found.equal
    assert found.to_json()["relative"] is None


def test_nan_and_infinities_are_equal_to_themselves() -> None:
    odd = np.float32([np.nan, np.inf])
    assert measured(odd, odd.copy(), tensor(F32)).equal


@pytest.mark.parametrize(
    ("kind", "measure", "excess"),
    [
        (Kind.FLOAT, Measure(), 0),
        (Kind.FLOAT, Measure(1e-3, 2e-4), 2),
        (Kind.FLOAT, Measure(5e-8, 0.5), 0),  # no more than float32 resolves at 1
        (Kind.HALF, Measure(1, 5e-3), 0.5),
        (Kind.COARSE, Measure(1, 6e-2), 2),
        (Kind.STEPS, Measure(1, 1, 0, 3), 3),
        (Kind.EXACT, Measure(1, 1), math.inf),
        (Kind.FLOAT, Measure(problem="shape"), math.inf),
    ],
)
def test_the_excess_is_in_parts_of_what_is_allowed(kind: Kind, measure: Measure, excess: float) -> None:
    assert Tolerance().excess(kind, measure) == pytest.approx(excess)


def test_tolerances_of_the_user_hold_strictly() -> None:
    asked = Tolerance.of(1e-6, None)
    assert asked.excess(Kind.COARSE, Measure(1, 2e-6)) == pytest.approx(2)
    assert asked.strict == {Kind.FLOAT, Kind.HALF, Kind.COARSE}
    assert Tolerance.of(None, 0).excess(Kind.STEPS, Measure(1, 1, 0, 1)) == math.inf
    assert Tolerance.of(0.0, None).excess(Kind.FLOAT, Measure(1e-3, 1e-9)) == math.inf


def kinds(graph: Model, tensors: int) -> list[Kind]:
    judge = Judge(graph, Tolerance())
    return [judge.kind(0, index) for index in range(tensors)]


def test_floats_after_quantised_integers_are_coarse() -> None:
    b = GraphBuilder()
    x = b.input(F32, [2])
    (q,) = b.op("QUANTIZE", [x], [b.tensor(TensorType.INT8, [2], q=HALF_STEPS)])
    (y,) = b.op("DEQUANTIZE", [q], [b.tensor(F32, [2])])
    z = b.add("NEG", [y])
    other = b.add("ABS", [x])
    found = kinds(model(b.graph([z, other])), 5)
    assert found == [Kind.FLOAT, Kind.STEPS, Kind.COARSE, Kind.COARSE, Kind.FLOAT]


def test_floats_from_weights_of_bytes_are_coarse_and_from_weights_that_are_unpacked_first_are_not() -> None:
    b = GraphBuilder()
    x = b.input(F32, [1, 2])
    w = b.constant(np.ones((3, 2)), np.int8, HALF_STEPS)
    y = b.add("FULLY_CONNECTED", [x, w, -1], [1, 3])
    (unpacked,) = b.op("DEQUANTIZE", [w], [b.tensor(F32, [3, 2])])
    z = b.add("FULLY_CONNECTED", [x, unpacked, -1], [1, 3])
    found = kinds(model(b.graph([y, z])), 5)
    assert (found[y], found[z]) == (Kind.COARSE, Kind.FLOAT)


def test_halves_integers_and_truth_values() -> None:
    b = GraphBuilder()
    x = b.input(F32, [2])
    (half,) = b.op("CAST", [x], [b.tensor(TensorType.FLOAT16, [2])])
    (back,) = b.op("CAST", [half], [b.tensor(F32, [2])])
    (whole,) = b.op("CAST", [x], [b.tensor(I32, [2])])
    (less,) = b.op("LESS", [x, x], [b.tensor(BOOL, [2])])
    found = kinds(model(b.graph([back, whole, less])), 5)
    assert found == [Kind.FLOAT, Kind.HALF, Kind.HALF, Kind.EXACT, Kind.EXACT]


def test_what_a_body_rounds_is_coarse_outside() -> None:
    b = GraphBuilder("main")
    flag, x = b.input(BOOL, []), b.input(F32, [2])
    (y,) = b.op("IF", [flag, x], [b.tensor(F32, [2])], then_subgraph_index=1, else_subgraph_index=1)
    c = GraphBuilder("body")
    inner = c.input(F32, [2])
    (q,) = c.op("QUANTIZE", [inner], [c.tensor(TensorType.INT8, [2], q=HALF_STEPS)])
    (out,) = c.op("DEQUANTIZE", [q], [c.tensor(F32, [2])])
    judge = Judge(model(b.graph([y]), c.graph([out])), Tolerance())
    assert judge.kind(0, y) is Kind.COARSE

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.build import F32, GraphBuilder, model
from tflite_cupy.benchmark.agreement import FLOATS, HALVES, ROUNDED, compare, difference, real, usual_tolerance
from tflite_cupy.interpreter.graph import Quantization, Signature, Tensor, TensorType

PLAIN = Tensor("y", F32, (2,))
STORED = Tensor("y", TensorType.INT8, (2,), quantization=Quantization(np.float32([0.5]), np.int64([10])))


@pytest.mark.parametrize(
    ("result", "expected", "tensor", "apart"),
    [
        (np.float32([3, 4]), np.float32([3, 4]), PLAIN, 0),
        (np.float32([3, 5]), np.float32([3, 4]), PLAIN, 1 / 5),
        (np.float32([1, 2, 3]), np.float32([1, 2]), PLAIN, np.inf),
        (np.float32([]), np.float32([]), PLAIN, 0),
        (np.float32([np.nan, 4]), np.float32([np.nan, 4]), PLAIN, 0),
        (np.float32([np.inf, 4]), np.float32([np.inf, 4]), PLAIN, 0),
        (np.float32([np.inf, 4]), np.float32([-np.inf, 4]), PLAIN, np.inf),
        (np.float32([np.nan, 4]), np.float32([1, 4]), PLAIN, np.inf),
        (np.int8([12, 10]), np.int8([14, 10]), STORED, 0.5),  # 1 and 0, of 2 and 0
        (np.int32([1, 2, 3, 4]), np.int32([1, 2, 3, 5]), Tensor("y", TensorType.INT32, (4,)), 0.25),
        (np.array([b"a", b"b"], object), np.array([b"a", b"c"], object), Tensor("y", TensorType.STRING, (2,)), 0.5),
        (np.complex64([3j]), np.complex64([4j]), Tensor("y", TensorType.COMPLEX64, (1,)), 0.25),
    ],
)
def test_differences(result: Any, expected: Any, tensor: Tensor, apart: float) -> None:
    assert difference(result, expected, tensor) == pytest.approx(apart)


def test_real_numbers_by_channel() -> None:
    q = Quantization(np.float32([1, 2]), np.int64([0, 1]), axis=1)
    tensor = Tensor("w", TensorType.INT8, (2, 2), quantization=q)
    assert real(np.int8([[1, 2], [3, 4]]), tensor).tolist() == [[1, 2], [3, 6]]


@pytest.mark.parametrize(
    ("kind", "quantized", "tolerance"),
    [(F32, False, FLOATS), (TensorType.FLOAT16, False, HALVES), (TensorType.INT8, True, ROUNDED),
     (TensorType.INT8, False, FLOATS)],
)  # fmt: skip
def test_the_tolerance_comes_from_the_types(kind: TensorType, quantized: bool, tolerance: float) -> None:
    b = GraphBuilder()
    q = STORED.quantization if quantized else None
    x, y = b.tensor(kind, [2], q=q), b.tensor(kind, [2], q=q)
    b.op("RESHAPE", [x], [y])
    assert usual_tolerance(b.graph([y])) == tolerance


def test_weights_of_integers_round_activations() -> None:
    b = GraphBuilder()
    x, w = b.input(F32, [1, 2], "x"), b.constant(np.int8([[1, 2]]), q=STORED.quantization)
    y = b.add("FULLY_CONNECTED", [x, w, -1], [1, 1])
    assert usual_tolerance(b.graph([y])) == ROUNDED


def test_the_worst_output_is_named() -> None:
    b = GraphBuilder()
    x = b.input(F32, [1], "x")
    y, z = b.add("NEG", [x]), b.add("ABS", [x])
    signature = Signature("s", {"x": x}, {"y": y, "z": z}, 0)
    whole = model(b.graph([y, z]))
    one: dict[str, Any] = {"y": np.float32([1]), "z": np.float32([1])}
    other: dict[str, Any] = {"y": np.float32([1]), "z": np.float32([1.25])}
    found = compare(whole, signature, other, one)
    assert (found.output, found.difference, found.agrees) == ("z", 0.25, False)
    assert compare(whole, signature, other, one, tolerance=0.3).agrees
    assert found.to_json() == {"agrees": False, "difference": 0.25, "tolerance": FLOATS, "output": "z"}

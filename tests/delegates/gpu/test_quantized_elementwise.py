"""Elementwise operators on quantised integers: the bits of the bodies, in one launch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.build import GraphBuilder
from tests.delegates.gpu.checks import check, noise
from tests.ops.harness import Case, Operand, q
from tflite_cupy.interpreter.graph import Quantization, TensorType
from tflite_cupy.interpreter.ops.base import Activation

RELU6, RELU = {"fused_activation_function": Activation.RELU6}, {"fused_activation_function": Activation.RELU}
WHOLE, ROW = (4, 5, 6), (6,)


def operand(dtype: Any, scale: float, zero_point: int = 0, shape: tuple[int, ...] = WHOLE, seed: int = 0) -> Operand:
    """Noise over all values of a type, with its extremes."""
    data = noise(*shape, seed=seed, dtype=dtype)
    data.flat[:2] = np.iinfo(dtype).max, np.iinfo(dtype).min
    return q(data, scale, zero_point)


def every(dtype: Any, scale: float, zero_point: int = 0) -> Operand:
    """All values of a type."""
    info = np.iinfo(dtype)
    return q(np.arange(info.min, info.max + 1).astype(dtype), scale, zero_point)


def result(scale: float, zero_point: int = 0, type: TensorType | None = None) -> list[Any]:
    return [q(None, scale, zero_point, type=type)]


INT8, UINT8, INT16 = np.int8, np.uint8, np.int16
PAIR8 = [operand(INT8, 0.1, 3), operand(INT8, 0.034, -7, ROW, seed=1)]
PAIR_U8 = [operand(UINT8, 0.1, 131), operand(UINT8, 0.34, 100, (4, 1, 6), seed=1)]
PAIR16 = [operand(INT16, 1e-3), operand(INT16, 7e-4, 0, ROW, seed=1)]

BINARY = [
    *(Case(name, PAIR8, RELU6, result(0.15, -2), label="int8") for name in ("ADD", "SUB", "MUL")),
    *(Case(name, PAIR_U8, RELU, result(0.4, 112), label="uint8") for name in ("ADD", "SUB", "MUL")),
    *(Case(name, PAIR16, {"pot_scale_int16": False}, result(2e-3), label="int16") for name in ("ADD", "SUB")),
    *(
        Case(
            name,
            [operand(INT16, 2.0**-12), operand(INT16, 2.0**-14, 0, ROW, seed=1)],
            {},
            result(2.0**-12),
            label="pot",
        )
        for name in ("ADD", "SUB")
    ),
    Case("MUL", PAIR16, {}, result(2e-2), label="int16"),
    Case("SQUARED_DIFFERENCE", PAIR8, {}, result(0.6, -128)),
    Case("PRELU", PAIR8, {}, result(0.08, 5), label="int8"),
    Case("PRELU", PAIR_U8, {}, result(0.3, 90), label="uint8"),
    *(
        Case(name, PAIR8, {}, [TensorType.BOOL], label="int8")
        for name in ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
    ),
    Case("LESS", PAIR_U8, {}, [TensorType.BOOL], label="uint8"),
    Case("EQUAL", PAIR16, {}, [TensorType.BOOL], label="int16"),
]

UNARY = [
    *(Case(name, [every(INT8, 0.05, -3)], {}, result(0.04, -10)) for name in ("RELU", "RELU6", "RELU_N1_TO_1", "ABS")),
    *(Case(name, [every(UINT8, 0.05, 100)], {}, result(0.04, 20)) for name in ("RELU6", "HARD_SWISH", "GELU")),
    Case("HARD_SWISH", [every(INT8, 0.05, -3)], {}, result(0.04, -10)),
    Case("LEAKY_RELU", [every(INT8, 0.05, -3)], {"alpha": 0.2}, result(0.04, -10)),
    Case("LOGISTIC", [every(INT8, 0.05, -3)], {}, result(1 / 256, -128)),
    Case("TANH", [every(INT8, 0.05, -3)], {}, result(1 / 128)),
    Case("ELU", [every(INT8, 0.05, -3)], {}, result(0.04, -10)),
    Case("EXP", [every(INT8, 0.02, -3)], {}, result(0.1, -128)),
    Case("LOGISTIC", [every(INT16, 2.0**-12)], {}, result(2.0**-15), label="int16"),
    Case("TANH", [every(INT16, 3e-4)], {}, result(2.0**-15), label="int16"),
    Case("RELU6", [every(INT16, 3e-4)], {}, result(2e-4), label="int16"),
    Case("QUANTIZE", [every(INT8, 0.05, -3)], {}, result(0.07, 4), label="int8"),
    Case("QUANTIZE", [every(UINT8, 0.05, 130)], {}, result(0.05, 2, TensorType.INT8), label="to int8"),
    Case("QUANTIZE", [every(INT8, 0.05, -3)], {}, result(0.001, 0, TensorType.INT16), label="to int16"),
    Case("QUANTIZE", [every(INT16, 0.001)], {}, result(0.05, 3, TensorType.INT8), label="from int16"),
    Case(
        "QUANTIZE",
        [q(np.arange(-9000, 9000, 7, dtype=np.int32), 1e-3)],
        {},
        result(0.05, 3, TensorType.INT8),
        label="32",
    ),
]


@pytest.mark.parametrize("case", [*BINARY, *UNARY], ids=str)
def test_one_launch_gives_the_bits_of_the_body(case: Case) -> None:
    check(case, launches=1)


def test_a_chain_is_one_launch() -> None:
    b = GraphBuilder()
    quantization = [
        Quantization(np.float32([scale]), np.int64([zero])) for scale, zero in ((0.1, 3), (0.2, -5), (0.05, 0))
    ]
    x, y = (b.tensor(TensorType.INT8, [3, 7], q=quantization[i]) for i in range(2))
    b._inputs += [x, y]
    made = [b.tensor(TensorType.INT8, [3, 7], q=quantization[i]) for i in (2, 0, 1)]
    b.op("ADD", [x, y], [made[0]])
    b.op("RELU", [made[0]], [made[1]])
    b.op("MUL", [made[1], y], [made[2]])
    check(b.graph([made[2]]), [noise(3, 7, dtype=INT8), noise(3, 7, seed=1, dtype=INT8)], launches=1)

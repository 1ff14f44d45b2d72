"""CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED on quantised integers: the bits of the bodies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.build import GraphBuilder
from tests.delegates.gpu.checks import check, noise
from tests.ops.harness import Case, Operand, const, q
from tflite_cupy.delegates.gpu.kernels import quantized_depthwise
from tflite_cupy.interpreter.graph import Quantization, TensorType
from tflite_cupy.interpreter.ops.base import Activation, Padding

INT8, UINT8, INT16 = np.int8, np.uint8, np.int16


def case(
    operator: str,
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    attributes: Any,
    label: str,
    *,
    dtype: Any = INT8,
    zeros: tuple[int, int, int] = (-7, 0, 12),
    per_channel: int | None = None,
    weights: Any = None,
    bias: Any = np.int32,
    out: TensorType | None = None,
) -> Case:
    """One product with weights; results spread over the type's range."""
    channels = w_shape[-1] if operator == "DEPTHWISE_CONV_2D" else w_shape[0]
    weights_type = np.dtype(weights or (UINT8 if dtype == UINT8 else INT8))
    depth = int(np.prod(w_shape)) // channels
    scales: Any = 0.02
    if per_channel is not None:
        scales = np.random.default_rng(3).uniform(0.005, 0.03, channels)
    w = noise(*w_shape, seed=1, dtype=weights_type)
    spread = 0.01 * 0.02 * 255 * 64 * depth**0.5 / (1 if dtype != INT16 else 1 / 256)
    reach = float(np.iinfo(dtype).max) * (0.5 if dtype == UINT8 else 1)
    operands: list[Any] = [
        q(noise(*x_shape, dtype=dtype), 0.01, zeros[0]),
        q(w, scales, zeros[1], axis=per_channel or 0, constant=True),
    ]
    if bias is not None:
        values = np.random.default_rng(2).integers(-2000, 2000, channels).astype(bias)
        operands.append(q(values, np.asarray(scales) * 0.01, constant=True))
    return Case(operator, operands, attributes, [q(None, spread / reach, zeros[2], type=out)], label=label)


SAME, VALID, RELU6 = Padding.SAME, Padding.VALID, Activation.RELU6
STRIDED = {"padding": SAME, "stride_w": 2, "stride_h": 2, "fused_activation_function": RELU6}
PLAIN = {"padding": SAME, "stride_w": 1, "stride_h": 1}
HOLES = {"padding": SAME, "stride_w": 1, "stride_h": 1, "dilation_w_factor": 2, "dilation_h_factor": 3}
UNSIGNED = {"dtype": UINT8, "zeros": (117, 131, 100)}
WIDE = {"dtype": INT16, "zeros": (0, 0, 0)}

CONV = "CONV_2D"
CONVOLUTIONS = [
    case(CONV, [2, 9, 11, 3], [10, 3, 3, 3], STRIDED, "first layer", per_channel=0),
    case(CONV, [1, 6, 5, 8], [12, 1, 1, 8], PLAIN, "1x1"),
    case(CONV, [1, 12, 9, 8], [36, 3, 2, 8], HOLES, "dilated", per_channel=0),
    case(CONV, [1, 7, 7, 20], [70, 3, 3, 20], PLAIN | {"padding": VALID}, "deep", bias=None),
    case(CONV, [1, 6, 6, 16], [8, 3, 3, 4], PLAIN, "groups", per_channel=0),
    case(CONV, [1, 90, 92, 4], [24, 1, 1, 4], PLAIN, "large tiles"),
    case(CONV, [2, 9, 11, 3], [10, 3, 3, 3], STRIDED, "uint8", **UNSIGNED),
    case(CONV, [1, 9, 11, 8], [12, 3, 3, 8], PLAIN, "uint8 aligned", **UNSIGNED),
    case(CONV, [2, 9, 11, 3], [10, 3, 3, 3], PLAIN | {"stride_w": 2}, "int16", per_channel=0, bias=np.int64, **WIDE),
    case(CONV, [1, 5, 5, 6], [5, 3, 3, 6], PLAIN | {"quantized_bias_type": TensorType.INT32}, "int16 narrow", **WIDE),
]

DEPTHWISE = "DEPTHWISE_CONV_2D"
DEPTHWISES = [
    case(DEPTHWISE, [2, 9, 8, 12], [1, 3, 3, 12], STRIDED, "by 4", per_channel=3),
    case(DEPTHWISE, [1, 9, 8, 5], [1, 3, 2, 5], HOLES, "by 1"),
    case(DEPTHWISE, [1, 5, 4, 3], [1, 3, 3, 6], PLAIN | {"depth_multiplier": 2}, "multiplier", per_channel=3),
    case(DEPTHWISE, [1, 7, 8, 8], [1, 3, 3, 8], PLAIN, "uint8", **UNSIGNED),
    case(DEPTHWISE, [1, 7, 8, 8], [1, 3, 3, 8], PLAIN, "int16", per_channel=3, bias=np.int64, **WIDE),
]

FULL = "FULLY_CONNECTED"
FULLS = [
    case(FULL, [1, 40], [10, 40], {}, "one row", per_channel=0),
    case(FULL, [3, 39], [21, 39], {"fused_activation_function": RELU6}, "three rows"),
    case(FULL, [2, 8, 70], [33, 70], {"keep_num_dims": True}, "many rows", bias=None),
    case(FULL, [3, 16], [8, 16], {}, "weights with zero point", zeros=(3, -5, 7)),
    case(FULL, [2, 16], [8, 16], {}, "uint8 row", **UNSIGNED),
    case(FULL, [20, 18], [8, 18], {}, "uint8", **UNSIGNED),
    case(FULL, [20, 18], [8, 18], {}, "uint8 to int16", out=TensorType.INT16, **(UNSIGNED | {"zeros": (117, 131, 0)})),
    case(FULL, [20, 17], [8, 17], {}, "int16", bias=np.int64, **WIDE),
    case(FULL, [2, 17], [8, 17], {"quantized_bias_type": TensorType.INT32}, "int16 narrow", **WIDE),
]


def transposed(product: Case, out_shape: Sequence[int]) -> Case:
    """TRANSPOSE_CONV of a convolution's operands."""
    shape = const(np.int32(out_shape))
    x, weights, bias = product.inputs
    (out,) = product.outputs
    if isinstance(out, Operand) and isinstance(x, Operand) and x.data is not None:
        out = replace(out, type=TensorType.of(x.data.dtype))
    return Case("TRANSPOSE_CONV", [shape, weights, x, bias], product.attributes, [out], label=product.label)


STEPS = {"padding": SAME, "stride_w": 2, "stride_h": 3}
SMALL, FILTERS = [2, 3, 4, 5], [7, 3, 4, 5]
TRANSPOSED = [
    transposed(case(CONV, SMALL, FILTERS, STEPS, "same", per_channel=0), [2, 9, 8, 7]),
    transposed(case(CONV, SMALL, FILTERS, STEPS | {"padding": VALID}, "uint8", **UNSIGNED), [2, 9, 10, 7]),
    transposed(case(CONV, SMALL, FILTERS, STEPS, "int16", bias=np.int64, **WIDE), [2, 8, 7, 7]),
]


@pytest.mark.parametrize("case", [*CONVOLUTIONS, *DEPTHWISES, *FULLS, *TRANSPOSED], ids=str)
def test_one_launch_gives_the_bits_of_the_body(case: Case) -> None:
    checked = check(case, launches=1)
    assert len(np.unique(checked.outputs[0])) > 3


@pytest.mark.parametrize("window", [(3, 3), (2, 1), (1, 2)])
def test_two_columns_of_a_depthwise_convolution(window: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantized_depthwise, "BUSY", 1)
    product = case(DEPTHWISE, [2, 6, 7, 12], [1, *window, 12], PLAIN, "", per_channel=3)
    assert len(np.unique(check(product, launches=1).outputs[0])) > 3


@pytest.mark.parametrize("operator", [CONV, DEPTHWISE])
def test_a_residual_sum_and_its_activation_are_part_of_the_launch(operator: str) -> None:
    product = case(operator, [1, 6, 5, 8], [1 if operator == DEPTHWISE else 8, 3, 3, 8], PLAIN, "")
    b = GraphBuilder()
    x, w, bias = (_tensor(b, operand) for operand in product.inputs)
    filtered, total, activated = (_quantized(b, [1, 6, 5, 8], scale, 3) for scale in (0.05, 0.07, 0.04))
    b.op(operator, [x, w, bias], [filtered], **product.attributes)
    b.op("ADD", [x, filtered], [total], fused_activation_function=Activation.RELU)
    b.op("HARD_SWISH", [total], [activated])
    check(b.graph([activated]), [noise(1, 6, 5, 8, dtype=INT8)], launches=1)


def _tensor(b: GraphBuilder, operand: Any) -> int:
    assert isinstance(operand, Operand)
    assert operand.data is not None
    if operand.constant:
        return b.constant(operand.data, q=operand.quantization)
    index = b.tensor(TensorType.of(operand.data.dtype), operand.data.shape, q=operand.quantization)
    b._inputs.append(index)
    return index


def _quantized(b: GraphBuilder, shape: Sequence[int], scale: float, zero: int) -> int:
    return b.tensor(TensorType.INT8, shape, q=Quantization(np.float32([scale]), np.int64([zero])))


def hybrid(
    operator: str, x_shape: Sequence[int], w_shape: Sequence[int], attributes: Any, label: str, **more: Any
) -> Case:
    """A product of floats with integer weights."""
    integers = case(operator, x_shape, w_shape, attributes, label, **more)
    weights = integers.inputs[1]
    channels = w_shape[-1] if operator == DEPTHWISE else w_shape[0]
    operands: list[Any] = [noise(*x_shape), weights, const(noise(channels, seed=4))]
    operands[0].flat[0] = 3.5
    return Case(operator, operands, attributes, [TensorType.FLOAT32], label=f"hybrid {label}")


HYBRIDS = [
    hybrid(FULL, [3, 40], [10, 40], {}, "few rows"),
    hybrid(FULL, [3, 41], [10, 41], {"asymmetric_quantize_inputs": True}, "asymmetric", per_channel=0),
    hybrid(FULL, [2, 9, 600], [33, 600], {"keep_num_dims": True} | {"asymmetric_quantize_inputs": True}, "many rows"),
    hybrid(CONV, [2, 9, 11, 3], [10, 3, 3, 3], STRIDED, "symmetric"),
    hybrid(CONV, [2, 9, 11, 8], [10, 3, 3, 8], PLAIN, "asymmetric", per_channel=0),
    hybrid(CONV, [1, 6, 6, 16], [8, 3, 3, 4], PLAIN, "groups"),
    hybrid(CONV, [1, 70, 80, 4], [8, 1, 1, 4], PLAIN, "in parts", per_channel=0),
    transposed(hybrid(CONV, SMALL, FILTERS, STEPS, "transposed"), [2, 9, 8, 7]),
    hybrid(DEPTHWISE, [2, 9, 8, 12], [1, 3, 3, 12], STRIDED, "depthwise", per_channel=3),
]


@pytest.mark.parametrize("case", HYBRIDS, ids=str)
def test_floats_are_quantised_on_the_way(case: Case) -> None:
    check(case, launches=3 if "in parts" in case.label else 2, rtol=0, atol=0)

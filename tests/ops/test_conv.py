"""Convolutions in float32, 8-bit, 16x8 and hybrid arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.ops.harness import Case, Operand, arrays, check, const, matrix, one_op, q
from tflite_cupy.interpreter.graph import Sparsity, TensorType
from tflite_cupy.interpreter.ops.base import Activation, Padding
from tflite_cupy.interpreter.ops.checks import evaluate, refusal

SAME, VALID = {"padding": Padding.SAME}, {"padding": Padding.VALID}
STRIDED = {"stride_h": 2, "stride_w": 3}
DILATED = {"dilation_h_factor": 2, "dilation_w_factor": 3}
RELU = {"fused_activation_function": Activation.RELU}
RELU6 = {"fused_activation_function": Activation.RELU6}
CLIPPED = {"fused_activation_function": Activation.RELU_N1_TO_1}


def merged(operator: str, more: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """Attributes of an operator with strides of 1 unless `more` says otherwise; the file format's default is 0."""
    names = ["stride_h", "stride_w"] + ["stride_d"] * operator.startswith("CONV_3D")
    return {k: v for options in (dict.fromkeys(names, 1), *more) for k, v in options.items()}


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def integers(*shape: int, dtype: Any = np.int8, seed: int = 0, low: int | None = None) -> np.ndarray:
    info = np.iinfo(dtype)
    least = info.min if low is None else low
    return np.random.default_rng(seed).integers(least, info.max + 1, shape).astype(dtype)


def scales(channels: int, around: float = 0.01) -> np.ndarray:
    return (around * np.random.default_rng(9).uniform(0.5, 2, channels)).astype(np.float32)


def real(operator: str, x: tuple[int, ...], w: tuple[int, ...], bias: int | None, label: str, *more: dict[str, Any],
         **kwargs: Any) -> Case:  # fmt: skip
    attributes = merged(operator, more)
    operands = [floats(*x), const(floats(*w, seed=1)), None if bias is None else const(floats(bias, seed=2))]
    return Case(operator, operands, attributes, label=label, rtol=1e-4, atol=1e-5, **kwargs)


def stored(operator: str, x: Operand, w: Operand, bias: int, output: Operand, label: str, *more: dict[str, Any],
           **kwargs: Any) -> Case:  # fmt: skip
    attributes = merged(operator, more)
    assert x.data is not None
    wide = x.data.dtype == np.int16 and attributes.get("quantized_bias_type") != TensorType.INT32
    values = np.random.default_rng(3).integers(-2000, 2000, bias).astype(np.int64 if wide else np.int32)
    assert x.quantization is not None
    assert w.quantization is not None
    scale = x.quantization.scales[0] * w.quantization.scales
    return Case(operator, [x, w, q(values, scale, constant=True)], attributes, [output], label=label, **kwargs)


def int8(*shape: int, zero_point: int = -3) -> Operand:
    return q(integers(*shape), 0.02, zero_point)


def int16(*shape: int) -> Operand:
    return q(integers(*shape, dtype=np.int16), 1e-4)


def uint8(*shape: int) -> Operand:
    return q(integers(*shape, dtype=np.uint8), 0.02, 131)


def weights(*shape: int, channels: int = 0, axis: int = 0, type: TensorType | None = None) -> Operand:
    values = integers(*shape, seed=1, low=-127)
    if type is not None:
        values = (values >> (8 - type.bits)).astype(np.int8)
    return q(values, scales(channels) if channels else 0.01, axis=axis, type=type, constant=True)


def hybrid(operator: str, x: tuple[int, ...], w: Operand, bias: int, label: str, *more: dict[str, Any],
           **kwargs: Any) -> Case:  # fmt: skip
    attributes = merged(operator, more)
    return Case(operator, [floats(*x), w, const(floats(bias, seed=2))], attributes, [TensorType.FLOAT32], label=label,
                rtol=1e-4, atol=1e-4, **kwargs)  # fmt: skip


CONV = [
    real("CONV_2D", (2, 7, 9, 3), (4, 3, 3, 3), 4, "3x3", SAME, RELU6),
    real("CONV_2D", (1, 7, 9, 3), (4, 3, 2, 3), 4, "strided", VALID, STRIDED),
    real("CONV_2D", (1, 11, 12, 2), (3, 3, 3, 2), 3, "dilated", SAME, DILATED, CLIPPED),
    real("CONV_2D", (2, 4, 5, 6), (7, 1, 1, 6), 7, "1x1", VALID, RELU),
    real("CONV_2D", (1, 6, 6, 8), (6, 3, 3, 4), 6, "grouped", SAME),
    real("CONV_2D", (1, 5, 5, 2), (3, 3, 3, 2), None, "without-bias", SAME, unreferenced="it wants a bias"),
    real("CONV_2D", (1, 3, 5, 2), (3, 4, 2, 2), 3, "no-window-fits", VALID, {"stride_h": 2},
         unreferenced="it fails on empty results"),
    real("CONV_2D", (0, 5, 5, 2), (3, 3, 3, 2), 3, "empty-batch", SAME, unreferenced="it fails on empty inputs"),
    stored("CONV_2D", int8(2, 6, 7, 5), weights(4, 3, 3, 5, channels=4), 4, q(None, 0.4, 7), "int8", SAME, RELU),
    stored("CONV_2D", int8(1, 6, 7, 5), weights(4, 3, 3, 5), 4, q(None, 0.3, 7), "int8-per-tensor", SAME, STRIDED),
    stored("CONV_2D", int8(1, 3, 3, 128), weights(4, 3, 3, 128, channels=4), 4, q(None, 2, 7), "int8-deep", SAME),
    stored("CONV_2D", int8(1, 6, 6, 8), weights(6, 3, 3, 4, channels=6), 6, q(None, 0.4, 7), "int8-grouped", SAME),
    stored("CONV_2D", int8(1, 4, 4, 5), weights(4, 3, 3, 5, type=TensorType.INT4), 4, q(None, 0.1), "int4", SAME),
    stored("CONV_2D", uint8(1, 6, 7, 5), q(integers(4, 3, 3, 5, dtype=np.uint8), 0.01, 120, constant=True), 4,
           q(None, 0.4, 100), "uint8", SAME, RELU6),
    stored("CONV_2D", int16(1, 6, 7, 5), weights(4, 3, 3, 5, channels=4), 4, q(None, 1e-3), "16x8", SAME, RELU),
    stored("CONV_2D", int16(1, 6, 7, 2), weights(4, 1, 2, 2, channels=4), 4, q(None, 1e-3), "16x8-int32", SAME,
           {"quantized_bias_type": TensorType.INT32}),
    hybrid("CONV_2D", (2, 6, 7, 5), weights(4, 3, 3, 5, channels=4), 4, "hybrid", SAME, RELU),
    hybrid("CONV_2D", (2, 6, 7, 5), weights(4, 3, 3, 5), 4, "hybrid-per-tensor", SAME),
    hybrid("CONV_2D", (1, 6, 6, 8), weights(6, 3, 3, 4, channels=6), 6, "hybrid-grouped", SAME),
    hybrid("CONV_2D", (0, 6, 7, 5), weights(4, 3, 3, 5, channels=4), 4, "hybrid-empty-batch", SAME),
    hybrid("CONV_2D", (1, 6, 7, 5), q(integers(4, 3, 3, 5, low=-127), 0.01, 4, constant=True), 4, "hybrid-zero-point",
           SAME),
    hybrid("CONV_2D", (1, 6, 7, 5), weights(4, 3, 3, 5, channels=4, type=TensorType.INT4), 4, "hybrid-int4", SAME),
    hybrid("CONV_2D", (1, 6, 7, 5), weights(4, 3, 3, 5, channels=4, type=TensorType.INT2), 4, "hybrid-int2", SAME,
           unreferenced="it takes such filters and leaves the result as it finds it"),
    real("CONV_2D", (1, 7, 7, 2), (3, 4, 2, 2), 3, "no-window-fits-by-less-than-a-stride", VALID,
         {"stride_h": 3, "dilation_h_factor": 3}, unreferenced="it can't hand out empty results"),
    real("CONV_2D", (1, 6, 6, 3), (4, 3, 3, 2), 4, "channels", SAME, raises="multiple of the"),
    real("CONV_2D", (1, 6, 6, 4), (3, 3, 3, 2), 3, "groups", SAME, raises="multiple of the number of groups",
         unreferenced="it reads past the groups"),
    real("CONV_2D", (1, 6, 6, 2), (4, 3, 3, 2), 3, "bias", SAME, raises="expected 4 elements"),
    real("CONV_2D", (6, 6, 2), (4, 3, 3, 2), 4, "rank", SAME, raises="expected 4 dimensions"),
    real("CONV_2D", (1, 2, 2, 2), (4, 5, 5, 2), 4, "window", VALID, raises="spans 5 elements of an input of 2",
         unreferenced="it makes negative sizes"),
    real("CONV_2D", (1, 6, 6, 2), (4, 3, 3, 2), 4, "stride", {"stride_h": 0}, raises="stride 0"),
    Case("CONV_2D", [floats(1, 4, 4, 2), const(integers(3, 1, 1, 2)), const(floats(3))], label="unquantised-weights",
         refused="not supported with int8"),
    stored("CONV_2D", int8(1, 4, 4, 2), q(integers(2, 1, 1, 2), [0.1, 0.2], [0, 1], constant=True), 2, q(None, 1.0),
           "zero-points", refused="zero points are not 0"),
    stored("CONV_2D", int8(1, 4, 4, 2), q(integers(2, 1, 1, 2), 0.1, 5, constant=True), 2, q(None, 1.0), "zero-point",
           refused="zero points are not 0"),
]  # fmt: skip

DEPTHWISE = [
    real("DEPTHWISE_CONV_2D", (2, 7, 9, 4), (1, 3, 3, 4), 4, "3x3", SAME, RELU6),
    real("DEPTHWISE_CONV_2D", (1, 7, 9, 4), (1, 3, 2, 4), 4, "strided", VALID, STRIDED),
    real("DEPTHWISE_CONV_2D", (1, 11, 12, 2), (1, 3, 3, 2), 2, "dilated", SAME, DILATED),
    real("DEPTHWISE_CONV_2D", (1, 6, 5, 3), (1, 3, 3, 6), 6, "multiplier", SAME, {"depth_multiplier": 2}),
    stored("DEPTHWISE_CONV_2D", int8(1, 6, 7, 4), weights(1, 3, 3, 4, channels=4, axis=3), 4, q(None, 0.1, 7), "int8",
           SAME, RELU, {"depth_multiplier": 1}),
    stored("DEPTHWISE_CONV_2D", int8(1, 6, 7, 2), weights(1, 3, 3, 4, channels=4, axis=3), 4, q(None, 0.1, 7),
           "int8-multiplier", SAME, STRIDED, {"depth_multiplier": 2}),
    stored("DEPTHWISE_CONV_2D", uint8(1, 6, 7, 4), q(integers(1, 3, 3, 4, dtype=np.uint8), 0.01, 120, constant=True), 4,
           q(None, 0.1, 100), "uint8", SAME, {"depth_multiplier": 1}),
    stored("DEPTHWISE_CONV_2D", int16(1, 6, 7, 4), weights(1, 3, 3, 4, channels=4, axis=3), 4, q(None, 1e-3), "16x8",
           SAME, {"depth_multiplier": 1}),
    stored("DEPTHWISE_CONV_2D", int8(1, 6, 7, 4), q(integers(1, 3, 3, 4, low=-127), 0.01, 9, constant=True), 4,
           q(None, 0.1, 7), "int8-zero-point", SAME),
    hybrid("DEPTHWISE_CONV_2D", (0, 6, 7, 4), weights(1, 3, 3, 4, channels=4, axis=3), 4, "hybrid-empty-batch", SAME,
           unreferenced="it wants a batch"),
    hybrid("DEPTHWISE_CONV_2D", (2, 6, 7, 4), weights(1, 3, 3, 4, channels=4, axis=3), 4, "hybrid", SAME,
           {"depth_multiplier": 1}),
    real("DEPTHWISE_CONV_2D", (1, 6, 6, 4), (1, 3, 3, 6), 6, "channels", raises="multiple of the input channels"),
    real("DEPTHWISE_CONV_2D", (1, 6, 6, 4), (2, 3, 3, 4), 4, "filter", raises="multiple of the input channels"),
]  # fmt: skip


def transposed(x: Any, w: Any, shape: tuple[int, ...], label: str, *more: dict[str, Any], bias: Any = None,
               operator: str = "TRANSPOSE_CONV", **kwargs: Any) -> Case:  # fmt: skip
    attributes = merged(operator, more)
    operands = [const(np.int32(shape)), w, x] + ([] if bias is None else [bias])
    outputs = kwargs.pop("outputs", [TensorType.FLOAT32])
    return Case(operator, operands, attributes, outputs, label=label, rtol=1e-4, atol=1e-4, **kwargs)


TWICE = {"stride_h": 2, "stride_w": 2}
FILTERS = const(floats(4, 3, 3, 2, seed=1))
TRANSPOSE = [
    transposed(floats(2, 4, 5, 2), FILTERS, (2, 8, 10, 4), "same", SAME, TWICE),
    transposed(floats(1, 4, 5, 2), FILTERS, (1, 9, 11, 4), "valid", VALID, TWICE),
    transposed(floats(1, 4, 5, 2), FILTERS, (1, 7, 9, 4), "odd", SAME, TWICE),
    transposed(floats(1, 4, 5, 2), FILTERS, (1, 8, 10, 4), "bias", SAME, TWICE, RELU, bias=const(floats(4, seed=2))),
    transposed(int8(1, 4, 5, 2), weights(4, 3, 3, 2, channels=4), (1, 8, 10, 4), "int8", SAME, TWICE,
               bias=q(np.int32([5, -900, 7, 800]), 0.02 * scales(4), constant=True),
               outputs=[q(None, 0.1, 3, type=TensorType.INT8)]),
    transposed(int8(1, 4, 5, 2), weights(4, 3, 3, 2), (1, 8, 10, 4), "int8-per-tensor", SAME, TWICE,
               outputs=[q(None, 0.1, 3, type=TensorType.INT8)]),
    transposed(int8(1, 4, 5, 2), q(integers(4, 3, 3, 2, low=-127), 0.01, 9, constant=True), (1, 8, 10, 4),
               "int8-zero-point", SAME, TWICE, outputs=[q(None, 0.1, 3, type=TensorType.INT8)]),
    transposed(uint8(1, 4, 5, 2), q(integers(4, 3, 3, 2, dtype=np.uint8), 0.01, 120, constant=True), (1, 8, 10, 4),
               "uint8", SAME, TWICE, outputs=[q(None, 0.1, 100, type=TensorType.UINT8)]),
    transposed(int16(1, 4, 5, 2), weights(4, 3, 3, 2, channels=4), (1, 8, 10, 4), "16x8", SAME, TWICE,
               bias=q(np.int64([5, -900, 7, 800]), 1e-4 * scales(4), constant=True),
               outputs=[q(None, 1e-3, type=TensorType.INT16)]),
    transposed(floats(2, 4, 5, 2), weights(4, 3, 3, 2, channels=4), (2, 8, 10, 4), "hybrid", SAME, TWICE),
    transposed(floats(1, 4, 5, 2), FILTERS, (1, 15, 16, 4), "beyond", VALID, TWICE, raises="comes from one of"),
    transposed(floats(1, 4, 5, 2), FILTERS, (2, 8, 10, 4), "batch", SAME, TWICE, raises="got output shape"),
    transposed(floats(1, 4, 5, 3), FILTERS, (1, 8, 10, 4), "channels", SAME, TWICE, raises="input channels"),
    transposed(floats(1, 4, 5, 2), FILTERS, (8, 10, 4), "shape", SAME, TWICE, raises="output shape of 3 elements",
               unreferenced="it reads past the end"),
    Case("TRANSPOSE_CONV", [np.int32([1, 8, 10, 4]), FILTERS, floats(1, 4, 5, 2)], {**SAME, **TWICE},
         [TensorType.FLOAT32], label="shape-at-run-time", rtol=1e-4, atol=1e-4),
]  # fmt: skip

DEEP = {"stride_d": 1, "stride_h": 2, "stride_w": 2}
VOLUME = [
    real("CONV_3D", (2, 3, 5, 6, 2), (2, 3, 3, 2, 4), 4, "same", SAME, DEEP, RELU),
    real("CONV_3D", (1, 4, 5, 6, 2), (2, 3, 3, 2, 4), None, "valid", VALID, DEEP,
         unreferenced="our writer gives it an absent bias, which it does not take"),
    real("CONV_3D", (1, 5, 7, 6, 2), (2, 2, 2, 2, 3), 3, "dilated", SAME,
         {"dilation_d_factor": 2, "dilation_h_factor": 3, "dilation_w_factor": 1}),
    real("CONV_3D", (1, 3, 5, 6, 3), (2, 3, 3, 2, 4), 4, "channels", raises="got 3 input channels"),
    transposed(floats(1, 2, 3, 4, 2), const(floats(2, 3, 3, 3, 2, seed=1)), (1, 2, 6, 8, 3), "same", SAME, DEEP,
               operator="CONV_3D_TRANSPOSE"),
    transposed(floats(2, 2, 3, 4, 2), const(floats(2, 3, 3, 3, 2, seed=1)), (2, 3, 7, 9, 3), "valid", VALID, DEEP, RELU,
               operator="CONV_3D_TRANSPOSE", bias=const(floats(3, seed=2))),
    transposed(floats(1, 2, 3, 4, 2), const(floats(2, 3, 3, 3, 2)), (1, 2, 9, 9, 3), "beyond", SAME, DEEP,
               operator="CONV_3D_TRANSPOSE", raises="comes from one of"),
    transposed(floats(1, 2, 3, 4, 2), const(floats(2, 3, 3, 3, 2)), (1, 2, 6, 8, 3), "dilated", DEEP,
               {"dilation_d_factor": 2}, operator="CONV_3D_TRANSPOSE", refused="dilation above 1"),
]  # fmt: skip

CASES = CONV + DEPTHWISE + TRANSPOSE + VOLUME


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


@pytest.mark.parametrize("name", ["CONV_2D-without-bias", "CONV_2D-hybrid-int2", "CONV_3D-valid"])
def test_forms_that_the_reference_lacks_mean_what_others_mean(name: str) -> None:
    """No bias is one of zeros, and filters of few bits are filters of 8 bits."""
    (case,) = (c for c in CASES if str(c) == name)
    (got,) = evaluate(one_op(case), arrays(case))
    x, filters, bias = case.inputs
    assert isinstance(filters, Operand)
    zeros = const(np.zeros(got.shape[-1], np.float32))
    other = replace(case, inputs=[x, replace(filters, type=None), zeros if bias is None else bias])
    np.testing.assert_allclose(got, evaluate(one_op(other), arrays(other))[0], rtol=1e-6)
    assert np.abs(got).max() > 0.1


def test_sparse_filters_are_refused() -> None:
    op = one_op(CONV[0])
    assert op.ins[1] is not None
    sparse = replace(op.ins[1], sparsity=Sparsity((0, 1, 2, 3), (), ()))
    assert "not supported with sparse filter" in (refusal(op, (op.ins[0], sparse, op.ins[2])) or "")


def test_huge_windows_are_built_in_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    case = CONV[0]
    whole = np.asarray(_result(case))
    monkeypatch.setattr("tflite_cupy.interpreter.ops.conv._SLAB", 100)
    np.testing.assert_allclose(_result(case), whole, rtol=1e-6)


def _result(case: Case) -> Any:
    return one_op(case).body(np, *arrays(case))

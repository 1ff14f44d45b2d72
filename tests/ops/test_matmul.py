"""Matrix products in float32, 8-bit, 16-bit and hybrid arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.ops.harness import Case, Operand, arrays, check, const, matrix, one_op, q
from tflite_cupy.delegates.cpu import kernels
from tflite_cupy.interpreter.graph import Quantization, Sparsity, TensorType
from tflite_cupy.interpreter.ops.base import Activation
from tflite_cupy.interpreter.ops.checks import refusal
from tflite_cupy.interpreter.ops.shared.products import integer_matmul, quantize_rows

RNG = np.random.default_rng(5)
RELU = {"fused_activation_function": Activation.RELU}
KEEP = {"keep_num_dims": True}
X, W, B = (RNG.standard_normal(shape).astype(np.float32) for shape in ((2, 3, 8), (5, 8), (5,)))
BYTES = RNG.integers(-128, 128, (2, 3, 8)).astype(np.int8)
BYTE_WEIGHTS = RNG.integers(-127, 128, (5, 8)).astype(np.int8)
NIBBLES = (BYTE_WEIGHTS // 16).astype(np.int8)
CRUMBS = (BYTE_WEIGHTS // 64).astype(np.int8)
SHORTS = RNG.integers(-(2**15), 2**15, (2, 3, 8)).astype(np.int16)
UBYTES = (BYTES.astype(np.int16) + 128).astype(np.uint8)
UBYTE_WEIGHTS = (BYTE_WEIGHTS.astype(np.int16) + 128).astype(np.uint8)
SCALES = np.float32([0.01, 0.02, 0.005, 0.013, 0.03])
BIAS = np.int32([500, -3000, 0, 70, 1999])


UROWS = q(RNG.integers(0, 256, (4, 32)).astype(np.uint8), 0.02, 128)
UBLOCKS = RNG.integers(0, 256, (8, 32)).astype(np.uint8)
UBIAS = q(RNG.integers(-2000, 2000, 8).astype(np.int32), 0.0002, constant=True)
SHUFFLED = {"weights_format": 1}
USUMS = q(None, 0.001, type=TensorType.INT16), TensorType.UINT8


def bias(scale: Any, wide: bool = False) -> Operand:
    return q(BIAS.astype(np.int64 if wide else np.int32), scale, constant=True)


def fc(x: Any, w: Any, b: Any, attributes: dict[str, Any] | None = None, output: Any = TensorType.FLOAT32,
       label: str = "", **kwargs: Any) -> Case:  # fmt: skip
    outputs = output if isinstance(output, tuple) else [output]
    return Case("FULLY_CONNECTED", [x, w, b], attributes or {}, outputs, label=label, **{"rtol": 1e-4, **kwargs})


INT8_IN, INT8_OUT = q(BYTES, 0.02, -7), q(None, 0.4, 9)
CONNECTED = [
    fc(X, const(W), const(B), RELU),
    fc(X, const(W), None, KEEP, label="keep_num_dims"),
    fc(X, W, B, label="weights-at-run-time"),
    fc(X.reshape(4, 3, 4), const(W), const(B), label="regrouped-rows"),
    fc(X[:0], const(W), const(B), label="no-rows"),
    fc(INT8_IN, q(BYTE_WEIGHTS, 0.01, constant=True), bias(0.0002), RELU, INT8_OUT, "int8"),
    fc(INT8_IN, q(BYTE_WEIGHTS, 0.01, 3, constant=True), bias(0.0002), KEEP, INT8_OUT, "int8-zero-point"),
    fc(INT8_IN, q(BYTE_WEIGHTS, SCALES, constant=True), bias(0.02 * SCALES), KEEP, INT8_OUT, "int8-per-channel"),
    fc(INT8_IN, q(BYTE_WEIGHTS, 0.01, constant=True), None, KEEP, INT8_OUT, "int8-without-bias"),
    fc(INT8_IN, q(NIBBLES, 0.1, type=TensorType.INT4, constant=True), bias(0.002), {}, INT8_OUT, "int4"),
    fc(q(UBYTES, 0.02, 121), q(UBYTE_WEIGHTS, 0.01, 100, constant=True), bias(0.0002), RELU, q(None, 0.4, 90), "uint8"),
    fc(q(UBYTES, 0.02, 121), q(UBYTE_WEIGHTS, 0.01, 100, constant=True), bias(0.0002), {},
       q(None, 0.002, type=TensorType.INT16), "uint8-to-int16"),
    fc(q(SHORTS, 1e-4), q(BYTE_WEIGHTS, SCALES, constant=True), bias(1e-4 * SCALES, True), {}, q(None, 1e-3), "16x8"),
    fc(q(SHORTS, 1e-4), q(BYTE_WEIGHTS, 0.01, constant=True), bias(1e-6), {"quantized_bias_type": TensorType.INT32},
       q(None, 1e-3), "16x8-int32"),
    fc(q(SHORTS, 1e-4), q(SHORTS.reshape(-1, 8)[:5], 1e-4, constant=True), bias(1e-8, True),
       {"quantized_bias_type": TensorType.INT64}, q(None, 1e-3), "16x16", version=14),
    fc(q(SHORTS, 1e-4), q(SHORTS.reshape(-1, 8)[:5], 1e-4 * SCALES, constant=True), bias(1e-8 * SCALES), {},
       q(None, 1e-5), "16x16-per-channel", version=14),
    fc(X, q(BYTE_WEIGHTS, 0.01, 3, constant=True), const(B), label="hybrid-zero-point", atol=1e-4),
    fc(UROWS, q(UBLOCKS, 0.01, 128, constant=True), UBIAS, SHUFFLED, USUMS, "shuffled"),
    fc(q(UROWS.data[:1], 0.02, 128), q(UBLOCKS, 0.01, 128, constant=True), UBIAS, SHUFFLED, USUMS, "shuffled-one-row"),
    fc(q(UROWS.data[:2], 0.02, 128), q(UBLOCKS, 0.01, 128, constant=True), UBIAS, SHUFFLED, USUMS, "shuffled-two-rows",
       raises="expected 1 or 4 rows", unreferenced="it gives nothing"),
    fc(X, q(BYTE_WEIGHTS, 0.01, constant=True), const(B), RELU, label="hybrid", atol=1e-4),
    fc(X, q(BYTE_WEIGHTS, SCALES, constant=True), const(B), {"asymmetric_quantize_inputs": True, **KEEP},
       label="hybrid-asymmetric", atol=1e-4),
    fc(X, q(NIBBLES, 0.1, type=TensorType.INT4, constant=True), const(B), label="hybrid-int4", atol=1e-4),
    fc(X, q(CRUMBS, 0.4, type=TensorType.INT2, constant=True), const(B), label="hybrid-int2", atol=1e-4),
    fc(X * 0, q(BYTE_WEIGHTS, 0.01, constant=True), const(B), label="hybrid-zeros"),
    fc(X, const(W[:, :7]), None, raises="expected rows of 7", unreferenced="it drops the rest"),
    fc(X, const(W[:, :4]), None, KEEP, raises="expected rows of 4"),
    fc(X, const(W), const(B[:3]), raises="expected 5 elements"),
    fc(X, const(W.reshape(5, 2, 4)), None, raises="expected 2 dimensions"),
    fc(X, const(W), None, {"weights_format": 1}, refused="shuffled weights only if"),
    fc(INT8_IN, q(UBYTE_WEIGHTS, 0.01, constant=True), None, {}, INT8_OUT, refused="uint8 weights"),
    fc(INT8_IN, q(BYTE_WEIGHTS, 0.01, constant=True), q(BIAS.astype(np.int64), 1.0, constant=True), {}, INT8_OUT,
       refused="int64 bias"),
    fc(INT8_IN, q(BYTE_WEIGHTS, 0.01, constant=True), None, {}, q(None, 1.0, type=TensorType.INT16),
       refused="int16 output"),
    fc(INT8_IN, const(BYTE_WEIGHTS), None, {}, INT8_OUT, refused="no quantization parameters"),
]  # fmt: skip

A, C = (RNG.standard_normal(shape).astype(np.float32) for shape in ((2, 1, 3, 4), (5, 4, 6)))
A8, C8 = RNG.integers(-128, 128, (2, 3, 4)).astype(np.int8), RNG.integers(-127, 128, (4, 6)).astype(np.int8)
A16, C16 = A8.astype(np.int16) * 200, C8.astype(np.int16) * 100
ADJOINT = {"adj_x": True, "adj_y": True}
BATCHED = [
    Case("BATCH_MATMUL", [A, C], rtol=1e-4),
    Case("BATCH_MATMUL", [A.swapaxes(2, 3).copy(), C.swapaxes(1, 2).copy()], ADJOINT, label="adjoint", rtol=1e-4),
    Case("BATCH_MATMUL", [A[0, 0], C[0]], label="plain", rtol=1e-4),
    Case("BATCH_MATMUL", [q(A8, 0.02, 5), q(C8, 0.01, -3)], {}, [q(None, 0.3, 7)], label="int8"),
    Case("BATCH_MATMUL", [q(A8, 0.02), q(C8, 0.01)], {}, [q(None, 1.0, type=TensorType.INT32)], label="int8-to-int32"),
    Case("BATCH_MATMUL", [A8, C8], {}, [TensorType.INT32], label="unquantised-int8"),
    Case("BATCH_MATMUL", [q(A16, 1e-4), q(C16, 1e-4)], {}, [q(None, 1e-3)], label="int16"),
    Case("BATCH_MATMUL", [q(A16, 1e-4), q(C8, 1e-2, constant=True)], {}, [q(None, 1e-3)], label="16x8"),
    Case("BATCH_MATMUL", [q(A16, 1e-4), q(C8, np.linspace(1e-2, 2e-2, 6), axis=1, constant=True)], {}, [q(None, 1e-3)],
         label="16x8-per-channel"),
    Case("BATCH_MATMUL", [A[:, 0], q(C8, 0.01, constant=True)], {}, [TensorType.FLOAT32], label="hybrid", rtol=1e-4,
         atol=1e-4),
    Case("BATCH_MATMUL", [A[:, 0], q(C8, np.linspace(1e-2, 2e-2, 6), axis=1, constant=True)],
         {"asymmetric_quantize_inputs": True}, [TensorType.FLOAT32], label="hybrid-asymmetric", rtol=1e-4, atol=1e-4),
    Case("BATCH_MATMUL", [A, C[:, :3]], raises="do not fit"),
    Case("BATCH_MATMUL", [A[:, 0], C], raises="batches"),
    Case("BATCH_MATMUL", [A[0, 0, 0], C], raises="expected 2 to 5"),
    Case("BATCH_MATMUL", [A8[0], C[0]], {}, [TensorType.FLOAT32], refused="int8 input and float32"),
]  # fmt: skip

CASES = CONNECTED + BATCHED


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


def test_blockwise_weights_have_a_scale_per_block() -> None:
    weights = RNG.integers(-8, 8, (3, 8)).astype(np.int8)
    scales = RNG.uniform(0.01, 0.1, 6).astype(np.float32)
    operand = Operand(data=weights, type=TensorType.INT4, constant=True,
                      quantization=Quantization(scales, np.zeros(6, np.int64), 0, 4))  # fmt: skip
    case = fc(X, operand, const(B[:3]), KEEP)
    op = one_op(case)
    assert refusal(op, op.ins) is None
    stored = one_op(fc(INT8_IN, operand, None, {}, INT8_OUT))
    assert "blockwise weights and int8 input" in (refusal(stored, stored.ins) or "")
    result = op.body(np, *arrays(case))
    exact = X @ (weights * np.repeat(scales, 4).reshape(3, 8)).T + B[:3]
    np.testing.assert_allclose(result, exact, atol=0.05)


def test_sparse_weights_are_spread() -> None:
    dense = W * (np.arange(W.size).reshape(W.shape) % 3 == 0)
    rows, columns = np.nonzero(dense)
    levels = (
        {"format": 0, "dense_size": len(W), "array_segments": (), "array_indices": ()},
        {"format": 1, "dense_size": 0, "array_segments": np.searchsorted(rows, range(len(W) + 1)),
         "array_indices": columns},
    )  # fmt: skip
    plain = one_op(fc(X, const(dense), const(B)))
    assert plain.ins[1] is not None
    spec = replace(plain.ins[1], value=dense[rows, columns], sparsity=Sparsity((0, 1), (), levels))
    op = replace(plain, ins=(plain.ins[0], spec, plain.ins[2]))
    assert refusal(op, op.ins) is None
    np.testing.assert_allclose(op.body(np, X, spec.value, B), plain.body(np, X, dense, B), rtol=1e-6)
    stored = dense[rows, columns]
    kernel = kernels.prepare(op, {1: stored, 2: B})
    assert kernel is not None
    np.testing.assert_allclose(kernel(X, stored, B), plain.body(np, X, dense, B), rtol=1e-5)


@pytest.mark.parametrize("depth", [1, 255, 256, 5000])
def test_integer_products_are_exact_at_any_depth(depth: int) -> None:
    a = np.full((2, depth), 255, np.float32)
    b = np.full((depth, 3), -255, np.float32)
    assert (integer_matmul(np, a, b, 255 * 255) == -255 * 255 * depth).all()


def test_16_bit_products_use_64_bits() -> None:
    a, b = np.full((1, 4096), 2.0**15), np.full((4096, 1), 2.0**15 - 1)
    assert integer_matmul(np, a, b, 1 << 30).item() == 4096 * 2**15 * (2**15 - 1)


@pytest.mark.parametrize("asymmetric", [False, True])
def test_quantised_rows_stand_for_their_values(asymmetric: bool) -> None:
    rows = RNG.standard_normal((4, 100)).astype(np.float32)
    rows[1] = 0
    rows[2] = np.abs(rows[2])
    stored, scale = quantize_rows(np, rows, asymmetric)
    np.testing.assert_allclose(stored * scale, rows, atol=float(scale.max()) / 2 * 1.001)
    assert (stored == np.rint(stored)).all()
    assert np.ptp(stored, axis=1).max() <= 255


def test_quantised_rows_round_halves_away_from_zero() -> None:
    rows = np.float32([[127, 0.5, 1.5, -0.5, 2.4999998, 0.49999997]])
    stored, _ = quantize_rows(np, rows, asymmetric=False)
    assert stored.tolist() == [[127, 1, 2, -1, 2, 0]]

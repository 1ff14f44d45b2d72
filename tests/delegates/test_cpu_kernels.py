"""Special kernels of the CPU delegate: the same results as the operators' own bodies."""

from __future__ import annotations

import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from networks import mobilenet_v2

from tests.litert import reference_interpreter
from tests.ops.harness import Case, Operand, const, one_op, q, reference
from tests.ops.test_conv import CONV, DEPTHWISE, SAME, TRANSPOSE, VALID, floats, int8, int16, real, stored, weights
from tests.ops.test_matmul import CASES as MATMUL
from tests.ops.test_pool import CASES as POOL
from tflite_cupy import Interpreter, write_model
from tflite_cupy.delegates.cpu import kernels
from tflite_cupy.delegates.cpu.kernels import finish, gemm, packing, threads
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.base import Activation, Op
from tflite_cupy.interpreter.ops.checks import refusal
from tflite_cupy.interpreter.ops.shared.fixedpoint import (
    multiply_by_quantized_multiplier,
    multiply_wide_by_quantized_multiplier,
    quantize_multiplier,
)


def resized(kind: type[np.integer[Any]], shape: tuple[int, ...], *size: int, **options: bool) -> Case:
    """An image of all values of its type, made larger than two bands."""
    image = np.random.default_rng(7).integers(np.iinfo(kind).min, np.iinfo(kind).max, shape, endpoint=True)
    label = f"{kind.__name__}-larger-{'-'.join(options)}"
    return Case("RESIZE_BILINEAR", [q(image.astype(kind), 0.1), const(np.int32(size))], options, label=label)


def sixteen_by_eight(rows: int, depth: int) -> Case:
    """FULLY_CONNECTED with a bias of 32 bits and sums that 32 bits may not hold."""
    rng = np.random.default_rng(8)
    given = [q(rng.integers(-9000, 9000, (rows, depth)).astype(np.int16), 1e-3),
             q(rng.integers(-127, 128, (48, depth)).astype(np.int8), 0.01, constant=True),
             q(rng.integers(-(10**6), 10**6, 48).astype(np.int32), 1e-5, constant=True)]  # fmt: skip
    options = {"quantized_bias_type": TensorType.INT32}
    return Case("FULLY_CONNECTED", given, options, [q(None, 0.04)], label=f"16x8-{rows}-{depth}", version=11)


RELU6 = {"fused_activation_function": Activation.RELU6}
TWICE = {"stride_h": 2, "stride_w": 2}
LARGER = [
    real("CONV_2D", (2, 40, 37, 16), (24, 1, 1, 16), 24, "1x1-many-rows", VALID, RELU6),
    real("CONV_2D", (1, 20, 20, 8), (16, 1, 1, 8), 16, "1x1-strided", SAME, TWICE),
    real("CONV_2D", (1, 33, 35, 3), (16, 3, 3, 3), 16, "stem", SAME, TWICE, RELU6),
    real("CONV_2D", (2, 21, 19, 20), (9, 5, 3, 20), 9, "5x3", SAME),
    real("DEPTHWISE_CONV_2D", (2, 30, 29, 40), (1, 3, 3, 40), 40, "rows-with-a-rest", SAME, RELU6),
    real("DEPTHWISE_CONV_2D", (1, 15, 14, 700), (1, 5, 5, 700), 700, "many-channels", SAME, TWICE),
    real("DEPTHWISE_CONV_2D", (1, 9, 200, 32), (1, 3, 3, 32), 32, "long-rows", VALID),
    stored("CONV_2D", int8(1, 20, 21, 32), weights(24, 3, 3, 32, channels=24), 24, int8(1, zero_point=5), "int8-larger",
           SAME),
    stored("CONV_2D", int8(1, 20, 21, 32), weights(24, 1, 1, 32, channels=24), 24, int8(1), "int8-1x1", SAME, RELU6),
    stored("DEPTHWISE_CONV_2D", int8(1, 20, 21, 32), weights(1, 3, 3, 32, channels=32, axis=3), 32, int8(1), "int8",
           SAME, TWICE),
    real("CONV_2D", (1, 20, 21, 32), (24, 3, 3, 8), 24, "grouped", SAME, RELU6),
    real("CONV_2D", (1, 20, 21, 32), (64, 1, 1, 8), 64, "grouped-1x1", SAME),
    stored("CONV_2D", int8(1, 6, 5, 400), weights(9, 2, 2, 400, channels=9), 9, q(None, 3.0, 5), "int8-deep", SAME),
    stored("CONV_2D", int8(1, 20, 21, 32), weights(24, 3, 3, 8, channels=24), 24, int8(1), "int8-grouped", SAME),
    stored("CONV_2D", int16(1, 20, 21, 32), weights(24, 3, 3, 32, channels=24), 24, q(None, 2e-3), "16x8", SAME),
    stored("DEPTHWISE_CONV_2D", int16(1, 20, 21, 32), weights(1, 3, 3, 32, channels=32, axis=3), 32, q(None, 1e-3),
           "16x8", SAME, TWICE),
    resized(np.int16, (2, 31, 30, 17), 160, 140, half_pixel_centers=True),
    resized(np.int8, (1, 200, 7, 19), 399, 60, align_corners=True),
    resized(np.uint8, (1, 9, 400, 13), 62, 401),
]  # fmt: skip
DEEP = [sixteen_by_eight(1, 1500), sixteen_by_eight(40, 1500)]


def bound(case: Case) -> tuple[Op, dict[int, np.ndarray], list[np.ndarray | None]]:
    """The op of a case, its constants by position and its operands, which are read-only."""
    op = one_op(case)
    assert refusal(op, op.ins) is None
    operands = [None if o is None else np.asarray(o.data if isinstance(o, Operand) else o) for o in case.inputs]
    for operand in operands:
        if operand is not None:
            operand.flags.writeable = False
    constants = {p: operand for p, operand in enumerate(operands) if isinstance(case.inputs[p], Operand)
                 and case.inputs[p].constant and operand is not None}  # type: ignore[union-attr] # fmt: skip
    return op, constants, operands


def has_kernel(case: Case) -> bool:
    """Whether a case can run and there is a special kernel for it."""
    if case.refused is not None or case.raises is not None:
        return False
    op, constants, _ = bound(case)
    return kernels.prepare(op, constants, 1) is not None


CASES = [*LARGER, *DEEP, *filter(has_kernel, (*CONV, *DEPTHWISE, *TRANSPOSE, *MATMUL, *POOL))]


def assert_same(got: Any, want: Any) -> None:
    if isinstance(want, tuple):
        for part in zip(got, want, strict=True):
            assert_same(*part)
        return
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    if got.dtype.kind == "f":
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    else:
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernel_gives_what_the_body_gives(case: Case, num_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_WORTH", 1.0)
    op, constants, operands = bound(case)
    kernel = kernels.prepare(op, constants, num_threads)
    assert kernel is not None
    with np.errstate(all="ignore"):
        want = op.body(np, *operands)
        assert_same(kernel(*operands), want)
        loose = [None if o is None else _strided(o) if p not in constants else o for p, o in enumerate(operands)]
        assert_same(kernel(*loose), want)


def _strided(x: np.ndarray) -> np.ndarray:
    """The same values, every other element of an array."""
    return np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x


@pytest.mark.parametrize("case", LARGER, ids=str)
def test_kernel_has_no_state_that_threads_share(case: Case) -> None:
    op, constants, operands = bound(case)
    kernel = kernels.prepare(op, constants, 2)
    assert kernel is not None
    x = operands[0]
    assert x is not None
    inputs = [np.roll(x[:, : x.shape[1] - i % 3], i, axis=2) for i in range(12)]
    want = [kernel(i, *operands[1:]) for i in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for got, expected in zip(pool.map(lambda i: kernel(i, *operands[1:]), inputs), want, strict=True):
                np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("operator", "shape"), [("CONV_2D", (4, 3, 3, 2)), ("FULLY_CONNECTED", (4, 2))])
def test_weights_that_come_with_a_call_are_left_to_the_body(operator: str, shape: tuple[int, ...]) -> None:
    operands = [floats(1, 5, 5, 2), floats(*shape), None]
    op = one_op(Case(operator, operands, {"stride_h": 1, "stride_w": 1}))
    kernel = kernels.prepare(op, {}, 1)
    assert kernel is not None
    np.testing.assert_allclose(kernel(*operands), op.body(np, *operands), rtol=1e-5)


def test_equal_weights_are_packed_once() -> None:
    values = floats(3, 4)
    first = packing.pack(values, ("t",), np.transpose)
    assert packing.pack(values.copy(), ("t",), np.transpose) is first
    assert packing.pack(values, ("other",), np.transpose) is not first
    assert not first.flags.writeable
    assert not np.shares_memory(packing.pack(values, ("same",), np.asarray), values)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("kind", [finish.Requantize, finish.RequantizePositive])
@pytest.mark.parametrize("seed", range(10))
def test_requantisation_is_exact(seed: int, kind: Any, dtype: Any) -> None:
    rng = np.random.default_rng(seed)
    channels = int(rng.integers(1, 9))
    ratios = np.exp(rng.uniform(np.log(2**-14), np.log(4), channels))
    if seed % 2:
        ratios = 2.0 ** rng.integers(-12, 3, channels)
    mantissa, shift = quantize_multiplier(ratios)
    bias = rng.integers(-(2**20), 2**20, channels).astype(np.int32)
    span = min(2**21, int(300 / ratios.min())) + 10
    accumulator = rng.integers(-span, span, (2001, channels)).astype(np.int32)
    steps = multiply_by_quantized_multiplier(np, accumulator + bias, mantissa, shift)
    zero_point = int(np.iinfo(dtype).min) + 9
    low = zero_point if kind is finish.RequantizePositive else zero_point - 5
    end = finish.Ending(zero_point, (low, int(np.iinfo(dtype).max) - 1), np.dtype(dtype))
    got = np.empty(accumulator.shape, dtype)
    kind(bias.astype(np.float64), mantissa, shift, end, np.float32)(accumulator.astype(np.float32), got)
    np.testing.assert_array_equal(got, np.clip(steps + zero_point, *end.limits))


@pytest.mark.parametrize("seed", range(5))
def test_wide_requantisation_is_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mantissa, shift = quantize_multiplier(np.exp(rng.uniform(np.log(2**-20), np.log(2**-4), 5)))
    bias = rng.integers(-(2**30), 2**30, 5)
    accumulator = rng.integers(-(2**34), 2**34, (1000, 5))
    steps = multiply_wide_by_quantized_multiplier(np, accumulator + bias, mantissa, shift)
    end = finish.Ending(0, (-32768, 32767), np.dtype(np.int16))
    got = np.empty(accumulator.shape, np.int16)
    finish.RequantizeWide(bias.astype(np.float64), mantissa, shift, end, np.float64)(accumulator.astype(float), got)
    np.testing.assert_array_equal(got, np.clip(steps, *end.limits))


@pytest.mark.parametrize("depth", [256, 257, 2000])
def test_deep_products_of_bytes_are_exact(depth: int) -> None:
    a, b = np.full((2, depth), 255, np.float32), np.full((depth, 3), -255, np.float32)
    out = np.empty((2, 3))
    gemm.multiply(a, b, out)
    assert (out == -255 * 255 * depth).all()


def test_ranges_are_covered_once() -> None:
    seen = np.zeros(10, int)

    def body(start: int, stop: int) -> None:
        seen[start:stop] += 1

    threads.split(10, 4, body)
    threads.split(0, 4, body)
    assert (seen == 1).all()


def test_an_error_in_any_part_reaches_the_caller() -> None:
    def body(start: int, stop: int) -> None:
        if stop == 10:
            raise ValueError("the last part failed")

    with pytest.raises(ValueError, match="the last part"):
        threads.split(10, 4, body)


def test_few_rows_share_the_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_WORTH", 1.0)
    case = Case("FULLY_CONNECTED", [floats(2, 64), const(floats(37, 64, seed=1)), None], RELU6)
    op, constants, operands = bound(case)
    kernel = kernels.prepare(op, constants, 4)
    assert kernel is not None
    assert gemm.BLOCK > 2 * 37
    np.testing.assert_allclose(kernel(*operands), op.body(np, *operands), rtol=1e-5)


@pytest.mark.reference
@pytest.mark.parametrize("quantized", [False, True], ids=["float32", "int8"])
def test_a_whole_network_gives_what_the_reference_gives(quantized: bool) -> None:
    content = write_model(mobilenet_v2(quantized=quantized, resolution=64))
    interpreters = [Interpreter(model_content=content, device="cpu", num_threads=2), reference_interpreter(content)]
    ours, theirs = (_scores(interpreter) for interpreter in interpreters)
    if quantized:
        np.testing.assert_array_equal(ours, theirs)
    else:
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)


def _scores(interpreter: Any) -> np.ndarray:
    interpreter.allocate_tensors()
    image, scores = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    values = np.random.default_rng(1).standard_normal(image["shape"])
    stored = values if image["dtype"] is np.float32 else np.clip(np.rint(values * 30), -128, 127)
    interpreter.set_tensor(image["index"], stored.astype(image["dtype"]))
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(scores["index"]))


def test_idle_workers_hold_on_to_no_arrays() -> None:
    class Work:
        def __call__(self, start: int, stop: int) -> None:
            pass

    work = Work()
    kept = weakref.ref(work)
    threads.split(3, 3, work)
    del work
    assert kept() is None


@pytest.mark.reference
@pytest.mark.parametrize("case", [*DEEP, *(c for c in LARGER if c.operator == "RESIZE_BILINEAR")], ids=str)
def test_kernels_of_large_operands_follow_the_reference(case: Case) -> None:
    op, constants, operands = bound(case)
    kernel = kernels.prepare(op, constants, 2)
    assert kernel is not None
    np.testing.assert_array_equal(kernel(*operands), reference(case)[0])

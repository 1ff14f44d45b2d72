"""Tensors without elements: a batch of 0 through operators of all kinds, from the caller's input to the output.

Shapes and values are the reference's where its kernels take such operands, and TensorFlow's elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import BOOL, F32, I32, I64, GraphBuilder, model
from tests.fakes import FakeGpuDelegate
from tests.ops.harness import Case, const, one_op_model, q, reference
from tflite_cupy.interpreter.graph import TensorType

I8 = TensorType.INT8


def f(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def ints(*values: int) -> Any:
    return const(np.array(values, np.int32))


def case(operator: str, *inputs: Any, to: Any, outputs: Sequence[Any] = (), **attributes: Any) -> Any:
    """`to`: the shape of the result, or its value; a list of them for several results."""
    return pytest.param(Case(operator, inputs, attributes, outputs), to if isinstance(to, list) else [to], id=operator)


def kernel(*shape: int) -> Any:
    return const(np.ones(shape, np.float32))


WINDOW: Mapping[str, int] = {"stride_h": 1, "stride_w": 1, "filter_height": 2, "filter_width": 2, "padding": 1}
IMAGE = f(0, 4, 5, 3)

UNARY = [
    *("ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC"),
    *("LOG_SOFTMAX", "L2_NORMALIZATION", "NEG", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "ROUND", "RSQRT"),
    *("SIGN", "SIN", "SOFTMAX", "SQRT", "SQUARE", "TANH", "ZEROS_LIKE", "LOCAL_RESPONSE_NORMALIZATION"),
]
BINARY = [
    *("ADD", "DIV", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM", "MINIMUM", "MUL", "POW", "SQUARED_DIFFERENCE", "SUB"),
    *("ATAN2", "ADD_N"),
]
COMPARISONS = ["EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL"]
BATCHES = [
    *(case(name, f(0, 2, 3, 4), to=(0, 2, 3, 4)) for name in UNARY),
    *(case(name, f(0, 3), f(0, 3), to=(0, 3)) for name in BINARY),
    *(case(name, f(0, 3), f(0, 3), to=(0, 3), outputs=[BOOL]) for name in COMPARISONS),
    case("ADD", f(0, 3), const(f(3)), to=(0, 3)),
    case("MUL", f(2, 0, 3), f(1, 3), to=(2, 0, 3)),
    case("PRELU", f(0, 3), const(f(3)), to=(0, 3)),
    case("LOGICAL_AND", np.zeros(0, bool), np.zeros(0, bool), to=(0,)),
    case("LOGICAL_NOT", np.zeros((0, 2), bool), to=(0, 2)),
    case("SELECT_V2", np.zeros((0, 2), bool), f(0, 2), f(0, 2), to=(0, 2), outputs=[F32]),
    case("WHERE", np.zeros((0, 2), bool), to=(0, 2), outputs=[I64]),
    case("CAST", f(0, 2), to=(0, 2), outputs=[I32], in_data_type=0, out_data_type=2),
    case("CUMSUM", f(0, 2), const(np.int32(1)), to=(0, 2)),
]
PRODUCTS = [
    case("FULLY_CONNECTED", f(0, 3), kernel(4, 3), const(f(4)), to=(0, 4)),
    case("BATCH_MATMUL", f(0, 2, 3), f(0, 3, 4), to=(0, 2, 4)),
    case("BATCH_MATMUL", f(2, 0, 3), f(2, 3, 4), to=(2, 0, 4)),
    case("CONV_2D", IMAGE, kernel(2, 2, 2, 3), const(f(2)), to=(0, 3, 4, 2), stride_h=1, stride_w=1, padding=1,
         dilation_h_factor=1, dilation_w_factor=1),
    case("DEPTHWISE_CONV_2D", IMAGE, kernel(1, 2, 2, 3), const(f(3)), to=(0, 3, 4, 3), stride_h=1, stride_w=1,
         padding=1, depth_multiplier=1, dilation_h_factor=1, dilation_w_factor=1),
    case("TRANSPOSE_CONV", ints(0, 8, 10, 2), kernel(2, 2, 2, 3), IMAGE, to=(0, 8, 10, 2), outputs=[F32], stride_h=2,
         stride_w=2, padding=0),
    case("AVERAGE_POOL_2D", IMAGE, to=(0, 3, 4, 3), **WINDOW),
    case("MAX_POOL_2D", IMAGE, to=(0, 3, 4, 3), **WINDOW),
    case("L2_POOL_2D", IMAGE, to=(0, 3, 4, 3), **WINDOW),
    case("RESIZE_BILINEAR", IMAGE, ints(8, 9), to=(0, 8, 9, 3)),
    case("RESIZE_NEAREST_NEIGHBOR", IMAGE, ints(8, 9), to=(0, 8, 9, 3)),
]  # fmt: skip
QUANTIZED = [
    case("ADD", q(np.zeros((0, 2), np.int8), 0.5), q(np.zeros((0, 2), np.int8), 0.5), to=(0, 2),
         outputs=[q(None, 0.5, type=I8)]),
    case("SOFTMAX", q(np.zeros((0, 2), np.int8), 0.5), to=(0, 2), outputs=[q(None, 1 / 256, -128, type=I8)], beta=1.0),
    case("FULLY_CONNECTED", q(np.zeros((0, 3), np.int8), 0.5), q(np.ones((4, 3), np.int8), 0.5, constant=True), None,
         to=(0, 4), outputs=[q(None, 0.5, type=I8)]),
    case("CONV_2D", q(np.zeros((0, 4, 5, 3), np.int8), 0.5), q(np.ones((2, 2, 2, 3), np.int8), 0.5, constant=True),
         q(np.zeros(2, np.int32), 0.25, constant=True), to=(0, 3, 4, 2), outputs=[q(None, 0.5, type=I8)], stride_h=1,
         stride_w=1, padding=1, dilation_h_factor=1, dilation_w_factor=1),
    case("DEPTHWISE_CONV_2D", q(np.zeros((0, 4, 5, 3), np.int8), 0.5),
         q(np.ones((1, 2, 2, 3), np.int8), 0.5, constant=True), q(np.zeros(3, np.int32), 0.25, constant=True),
         to=(0, 3, 4, 3), outputs=[q(None, 0.5, type=I8)], stride_h=1, stride_w=1, padding=1, depth_multiplier=1,
         dilation_h_factor=1, dilation_w_factor=1),
    case("AVERAGE_POOL_2D", q(np.zeros((0, 4, 5, 3), np.int8), 0.5), to=(0, 3, 4, 3),
         outputs=[q(None, 0.5, type=I8)], **WINDOW),
    case("QUANTIZE", f(0, 2), to=(0, 2), outputs=[q(None, 0.5, type=I8)]),
    case("DEQUANTIZE", q(np.zeros((0, 2), np.int8), 0.5), to=(0, 2), outputs=[F32]),
    case("MEAN", q(np.zeros((0, 2), np.int8), 0.5), ints(1), to=(0,), outputs=[q(None, 0.5, type=I8)]),
    case("CONCATENATION", q(np.zeros((0, 2), np.int8), 0.5), q(np.zeros((0, 2), np.int8), 0.5), to=(0, 4),
         outputs=[q(None, 0.5, type=I8)], axis=1),
]  # fmt: skip
REDUCTIONS = [
    *(case(name, f(0, 3), ints(1), to=(0,)) for name in ("SUM", "MEAN", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")),
    case("REDUCE_ANY", np.zeros((0, 2), bool), ints(1), to=(0,)),
    case("SUM", f(0, 3), ints(0), to=f(3)),
    case("REDUCE_PROD", f(0, 3), ints(0), to=np.ones(3, np.float32)),
    case("REDUCE_MAX", f(0, 3), ints(0), to=np.full(3, np.finfo(np.float32).min)),
    case("REDUCE_MIN", f(0, 3), ints(0), to=np.full(3, np.finfo(np.float32).max)),
    case("REDUCE_ANY", np.zeros((0, 2), bool), ints(0), to=np.zeros(2, bool)),
    case("REDUCE_ALL", np.zeros((0, 2), bool), ints(0), to=np.ones(2, bool)),
    case("ARG_MAX", f(0, 3), const(np.int32(1)), to=(0,), outputs=[I32], output_type=int(I32)),
    case("ARG_MIN", f(0, 3), const(np.int32(1)), to=(0,), outputs=[I32], output_type=int(I32)),
    case("TOPK_V2", f(0, 5), const(np.int32(2)), to=[(0, 2), (0, 2)], outputs=[F32, I32]),
    case("SEGMENT_SUM", f(0, 3), np.zeros(0, np.int32), to=(0, 3)),
    case("UNSORTED_SEGMENT_SUM", f(0, 3), np.zeros(0, np.int32), const(np.int32(2)), to=f(2, 3)),
    case("UNIQUE", np.zeros(0, np.int32), to=[(0,), (0,)], outputs=[I32, I32], idx_out_type=int(I32)),
]
MOVES = [
    case("CONCATENATION", f(0, 2), f(0, 3), to=(0, 5), axis=1),
    case("CONCATENATION", f(0, 2), f(4, 2), to=f(4, 2), axis=0),
    case("PACK", f(0, 2), f(0, 2), to=(0, 2, 2), axis=1, values_count=2),
    case("UNPACK", f(0, 2), to=[(0,), (0,)], outputs=[F32, F32], num=2, axis=1),
    case("SPLIT", const(np.int32(1)), f(0, 4), to=[(0, 2), (0, 2)], outputs=[F32, F32], num_splits=2),
    case("SPLIT_V", f(0, 4), ints(1, 3), const(np.int32(1)), to=[(0, 1), (0, 3)], outputs=[F32, F32], num_splits=2),
    case("GATHER", f(0, 4), ints(1, 3), to=(0, 2), axis=1),
    case("GATHER", f(3, 4), np.zeros(0, np.int32), to=(0, 4), axis=0),
    case("GATHER_ND", f(3, 4), np.zeros((0, 1), np.int32), to=(0, 4)),
    case("SCATTER_ND", np.zeros((0, 1), np.int32), f(0, 2), ints(3, 2), to=f(3, 2), outputs=[F32]),
    case("EMBEDDING_LOOKUP", np.zeros(0, np.int32), const(f(3, 4)), to=(0, 4), outputs=[F32]),
    case("ONE_HOT", np.zeros(0, np.int32), const(np.int32(3)), const(np.float32(1)), const(np.float32(0)), to=(0, 3),
         outputs=[F32], axis=-1),
    case("RESHAPE", f(0, 6), ints(0, 2, 3), to=(0, 2, 3)),
    case("RESHAPE", f(0, 6), ints(3, 0), to=(3, 0)),
    case("TRANSPOSE", f(0, 2, 3), ints(2, 0, 1), to=(3, 0, 2)),
    case("SQUEEZE", f(0, 1, 2), to=(0, 2), squeeze_dims=[1]),
    case("EXPAND_DIMS", f(0, 2), const(np.int32(1)), to=(0, 1, 2)),
    case("TILE", f(0, 2), ints(2, 3), to=(0, 6)),
    case("TILE", f(3, 2), ints(0, 1), to=(0, 2)),
    case("BROADCAST_TO", f(1, 2), ints(0, 2), to=(0, 2)),
    case("PAD", f(0, 2), const(np.int32([[0, 0], [1, 2]])), to=(0, 5)),
    case("PAD", f(0, 2), const(np.int32([[1, 1], [0, 0]])), to=f(2, 2)),
    case("PADV2", f(0, 2), const(np.int32([[1, 1], [0, 0]])), const(np.float32(7)), to=np.full((2, 2), 7, np.float32)),
    case("MIRROR_PAD", f(0, 3), const(np.int32([[0, 0], [1, 1]])), to=(0, 5)),
    case("REVERSE_V2", f(0, 2), ints(1), to=(0, 2)),
    case("REVERSE_SEQUENCE", f(0, 2), np.zeros(0, np.int32), to=(0, 2), seq_dim=1, batch_dim=0),
    case("SLICE", f(0, 4), ints(0, 1), ints(-1, 2), to=(0, 2)),
    case("SLICE", f(3, 4), ints(1, 1), ints(0, 2), to=(0, 2)),
    case("STRIDED_SLICE", f(0, 4), ints(0, 0), ints(0, 4), ints(1, 2), to=(0, 2), begin_mask=1, end_mask=1),
    case("SPACE_TO_DEPTH", f(0, 4, 4, 1), to=(0, 2, 2, 4), block_size=2),
    case("DEPTH_TO_SPACE", f(0, 2, 2, 4), to=(0, 4, 4, 1), block_size=2),
    case("SPACE_TO_BATCH_ND", f(0, 4, 4, 1), ints(2, 2), const(np.zeros((2, 2), np.int32)), to=(0, 2, 2, 1)),
    case("BATCH_TO_SPACE_ND", f(0, 2, 2, 1), ints(2, 2), const(np.zeros((2, 2), np.int32)), to=(0, 4, 4, 1)),
    case("SHAPE", f(0, 3), to=np.int32([0, 3]), outputs=[I32], out_type=int(I32)),
    case("RANK", f(0, 3), to=np.int32(2), outputs=[I32]),
    case("FILL", ints(0, 2), const(np.float32(3)), to=(0, 2), outputs=[F32]),
    case("RANGE", *(const(np.int32(n)) for n in (3, 3, 1)), to=(0,)),
    case("MATRIX_DIAG", f(0, 2), to=(0, 2, 2)),
    case("MATRIX_SET_DIAG", f(0, 2, 2), f(0, 2), to=(0, 2, 2)),
    case("DYNAMIC_UPDATE_SLICE", f(3, 2), f(0, 2), ints(1, 0), to=f(3, 2)),
]  # fmt: skip
NO_STEPS = q(np.zeros((0, 2), np.int8), 0.5, 3)
UNWRITTEN = [  # which the reference leaves as its memory was: the stored integer nearest to 1
    case("REDUCE_PROD", NO_STEPS, ints(0), to=np.full(2, 11, np.int8), outputs=[q(None, 0.125, 3, type=I8)]),
    case("REDUCE_PROD", NO_STEPS, ints(0), to=np.full(2, 127, np.int8), outputs=[q(None, 0.001, 3, type=I8)]),
]
CASES = [*BATCHES, *PRODUCTS, *QUANTIZED, *REDUCTIONS, *MOVES]


@pytest.mark.parametrize("device", [False, True], ids=["cpu", "fake gpu"])
@pytest.mark.parametrize(("case", "expected"), [*CASES, *UNWRITTEN])
def test_operators_take_tensors_without_elements(case: Case, expected: Sequence[Any], device: bool) -> None:
    content = lite.write_model(one_op_model(case))
    interpreter = lite.Interpreter(model_content=content, device="cpu", delegates=[FakeGpuDelegate()] if device else [])
    interpreter.allocate_tensors()
    interpreter.invoke()
    for detail, want in zip(interpreter.get_output_details(), expected, strict=True):
        got = interpreter.get_tensor(detail["index"])
        assert got.dtype == detail["dtype"]
        assert got.shape == (want if isinstance(want, tuple) else want.shape)
        if not isinstance(want, tuple):
            np.testing.assert_array_equal(got, want)


UNREFERENCED = {
    "BROADCAST_TO": "has no version 1 there",
    "MIRROR_PAD": "refuses dimensions of 0",
    "REVERSE_SEQUENCE": "crashes on a batch of 0",
    "UNPACK": "refuses tensors without elements",
}


@pytest.mark.reference
@pytest.mark.parametrize(("case", "expected"), [c for c in CASES if c.id not in UNREFERENCED])
def test_the_reference_agrees(case: Case, expected: Sequence[Any]) -> None:
    for got, want in zip(reference(case), expected, strict=True):
        assert got.shape == (want if isinstance(want, tuple) else want.shape)
        if not isinstance(want, tuple):
            np.testing.assert_array_equal(got, want)


def test_a_model_takes_a_batch_of_nothing() -> None:
    """Inputs, intermediates and outputs, and back to a batch of something."""
    b = GraphBuilder()
    x = b.input(F32, [None, 3], "x")
    y = b.add("FULLY_CONNECTED", [x, b.constant(np.ones((4, 3), np.float32)), -1], [None, 4])
    z = b.add("SOFTMAX", [b.add("RELU", [y])], beta=1.0)
    total = b.add("SUM", [z, b.constant(np.int32([0]))], [4])
    content = lite.write_model(model(b.graph([z, total]), signatures={"s": (0, {"x": x}, {"z": z, "total": total})}))
    for delegates in ([], [FakeGpuDelegate()]):
        run = lite.Interpreter(model_content=content, device="cpu", delegates=delegates).get_signature_runner("s")
        for batch in (2, 0, 3, 0):
            out = run(x=np.ones((batch, 3), np.float32))
            assert out["z"].shape == (batch, 4)
            assert out["total"].tolist() == [batch / 4] * 4

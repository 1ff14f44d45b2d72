"""Primitives of oneDNN on bytes against the operators' bodies, at sizes of real layers; attention and normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.build import F32, GraphBuilder
from tests.engines import call
from tests.ops.harness import Case, arrays, const, one_op, one_op_model, q
from tflite_cupy.delegates.cpu import kernels_in_use
from tflite_cupy.delegates.cpu.onednn import compiler, primitive
from tflite_cupy.delegates.cpu.onednn.binding import Arg, Query, library
from tflite_cupy.delegates.cpu.onednn.primitive import Attributes, Layout
from tflite_cupy.interpreter.errors import MissingDependencyError
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.base import Activation
from tflite_cupy.interpreter.ops.checks import evaluate
from tflite_cupy.interpreter.runtime.engine import Engine

try:
    kernels_in_use("onednn")
except MissingDependencyError as error:
    pytest.skip(str(error), allow_module_level=True)

from .test_onednn import Watched, check, close, normal


@pytest.fixture(autouse=True)
def _every_node_is_worth_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "TINY", 0)


RNG = np.random.default_rng(11)


def int8(*shape: int, least: int = -128) -> np.ndarray:
    return RNG.integers(least, 128, shape).astype(np.int8)


def result(scale: float, zero_point: int = 0) -> Any:
    return q(None, scale, zero_point, type=TensorType.INT8)


def axes(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


IMAGE, ROWS = (1, 14, 14, 48), (1, 40, 64)
KEEP, RELU = {"keep_dims": True}, {"fused_activation_function": Activation.RELU}
CASES = [
    Case("MUL", [q(int8(*IMAGE), 0.03, 5), q(int8(*IMAGE), 1 / 256, -128)], {}, [result(0.02, -7)], label="whole"),
    Case("MUL", [q(int8(*IMAGE), 0.03, 0), q(int8(*IMAGE), 1 / 256, -128)], {}, [result(0.02, -7)], label="offset"),
    Case("MUL", [q(int8(*IMAGE), 0.03), q(int8(*IMAGE), 0.02)], RELU, [result(0.05, -128)], label="no-offset"),
    Case("MUL", [q(int8(*IMAGE), 0.03, 5), q(int8(1, 1, 1, 48), 0.004, -128)], {}, [result(0.02, -7)], label="excite"),
    Case("MUL", [q(int8(3, 9, 9, 48), 0.03, 5), q(int8(3, 1, 1, 48), 0.004, -128)], {}, [result(0.02, -7)],
         label="excite-images"),
    Case("MUL", [q(int8(1, 40, 1), 0.1, 9), q(int8(64), 0.01, -4)], {}, [result(0.09, 3)], label="outer"),
    Case("SUB", [q(int8(64), 0.03, 5), q(int8(*ROWS), 0.02, -7)], {}, [result(0.04, 3)], label="from-row"),
    Case("SQUARED_DIFFERENCE", [q(int8(*ROWS), 0.03, 5), q(int8(1, 40, 1), 0.02, -7)], {}, [result(0.15, -128)]),
    Case("MEAN", [q(int8(*IMAGE), 0.03, 5), const(np.int32([1, 2]))], {}, [result(0.01, -3)], label="image"),
    Case("MEAN", [q(int8(2, 9, 5, 7), 0.03, 5), const(np.int32([2, 1]))], KEEP, [result(0.01, -3)], label="images"),
    Case("MEAN", [q(int8(*ROWS), 0.03, 5), const(np.int32([-1]))], KEEP, [result(0.01, -3)], label="rows"),
    Case("SOFTMAX", [q(int8(7, 100), 0.06, 11)], {"beta": 1.0}, [result(1 / 256, -128)]),
    Case("SOFTMAX", [q(int8(2, 3, 33), 0.1, 11)], {"beta": 0.5}, [result(1 / 256, -128)], label="beta"),
    Case("BATCH_MATMUL", [q(int8(2, 4, 30, 16), 0.03, 5), q(int8(2, 4, 16, 20), 0.02, -9)], {}, [result(0.1, 4)]),
    Case("BATCH_MATMUL", [q(int8(2, 4, 30, 16), 0.03, 5), q(int8(2, 4, 20, 16), 0.02, -9)], {"adj_y": True},
         [result(0.1, 4)], label="turned"),
    Case("MUL", [q(int8(*IMAGE), 0.03, 5), q(int8(48), 0.004, -9, constant=True)], {}, [result(0.02, -7)], label="row"),
    Case("ADD", [q(int8(1, 30, 30, 3), 0.03, 5), q(int8(3), 0.02, -9, constant=True)], {}, [result(0.04, 3)],
         label="colours"),
    Case("MUL", [q(int8(3, 10, 10, 3), 0.03, 5), q(int8(3), 0.02, -9, constant=True)], {}, [result(0.04, 3)],
         label="colours"),
    Case("LOGISTIC", [q(int8(*IMAGE), 0.05, 12)], {}, [result(1 / 256, -128)]),
    Case("TANH", [q(int8(*IMAGE), 0.03, -20)], {}, [result(1 / 128)]),
    Case("HARD_SWISH", [q(int8(*IMAGE), 0.06, 12)], {}, [result(0.05, -120)]),
    Case("GELU", [q(int8(*IMAGE), 0.05, 12)], {"approximate": True}, [result(0.04, -115)]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bytes(case: Case) -> None:
    """Within one step of the integers of the body."""
    made, delegate = one_op_model(case), Watched()
    graph = made.graphs[0]
    given = [a for a, t in zip(arrays(case), graph.nodes[0].inputs, strict=True) if t in graph.inputs]
    (got,), (want,) = call(Engine(made, [delegate]), *given), evaluate(one_op(case), arrays(case))
    assert delegate.primitives == [[case.operator]]
    assert len(np.unique(want)) > 3
    close(got, want, steps=1)


def test_attention() -> None:
    """Heads that are split, turned and joined again: the elements of a turned tensor don't lie in order."""
    b = GraphBuilder()
    x = b.input(F32, [1, 64, 96])
    weights = [[b.constant(normal(96, 96) / 10), b.constant(normal(96))] for _ in range(2)]
    y = b.add("FULLY_CONNECTED", [x, *weights[0]], keep_num_dims=True)
    heads = b.add("RESHAPE", [y, b.constant(axes(1, 64, 4, 24))], [1, 64, 4, 24])
    turned = b.add("TRANSPOSE", [heads, b.constant(axes(0, 2, 1, 3))], [1, 4, 64, 24])
    scores = b.add("SOFTMAX", [b.add("BATCH_MATMUL", [turned, turned], [1, 4, 64, 64], adj_y=True)], beta=1.0)
    mixed = b.add("BATCH_MATMUL", [scores, turned], [1, 4, 64, 24])
    back = b.add("TRANSPOSE", [mixed, b.constant(axes(0, 2, 1, 3))], [1, 64, 4, 24])
    joined = b.add("RESHAPE", [back, b.constant(axes(1, 64, 96))], [1, 64, 96])
    check(b, [b.add("FULLY_CONNECTED", [joined, *weights[1]], keep_num_dims=True)], normal(1, 64, 96) / 10)


@pytest.mark.parametrize(("units", "depth"), [(5, 7), (64, 96), (1000, 33), (1000, 96)])
def test_columns_of_bytes_are_packed_as_rows_are(monkeypatch: pytest.MonkeyPatch, units: int, depth: int) -> None:
    monkeypatch.setattr(library(), "multiplies_bytes", True)
    weights = np.random.default_rng(0).integers(-127, 128, (units, depth)).astype(np.int8)
    columns, rows = Layout.of((units, depth), np.int8, (1, 0)), Layout.of((depth, units), np.int8)
    src, dst = Layout.of((1, depth), np.int8), Layout.of((1, units), np.int8)
    attributes = Attributes((), {Arg.WEIGHTS: 2}, {Arg.SRC: 0})
    made = primitive.matmul(library(), src, rows.packed, None, dst, attributes)
    target = library().query(made.description, Query.WEIGHTS)
    packed = [np.zeros(library().nbytes(target), np.uint8) for _ in range(2)]
    primitive.pack(library(), weights, columns, target, packed[0])
    primitive.pack(library(), weights.T, rows, target, packed[1])
    np.testing.assert_array_equal(*packed)

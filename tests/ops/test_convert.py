"""Casts, selection, parts of complex numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.litert import call_reference, reference_interpreter
from tests.ops.harness import Case, Operand, check, compare, matrix
from tflite_cupy import Interpreter
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Graph, Model, Node, Tensor, TensorType

F32 = np.float32
EXTREMES = np.array([300.7, -300.7, np.nan, np.inf, -np.inf, 1e20, -1.5, 2.5, -0.0], F32)
EXACT = np.array([127.5, 126.9, -128.5, -127.5, 255.9, 0.9, -0.9, 2147483648.0, 2147483520.0], F32)
COMPLEX = np.array([[1 + 2j, -3j], [0.5, -4 + 3j]], np.complex64)
NUMBERS = [
    *(TensorType.INT8, TensorType.INT16, TensorType.INT32, TensorType.INT64),
    *(TensorType.UINT8, TensorType.UINT16, TensorType.UINT32, TensorType.BOOL),
    *(TensorType.FLOAT16, TensorType.FLOAT64, TensorType.COMPLEX64),
]
X = np.arange(12, dtype=F32).reshape(3, 4)
Y = -X
MASK = X % 3 == 0
T, F = np.array(True), np.array(False)

CASTS = [
    *(
        Case("CAST", [array], outputs=[kind], label=f"{label} to {kind.name.lower()}")
        for label, array in {"extremes": EXTREMES, "exact": EXACT, "complex": COMPLEX}.items()
        for kind in NUMBERS
    ),
    Case("CAST", [np.array([1e300, -1e300, 7.9])], outputs=[TensorType.INT32], label="float64 to int32"),
    Case("CAST", [np.float16([1e4, -3.5, np.inf])], outputs=[TensorType.INT8], label="float16 to int8"),
    Case("CAST", [np.int64([300, -300, 2**40])], outputs=[TensorType.INT8], label="integers wrap"),
    Case("CAST", [np.int32([3, 0, -3])], outputs=[TensorType.BOOL], label="int32 to bool"),
    Case("CAST", [np.array([True, False])], outputs=[TensorType.FLOAT32], label="bool to float32"),
    Case("CAST", [EXTREMES], outputs=[TensorType.INT4], label="float32 to int4"),
    Case("CAST", [EXTREMES], outputs=[TensorType.UINT4], label="float32 to uint4"),
    Case("CAST", [EXTREMES], outputs=[TensorType.INT2], label="float32 to int2"),
    Case(
        "CAST",
        [Operand(data=np.int8([-8, 7, 3]), type=TensorType.INT4, constant=True)],
        outputs=[TensorType.FLOAT32],
        label="int4 to float32",
    ),
]

CHOICES = [
    *(Case(name, [MASK, X, Y], outputs=[TensorType.FLOAT32]) for name in ("SELECT", "SELECT_V2")),
    *(
        Case(name, [T, X, Y], outputs=[TensorType.FLOAT32], label="scalar condition")
        for name in ("SELECT", "SELECT_V2")
    ),
    Case("SELECT", [MASK[:, 0], X, Y], outputs=[TensorType.FLOAT32], label="rows"),
    Case("SELECT", [MASK, X > 3, X < 5], outputs=[TensorType.BOOL], label="bool"),
    Case("SELECT", [MASK, X.astype(np.int8), Y.astype(np.int8)], outputs=[TensorType.INT8], label="int8"),
    Case("SELECT_V2", [MASK, X[:1], np.array(9, F32)], outputs=[TensorType.FLOAT32], label="broadcast"),
    Case("SELECT_V2", [MASK[0], COMPLEX.repeat(2, 1), COMPLEX[0, 0]], outputs=[TensorType.COMPLEX64], label="complex"),
    Case("SELECT_V2", [MASK[:0], X[:0], Y[:0]], outputs=[TensorType.FLOAT32], label="empty"),
    Case("SELECT_V2", [F, F32([[1]]), np.array(2, F32)], outputs=[TensorType.FLOAT32], label="ones"),
    Case("SELECT", [MASK[:, :2], X, Y], outputs=[TensorType.FLOAT32], raises="SELECT has conditions", label="shapes"),
    Case("SELECT", [MASK, X, Y[:2]], outputs=[TensorType.FLOAT32], raises="values of one shape", label="values"),
    Case("SELECT_V2", [MASK[:, :3], X, Y], outputs=[TensorType.FLOAT32], raises="not broadcastable", label="shapes"),
    Case("SELECT", [MASK, X, Y.astype(int)], outputs=[TensorType.FLOAT32], refused="values of one type", label="types"),
]

PARTS = [Case(name, [COMPLEX], outputs=[TensorType.FLOAT32]) for name in ("COMPLEX_ABS", "REAL", "IMAG")]

CASES = [*CASTS, *CHOICES, *PARTS]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


def selection(operator: str, shape: tuple[int, ...], signature: tuple[int, ...] | None, has_rank: bool) -> bytes:
    """A model that selects between [1] and [1], with a result of which it says this."""
    one = [Tensor(f"input{i}", kind, (1,)) for i, kind in enumerate((TensorType.BOOL, *[TensorType.FLOAT32] * 2))]
    result = Tensor("output", TensorType.FLOAT32, shape, signature, has_rank)
    node = Node(0, operator, (0, 1, 2), (3,))
    return write_model(Model((Graph(0, "main", (*one, result), (node,), (0, 1, 2), (3,)),)))


STATED = [((1, 1), None, True), ((), None, True), ((), None, False), ((1,), (-1,), True), ((1, 1), (-1, 1), True)]


@pytest.mark.reference
@pytest.mark.parametrize("operator", ["SELECT", "SELECT_V2"])
@pytest.mark.parametrize("stated", STATED, ids=str)
def test_one_element_has_the_rank_that_the_file_states(
    operator: str, stated: tuple[tuple[int, ...], tuple[int, ...] | None, bool]
) -> None:
    content = selection(operator, *stated)
    feeds = np.array([True]), F32([2]), F32([3])
    want = call_reference(reference_interpreter(content), *feeds)[0]
    assert want.shape == stated[0]
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), feeds, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    compare(Case(operator, []), interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), want)


def test_half_precision_saturates_like_float32() -> None:
    check(Case("CAST", [np.float16([np.nan, -np.inf])], outputs=[TensorType.INT32], expect=[[2**31 - 1, -(2**31)]]))

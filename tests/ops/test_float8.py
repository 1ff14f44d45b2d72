"""8-bit floats: operators move them about and do not compute with them."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, one_op_model
from tflite_cupy import Interpreter
from tflite_cupy.interpreter.errors import InputError
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import TensorType

DTYPES = (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2)
VALUES = np.array([[[0, -0.0, 1], [1.5, -2, np.nan]], [[0.25, 16, -96], [7, -0.125, 3]]])
MASK = np.array([[[True], [False]], [[False], [True]]])
LACKING = "the reference has no kernel for it"


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def moves(dtype: type) -> list[Case]:
    x: np.ndarray = VALUES.astype(dtype)
    kind, label = TensorType.of(dtype), np.dtype(dtype).name
    return [
        Case("RESHAPE", [x, const(ints(3, 4))], label=label),
        Case("TRANSPOSE", [x, const(ints(2, 0, 1))], label=label),
        Case("SLICE", [x, const(ints(0, 1, 0)), const(ints(2, 1, -1))], label=label),
        Case("STRIDED_SLICE", [x, const(ints(0, 1, 2)), const(ints(2, 2, 0)), const(ints(1, 1, -1))], label=label),
        Case("DYNAMIC_UPDATE_SLICE", [x, x[:1, :, :2].copy(), ints(1, 0, 1)], label=label),
        Case("TILE", [x, const(ints(1, 2, 1))], label=label),
        Case("MIRROR_PAD", [x, const(np.int32([[0, 1], [1, 0], [2, 0]]))], label=label),
        Case("FILL", [const(ints(2, 2)), x[0, 1, 0].reshape(())], outputs=[kind], label=label),
        Case("BROADCAST_TO", [x, const(ints(3, 2, 2, 3))], label=label, version=4),
        Case("SELECT_V2", [MASK, x, x[:, ::-1].copy()], outputs=[kind], label=label),
        Case("BITCAST", [x], outputs=[TensorType.UINT8], label=label),
        Case("BITCAST", [np.arange(256, dtype=np.uint8)], outputs=[kind], label=f"{label} from bytes"),
        Case("GATHER", [x, ints(1, 0)], {"axis": 1}, label=label, expect=[x[:, ::-1]], unreferenced=LACKING),
        Case(
            "CONCATENATION", [x, x], {"axis": 2}, label=label, expect=[np.concatenate([x, x], 2)], unreferenced=LACKING
        ),
        Case("ADD", [x, x], label=label, refused=f"not supported with {label}"),
    ]


CASES = [case for dtype in DTYPES for case in moves(dtype)]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


@pytest.mark.parametrize("dtype", DTYPES)
def test_inputs_are_floats_or_their_bits(dtype: type) -> None:
    x: np.ndarray = VALUES.astype(dtype)
    model = write_model(one_op_model(Case("RESHAPE", [x, const(ints(3, 4))])))
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert source["dtype"] is dtype
    for given in (x, x.view(np.int8), x.view(np.uint8)):
        interpreter.set_tensor(source["index"], given)
        interpreter.invoke()
        got = interpreter.get_tensor(result["index"])
        assert got.dtype == dtype
        np.testing.assert_array_equal(got.view(np.int8), x.reshape(3, 4).view(np.int8))
    with pytest.raises(InputError, match="but expected type FLOAT8"):
        interpreter.set_tensor(source["index"], VALUES)

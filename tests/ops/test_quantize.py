"""QUANTIZE, DEQUANTIZE, FAKE_QUANT."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, Operand, check, matrix, one_op, q
from tflite_cupy.interpreter.errors import KernelError
from tflite_cupy.interpreter.graph import Quantization, TensorSpec, TensorType

F32 = np.float32
RNG = np.random.default_rng(19)
X = RNG.normal(0, 4, (3, 4, 50)).astype(F32)
TIES = (np.arange(-40, 40, dtype=F32) * F32(0.25)).reshape(4, 20)
HUGE = F32([1e20, -1e20, 3e9, -3e9, 0.0, -0.0])
INT8 = np.arange(-128, 128, dtype=np.int8)
INT16 = np.arange(-(2**15), 2**15, 3, dtype=np.int16)
INT32 = RNG.integers(-(2**20), 2**20, (500,), np.int32)
T = TensorType
CHANNELS = ([0.1, 0.05, 0.3, 0.02], [3, 0, 5, 7])
BLOCKS = Quantization(F32([0.1, 0.05, 0.3, 0.02]), np.int64([0, 1, -2, 0]), 0, 4)  # of 4 elements

REQUANTIZED: list[tuple[np.ndarray, float, int, TensorType, float, int]] = [
    (INT8, 0.1, 3, T.INT8, 0.13, -7),
    (INT8, 0.1, 3, T.INT8, 0.01, -7),
    (INT8, 0.1, 3, T.UINT8, 0.1, 131),
    (INT8.view(np.uint8), 0.1, 130, T.INT8, 0.1, 2),
    (INT8.view(np.uint8), 0.1, 130, T.UINT8, 0.07, 2),
    (INT16, 0.001, 0, T.INT8, 0.1, -4),
    (INT16, 0.001, 0, T.INT16, 0.0017, 0),
    (INT8, 0.1, 3, T.INT16, 0.001, 0),
    (INT8.view(np.uint8), 0.1, 130, T.INT16, 0.07, 0),
    (INT16, 0.001, 0, T.INT32, 0.00001, 0),
    (INT32, 0.0001, 0, T.INT8, 0.5, -4),
    (INT32, 0.0001, 0, T.INT16, 0.003, 0),
]
STORED: list[tuple[np.ndarray, int]] = [(INT8, -3), (INT8.view(np.uint8), 130), (INT16, 0)]
PACKED: list[tuple[TensorType, np.ndarray, int]] = [
    (T.INT4, np.arange(-8, 8, dtype=np.int8), 0),
    (T.INT2, np.int8([-2, -1, 0, 1]), 0),
    (T.UINT4, np.arange(16, dtype=np.uint8), 3),
]

CASES = [
    *(
        Case(
            "QUANTIZE",
            [array],
            outputs=[q(None, scale, zero, type=kind)],
            label=f"{label} to {kind.name.lower()} {scale}",
        )
        for label, array in {"random": X, "ties": TIES, "empty": X[:0], "scalar": np.array(2.5, F32)}.items()
        for kind, zero in [(T.INT8, -3), (T.UINT8, 130), (T.INT16, 0)]
        for scale in (0.05, 0.5)
    ),
    Case("QUANTIZE", [X], outputs=[q(None, 1.0, 1, type=T.INT4)], label="to int4"),
    Case(
        "QUANTIZE",
        [HUGE],
        outputs=[q(None, 0.1, 5, type=T.INT8)],
        expect=[[127, -128, 127, -128, 5, 5]],
        unreferenced="its conversion to int32 overflows",
        label="huge",
    ),
    *(
        Case(
            "QUANTIZE",
            [X],
            outputs=[q(None, *CHANNELS, axis=1, type=kind)],
            label=f"per channel to {kind.name.lower()}",
        )
        for kind in (T.INT8, T.INT16)
    ),
    *(
        Case(
            "QUANTIZE",
            [q(array, scale, zero)],
            outputs=[q(None, out_scale, out_zero, type=kind)],
            label=f"{array.dtype} to {kind.name.lower()} {out_scale}",
        )
        for array, scale, zero, kind, out_scale, out_zero in REQUANTIZED
    ),
    Case("QUANTIZE", [X], outputs=[T.INT8], refused="needs one scale for its int8 result", label="scale"),
    Case("QUANTIZE", [q(INT32, 0.1)], outputs=[q(None, 0.1, type=T.UINT8)], refused="does not give uint8 for int32"),
    *(
        Case("DEQUANTIZE", [q(array, 0.07, zero)], outputs=[T.FLOAT32], label=str(array.dtype), rtol=0, atol=0)
        for array, zero in STORED
    ),
    *(
        Case(
            "DEQUANTIZE", [q(array, 0.07, zero, type=kind, constant=True)], outputs=[T.FLOAT32], label=kind.name.lower()
        )
        for kind, array, zero in PACKED
    ),
    Case("DEQUANTIZE", [np.float16([1.5, -65504, 6e-8, np.inf])], outputs=[T.FLOAT32], label="float16"),
    *(
        Case(
            "DEQUANTIZE",
            [q(INT8.reshape(4, 64).view(kind), *CHANNELS)],
            outputs=[T.FLOAT32],
            label=f"{kind} per channel",
        )
        for kind in ("int8", "uint8")
    ),
    Case("DEQUANTIZE", [q(INT8.reshape(64, 4), *CHANNELS, axis=1)], outputs=[T.FLOAT32], label="last channel"),
    Case(
        "DEQUANTIZE",
        [Operand(data=PACKED[0][1].reshape(2, 8), type=T.INT4, quantization=BLOCKS, constant=True)],
        outputs=[T.FLOAT32],
        expect=[
            ((np.arange(-8, 8).reshape(4, 4) - BLOCKS.zero_points[:, None]) * BLOCKS.scales[:, None]).reshape(2, 8)
        ],
        unreferenced="it takes blocks for a scale of 0",
        label="blocks",
    ),
    Case("QUANTIZE", [X], outputs=[Operand(type=T.INT8, quantization=BLOCKS)], refused="with scales of blocks"),
    Case("DEQUANTIZE", [INT8], outputs=[T.FLOAT32], refused="needs the scale of its int8 operand", label="scale"),
    *(
        Case("FAKE_QUANT", [X], {"min": low, "max": high, "num_bits": bits}, label=f"{low} {high} {bits}")
        for low, high, bits in [(-6.0, 6.0, 8), (0.0, 6.0, 4), (-1.3, 3.7, 8), (-3.0, 0.5, 16)]
    ),
    Case(
        "FAKE_QUANT",
        [X],
        {"min": 0.0, "max": 1.0, "num_bits": 8, "narrow_range": True},
        refused="narrow_range FakeQuant",
    ),
    Case("FAKE_QUANT", [X], {"min": 0.0, "max": 0.0, "num_bits": 8}, refused="min < max", label="range"),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


def test_a_shape_that_the_scales_do_not_fit() -> None:
    op = one_op(Case("DEQUANTIZE", [q(INT8.reshape(4, 64), *CHANNELS)], outputs=[T.FLOAT32]))
    with pytest.raises(KernelError, match=r"has 4 scales for dimension 0 of \[5, 64\], expected 5"):
        op.infer(TensorSpec(T.INT8, (5, 64), op.ins[0] and op.ins[0].quantization))


def test_a_size_that_the_blocks_do_not_fill() -> None:
    operand = Operand(data=INT8[:16].reshape(2, 8), quantization=BLOCKS)
    op = one_op(Case("DEQUANTIZE", [operand], outputs=[T.FLOAT32]))
    with pytest.raises(KernelError, match=r"has 4 scales for blocks of 4, got shape \[3, 8\]"):
        op.infer(TensorSpec(T.INT8, (3, 8), BLOCKS))

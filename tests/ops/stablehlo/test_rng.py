"""STABLEHLO_RNG_BIT_GENERATOR, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.build import GraphBuilder, model
from tests.fakes import DEVICE
from tests.ops.harness import Case, compare
from tests.ops.stablehlo.bodies import linked, reference
from tflite_cupy.interpreter.errors import KernelError
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Model, TensorType
from tflite_cupy.interpreter.ops.checks import infer_outputs, refusal
from tflite_cupy.interpreter.ops.stablehlo.rng import RngAlgorithm

OPERATORS = ("STABLEHLO_RNG_BIT_GENERATOR",)
UINT64 = TensorType.UINT64
DEFAULT, PHILOX, THREEFRY = RngAlgorithm
EDGES = [2**32 - 2, 2**64 - 2, 5]
"""Counters whose low word, or all of which, goes around."""


def generator(algorithm: RngAlgorithm, length: int, kind: TensorType, shape: tuple[int, ...]) -> Model:
    """Written and read; the shape of the bits is the one that the file declares."""
    b = GraphBuilder()
    state = b.input(UINT64, (length,))
    outs = b.op("STABLEHLO_RNG_BIT_GENERATOR", [state], [b.tensor(UINT64, (length,)), b.tensor(kind, shape)],
                algorithm=algorithm)  # fmt: skip
    return load_model(write_model(model(b.graph(outs))))


@pytest.mark.reference
@pytest.mark.parametrize("counter", EDGES)
@pytest.mark.parametrize("kind", [TensorType.INT32, TensorType.UINT32, TensorType.INT64, UINT64])
@pytest.mark.parametrize(("algorithm", "length"), [(DEFAULT, 2), (DEFAULT, 3), (PHILOX, 2), (PHILOX, 3), (THREEFRY, 2)])
def test_as_the_reference(algorithm: RngAlgorithm, length: int, kind: TensorType, counter: int) -> None:
    state = np.array([0x0123456789ABCDEF, counter, 0xFEDCBA9876543210], np.uint64)[:length]
    for shape in ((7,), (2, 5)):
        source = generator(algorithm, length, kind, shape)
        op = linked(source)
        for xp, put in ((np, np.asarray), (DEVICE.xp, DEVICE.put)):
            for got, want in zip(op.run(xp, put(state)), reference(source, [state]), strict=True):
                compare(Case("bits", []), got.get() if xp is DEVICE.xp else got, want)


def test_known_answers() -> None:
    """Of the authors of the algorithms, for counters and keys of zeros."""
    for algorithm, length, words in (
        (PHILOX, 3, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (THREEFRY, 2, [0x6B200159, 0x99BA4EFE]),
    ):
        op = linked(generator(algorithm, length, TensorType.UINT32, (len(words),)))
        state, bits = op.run(np, np.zeros(length, np.uint64))
        assert bits.tolist() == words
        assert state.tolist() == [0, 1, 0][:length]


@pytest.mark.parametrize(("algorithm", "length"), [(THREEFRY, 3), (PHILOX, 1), (DEFAULT, 4)])
def test_states_of_other_lengths(algorithm: Any, length: int) -> None:
    op = linked(generator(algorithm, length, UINT64, (1,)))
    with pytest.raises(KernelError, match=f"expected 2.* numbers for {algorithm.name}"):
        infer_outputs(op, op.ins)


def test_other_types_are_refused() -> None:
    op = linked(generator(PHILOX, 2, TensorType.FLOAT32, (1,)))
    assert "not float32" in (refusal(op, op.ins) or "")

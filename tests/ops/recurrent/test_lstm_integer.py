"""Integer LSTMs, bit for bit against the reference runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.ops.harness import Case, Operand, const, q
from tests.ops.recurrent.layers import (
    TANH,
    changed,
    check_calls,
    labelled,
    lstm_operands,
    quantized_state,
    real,
    reseed,
    results,
    runs_and_failures,
    stored,
)
from tflite_cupy.interpreter.graph import TensorType

SEQUENCE = "UNIDIRECTIONAL_SEQUENCE_LSTM"


class IntegerParts:
    """Operands of an integer LSTM, whose input and output have these scales and zero points."""

    input, output = (0.02, 3), (0.01, -5)

    def __init__(self, is_normalized: bool, cell_scale: float) -> None:
        self.bias_scale = 3e-5 / 1024 if is_normalized else 0.02 * 0.006
        self.cell_scale = cell_scale

    def weights(self, *shape: int) -> Operand:
        return q(stored(np.int8, *shape), 0.006, constant=True)

    def peephole(self, size: int) -> Operand:
        return q(stored(np.int16, size), 2e-5, constant=True)

    def norm(self, size: int) -> Operand:
        return q(stored(np.int16, size), 3e-5, constant=True)

    def bias(self, size: int) -> Operand:
        return q((stored(np.int16, size) // 8).astype(np.int32), self.bias_scale, constant=True)

    def states(self, batch: int, outputs: int, cells: int) -> list[Operand]:
        return [quantized_state(np.int8, (batch, outputs), *self.output),
                quantized_state(np.int16, (batch, cells), self.cell_scale)]  # fmt: skip


def layer(
    *flags: str,
    hidden: int = 4,
    cells: int = 10,
    outputs: int = 6,
    name: str = SEQUENCE,
    shape: Sequence[int] = (2, 3, 7),
    intermediates: Sequence[Operand] = (),
    cell_scale: float = 2.0**-11,
    **options: object,
) -> Case:
    """An integer LSTM; `hidden` is the zero point of its hidden state."""
    reseed(name, flags, cells, options)
    parts, batch = IntegerParts("norm" in flags, cell_scale), shape[1] if options.get("time_major") else shape[0]
    x = q(stored(np.int8, *shape), *parts.input)
    given = lstm_operands(parts, x, batch, flags, cells, outputs if "projection" in flags else cells)
    sums = [q(None, 4e-4, type=TensorType.INT16) for _ in range(4)]
    own = [*sums, q(None, 0.008, hidden, type=TensorType.INT8)]
    label = labelled([*flags, hidden, cells, name[0]], options)
    return Case(name, given, {**TANH, **options}, [q(None, *parts.output)], intermediates or own, label)


def step(*flags: str, **options: object) -> Case:
    """The same for one step."""
    return layer(*flags, name="LSTM", shape=(3, 7), **options)


def eight_bit(*flags: str, seed: int = 0, **options: object) -> Case:
    """The form with 8-bit products, whose 12 intermediate tensors have scales and zero points of their own."""
    random = np.random.default_rng(seed)
    scales, zero_points = random.uniform(0.02, 0.05, 12), random.integers(-9, 9, 12)
    own = [q(None, s, z, type=TensorType.INT8) for s, z in zip(scales, zero_points, strict=True)]
    case = step("norm", "projection", *flags, intermediates=own, cell_scale=2.0**-15, **options)
    return replace(case, label=f"8bit-{seed}-{case.label}")


RUNS = [
    layer(hidden=-5),
    layer("peephole", cell_clip=3.0),
    layer("cifg", "projection", proj_clip=0.5),
    layer("peephole", "norm"),
    layer("norm", "projection", hidden=0),
    layer("cifg", "norm", cells=16),
    layer("projection", "unbiased", outputs=14),
    layer("peephole", "projection"),
    layer("peephole", "projection", time_major=True),
    layer("cifg", "peephole", "projection", "norm", time_major=True),
    step("projection"),
    step("peephole", "projection", "norm"),
    eight_bit("cifg"),
    eight_bit("cifg", seed=1, cell_clip=0.5, proj_clip=0.1),
    eight_bit("peephole", seed=2, cells=32),
]
REFUSED = [
    replace(layer(), intermediates=(), refused="5 intermediate tensors"),
    replace(eight_bit(), operator=SEQUENCE, refused="5 intermediate tensors"),
    replace(layer("projection", "peephole", outputs=14), refused="more outputs than cells"),
    changed(layer(), 19, quantized_state(np.int16, (2, 10), 3e-4), refused="power of two"),
    changed(layer(), 19, quantized_state(np.int8, (2, 10), 2.0**-11), refused="it needs int16"),
    changed(layer(), 18, quantized_state(np.int16, (2, 10), 0.01), refused="it needs int8"),
    changed(layer(), 2, const(real(10, 7)), refused="it needs int8"),
    changed(layer(), 2, const(stored(np.int8, 10, 7)), refused="one scale"),
    changed(eight_bit(), 17, None, refused="a projection with a bias"),
    changed(eight_bit(), 19, quantized_state(np.int16, (3, 10), 2.0**-14), refused="scale 2**-15"),
]
CASES = RUNS + REFUSED


@pytest.mark.parametrize("case", runs_and_failures(CASES))
def test_operator(case: Case) -> None:
    check_calls(case)


@pytest.mark.parametrize("case", RUNS, ids=str)
def test_results_vary(case: Case) -> None:
    given = np.concatenate([result.ravel() for (result,) in results(case)])
    assert len(set(given.tolist())) > 8

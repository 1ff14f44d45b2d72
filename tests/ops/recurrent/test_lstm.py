"""LSTMs of one direction with float states: their results over several calls, against the reference runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.engines import call, engine_of
from tests.ops.harness import Case, const, one_op, one_op_model, q
from tests.ops.recurrent.layers import (
    ASYMMETRIC,
    CLOSE,
    FLOAT32,
    TANH,
    RealParts,
    changed,
    check_calls,
    feeds,
    hybrid_of,
    labelled,
    lstm_operands,
    quantized_state,
    real,
    reseed,
    runs_and_failures,
    state,
    stored,
)
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.base import Activation

SEQUENCE = "UNIDIRECTIONAL_SEQUENCE_LSTM"
NONE = {"fused_activation_function": Activation.NONE}


def lstm(*flags: str, name: str = SEQUENCE, shape: Sequence[int] = (2, 3, 7), **options: object) -> Case:
    """A float LSTM; the flags int8 and uint8 give it such weights."""
    reseed(name, flags, options)
    batch, outputs = shape[1] if options.get("time_major") else shape[0], 6 if "projection" in flags else 10
    given = lstm_operands(RealParts(hybrid_of(flags)), real(*shape), batch, flags, 10, outputs)
    # the resolver of reference kernels registers no version with diagonals
    return Case(name, given, {**TANH, **options}, [FLOAT32], label=labelled([*flags, name[0]], options),
                optimized="diagonal" in flags, **CLOSE)  # fmt: skip


def step(*flags: str, **options: object) -> Case:
    """The same for one step."""
    return lstm(*flags, name="LSTM", shape=(2, 7), **options)


def basic() -> Case:
    reseed("basic")
    given = [real(2, 5), state(2, 4), const(real(16, 9)), const(real(16)), state(2, 4)]
    return Case("LSTM", given, {**TANH, "kernel_type": 1}, [FLOAT32] * 4, label="basic", version=2)


def quantized_basic(scale: float, zero_point: int) -> Case:
    reseed("basic", scale, zero_point)
    bytes_like, kinds = (2.0**-7, 128), (TensorType.UINT8, TensorType.INT16)
    given = [
        q(stored(np.uint8, 2, 5), *bytes_like),
        quantized_state(np.uint8, (2, 4), *bytes_like),
        q(stored(np.uint8, 16, 9), scale, zero_point, constant=True),
        q(np.arange(-8000, 8000, 1000).astype(np.int32), scale / 128, constant=True),
        quantized_state(np.int16, (2, 4), 2.0**-11),
    ]
    results = [q(None, *bytes_like, type=kinds[0]), q(None, 2.0**-11, type=kinds[1])]
    results += [q(None, *bytes_like, type=kinds[0]), q(None, 2.0**-12, type=kinds[1])]
    return Case("LSTM", given, {**TANH, "kernel_type": 1}, results, label=f"basic-uint8-{scale}", version=2)


def without(case: Case, *positions: int) -> Case:
    """A case without some of its operands."""
    for position in positions:
        case = changed(case, position, None)
    return case


RUNS = [
    lstm(),
    lstm(shape=(2, 21, 7), cell_clip=3.0),
    lstm("cifg", "peephole"),
    lstm("peephole", "projection", proj_clip=0.4, cell_clip=0.3),
    lstm("norm", "projection", "unbiased"),
    lstm("cifg", "norm", "peephole"),
    lstm(shape=(3, 2, 7), time_major=True),
    lstm("diagonal", diagonal_recurrent_tensors=True),
    lstm("diagonal", "cifg", "norm", time_major=True),
    lstm("mixed"),
    lstm("peephole", cell_clip=0.7, **NONE),
    step("peephole"),
    step("norm", "cifg"),
    lstm("int8"),
    lstm("int8", "peephole", "projection"),
    lstm("int8", "cifg", **ASYMMETRIC),
    lstm("int8", "norm", "projection", time_major=True, **ASYMMETRIC),
    lstm("int8", "diagonal", "peephole"),
    lstm("int8", "projection", cell_clip=0.7, **NONE),
    lstm("uint8", "peephole", "projection", **ASYMMETRIC),
    step("int8", "norm"),
    step("uint8", "projection", "cifg"),
    without(lstm("norm"), 21, 22),  # the forget gate's decides; for LSTM each gate's for itself
    without(step("norm", "projection"), 21, 22),
    without(step("int8", "norm"), 20, 21, 23),
    without(step("cifg", "norm"), 21, 23),
    basic(),
    quantized_basic(0.01, 121),
    quantized_basic(0.005, 128),
    quantized_basic(0.04, 3),
]
STRAY = const(real(10))
REFUSED = [
    changed(lstm(), 13, None, refused="one is absent"),
    changed(lstm(), 17, STRAY, refused="no projection"),
    changed(lstm("cifg"), 12, STRAY, refused="operands of an input gate"),
    changed(lstm("peephole"), 10, None, refused="all gates or for none"),
    changed(lstm("norm"), 22, None, refused="all gates or for none"),
    changed(lstm(), 2, q(stored(np.int8, 10, 7), 0.1, constant=True), refused="different types"),
    changed(lstm("int8"), 2, q(stored(np.int8, 10, 7), [0.1] * 10, constant=True), refused="one scale"),
    changed(lstm("int8"), 12, q(stored(np.int8, 10), 0.1, constant=True), refused="needs float32"),
    replace(lstm(cell_clip=-1.0), refused="limits below 0"),
    replace(lstm("int8", "mixed"), refused="some are diagonal"),
    replace(lstm("diagonal", **NONE), refused="no activation"),
    replace(lstm(), inputs=lstm().inputs[:19], refused="with 19 operands"),
    replace(basic(), outputs=[FLOAT32], refused="4 results"),
    changed(
        basic(), 3, q(np.zeros(16, np.int32), 0.1, constant=True), refused="only supported in float32, or in uint8"
    ),
    changed(quantized_basic(0.01, 1), 3, const(np.zeros(16, np.int32)), refused="one scale for its quantised weights"),
]
MISFITS = [
    changed(lstm(), 13, const(real(9)), raises="forget bias"),
    changed(lstm(), 19, state(3, 10), raises="cell_state"),
    changed(lstm(), 0, real(2, 7), raises="expected 3 dimensions"),
    changed(step(), 6, STRAY, raises="recurrent_to_forget_weights"),
    changed(basic(), 2, const(real(16, 8)), raises="weights"),
]
CASES = RUNS + REFUSED + MISFITS


@pytest.mark.parametrize("case", runs_and_failures(CASES))
def test_operator(case: Case) -> None:
    check_calls(case)


def test_states_last_until_they_are_reset_and_belong_to_one_engine() -> None:
    case = lstm()
    model, (x,) = one_op_model(case), feeds(case)[0]
    first, second = engine_of(model), engine_of(model)
    (start,), (later,) = call(first, x), call(first, x)
    assert np.abs(start - later).max() > 1e-3
    np.testing.assert_array_equal(call(second, x)[0], start)
    first.state.reset_variable_tensors()
    np.testing.assert_array_equal(call(first, x)[0], start)


def test_weights_that_are_fed_may_change_from_call_to_call() -> None:
    case, weights, before = lstm(), real(10, 7), real(10, 7)
    case, x = changed(case, 2, const(before)), case.inputs[0]
    fed = engine_of(one_op_model(changed(case, 2, weights)))
    kept = engine_of(one_op_model(case))
    other = engine_of(one_op_model(changed(case, 2, const(weights))))
    (with_constant,), (with_weights,) = call(kept, x), call(other, x)
    np.testing.assert_allclose(call(fed, x, before)[0], with_constant, rtol=1e-6)
    fed.state.reset_variable_tensors()
    np.testing.assert_allclose(call(fed, x, weights)[0], with_weights, rtol=1e-6)


def test_constant_weights_are_prepared_once() -> None:
    def prepared(case: Case) -> list[Any]:
        op: Any = one_op(case)
        return [op.constant_cell, op.constant_cell]

    first, again = prepared(lstm())
    assert first is again is not None
    assert prepared(changed(lstm(), 2, real(10, 7))) == [None, None]

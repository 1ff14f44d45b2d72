"""Basic recurrent layers: results and states over several calls, against the reference runtime."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engines import call, engine_of
from tests.ops.harness import Case, one_op_model, q
from tests.ops.recurrent.layers import (
    ASYMMETRIC,
    CLOSE,
    FLOAT32,
    TANH,
    RealParts,
    changed,
    check_calls,
    hybrid_of,
    labelled,
    real,
    reseed,
    results,
    runs_and_failures,
    state,
    stored,
)
from tflite_cupy.interpreter.errors import KernelError
from tflite_cupy.interpreter.ops.base import Activation

SEQUENCE = "UNIDIRECTIONAL_SEQUENCE_RNN"


def rnn(*flags: str, name: str = SEQUENCE, **options: object) -> Case:
    """A layer of 4 units; the flags int8 and uint8 give it such weights."""
    reseed(name, flags, options)
    parts, x = RealParts(hybrid_of(flags)), real(2, 5) if name == "RNN" else real(2, 3, 5)
    given = [
        x,
        parts.weights(4, 5),
        parts.weights(4, 4),
        parts.bias(4),
        state(3 if options.get("time_major") else 2, 4),
    ]
    return Case(name, given, {**TANH, **options}, [FLOAT32], label=labelled(flags, options), **CLOSE)


RUNS = [
    rnn(),
    rnn(time_major=True),
    rnn(fused_activation_function=Activation.RELU6),
    rnn("int8"),
    rnn("int8", time_major=True, **ASYMMETRIC),
    rnn("uint8", **ASYMMETRIC),
    rnn(name="RNN"),
    rnn("int8", name="RNN"),
    rnn("uint8", name="RNN", **ASYMMETRIC),
]
REFUSED = [
    changed(rnn(), 2, q(stored(np.int8, 4, 4), 0.1, constant=True), refused="different types"),
    changed(rnn("int8"), 2, q(stored(np.int8, 4, 4), [0.1] * 4, constant=True), refused="one scale"),
]
CASES = [*RUNS, *REFUSED, changed(rnn(), 0, real(2, 3, 4), raises="rows of 5")]


@pytest.mark.parametrize("case", runs_and_failures(CASES))
def test_operator(case: Case) -> None:
    check_calls(case)


def test_a_sequence_is_its_steps() -> None:
    case = rnn()
    ((whole,), *_), x = results(case), np.asarray(case.inputs[0])
    engine = engine_of(one_op_model(changed(case, 0, x[:, :1])))
    parts = [call(engine, x[:, step : step + 1])[0] for step in range(3)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-6, atol=1e-6)


def test_a_state_must_be_a_variable() -> None:
    case = changed(rnn(), 4, np.zeros((2, 4), np.float32))
    with pytest.raises(KernelError, match="needs a variable tensor as its state"):
        call(engine_of(one_op_model(case)), case.inputs[0], np.zeros((2, 4), np.float32))

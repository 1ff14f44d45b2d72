"""Layers that read a sequence in both directions: results over several calls, against the reference runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.ops.harness import Case, const, q
from tests.ops.recurrent.layers import (
    ASYMMETRIC,
    CLOSE,
    FLOAT32,
    TANH,
    RealParts,
    changed,
    check_calls,
    each,
    gates_of,
    hybrid_of,
    labelled,
    lstm_weights,
    real,
    reseed,
    results,
    runs_and_failures,
    state,
    stored,
)
from tflite_cupy.interpreter.ops.base import Activation

MERGED = {"merge_outputs": True}
TIME_MAJOR = {"time_major": True}
NONE = {"fused_activation_function": Activation.NONE}
SHAPE = (2, 3, 7)


def aux_input(flags: Sequence[str], depth: int) -> np.ndarray | None:
    """The input of layers that are stacked, cross-linked or in parallel."""
    return real(*SHAPE[:2], depth) if "cross" in flags or "parallel" in flags else None


def finished(name: str, given: Sequence[Any], flags: Sequence[str], options: dict[str, Any]) -> Case:
    outputs = [FLOAT32] * (1 if options.get("merge_outputs") else 2)
    return Case(name, given, {**TANH, **options}, outputs, label=labelled(flags, options), **CLOSE)


def lstm(*flags: str, aux_depth: int = 7, **options: Any) -> Case:
    """Two LSTMs of 10 cells; the flags int8 and uint8 give them such weights."""
    options.setdefault("time_major", False)
    reseed("lstm", flags, options)
    parts, batch = RealParts(hybrid_of(flags)), SHAPE[1 if options["time_major"] else 0]
    outputs = 6 if "projection" in flags else 10
    given: list[Any] = [real(*SHAPE)]
    given += [part for _ in range(2) for part in lstm_weights(parts, SHAPE[2], 10, outputs, flags)]
    given += [part for _ in range(2) for part in parts.states(batch, outputs, 10)]
    linked = [gate and "cross" in flags for gate in gates_of(flags)] * 2
    given += [aux_input(flags, aux_depth), *each(parts.weights, linked, 10, aux_depth)]
    return finished("BIDIRECTIONAL_SEQUENCE_LSTM", given, flags, options)


def rnn(*flags: str, aux_depth: int = 7, **options: Any) -> Case:
    """Two basic layers, of 4 units forward and 5 backward."""
    reseed("rnn", flags, aux_depth, options)
    parts, batch = RealParts(hybrid_of(flags)), SHAPE[1 if options.get("time_major") else 0]
    given: list[Any] = [real(*SHAPE)]
    for units in (4, 5):
        given += [parts.weights(units, SHAPE[2]), parts.weights(units, units), parts.bias(units), state(batch, units)]
    given += [aux_input(flags, aux_depth)]
    given += [parts.weights(units, aux_depth) if "cross" in flags else None for units in (4, 5)]
    return finished("BIDIRECTIONAL_SEQUENCE_RNN", given, flags, options)


RUNS = [
    lstm(),
    lstm("cifg", **MERGED, **TIME_MAJOR),
    lstm("peephole", "projection", cell_clip=0.3, proj_clip=0.2, **TIME_MAJOR),
    lstm("projection", "unbiased", **MERGED, **TIME_MAJOR),
    lstm("cross", "cifg"),
    lstm("cross", aux_depth=9, **TIME_MAJOR),
    lstm("parallel"),
    lstm("parallel", **TIME_MAJOR),
    lstm("parallel", cell_clip=0.7, **NONE),
    lstm("int8"),
    lstm("int8", "peephole", "projection", **MERGED, **TIME_MAJOR),
    lstm("int8", "cross", **ASYMMETRIC),
    lstm("int8", "cross", cell_clip=0.7, **NONE),
    lstm("int8", "parallel", "cifg", **TIME_MAJOR, **ASYMMETRIC),
    lstm("uint8", "projection", "peephole", **ASYMMETRIC),
    rnn(),
    rnn(**MERGED),
    rnn(**MERGED, **TIME_MAJOR),
    rnn("cross", aux_depth=9),
    rnn("cross", aux_depth=5),
    rnn("cross", **TIME_MAJOR),
    rnn("parallel"),
    rnn("parallel", **TIME_MAJOR),
    rnn("int8", **MERGED),
    rnn("int8", "cross", **ASYMMETRIC),
    rnn("int8", **TIME_MAJOR, **ASYMMETRIC),
    rnn("int8", "parallel", **TIME_MAJOR),
    rnn("uint8", "cross", **TIME_MAJOR),
]
REFUSED = [
    replace(lstm(), inputs=lstm().inputs[:47], refused="got 47 operands"),
    changed(lstm(), 2, None, refused="one is absent"),
    changed(lstm(), 2, q(stored(np.int8, 10, 7), 0.1, constant=True), refused="different types"),
    changed(lstm("cross"), 39, None, refused="auxiliary input with weights for both"),
    changed(lstm("cross"), 41, None, refused="all gates or for none"),
    replace(lstm(), outputs=[FLOAT32], refused="not 1"),
    replace(rnn(**MERGED), outputs=[FLOAT32] * 2, refused="not 2"),
    replace(lstm("cross", **NONE), refused="no activation"),
    changed(lstm("int8"), 13, const(np.zeros(10, np.int8)), refused="needs float32"),
    replace(rnn(), inputs=rnn().inputs[:11], refused="got 11 operands"),
    changed(rnn(), 3, None, refused="one is absent"),
    changed(rnn("cross"), 10, None, refused="auxiliary input with weights for both"),
    changed(rnn(), 5, q(stored(np.int8, 5, 7), 0.1, constant=True), refused="different types"),
    changed(rnn("int8"), 7, q(stored(np.int8, 5), 0.1, constant=True), refused="needs float32 states"),
]
MISFITS = [
    changed(lstm("parallel"), 39, real(2, 3, 9), raises="aux_input"),
    changed(lstm(), 20, const(real(10, 8)), raises="input_to_cell_weights"),
    changed(lstm("cross"), 47, const(real(10, 8)), raises="aux_input_to_output_weights"),
    changed(lstm(), 37, state(2, 9), raises="output_state"),
    replace(rnn("cross", aux_depth=9, **TIME_MAJOR), raises="aux_input"),
    replace(rnn("int8", "cross", aux_depth=9), raises="aux_input"),
    changed(rnn(), 8, state(2, 4), raises="hidden_state"),
]
CASES = RUNS + REFUSED + MISFITS


@pytest.mark.parametrize("case", runs_and_failures(CASES))
def test_operator(case: Case) -> None:
    check_calls(case)


def test_merged_outputs_are_both_outputs_side_by_side() -> None:
    apart = rnn("int8", **TIME_MAJOR)
    together = replace(apart, attributes={**apart.attributes, **MERGED}, outputs=[FLOAT32])
    for both, (merged,) in zip(results(apart), results(together), strict=True):
        np.testing.assert_array_equal(np.concatenate(both, axis=2), merged)

"""Recurrent layers: their results and states over several calls, against the reference runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.engines import call, engine_of
from tests.ops.harness import Case, Operand, check, compare, const, one_op, one_op_model, q, variable
from tflite_cupy.interpreter.errors import KernelError
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.base import Activation, infer_outputs
from tflite_cupy.interpreter.ops.gates import sigmoid, tanh

RNG = np.random.default_rng(11)
TANH = {"fused_activation_function": Activation.TANH}
RELU = {"fused_activation_function": Activation.RELU}
ASYMMETRIC = {"asymmetric_quantize_inputs": True}
FLOAT32 = TensorType.FLOAT32
CALLS = 3
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}
FLAGS = ("cifg", "peephole", "projection", "norm")


def real(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def stored(kind: Any, *shape: int) -> np.ndarray:
    info = np.iinfo(kind)
    return RNG.integers(-info.max, info.max + 1, shape).astype(kind)


def quantized_state(kind: Any, shape: Sequence[int], scale: float, zero_point: int = 0) -> Operand:
    return replace(q(np.full(shape, zero_point, kind), scale, zero_point), variable=True)


class RealParts:
    """Float operands of an LSTM; with `hybrid`, weights are int8."""

    def __init__(self, hybrid: bool = False) -> None:
        self.hybrid = hybrid

    def weights(self, *shape: int) -> Operand:
        return q(stored(np.int8, *shape), 0.005, constant=True) if self.hybrid else const(real(*shape) / 2)

    def vector(self, size: int) -> Operand:
        return const(real(size) / 2)

    def peephole(self, size: int) -> Operand:
        return self.weights(size)

    norm = bias = vector

    def states(self, batch: int, outputs: int, cells: int) -> list[Operand]:
        return [variable(np.zeros((batch, n), np.float32)) for n in (outputs, cells)]


class IntegerParts:
    """Operands of an integer LSTM, whose input and output have these scales and zero points."""

    input, output = (0.02, 3), (0.01, -5)

    def __init__(self, norm: bool) -> None:
        self.normalized = norm

    def weights(self, *shape: int) -> Operand:
        return q(stored(np.int8, *shape), 0.006, constant=True)

    def peephole(self, size: int) -> Operand:
        return q(stored(np.int16, size), 2e-5, constant=True)

    def norm(self, size: int) -> Operand:
        return q(stored(np.int16, size), 3e-5, constant=True)

    def bias(self, size: int) -> Operand:
        scale = 3e-5 / 1024 if self.normalized else 0.02 * 0.006
        return q(RNG.integers(-4000, 4000, size).astype(np.int32), scale, constant=True)

    def states(self, batch: int, outputs: int, cells: int) -> list[Operand]:
        return [quantized_state(np.int8, (batch, outputs), *self.output),
                quantized_state(np.int16, (batch, cells), 2.0**-11)]  # fmt: skip


def operands(parts: Any, x: Any, batch: int, flags: Sequence[str], cells: int = 10) -> list[Any]:
    """The operands of a full LSTM with some of FLAGS."""
    depth, outputs = np.shape(x if isinstance(x, np.ndarray) else x.data)[-1], 6 if "projection" in flags else cells
    gates = [None if g == 0 and "cifg" in flags else g for g in range(4)]
    peepholes = [g for g in gates if g != 2]

    def each(make: Any, chosen: Sequence[Any], present: bool, *shape: int) -> list[Any]:
        return [make(*shape) if present and g is not None else None for g in chosen]

    return [
        x,
        *each(parts.weights, gates, True, cells, depth),
        *each(parts.weights, gates, True, cells, outputs),
        *each(parts.peephole, peepholes, "peephole" in flags, cells),
        *each(parts.bias, gates, True, cells),
        *([parts.weights(outputs, cells), parts.bias(outputs)] if "projection" in flags else [None, None]),
        *parts.states(batch, outputs, cells),
        *each(parts.norm, gates, "norm" in flags, cells),
    ]


def lstm(
    *flags: str, name: str = "UNIDIRECTIONAL_SEQUENCE_LSTM", shape: Sequence[int] = (2, 3, 7), **options: Any
) -> Case:
    """A float LSTM; the flag `hybrid` gives it int8 weights."""
    batch = shape[1] if options.get("time_major") else shape[0]
    given = operands(RealParts("hybrid" in flags), real(*shape), batch, flags)
    label = "-".join([*flags, *options, name[0]])
    return Case(name, given, {**TANH, **options}, [FLOAT32], label=label, **CLOSE)


def integer_lstm(*flags: str, hidden: int = 4, cells: int = 10, name: str = "UNIDIRECTIONAL_SEQUENCE_LSTM",
                 shape: Sequence[int] = (2, 3, 7), **options: Any) -> Case:  # fmt: skip
    parts = IntegerParts("norm" in flags)
    given = operands(parts, q(stored(np.int8, *shape), *parts.input), shape[0], flags, cells)
    scratch = [q(None, 4e-4, type=TensorType.INT16) for _ in range(4)]
    scratch.append(q(None, 0.008, hidden, type=TensorType.INT8))
    label = "-".join(["int8", *flags, f"{hidden}", *options, name[0]])
    return Case(name, given, {**TANH, **options}, [q(None, *parts.output)], scratch, label)


def basic(label: str = "") -> Case:
    x, zeros = real(2, 5), np.zeros((2, 4), np.float32)
    given = [x, variable(zeros), const(real(16, 9)), const(real(16)), variable(zeros)]
    return Case("LSTM", given, {**TANH, "kernel_type": 1}, [FLOAT32] * 4, label=f"basic{label}", version=2)


def rnn(name: str, x: np.ndarray, batch: int, hybrid: bool = False, **options: Any) -> Case:
    parts = RealParts(hybrid)
    given = [x, parts.weights(4, x.shape[-1]), parts.weights(4, 4), const(real(4)), variable(np.zeros((batch, 4), "f"))]
    label = "-".join(["hybrid"] * hybrid + [*options])
    return Case(name, given, {**TANH, **options}, [FLOAT32], label=label, **CLOSE)


def svdf(rank: int, bias: bool = True, hybrid: bool = False, **options: Any) -> Case:
    parts = RealParts(hybrid)
    given = [real(2, 5), parts.weights(6, 5), parts.weights(6, 3), const(real(6 // rank)) if bias else None,
             variable(np.zeros((2, 18), np.float32))]  # fmt: skip
    label = "-".join([f"rank{rank}", *["hybrid"] * hybrid, *options])
    return Case(
        "SVDF",
        given,
        {"rank": rank, **RELU, **options},
        [FLOAT32],
        label=label,
        **CLOSE,
    )


def integer_svdf(kind: Any) -> Case:
    """Results within the reach of 8-bit states, which both kinds of state hold alike."""
    features, times = (np.random.default_rng(3).integers(-127, 128, (6, n)) for n in (5, 3))
    given = [q((np.arange(10) * 7 % 23 - 11).reshape(2, 5).astype(np.int8), 0.02, 4),
             q(features.astype(np.int8), 0.01, constant=True), q(times.astype(kind), 0.008, constant=True),
             q(np.int32([900, -400, 20]), 4e-4, constant=True), quantized_state(kind, (2, 18), 0.05)]  # fmt: skip
    return Case("SVDF", given, {"rank": 2, **RELU}, [q(None, 0.05, -128)], label=np.dtype(kind).name)


SEQUENCE, STEP = real(2, 3, 5), real(2, 5)
RUNS = [
    lstm(),
    lstm("cifg", "peephole"),
    lstm("peephole", "projection", proj_clip=0.4, cell_clip=0.3),
    lstm("norm", "projection"),
    lstm("cifg", "norm", "peephole"),
    lstm(shape=(3, 2, 7), time_major=True),
    lstm("peephole", name="LSTM", shape=(2, 7)),
    lstm("norm", "cifg", name="LSTM", shape=(2, 7)),
    lstm("hybrid"),
    lstm("hybrid", "peephole", "projection"),
    lstm("hybrid", "cifg", asymmetric_quantize_inputs=True),
    lstm("hybrid", "norm", name="LSTM", shape=(2, 7)),
    integer_lstm(hidden=-5),
    integer_lstm("peephole", cell_clip=3.0),
    integer_lstm("cifg", "projection", proj_clip=0.5),
    integer_lstm("peephole", "norm"),
    integer_lstm("norm", "projection", hidden=0),
    integer_lstm("cifg", "norm", cells=16),
    integer_lstm("projection", name="LSTM", shape=(2, 7)),
    basic(),
    rnn("RNN", STEP, 2),
    rnn("RNN", STEP, 2, hybrid=True),
    rnn("UNIDIRECTIONAL_SEQUENCE_RNN", SEQUENCE, 2),
    rnn("UNIDIRECTIONAL_SEQUENCE_RNN", SEQUENCE, 3, time_major=True),
    rnn("UNIDIRECTIONAL_SEQUENCE_RNN", SEQUENCE, 2, hybrid=True, **ASYMMETRIC),
    svdf(1),
    svdf(2, bias=False),
    svdf(3, hybrid=True),
    svdf(2, hybrid=True, **ASYMMETRIC),
    integer_svdf(np.int16),
]  # fmt: skip


def changed(case: Case, position: int, operand: Any, **kwargs: Any) -> Case:
    """A case with another operand."""
    return replace(case, inputs=[*case.inputs[:position], operand, *case.inputs[position + 1 :]], **kwargs)


REFUSED = [
    changed(lstm(), 13, None, refused="one is absent"),
    changed(lstm(), 17, const(real(10)), refused="no projection"),
    changed(lstm("peephole"), 10, None, refused="all of its gates or for none"),
    changed(lstm(), 2, q(stored(np.int8, 10, 7), 0.1, constant=True), refused="different types"),
    replace(lstm(), inputs=lstm().inputs[:19], refused="with 19 operands"),
    replace(lstm(), attributes={"diagonal_recurrent_tensors": True}, refused="diagonal"),
    replace(integer_lstm(), intermediates=(), refused="5 intermediate tensors"),
    replace(integer_lstm("peephole", "projection"), refused="both peepholes and a projection"),
    changed(integer_lstm(), 19, quantized_state(np.int16, (2, 10), 3e-4), refused="power of two"),
    changed(integer_lstm(), 2, const(real(10, 7)), refused="it needs int8"),
    replace(basic(), outputs=[FLOAT32], refused="4 results"),
    changed(svdf(1), 4, quantized_state(np.int16, (2, 18), 1e-3), refused="integer state"),
    replace(integer_svdf(np.int16), attributes={"rank": 2}, refused="other than RELU"),
    changed(rnn("RNN", STEP, 2), 2, q(stored(np.int8, 4, 4), 0.1, constant=True), refused="different types"),
]
SHAPES = [
    (changed(lstm(), 13, const(real(9))), "forget bias"),
    (changed(lstm(), 19, variable(np.zeros((3, 10), np.float32))), "cell_state"),
    (changed(lstm(), 0, real(2, 7)), "expected 3 dimensions"),
    (changed(basic(), 2, const(real(16, 8))), "weights"),
    (changed(svdf(2), 3, const(real(4))), "expected 3 elements"),
    (replace(svdf(1), attributes={"rank": 4}), "6 filters of rank 4"),
    (changed(rnn("RNN", STEP, 2), 0, real(2, 4)), "rows of 5"),
]
CASES = RUNS + REFUSED


def feeds(case: Case) -> list[np.ndarray]:
    """What each call gets: variations of the case's input."""
    x = np.asarray(case.inputs[0].data if isinstance(case.inputs[0], Operand) else case.inputs[0])
    return [np.roll(x, n, axis=-1) for n in range(CALLS)]


def results(case: Case) -> list[list[np.ndarray]]:
    """Ours for each call of one engine."""
    engine = engine_of(load_model(write_model(one_op_model(case))))
    return [call(engine, x) for x in feeds(case)]


@pytest.mark.reference
@pytest.mark.parametrize("case", RUNS, ids=str)
def test_calls_follow_the_reference(case: Case) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai_edge_litert is not installed")
    kind = litert.OpResolverType.BUILTIN_REF
    reference = litert.Interpreter(model_content=write_model(one_op_model(case)), experimental_op_resolver_type=kind)
    reference.allocate_tensors()
    for x, ours in zip(feeds(case), results(case), strict=True):
        reference.set_tensor(reference.get_input_details()[0]["index"], x)
        reference.invoke()
        for got, detail in zip(ours, reference.get_output_details(), strict=True):
            compare(case, got, reference.get_tensor(detail["index"]))


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case.operator}-{case.refused}")
def test_refusals(case: Case) -> None:
    check(case)


@pytest.mark.parametrize(("case", "words"), SHAPES, ids=[words for _, words in SHAPES])
def test_shapes_that_do_not_fit(case: Case, words: str) -> None:
    op = one_op(case)
    with pytest.raises(KernelError, match=words):
        infer_outputs(op, op.ins)


def test_svdf_with_an_8_bit_state_is_like_that_with_16_bits() -> None:
    narrow, wide = (results(integer_svdf(kind)) for kind in (np.int8, np.int16))
    assert len({a.tobytes() for (a,) in narrow}) == CALLS
    for (a,), (b,) in zip(narrow, wide, strict=True):
        np.testing.assert_array_equal(a, b)


def test_states_last_until_they_are_reset_and_belong_to_one_engine() -> None:
    case = lstm()
    x = feeds(case)[0]
    model = one_op_model(case)
    first, second = engine_of(model), engine_of(model)
    (start,), (later,) = call(first, x), call(first, x)
    assert np.abs(start - later).max() > 1e-3
    np.testing.assert_array_equal(call(second, x)[0], start)
    first.state.reset_variable_tensors()
    np.testing.assert_array_equal(call(first, x)[0], start)


def test_a_sequence_is_its_steps() -> None:
    case = rnn("UNIDIRECTIONAL_SEQUENCE_RNN", SEQUENCE, 2)
    (whole,) = results(case)[0]
    engine = engine_of(one_op_model(changed(case, 0, SEQUENCE[:, :1])))
    parts = [call(engine, SEQUENCE[:, step : step + 1])[0] for step in range(3)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-6, atol=1e-6)


def test_a_state_must_be_a_variable() -> None:
    case = changed(rnn("RNN", STEP, 2), 4, np.zeros((2, 4), np.float32))
    with pytest.raises(KernelError, match="needs a variable tensor as its state"):
        call(engine_of(one_op_model(case)), STEP, np.zeros((2, 4), np.float32))


def test_gate_functions_are_close_to_the_real_ones() -> None:
    x = np.arange(-(2**15), 2**15).astype(np.int16)
    real_x = x.astype(np.float64)
    assert np.abs(sigmoid(x) / 2**15 - 1 / (1 + np.exp(-real_x / 2**12))).max() < 4e-4
    for bits in range(7):
        assert np.abs(tanh(x, bits) / 2**15 - np.tanh(real_x / 2 ** (15 - bits))).max() < 4e-4

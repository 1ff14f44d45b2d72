"""Plain float LSTMs as oneDNN's primitives, against NumPy's."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from tests.engines import call
from tests.ops.harness import Case, one_op, one_op_model
from tests.ops.recurrent.layers import CLOSE, feeds
from tests.ops.recurrent.test_lstm import NONE, lstm, step
from tests.threads import side_by_side
from tflite_cupy.delegates.cpu import CpuDelegate, kernels_in_use
from tflite_cupy.delegates.cpu.onednn import primitive
from tflite_cupy.delegates.cpu.onednn.binding import Unimplemented, library
from tflite_cupy.delegates.cpu.onednn.float_lstm import LENGTHS, MOST, FloatLstm
from tflite_cupy.delegates.cpu.onednn.recurrent import lstm as kernel_of
from tflite_cupy.interpreter.errors import MissingDependencyError
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.ops.recurrent.layer import Layer, States
from tflite_cupy.interpreter.ops.recurrent.lstm_float import PlainLayer
from tflite_cupy.interpreter.runtime.engine import Engine

try:
    kernels_in_use("onednn")
except MissingDependencyError as error:
    pytest.skip(str(error), allow_module_level=True)

CELLS, DEPTH = 10, 7
RNG = np.random.default_rng(5)


def layer_of(case: Case) -> tuple[PlainLayer, Layer]:
    """A layer, and NumPy's code for it."""
    op: Any = one_op(case)
    assert op.plain_layer is not None
    return op.plain_layer, op.constant_cell


def never() -> Layer:
    raise AssertionError("a step that a primitive can take ran as NumPy code")


def zeros(batch: int) -> States:
    return tuple(np.zeros((2, batch, CELLS), np.float32))


def rows(length: int, batch: int) -> np.ndarray:
    return RNG.standard_normal((length, batch, DEPTH)).astype(np.float32)


@pytest.mark.parametrize("options", [{}, {"cell_clip": 40.0}], ids=["unlimited", "limited"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("length", [1, 2, 7, 21])
def test_steps(length: int, batch: int, options: dict[str, float]) -> None:
    plain, expected = layer_of(lstm(**options))
    layer, steps = FloatLstm(library(), plain, never), rows(length, batch)
    states = wanted = zeros(batch)
    for _ in range(3):
        outputs, states = layer.unrolled(steps, states)
        results, wanted = expected.unrolled(steps, wanted)
        np.testing.assert_allclose(outputs, results, **CLOSE)
        np.testing.assert_allclose(states, wanted, **CLOSE)
    assert {count for count, _ in layer._idle} <= set(LENGTHS)


@pytest.mark.parametrize(
    "case",
    [
        lstm(),
        lstm(shape=(3, 2, DEPTH), time_major=True),
        lstm(shape=(2, 30, DEPTH), cell_clip=2.5),
        step(),
        step("int8"),
    ],
    ids=str,
)
def test_layers(case: Case) -> None:
    def results(kernels: str) -> list[list[np.ndarray]]:
        engine = Engine(load_model(write_model(one_op_model(case))), [CpuDelegate(1, kernels)])
        return [call(engine, *inputs) for inputs in feeds(case)]

    for ours, expected in zip(results("onednn"), results("numpy"), strict=True):
        np.testing.assert_allclose(ours, expected, **CLOSE)


@pytest.mark.parametrize(
    "case",
    [lstm("cifg"), lstm("peephole"), lstm("projection"), lstm("norm"), lstm("diagonal"), lstm("mixed"), lstm("int8"),
     lstm(**NONE)],
    ids=str,
)  # fmt: skip
def test_layers_that_are_not_plain(case: Case) -> None:
    op: Any = one_op(case)
    assert op.plain_layer is None
    assert kernel_of(library(), op) is None


def growing(limit: float) -> tuple[PlainLayer, Layer]:
    """A layer whose cell state grows by nearly 1 a step."""
    plain, _ = layer_of(lstm(cell_clip=limit))
    plain = plain._replace(bias=[np.full(CELLS, 30, np.float32)] * 4)
    return plain, Straight(plain)


class Straight:
    """A plain layer as its definition says."""

    def __init__(self, layer: PlainLayer) -> None:
        self.widths, self._layer = (CELLS, CELLS), layer
        self.steps = 0

    def unrolled(self, steps: np.ndarray, states: States, aux: Any = None) -> tuple[np.ndarray, States]:
        outputs, (h, c) = [], states
        limit = self._layer.cell_clip or np.inf
        for x in steps:
            self.steps += 1
            parts = zip(self._layer.input, self._layer.recurrent, self._layer.bias, strict=True)
            i, f, m, o = (x @ w.T + h @ r.T + b for w, r, b in parts)
            shares = [1 / (1 + np.exp(-gate)) for gate in (i, f, o)]
            c = np.clip(shares[1] * c + shares[0] * np.tanh(m), -limit, limit).astype(np.float32)
            h = (shares[2] * np.tanh(c)).astype(np.float32)
            outputs.append(h)
        return np.array(outputs), (h, c)


@pytest.mark.parametrize(("limit", "alone"), [(0.0, 0), (0.5, 12), (3.0, 9), (7.5, 5), (20.0, 0)])
def test_steps_that_may_pass_the_limit_are_left_to_numpy(limit: float, alone: int) -> None:
    plain, other = growing(limit)
    steps = rows(12, 2)
    outputs, (h, c) = FloatLstm(library(), plain, lambda: other).unrolled(steps, zeros(2))
    assert isinstance(other, Straight)
    assert other.steps == alone
    results, states = Straight(plain).unrolled(steps, zeros(2))
    np.testing.assert_allclose(outputs, results, **CLOSE)
    np.testing.assert_allclose((h, c), states, **CLOSE)
    assert c.max() <= (limit or 12)


def test_what_is_no_number_stays_none() -> None:
    plain, expected = layer_of(lstm(cell_clip=10.0))
    layer, steps = FloatLstm(library(), plain, lambda: expected), rows(20, 2)
    steps[3, 0, 0] = np.nan
    outputs, states = layer.unrolled(steps, zeros(2))
    np.testing.assert_array_equal(np.isnan(outputs[:, 0]).all(1), np.arange(20) >= 3)
    assert not np.isnan(outputs[:, 1]).any()
    assert np.isnan(states[0][0]).all()


def test_bits_do_not_depend_on_how_steps_and_rows_are_grouped() -> None:
    plain, _ = layer_of(lstm())
    layer, steps = FloatLstm(library(), plain, never), rows(15, 5)
    outputs, states = layer.unrolled(steps, zeros(5))
    one_by_one, after = [], zeros(5)
    for each in steps:
        result, after = layer.unrolled(each[None], after)
        one_by_one.append(result[0])
    np.testing.assert_array_equal(one_by_one, outputs)
    np.testing.assert_array_equal(after, states)
    np.testing.assert_array_equal(layer.unrolled(steps[:, 2:4], zeros(2))[0], outputs[:, 2:4])


def test_results_and_operands_stay_what_they_are() -> None:
    plain, _ = layer_of(lstm())
    layer, steps, start = FloatLstm(library(), plain, never), rows(9, 2), zeros(2)
    outputs, (h, c) = layer.unrolled(steps, start)
    kept = outputs.copy(), h.copy(), c.copy()
    gc.collect()
    layer.unrolled(rows(9, 2), (h, c))
    for array, before in zip((outputs, h, c), kept, strict=True):
        np.testing.assert_array_equal(array, before)
    assert not np.any(start)
    np.testing.assert_array_equal(layer.unrolled(steps, start)[0], outputs)


def test_sequences_of_nothing() -> None:
    plain, expected = layer_of(lstm())
    layer = FloatLstm(library(), plain, lambda: expected)
    for length, batch in ((0, 2), (3, 0)):
        outputs, states = layer.unrolled(rows(length, batch), zeros(batch))
        assert outputs.shape == (length, batch, CELLS)
        assert [state.shape for state in states] == [(batch, CELLS)] * 2


def test_without_such_primitives(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, expected = layer_of(lstm())
    asked: list[Any] = []

    def unimplemented(*arguments: Any) -> Any:
        asked.append(arguments)
        raise Unimplemented("LSTM")

    monkeypatch.setattr(primitive, "lstm", unimplemented)
    layer, steps = FloatLstm(library(), plain, lambda: expected), rows(4, 2)
    for _ in range(2):
        np.testing.assert_array_equal(layer.unrolled(steps, zeros(2))[0], expected.unrolled(steps, zeros(2))[0])
    assert len(asked) == 1


def test_ever_new_numbers_of_rows_take_no_more_memory() -> None:
    plain, _ = layer_of(lstm())
    layer = FloatLstm(library(), plain, never)
    for batch in range(1, MOST + 5):
        layer.unrolled(rows(1, batch), zeros(batch))
        assert len(layer._idle) <= MOST
    assert len(layer._packed) == 1


def test_equal_layers_share_packed_weights() -> None:
    layers = [FloatLstm(library(), layer_of(lstm())[0], never) for _ in range(2)]
    for layer in layers:
        layer.unrolled(rows(1, 1), zeros(1))
    first, second = ([id(array) for array in packed] for layer in layers for _, packed in layer._packed)
    assert first == second


def test_threads_share_a_layer() -> None:
    plain, _ = layer_of(lstm())
    layer, given = FloatLstm(library(), plain, never), [rows(11, 1 + number % 2) for number in range(4)]
    expected = [layer.unrolled(steps, zeros(steps.shape[1]))[0] for steps in given]

    def work(number: int) -> None:
        library().use_threads(1)
        steps = given[number]
        for _ in range(50):
            np.testing.assert_array_equal(layer.unrolled(steps, zeros(steps.shape[1]))[0], expected[number])

    side_by_side(4, work)
    assert all(len(idle) <= 4 for idle in layer._idle.values())

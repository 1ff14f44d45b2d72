"""Integer LSTMs on oneDNN's products of bytes: the integers of NumPy's, bit for bit."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from tests.engines import call
from tests.ops.harness import Case, one_op_model
from tests.ops.recurrent.layers import feeds
from tests.ops.recurrent.test_lstm_integer import RUNS, layer
from tests.threads import side_by_side
from tflite_cupy.delegates.cpu import CpuDelegate, kernels_in_use
from tflite_cupy.delegates.cpu.onednn import recurrent
from tflite_cupy.delegates.cpu.onednn.binding import Unimplemented, library
from tflite_cupy.interpreter.errors import MissingDependencyError
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.ops.recurrent.lstm_integer import FloatSums
from tflite_cupy.interpreter.runtime.engine import Engine

try:
    kernels_in_use("onednn")
except MissingDependencyError as error:
    pytest.skip(str(error), allow_module_level=True)


def results(case: Case, kernels: str) -> list[list[Any]]:
    """Of several calls."""
    engine = Engine(load_model(write_model(one_op_model(case))), [CpuDelegate(1, kernels)])
    return [call(engine, *inputs) for inputs in feeds(case)]


@pytest.mark.parametrize("case", RUNS, ids=[case.label for case in RUNS])
def test_layers(case: Case) -> None:
    gc.collect()
    before = len(sums())
    for ours, expected in zip(results(case, "onednn"), results(case, "numpy"), strict=True):
        for a, b in zip(ours, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    gc.collect()
    assert len(sums()) == before  # and they are gone with their engine


def sums() -> list[Any]:
    return [each for each in gc.get_objects() if isinstance(each, recurrent._Sums)]


def weights(*sizes: int) -> list[np.ndarray]:
    """Matrices of these numbers of rows, all of the greatest numbers."""
    return [np.full((size, 600), -128, np.int8) for size in sizes]


@pytest.mark.parametrize("count", [0, 1, 3, 16])
def test_sums_are_exact(count: int) -> None:
    given, rows = weights(40, 8), np.full((count, 600), -128, np.int8)
    rows[1:2] = 127
    found = recurrent._Sums(library(), given)(rows)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, rows.astype(np.int32) @ np.concatenate(given).T.astype(np.int32))
    np.testing.assert_array_equal(found, FloatSums(given)(rows))


def test_weights_are_packed_as_bytes() -> None:
    product = recurrent._Sums(library(), weights(512))
    first, rows = product(np.ones((2, 600), np.int8)), np.zeros((2, 600), np.int8)
    assert not product(rows).any()
    assert (first == -128 * 600).all()  # results are not lent
    (ready,) = product._idle[2]
    _, packed, _ = ready._kept
    assert 512 * 600 <= packed.nbytes < 1.2 * 512 * 600


def test_ever_new_numbers_of_rows_take_no_more_memory() -> None:
    product = recurrent._Sums(library(), weights(32))
    for count in [*range(1, 3 * recurrent.MOST), 1]:
        assert (product(np.ones((count, 600), np.int8)) == -128 * 600).all()
        assert len(product._idle) <= recurrent.MOST
        assert len(product._idle[count]) == 1


def test_without_products_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = results(layer(), "numpy")
    monkeypatch.setattr(recurrent, "_Rows", unimplemented)
    np.testing.assert_array_equal(results(layer(), "onednn"), expected)
    monkeypatch.setattr(library(), "multiplies_bytes", False)
    np.testing.assert_array_equal(results(layer(), "onednn"), expected)


def unimplemented(*arguments: Any) -> Any:
    raise Unimplemented("products of bytes")


def test_threads_share_a_product() -> None:
    given = weights(24)
    product, expected = recurrent._Sums(library(), given), np.concatenate(given).astype(np.int32)

    def work(number: int) -> None:
        rows = np.full((1 + number % 2, 600), number, np.int8)
        for _ in range(50):
            np.testing.assert_array_equal(product(rows), rows.astype(np.int32) @ expected.T)

    side_by_side(4, work)
    assert sum(map(len, product._idle.values())) <= 4

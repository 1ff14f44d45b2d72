"""Nodes that run as array code between kernels: CuPy's functions, its own kernels; run by `test_driver.py`."""

from __future__ import annotations

from collections.abc import Iterator

import cupy
import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model
from tests.driver import stand_in
from tests.driver.check_calls import ORDERS, noise, on, same
from tests.models import counter
from tests.runtime.test_control_on_device import step_loop


@pytest.fixture(autouse=True, params=ORDERS, ids=["at once", "late 1", "late 2"])
def _order(request: pytest.FixtureRequest) -> Iterator[None]:
    stand_in.order(request.param)
    yield
    stand_in.order(None)


def segments() -> bytes:
    """main(x float32 [6, 5]) -> y: minus sums of rows of relu(x), which have no kernel."""
    b = GraphBuilder()
    x = b.input(F32, [6, 5], "x")
    ids = b.constant(np.int32([0, 0, 1, 1, 1, 2]))
    y = b.add("NEG", [b.add("SEGMENT_SUM", [b.add("RELU", [x]), ids], [3, 5])], [3, 5])
    return lite.write_model(model(b.graph([y]), signatures={"main": (0, {"x": x}, {"y": y})}))


def test_array_code_between_kernels() -> None:
    interpreter = on("gpu", segments(), require="gpu")
    run, host = interpreter.get_signature_runner(), on("cpu", segments()).get_signature_runner()
    for turn in range(4):
        x = noise(6, 5, seed=turn)
        same(run(x=x), host(x=x))
    y = run(x=cupy.asarray(x).T.copy().T)["y"]
    assert isinstance(y, cupy.ndarray)
    np.testing.assert_allclose(y.get(), host(x=x)["y"], rtol=1e-5)
    assert "SEGMENT_SUM" in str(interpreter.delegation_report())


def test_loops() -> None:
    content = lite.write_model(step_loop())
    run, host = on("gpu", content).get_signature_runner("s"), on("cpu", content).get_signature_runner("s")
    x, w = np.float32([1, 2]), np.float32([2, 3])
    for n in (3, 0, 5, 5, 1):
        same(run(n=np.int32(n), x=x, w=w), host(n=np.int32(n), x=x, w=w))


def test_variables_stay_from_call_to_call() -> None:
    content = lite.write_model(counter())
    results = []
    for device in ("gpu", "cpu"):
        interpreter = on(device, content)
        interpreter.allocate_tensors()
        for turn in range(4):
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.float32([turn, 1]))
            interpreter.invoke()
        results.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    np.testing.assert_array_equal(*results)
    assert results[0].tolist() == [16, 24]


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64, np.uint32])
def test_quotients_wrap_around(kind: type[np.integer]) -> None:
    """The least number over -1 is a fault of the host's division, not of a device's."""
    least, most = np.iinfo(kind).min, np.iinfo(kind).max
    a, b = np.array([least, 7, most], kind), np.array([-1 if least else most, 2, 3]).astype(kind)
    with np.errstate(over="ignore"):
        want = a // b
    np.testing.assert_array_equal((cupy.asarray(a) // cupy.asarray(b)).get(), want)


@pytest.mark.parametrize("length", [1, 79, 300, 1500])
def test_scans_whose_threads_end_before_others(length: int) -> None:
    x = np.arange(3 * length, dtype=np.float32).reshape(3, length) % 7
    for axis in (0, 1, None):
        np.testing.assert_array_equal(cupy.cumsum(cupy.asarray(x), axis=axis).get(), np.cumsum(x, axis=axis))


def test_what_other_libraries_would_compute() -> None:
    x = noise(4, 6)
    np.testing.assert_allclose(cupy.matmul(cupy.asarray(x), cupy.asarray(x.T)).get(), x @ x.T, rtol=1e-5)
    np.testing.assert_array_equal(cupy.argsort(cupy.asarray(x), axis=0, kind="stable").get(), np.argsort(x, axis=0))
    assert cupy.fft.rfft(cupy.asarray(x), 8).dtype == np.complex64
    values, first = cupy.unique(cupy.asarray(np.float32([2, 1, 2])), return_index=True)
    assert (values.get().tolist(), first.get().tolist()) == ([1, 2], [1, 0])

"""The CuPy delegate: what it says without a GPU, and what it does on one."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tests.build import F32, GraphBuilder
from tests.delegates.partitions import run, whole
from tflite_cupy.delegates.cpu import CpuDelegate
from tflite_cupy.delegates.gpu import CupyGpuDelegate, available, cupy_device
from tflite_cupy.delegates.gpu.space import DeviceSpace
from tflite_cupy.interpreter.errors import MissingDependencyError
from tflite_cupy.interpreter.graph import Graph
from tflite_cupy.interpreter.runtime.lane import Lane
from tflite_cupy.interpreter.runtime.state import State


def graph() -> Graph:
    """x float32 [n, 4] -> softmax(x @ w + b), and the product before it."""
    rng = np.random.default_rng(0)
    b = GraphBuilder()
    x = b.input(F32, [None, 4])
    w, bias = b.constant(rng.normal(size=(3, 4)), np.float32), b.constant(rng.normal(size=3), np.float32)
    product = b.add("FULLY_CONNECTED", [x, w, bias], [None, 3])
    return b.graph([b.add("SOFTMAX", [product], beta=1.0), product])


def test_available_gives_a_reason_and_does_not_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    usable, reason = available()
    assert usable is not bool(reason)
    cupy_device.import_cupy.cache_clear()
    monkeypatch.setitem(sys.modules, "cupy", None)
    usable, reason = available()
    cupy_device.import_cupy.cache_clear()
    assert not usable
    assert reason.startswith("CuPy can't be imported: import of cupy halted")


def test_without_a_device_the_delegate_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cupy_device, "available", lambda number: (False, f"there is no CUDA device {number}: 1 found."))
    with pytest.raises(MissingDependencyError, match=r"no GPU: there is no CUDA device 7: 1 found\. Install"):
        CupyGpuDelegate(7)


@pytest.mark.gpu
def test_a_device_number_that_is_not_there() -> None:
    usable, reason = available(1000)
    assert not usable
    assert "no CUDA device 1000" in reason


@pytest.mark.gpu
def test_results_are_those_of_the_cpu() -> None:
    delegate, model = CupyGpuDelegate(), graph()
    x = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    with delegate.space.lane():
        results = delegate.space.get(run(delegate, model, delegate.space.put(x)))
    for got, want in zip(results, run(CpuDelegate(), model, x), strict=True):
        assert got.flags.owndata
        np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.gpu
def test_calls_may_overlap() -> None:
    delegate, model = CupyGpuDelegate(), graph()
    program, host = delegate.compile(whole(model)), CpuDelegate().compile(whole(model))

    def call(seed: int) -> None:
        x = np.random.default_rng(seed).normal(size=(seed % 9 + 1, 4)).astype(np.float32)
        with delegate.space.lane():
            results = delegate.space.get(program(Lane(State()), [delegate.space.put(x)]))
        for got, want in zip(results, host(Lane(State()), [x]), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(200)))


@pytest.mark.gpu
@pytest.mark.parametrize("shape", [(3, 5), (0, 2), (), (2048, 1024)])
def test_there_and_back(shape: tuple[int, ...]) -> None:
    space = DeviceSpace(cupy_device.CupyDevice())
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    device_array = space.put(x)
    for array, want in ((device_array, x), (device_array.T, x.T)):
        (back,) = space.get([array])
        assert back.flags.writeable
        np.testing.assert_array_equal(back, want)


class Foreign:
    """An array of another library, by one protocol alone."""

    def __init__(self, array: Any, protocols: tuple[str, ...]) -> None:
        self.__dict__.update({name: getattr(array, name) for name in protocols})


@pytest.mark.gpu
@pytest.mark.parametrize("protocols", [("__cuda_array_interface__",), ("__dlpack__", "__dlpack_device__")])
def test_arrays_on_the_device_are_taken_uncopied(protocols: tuple[str, ...]) -> None:
    space = DeviceSpace(cupy_device.CupyDevice())
    array = space.put(np.arange(4, dtype=np.float32))
    foreign = Foreign(array, protocols)
    assert space.owns(array)
    assert space.owns(foreign)
    assert not space.owns(np.zeros(3))
    assert not space.owns([1.0])
    assert space.adopt(array) is array
    assert space.adopt(foreign).data.ptr == array.data.ptr

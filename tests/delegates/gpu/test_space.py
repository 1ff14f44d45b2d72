"""Calls on a device: what they wait for, what they hold, and what happens when memory runs out."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model
from tests.emulator.device import EmulatedGpuDelegate, HostDevice
from tests.threads import side_by_side

WEIGHTS = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32)


def content() -> bytes:
    """y = relu(x) @ WEIGHTS^T for x float32 [n, 16]."""
    b = GraphBuilder()
    x = b.input(F32, [None, 16], "x")
    operands = [b.add("RELU", [x]), b.constant(WEIGHTS), b.constant(np.zeros(8), np.float32)]
    y = b.add("FULLY_CONNECTED", operands, [None, 8])
    return lite.write_model(model(b.graph([y]), signatures={"main": (0, {"x": x}, {"y": y})}))


def expected(x: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.maximum(x, 0) @ WEIGHTS.T
    return result


def values(seed: int, rows: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 16)).astype(np.float32)


def runner_on(device: HostDevice) -> tuple[Any, EmulatedGpuDelegate]:
    delegate = EmulatedGpuDelegate(device)
    interpreter = lite.Interpreter(model_content=content(), device="cpu", delegates=[delegate])
    return interpreter.get_signature_runner("main"), delegate


@pytest.mark.parametrize("seed", range(8))
def test_a_call_comes_after_what_its_caller_has_queued(seed: int) -> None:
    device = HostDevice(seed=seed)
    runner, delegate = runner_on(device)
    space = delegate.space
    x, made = space.put(np.zeros((3, 16), np.float32)), space.put(values(1))
    with device.using(device.stream()):
        device.copy(x, made)
        for _ in range(3):
            y = runner(x=x)["y"]
            np.testing.assert_allclose(space.get([y])[0], expected(values(1)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_results_on_the_device_feed_the_next_call(seed: int) -> None:
    device = HostDevice(seed=seed)
    runner, delegate = runner_on(device)
    kept = [(s, runner.call({"x": values(s)}, outputs="device")["y"]) for s in range(6)]
    before = device.copies_out
    for s, y in kept:
        np.testing.assert_allclose(delegate.space.get([y])[0], expected(values(s)), rtol=1e-5, atol=1e-6)
    assert device.copies_out == before + len(kept)


@pytest.mark.parametrize(("outputs", "kind"), [("host", np.ndarray), ("like_inputs", np.ndarray), ("device", None)])
def test_where_outputs_go(outputs: str, kind: type | None) -> None:
    runner, delegate = runner_on(HostDevice())
    y = runner.call({"x": values(0)}, outputs=outputs)["y"]
    assert isinstance(y, np.ndarray) == (kind is np.ndarray)
    assert delegate.space.owns(y) == (kind is None)


def test_outputs_on_a_device_need_one() -> None:
    runner = lite.Interpreter(model_content=content(), device="cpu").get_signature_runner("main")
    with pytest.raises(lite.InputError, match='outputs="device" needs a GPU delegate'):
        runner.call({"x": values(0)}, outputs="device")
    with pytest.raises(lite.InputError, match="outputs='elsewhere' is unknown"):
        runner.call({"x": values(0)}, outputs="elsewhere")


def test_a_call_that_needs_too_much_memory_fails_and_the_next_one_works() -> None:
    device = HostDevice(limit=16 << 20)
    runner, _ = runner_on(device)
    for turn in range(3):
        with pytest.raises(lite.LimitError, match=r"the GPU has no .* bytes left"):
            runner(x=values(turn, rows=1 << 18))
        np.testing.assert_allclose(runner(x=values(turn))["y"], expected(values(turn)), rtol=1e-5, atol=1e-6)


def test_idle_lanes_give_their_memory_back_where_it_is_needed() -> None:
    device = HostDevice(limit=16 << 20)
    runner, _ = runner_on(device)
    for rows in (60_000, 70_000, 80_000, 60_000):
        x = values(0, rows)
        np.testing.assert_allclose(runner(x=x)["y"], expected(x), rtol=1e-4, atol=1e-5)


def test_calls_of_equal_shapes_hold_no_more_memory() -> None:
    device = HostDevice()
    runner, delegate = runner_on(device)
    for turn in range(3):
        runner(x=values(turn))
    used = device.used
    for turn in range(50):
        runner(x=values(turn))
    assert device.used == used
    delegate.programs.clear()
    del runner
    gc.collect()
    assert device.used < used


def test_threads_get_their_own_results() -> None:
    runner, delegate = runner_on(HostDevice())

    def work(number: int) -> None:
        for turn in range(20):
            x = values(100 * number + turn, rows=number + 1)
            np.testing.assert_allclose(runner(x=x)["y"], expected(x), rtol=1e-5, atol=1e-6)

    side_by_side(8, work)
    assert delegate.array_steps == []

"""Calls on a device: what they wait for, what they hold, and what happens when memory runs out."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, I32, GraphBuilder, model
from tests.delegates.gpu.checks import noise
from tests.emulator.compiler import HostKernel
from tests.emulator.device import EmulatedGpuDelegate, HostDevice
from tests.threads import side_by_side
from tflite_cupy.delegates.gpu.space import DeviceSpace
from tflite_cupy.interpreter.graph import TensorType

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


def test_strings_stay_on_the_host() -> None:
    b = GraphBuilder()
    x, text = b.input(F32, [None, 16], "x"), b.input(TensorType.STRING, [None], "text")
    operands = [b.add("RELU", [x]), b.constant(WEIGHTS), b.constant(np.zeros(8), np.float32)]
    y = b.add("FULLY_CONNECTED", operands, [None, 8])
    row = b.add("RESHAPE", [text, b.constant(np.int32([1, -1]))], [1, None])
    outputs = {"row": row, "y": y}
    written = lite.write_model(model(b.graph([y, row]), signatures={"main": (0, {"x": x, "text": text}, outputs)}))
    delegate = EmulatedGpuDelegate(HostDevice())
    runner = lite.Interpreter(model_content=written, device="cpu", delegates=[delegate]).get_signature_runner("main")
    results = runner.call({"x": values(0), "text": ["a", "b"]}, outputs="device")
    assert results["row"].tolist() == [[b"a", b"b"]]
    np.testing.assert_allclose(delegate.space.get([results["y"]])[0], expected(values(0)), rtol=1e-5, atol=1e-6)


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


class Broken(RuntimeError):
    """What the device below raises."""


class FaultyDevice(HostDevice):
    """Breaks off captures and refuses launches, on demand."""

    errors = (Broken,)
    breaks_captures = refuses = False

    def __init__(self) -> None:
        super().__init__()
        self._end = self.end_capture
        self.end_capture = self._broken_off

    def _broken_off(self) -> Any:
        graph = self._end()
        if self.breaks_captures:
            raise Broken("the capture was invalidated")
        return graph

    def launch(self, function: Any, *arguments: Any) -> None:
        if self.refuses and isinstance(function, HostKernel):
            raise Broken("out of resources")
        super().launch(function, *arguments)


def test_a_capture_that_is_broken_off_is_made_up_for() -> None:
    device = FaultyDevice()
    runner, _ = runner_on(device)
    for turn, breaks, replays in ((0, False, 0), (1, True, 0), (2, True, 0), (3, False, 1), (4, False, 2)):
        device.breaks_captures = breaks
        np.testing.assert_allclose(runner(x=values(turn))["y"], expected(values(turn)), rtol=1e-5, atol=1e-6)
        assert device.replays == replays


@pytest.mark.parametrize("calls_before", [0, 1])
def test_a_launch_that_is_refused_names_its_nodes_and_the_next_call_works(calls_before: int) -> None:
    device = FaultyDevice()
    runner, _ = runner_on(device)
    for turn in range(calls_before):
        runner(x=values(turn))
    device.refuses = True
    with pytest.raises(lite.KernelError, match=r"refused to run RELU.*: out of resources \[at subgraphs\[0\]"):
        runner(x=values(0))
    device.refuses = False
    for turn in range(3):
        np.testing.assert_allclose(runner(x=values(turn))["y"], expected(values(turn)), rtol=1e-5, atol=1e-6)


def test_counts_are_zero_again_after_a_launch_that_was_refused() -> None:
    """Blocks that share tiles may have come in part."""
    device = FaultyDevice()
    delegate = EmulatedGpuDelegate(device, precision="tf32")
    b = GraphBuilder()
    x, weights = b.input(F32, [16, 1024], "x"), noise(32, 1024, seed=1)
    y = b.add("FULLY_CONNECTED", [x, b.constant(weights), -1], [16, 32])
    content = lite.write_model(model(b.graph([y]), signatures={"main": (0, {"x": x}, {"y": y})}))
    runner = lite.Interpreter(model_content=content, device="cpu", delegates=[delegate]).get_signature_runner("main")
    rows = noise(16, 1024)
    want = runner(x=rows)["y"]
    (lane,) = delegate.space._idle
    (bound,) = lane.bound.values()
    ((_, counts),) = bound._counts
    delegate.space.device.copy_in(counts, np.ones(counts.shape, np.uint8))
    device.refuses = True
    with pytest.raises(lite.KernelError, match="refused to run"):
        runner(x=rows)
    device.refuses = False
    np.testing.assert_array_equal(runner(x=rows)["y"], want)


def test_a_fault_stays_with_the_call_that_has_it() -> None:
    """A call that dies of something else, after a kernel has found a bad index, leaves nothing to the next one."""
    b = GraphBuilder()
    rows, place = b.input(F32, [4, 8], "rows"), b.input(I32, [2], "place")
    y = b.add("GATHER", [rows, place], [2, 8], axis=0, batch_dims=0)
    signature = {"main": (0, {"rows": rows, "place": place}, {"y": y})}
    content = lite.write_model(model(b.graph([y]), signatures=signature))
    delegate = EmulatedGpuDelegate()
    interpreter = lite.Interpreter(model_content=content, device="cpu", delegates=[delegate])
    runner = interpreter.get_signature_runner("main")
    table = np.arange(32, dtype=np.float32).reshape(4, 8)
    good, bad = np.int32([1, 3]), np.int32([1, 9])
    runner(rows=table, place=good)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    interpreter._engine.observer = interrupt
    with pytest.raises(KeyboardInterrupt):
        runner(rows=table, place=bad)
    interpreter._engine.observer = None
    np.testing.assert_array_equal(runner(rows=table, place=good)["y"], table[[1, 3]])


def test_the_callers_stream_goes_on_after_a_call_that_failed() -> None:
    device = FaultyDevice()
    delegate = EmulatedGpuDelegate(device)
    target, source = (delegate.space.put(values(seed)) for seed in (1, 2))

    def call() -> None:
        with delegate.space.lane():
            device.copy(target, source)  # as if into a donated input
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call()
    device.synchronize()
    np.testing.assert_array_equal(delegate.space.get([target])[0], values(2))


@pytest.mark.parametrize("goes", ["program", "lane"])
def test_what_queued_work_reads_goes_after_it(goes: str) -> None:
    device = HostDevice()
    delegate = EmulatedGpuDelegate(device)
    interpreter = lite.Interpreter(model_content=content(), device="cpu", delegates=[delegate])
    runner = interpreter.get_signature_runner("main")
    outer = delegate.space.put(values(1))
    y = runner(x=outer)["y"]
    (lane,) = delegate.space._idle
    end, (bound,) = lane.ending.event, list(lane.bound.values())
    assert bound.ending.event is end
    assert not end.is_reached
    if goes == "program":
        del runner, interpreter, bound
        delegate.programs.clear()
        gc.collect()
        assert not list(lane.bound.values())
    else:
        bound.ending.event = None
        del lane
        delegate.space._drop_idle()
        gc.collect()
    assert end.is_reached
    np.testing.assert_allclose(delegate.space.get([y])[0], expected(values(1)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["RELU", "REAL"])
def test_outputs_are_in_the_callers_memory(name: str) -> None:
    """Also those of array steps, which are arrays of their own: in memory of the lane, which it uses anew."""
    b = GraphBuilder()
    x = b.input(F32 if name == "RELU" else TensorType.COMPLEX64, [3, 16], "x")
    (y,) = b.op(name, [x], [b.tensor(F32, [3, 16])])
    content = lite.write_model(model(b.graph([y]), signatures={"main": (0, {"x": x}, {"y": y})}))
    delegate = EmulatedGpuDelegate()
    space, given = delegate.space, []

    def give(array: Any) -> Any:
        given.append(array)
        return DeviceSpace.give(space, array)

    space.give = give  # type: ignore[method-assign]
    runner = lite.Interpreter(model_content=content, device="cpu", delegates=[delegate]).get_signature_runner("main")
    fed = values(0) if name == "RELU" else values(0).astype(np.complex64)
    (got,) = space.get([runner(x=space.put(fed))["y"]])
    np.testing.assert_array_equal(got, np.maximum(fed, 0) if name == "RELU" else fed.real)
    assert len(given) == 1
    assert bool(delegate.array_steps) == (name == "REAL")


def test_views_that_array_steps_give_outlive_what_they_view() -> None:
    """RESHAPE to a shape known in the call only gives a view of what a product has left in the arena."""
    b = GraphBuilder()
    x, shape = b.input(F32, [3, 16], "x"), b.input(I32, [2], "shape")
    bias = b.constant(np.zeros(8), np.float32)
    first = b.add("FULLY_CONNECTED", [x, b.constant(WEIGHTS), bias], [3, 8])
    (view,) = b.op("RESHAPE", [first, shape], [b.tensor(F32, [None, None])])
    second = b.add("FULLY_CONNECTED", [x, b.constant(-WEIGHTS), bias], [3, 8])
    third = b.add("SOFTMAX", [second], [3, 8], beta=1.0)
    fourth = b.add("SOFTMAX", [third], [3, 8], beta=1.0)
    (late,) = b.op("NEG", [view], [b.tensor(F32, [None, None])])
    signature = {"main": (0, {"x": x, "shape": shape}, {"late": late, "fourth": fourth})}
    content = lite.write_model(model(b.graph([late, fourth]), signatures=signature))
    delegate = EmulatedGpuDelegate()
    runner = lite.Interpreter(model_content=content, device="cpu", delegates=[delegate]).get_signature_runner("main")
    for turn in range(3):
        late_values = runner(x=values(turn), shape=np.int32([4, 6]))["late"]
        np.testing.assert_allclose(late_values, -(values(turn) @ WEIGHTS.T).reshape(4, 6), rtol=1e-5, atol=1e-6)
    assert any(step.startswith("RESHAPE") for step in delegate.array_steps)

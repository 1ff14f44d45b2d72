"""Profiles of a GPU: launches one by one between events, times of the device, names of nodes and kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model
from tests.delegates.gpu.checks import noise
from tests.emulator.device import EmulatedGpuDelegate, HostDevice
from tests.runtime.test_control_on_device import step_loop
from tests.test_profile import nested
from tflite_cupy.delegates.gpu.groups import LOWERINGS
from tflite_cupy.delegates.gpu.stopwatch import Stopwatch
from tflite_cupy.interpreter.graph import Model
from tflite_cupy.interpreter.ops.scan import Cumsum
from tflite_cupy.interpreter.profile import Profile

X = noise(64, 128)


def network() -> Model:
    """main(x) -> y: a view, a product and its activation, running sums, and a softmax."""
    b = GraphBuilder()
    x = b.input(F32, [64, 128], "x")
    y = b.add("RESHAPE", [x, b.constant(np.int32([128, 64]))], [128, 64])
    y = b.add("RELU", [b.add("FULLY_CONNECTED", [y, b.constant(noise(256, 64, seed=1)), -1], [128, 256])])
    y = b.add("CUMSUM", [y, b.constant(np.int32(1))], exclusive=False, reverse=False)
    y = b.add("SOFTMAX", [y], beta=1.0)
    return model(b.graph([y]), signatures={"main": (0, {"x": x}, {"y": y})})


@pytest.fixture
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUMSUM runs as array code."""
    monkeypatch.delitem(LOWERINGS, Cumsum, raising=False)


def opened(content: Model) -> tuple[lite.Interpreter, EmulatedGpuDelegate]:
    delegate = EmulatedGpuDelegate()
    return lite.Interpreter(model_content=lite.write_model(content), device="cpu", delegates=[delegate]), delegate


def profiled(run: Any, interpreter: lite.Interpreter, **inputs: Any) -> tuple[Profile, dict[str, np.ndarray]]:
    for _ in range(5):
        with interpreter.profile() as profile:
            outputs = run(**inputs)
        if profile.covered >= 0.9:
            break
    return profile, outputs


@pytest.mark.usefixtures("no_kernel")
def test_launches_have_the_time_of_the_device_and_name_their_nodes() -> None:
    interpreter, delegate = opened(network())
    run = interpreter.get_signature_runner("main")
    expected = run(x=X)
    run(x=X)
    replays = delegate.device.replays
    profile, outputs = profiled(run, interpreter, x=X)
    assert delegate.device.replays == replays
    for name, array in expected.items():
        np.testing.assert_array_equal(outputs[name], array)
    run(x=X)
    assert delegate.device.replays > replays  # graphs again
    found = {(n.node, n.operator): n for n in profile.nodes}
    head = found[1, "FULLY_CONNECTED"]
    assert (head.fused, head.calls, head.delegate) == ((2,), 1, "gpu")
    assert head.kernels
    assert found[3, "CUMSUM"].kernels == ("array code",)
    view = found[0, "RESHAPE"]
    assert (view.kernels, view.seconds, view.calls) == (("view",), 0, 1)
    assert {index for n in profile.nodes for index in (n.node, *n.fused)} == set(range(5))
    assert profile.covered >= 0.9
    assert {copy.what for copy in profile.copies} == {"host to emulated", "outputs"}


@pytest.mark.usefixtures("no_kernel")
def test_traces_nest() -> None:
    interpreter, _ = opened(network())
    profile, _ = profiled(interpreter.get_signature_runner("main"), interpreter, x=X)
    trace = profile.chrome_trace()
    nested(trace)
    kernels = [event["args"]["kernel"] for event in trace["traceEvents"] if "kernel" in event.get("args", {})]
    assert {"array code", "view", "softmax"} <= set(kernels)


def test_bodies_of_loops() -> None:
    interpreter, _ = opened(step_loop())
    run = interpreter.get_signature_runner("s")
    inputs = {"n": np.int32(3), "x": noise(50_000), "w": noise(50_000, seed=1)}
    run(**inputs)
    profile, _ = profiled(run, interpreter, **inputs)
    nodes = {(n.subgraph, n.node): n for n in profile.nodes}
    assert nodes[0, 0].operator == "WHILE"
    assert {n.calls for place, n in nodes.items() if place[0] == 2} == {3}
    assert {n.delegate for place, n in nodes.items() if place[0] > 0} == {"gpu"}
    assert {"to host", "values of control flow"} <= {copy.what for copy in profile.copies}
    assert sum(n.seconds for n in profile.nodes) <= profile.wall_seconds
    nested(profile.chrome_trace())


def test_several_launches_of_a_node_are_one_entry() -> None:
    b = GraphBuilder()
    x = b.input(F32, [4, 40_000], "x")
    y = b.add("SUM", [x, b.constant(np.int32([0, 1]))], [1, 1], keep_dims=True)
    interpreter, _ = opened(model(b.graph([y]), signatures={"main": (0, {"x": x}, {"y": y})}))
    profile, _ = profiled(interpreter.get_signature_runner("main"), interpreter, x=noise(4, 40_000))
    (node,) = profile.nodes
    assert (node.operator, node.calls) == ("SUM", 1)


def test_laps_follow_one_another() -> None:
    device = HostDevice()
    source = np.zeros(1 << 20, np.uint8)
    target = device.array(device.memory(1 << 20), 0, (1 << 20,), np.dtype(np.uint8))
    with device.using(device.stream()):
        watch = Stopwatch(device)
        for node in range(3):
            device.copy_in(target, source)
            watch.lap((node,), f"copy {node}")
        laps = watch.read()
    assert [(nodes, kernel) for nodes, kernel, _ in laps] == [((0,), "copy 0"), ((1,), "copy 1"), ((2,), "copy 2")]
    assert all(spent > 0 for _, _, spent in laps)


@pytest.mark.gpu
def test_on_a_gpu() -> None:
    interpreter = lite.Interpreter(model_content=lite.write_model(network()), device="gpu")
    run = interpreter.get_signature_runner("main")
    expected = run(x=X)
    with interpreter.profile() as profile:
        outputs = run(x=X)
    for name, array in expected.items():
        np.testing.assert_array_equal(outputs[name], array)
    assert {index for n in profile.nodes for index in (n.node, *n.fused)} == set(range(5))
    assert 0 < sum(n.seconds for n in profile.nodes) <= profile.wall_seconds
    nested(profile.chrome_trace())

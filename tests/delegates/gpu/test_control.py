"""Loops, branches and variables with GPU programs: results are those of the CPU, whatever the order of streams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, I32, RESOURCE, GraphBuilder, model
from tests.emulator.device import EmulatedGpuDelegate, HostDevice
from tests.runtime.test_control_on_device import accumulator, chosen, f32, step_loop
from tests.threads import side_by_side
from tflite_cupy.interpreter.graph import Model

SEEDS = range(4)


def emulated(content: Model, seed: int = 0) -> tuple[lite.Interpreter, Any]:
    """An interpreter on the emulated device, and its memory."""
    delegate = EmulatedGpuDelegate(HostDevice(seed=seed))
    return lite.Interpreter(model_content=lite.write_model(content), device="cpu", delegates=[delegate]), delegate.space


@pytest.mark.parametrize("seed", SEEDS)
def test_a_loop_s_turns_do_not_overwrite_each_other(seed: int) -> None:
    interpreter, space = emulated(step_loop(), seed)
    run = interpreter.get_signature_runner("s")
    for turns in (0, 1, 7, 8):
        x, w = f32(1, 2), f32(2, 3)
        expected = x
        for _ in range(turns):
            expected = expected * w + 1
        np.testing.assert_array_equal(run(n=turns, x=x, w=w)["y"], expected)
        out = run(n=space.put(np.array(turns, np.int32)), x=space.put(x), w=space.put(w))
        np.testing.assert_array_equal(space.get([out["y"]])[0], expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_branches(seed: int) -> None:
    interpreter, _ = emulated(chosen(), seed)
    run, x = interpreter.get_signature_runner("s"), np.linspace(-1, 1, 2048, dtype=np.float32)
    for truth in (True, False, True):
        expected = (np.exp(x + 1) if truth else -(x + 1)) + 1
        np.testing.assert_allclose(run(c=truth, x=x)["z"], expected, rtol=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_variables_keep_their_values_between_calls(seed: int) -> None:
    interpreter, space = emulated(accumulator(), seed)
    add, get, start = (interpreter.get_signature_runner(key) for key in ("add", "get", "start"))
    start(z=f32(0, 0))  # assigned on the host, and then copied to where it is read
    kept = [add(x=space.put(f32(1, 2)))["v"] for _ in range(3)]
    assert [space.get([v])[0].tolist() for v in kept] == [[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]
    assert get()["raw"].tolist() == [3.0, 6.0]
    start(z=space.put(f32(5, 5)))
    assert add(x=f32(1, 1))["v"].tolist() == [6.0, 6.0]
    assert get()["v"].tolist() == [6.0, 6.0]


def cache() -> Model:
    """put(rows, at) writes rows into a cache of 16 and sums it up; start(zeros) clears it."""

    def handle(b: GraphBuilder) -> int:
        return b.op("VAR_HANDLE", [], [b.tensor(RESOURCE)], shared_name="cache")[0]

    b = GraphBuilder("put")
    rows, at = b.input(F32, [1, 4], "rows"), b.input(I32, [2], "at")
    (old,) = b.op("READ_VARIABLE", [handle(b)], [b.tensor(F32, [16, 4])])
    new = b.add("DYNAMIC_UPDATE_SLICE", [old, rows, at], [16, 4])
    b.op("ASSIGN_VARIABLE", [handle(b), new], [])
    total = b.add("SUM", [new, b.constant(np.int32([0]))], [4], keep_dims=False)
    s = GraphBuilder("start")
    z = s.input(F32, [16, 4], "zeros")
    s.op("ASSIGN_VARIABLE", [handle(s), z], [])
    signatures: dict[str, Any] = {
        "put": (0, {"rows": rows, "at": at}, {"total": total, "cache": new}),
        "start": (1, {"zeros": z}, {}),
    }
    return model(b.graph([total, new]), s.graph([]), signatures=signatures)


def the_variable(interpreter: lite.Interpreter) -> Any:
    return interpreter._engine.state.variable("", "cache")


def test_a_variable_is_updated_in_place() -> None:
    interpreter, space = emulated(cache())
    put, start = interpreter.get_signature_runner("put"), interpreter.get_signature_runner("start")
    start(zeros=space.put(np.zeros((16, 4), np.float32)))
    expected = np.zeros((16, 4), np.float32)
    addresses = set()
    for turn in range(6):
        rows = np.full((1, 4), turn + 1, np.float32)
        expected[turn] = rows
        out = put(rows=rows, at=np.int32([turn, 0]))
        np.testing.assert_array_equal(out["total"], expected.sum(0))
        np.testing.assert_array_equal(out["cache"], expected)
        addresses.add(space.device.address(the_variable(interpreter).read(space)))
    assert len(addresses) == 1


def test_what_callers_hold_of_a_variable_does_not_change() -> None:
    interpreter, space = emulated(cache())
    put, start = interpreter.get_signature_runner("put"), interpreter.get_signature_runner("start")
    start(zeros=space.put(np.zeros((16, 4), np.float32)))
    kept = [put(rows=space.put(np.ones((1, 4), np.float32)), at=np.int32([turn, 0]))["cache"] for turn in range(3)]
    assert [float(array.sum()) for array in space.get(kept)] == [4.0, 8.0, 12.0]


def test_updates_of_many_threads_all_arrive() -> None:
    interpreter, space = emulated(cache())
    put, start = interpreter.get_signature_runner("put"), interpreter.get_signature_runner("start")
    start(zeros=space.put(np.zeros((16, 4), np.float32)))

    def work(number: int) -> None:
        for turn in range(4):
            place = 4 * number + turn
            out = put(rows=np.full((1, 4), place + 1, np.float32), at=np.int32([place, 0]))
            assert out["cache"][place, 0] == place + 1

    side_by_side(4, work)
    final = np.asarray(put(rows=np.ones((1, 4), np.float32), at=np.int32([0, 0]))["cache"])
    np.testing.assert_array_equal(final[:, 0], np.arange(1, 17))


def test_variables_under_threads() -> None:
    """Each value that a reader sees is one that somebody has assigned."""
    interpreter, space = emulated(accumulator())
    get, start = interpreter.get_signature_runner("get"), interpreter.get_signature_runner("start")
    start(z=f32(0, 0))

    def work(number: int) -> None:
        for turn in range(25):
            if number % 2:
                start(z=space.put(f32(number * 100 + turn, -(number * 100 + turn))))
            else:
                value = get()["raw"]
                assert value[0] == -value[1]

    side_by_side(6, work)


def filters() -> Model:
    """An SVDF layer of two units over three steps."""
    b = GraphBuilder("main")
    x = b.input(F32, [1, 4], "x")
    rng = np.random.default_rng(0)
    features, times = (b.constant(rng.normal(size=shape), np.float32) for shape in ((4, 4), (4, 3)))
    y = b.add("SVDF", [x, features, times, -1, b.variable(F32, [1, 12])], [1, 2], rank=2)
    return model(b.graph([y]), signatures={"s": (0, {"x": x}, {"y": y})})


@pytest.mark.parametrize("seed", SEEDS)
def test_a_layer_with_a_state_runs_on_the_device(seed: int) -> None:
    interpreter, space = emulated(filters(), seed)
    on_cpu = lite.Interpreter(model_content=lite.write_model(filters()), device="cpu").get_signature_runner("s")
    run = interpreter.get_signature_runner("s")
    for turn in range(5):
        x = np.random.default_rng(turn).normal(size=(1, 4)).astype(np.float32)
        (y,) = space.get([run(x=space.put(x))["y"]])
        np.testing.assert_allclose(y, on_cpu(x=x)["y"], rtol=1e-5, atol=1e-6)
    assert interpreter.delegation_report().totals()["cpu"].nodes == 0

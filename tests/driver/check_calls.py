"""Calls of an interpreter whose GPU is CuPy's, with work queued in several orders; run by `test_driver.py`."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cupy
import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model
from tests.driver import stand_in
from tests.models import add_sub, scorer
from tflite_cupy.interpreter.errors import LimitError
from tflite_cupy.interpreter.ops.base import Activation, Padding

ORDERS = [None, 1, 2]


@pytest.fixture(autouse=True, params=ORDERS, ids=["at once", "late 1", "late 2"])
def _order(request: pytest.FixtureRequest) -> Iterator[None]:
    stand_in.order(request.param)
    yield
    stand_in.order(None)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def network() -> bytes:
    """main(x float32 [1, 8, 8, 3]) -> y: a convolution, a pool, a product and a softmax."""
    b = GraphBuilder()
    x = b.input(F32, [1, 8, 8, 3], "x")
    window: dict[str, Any] = {"padding": Padding.SAME, "fused_activation_function": Activation.RELU}
    y = b.add("CONV_2D", [x, b.constant(noise(8, 3, 3, 3)), b.constant(noise(8))], [1, 8, 8, 8], stride_w=1, stride_h=1,
              dilation_w_factor=1, dilation_h_factor=1, **window)  # fmt: skip
    y = b.add("MEAN", [y, b.constant(np.int32([1, 2]))], [1, 8], keep_dims=False)
    y = b.add("FULLY_CONNECTED", [y, b.constant(noise(5, 8, seed=1)), b.constant(noise(5, seed=2))], [1, 5])
    y = b.add("SOFTMAX", [y], beta=1.0)
    return lite.write_model(model(b.graph([y]), signatures={"main": (0, {"x": x}, {"y": y})}))


def on(device: str, content: bytes, **options: Any) -> lite.Interpreter:
    return lite.Interpreter(model_content=content, device=device, precision="strict", **options)


def same(got: dict[str, Any], want: dict[str, Any]) -> None:
    assert got.keys() == want.keys()
    for name, value in want.items():
        assert type(got[name]) is np.ndarray
        np.testing.assert_allclose(got[name], value, rtol=1e-5, atol=1e-6)


def test_launched_captured_and_replayed() -> None:
    run = on("gpu", network(), require="gpu").get_signature_runner()
    host = on("cpu", network()).get_signature_runner()
    before, launches = stand_in.counts(), []
    for turn in range(5):
        x = noise(1, 8, 8, 3, seed=turn)
        same(run(x=x), host(x=x))
        launches.append(stand_in.counts().launches - before.launches)
    after = stand_in.counts()
    assert after.captures - before.captures == 1
    assert after.replays - before.replays == 4
    assert launches == [launches[0], *[2 * launches[0]] * 4]


def test_signatures_of_any_length() -> None:
    interpreter, host = on("gpu", add_sub()), on("cpu", add_sub())
    for n in (3, 7, 3, 3, 100, 7, 7, 3):
        x, y = noise(n), noise(n, seed=1)
        same(interpreter.get_signature_runner("add")(x=x, y=y), host.get_signature_runner("add")(x=x, y=y))
        same(interpreter.get_signature_runner("sub")(a=x, b=y), host.get_signature_runner("sub")(a=x, b=y))


def test_classic_calls_and_resizing() -> None:
    interpreter, host = on("gpu", scorer(None)), on("cpu", scorer(None))
    for rows in (1, 5, 5, 5, 2, 1):
        results = []
        for each in (interpreter, host):
            each.resize_tensor_input(0, [rows, 3])
            each.allocate_tensors()
            each.set_tensor(0, noise(rows, 3))
            each.invoke()
            results.append(each.get_tensor(each.get_output_details()[0]["index"]))
        np.testing.assert_allclose(*results, rtol=1e-5)


def test_arrays_on_the_device_come_and_go() -> None:
    run, host = on("gpu", network()).get_signature_runner(), on("cpu", network()).get_signature_runner()
    x = noise(1, 8, 8, 3)
    given = cupy.asarray(x)
    for _ in range(4):
        y = run(x=given)["y"]
        assert isinstance(y, cupy.ndarray)
        np.testing.assert_allclose(y.get(), host(x=x)["y"], rtol=1e-5)


def test_outputs_wait_for_nobody_and_come_in_order() -> None:
    """A caller's own stream: what it queues before and after a call is ordered with it."""
    run, host = on("gpu", network()).get_signature_runner(), on("cpu", network()).get_signature_runner()
    for blocking in (False, True):
        given, copied = cupy.empty((1, 8, 8, 3), np.float32), cupy.empty((1, 5), np.float32)
        with cupy.cuda.Stream(non_blocking=not blocking) as stream:
            for turn in range(4):
                x = noise(1, 8, 8, 3, seed=turn)
                given.data.copy_from_host_async(x.ctypes.data, x.nbytes)
                y = run(x=given)["y"]
                copied.data.copy_from_device_async(y.data, y.nbytes)
                given.data.memset_async(0xFF, given.nbytes)
                del y
                stream.synchronize()
                np.testing.assert_allclose(copied.get(), host(x=x)["y"], rtol=1e-5)


def test_threads_share_an_interpreter() -> None:
    interpreter, host = on("gpu", add_sub()), on("cpu", add_sub())

    def work(seed: int) -> None:
        run, right = interpreter.get_signature_runner("sub"), host.get_signature_runner("sub")
        for turn in range(12):
            a, b = noise(2 + seed, seed=turn), noise(2 + seed, seed=seed)
            same(run(a=a, b=b), right(a=a, b=b))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


def test_profiles_have_times_of_events() -> None:
    interpreter = on("gpu", network())
    run = interpreter.get_signature_runner()
    x = noise(1, 8, 8, 3)
    run(x=x)
    with interpreter.profile() as profile:
        run(x=x)
    assert {node.delegate for node in profile.nodes} == {"gpu"}
    assert all(node.seconds > 0 for node in profile.nodes if not node.fused)


@pytest.mark.parametrize("host", [False, True], ids=["device", "page-locked"])
def test_memory_that_ends_anywhere_in_a_call(host: bool) -> None:
    right = on("cpu", network()).get_signature_runner()
    x = noise(1, 8, 8, 3)
    refused = []
    for left in range(9):
        interpreter = on("gpu", network())
        run = interpreter.get_signature_runner()
        gc.collect()
        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()
        stand_in.allocations_left(left, host=host)
        try:
            same(run(x=x), right(x=x))
        except LimitError as error:
            refused.append(str(error))
        finally:
            stand_in.allocations_left(None, host=host)
        for _ in range(3):
            same(run(x=x), right(x=x))
    assert 1 < len(refused) < 9
    what = "page-locked memory left" if host else "left: Out of memory allocating"
    assert all(what in said for said in refused)


def test_nothing_is_left_behind() -> None:
    def used() -> stand_in.Counts:
        gc.collect()
        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()
        return stand_in.counts()

    before = used()
    for _ in range(2):
        interpreter = on("gpu", network())
        run = interpreter.get_signature_runner()
        for turn in range(4):
            run(x=noise(1, 8, 8, 3, seed=turn))
        del interpreter, run
    after = used()
    assert after[5:] == before[5:]


def test_an_interpreter_that_goes_takes_its_memory_along() -> None:
    """Without the collector, which does not know how much a few objects hold on the device."""
    content = network()
    pool = cupy.get_default_memory_pool()

    def load() -> int:
        run = on("gpu", content).get_signature_runner()
        for turn in range(3):
            run(x=noise(1, 8, 8, 3, seed=turn))
        return int(pool.used_bytes())

    load()
    gc.collect()
    before = pool.used_bytes()
    gc.disable()
    try:
        assert load() > before
        assert pool.used_bytes() == before
    finally:
        gc.enable()

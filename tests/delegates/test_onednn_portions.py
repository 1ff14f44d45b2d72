"""Batches in portions, on several threads, against whole ones."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import networks
import numpy as np
import pytest

from tests.build import F32, I32, GraphBuilder, model
from tests.delegates.partitions import whole
from tests.engines import call
from tests.threads import side_by_side
from tflite_cupy import Interpreter, quantize, write_model
from tflite_cupy.delegates.cpu import CpuDelegate, kernels_in_use
from tflite_cupy.delegates.cpu.onednn import compiler
from tflite_cupy.delegates.cpu.onednn.portions import CACHE, Portions, portion
from tflite_cupy.delegates.cpu.onednn.rows import Batch
from tflite_cupy.interpreter.errors import KernelError, LimitError, MissingDependencyError
from tflite_cupy.interpreter.graph import Model
from tflite_cupy.interpreter.ops.base import Padding
from tflite_cupy.interpreter.runtime.engine import Engine
from tflite_cupy.interpreter.runtime.lane import Lane
from tflite_cupy.interpreter.runtime.state import State

try:
    kernels_in_use("onednn")
except MissingDependencyError as error:
    pytest.skip(str(error), allow_module_level=True)

RNG = np.random.default_rng(8)


class Noting(CpuDelegate):
    """Keeps what it compiles."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, "onednn")
        self.made: list[Any] = []

    def compile(self, partition: Any) -> Any:
        self.made.append(super().compile(partition))
        return self.made[-1]


def portioned(monkeypatch: pytest.MonkeyPatch, samples: int | None) -> None:
    """Let portions have so many samples, None: no portions."""
    monkeypatch.setattr(compiler, "portion", lambda batch, threads: samples)


def values(made: Model) -> dict[str, dict[str, np.ndarray]]:
    """Inputs of each signature."""
    found = {}
    for signature in made.signatures:
        tensors = {name: made.graphs[signature.graph].tensors[t] for name, t in signature.inputs.items()}
        drawn = {name: RNG.random(t.shape, np.float32) for name, t in tensors.items()}
        found[signature.key] = {name: (2 * drawn[name]).astype(t.type.dtype) for name, t in tensors.items()}
    return found


def results(
    content: bytes, inputs: dict[str, dict[str, np.ndarray]], threads: int
) -> tuple[list[np.ndarray], list[Any]]:
    """Outputs of all signatures, and details of all partitions."""
    interpreter = Interpreter(model_content=content, device="cpu", cpu_kernels="onednn", num_threads=threads)
    outputs = [interpreter.get_signature_runner(key)(**each) for key, each in inputs.items()]
    parts = [part for graph in interpreter.delegation_report().subgraphs for part in graph.partitions]
    return [array for each in outputs for array in each.values()], [part.details for part in parts]


BERT = {"layers": 1, "width": 32, "heads": 2, "tokens": 8, "words": 50}
NETWORKS = {
    "images": lambda: networks.mobilenet_v2(resolution=32, batch=5),
    "images with squeeze and excite": lambda: networks.mobilenet_v3_small(resolution=32, batch=5),
    "images that grow": lambda: networks.unet(resolution=32, width=4, depth=2, classes=3, batch=5),
    "sequences": lambda: networks.bert(**BERT, batch=5),
    "two signatures": lambda: networks.autoencoder(widths=(64, 32, 16), batch=5),
}


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("name", NETWORKS)
def test_portions_give_what_the_whole_gives(name: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one thread and on three; of two samples each, so that the last of five is computed beside the fourth."""
    made = NETWORKS[name]()
    inputs, content = values(made), write_model(made)
    if precision == "int8":
        content = quantize(made, "int8", {key: [each] for key, each in inputs.items()})
    portioned(monkeypatch, None)
    expected, _ = results(content, inputs, 1)
    portioned(monkeypatch, 2)
    for threads in (1, 3):
        got, details = results(content, inputs, threads)
        assert {each.get("portions") for each in details} == {3}
        for ours, theirs in zip(got, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 if precision == "float32" else 0.02)


def test_recurrent_layers_hold_samples_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """As their states outlive calls."""
    made = networks.speech(batch=2)
    portioned(monkeypatch, 1)
    _, details = results(write_model(made), values(made), 2)
    assert all("portions" not in each for each in details)


def chain(batch: int | None, table: int = 50) -> Model:
    """Rows of a table, picked by ids [batch, 4], times a matrix."""
    b, rng = GraphBuilder(), np.random.default_rng(5)
    ids = b.input(I32, [batch, 4], "ids")
    rows = b.add("GATHER", [b.constant(rng.random((table, 64), np.float32)), ids], [batch, 4, 64])
    flat = b.op("RESHAPE", [rows, b.constant(np.int32([-1, 256]))], [b.tensor(F32, [batch, 256])], new_shape=(-1, 256))[
        0
    ]
    weights, bias = b.constant(rng.random((64, 256), np.float32)), b.constant(np.zeros(64, np.float32))
    y = b.add("FULLY_CONNECTED", [flat, weights, bias], [batch, 64])
    return model(b.graph([y]), signatures={"f": (0, {"ids": 0}, {"y": y})})


def ids(batch: int) -> np.ndarray:
    return np.arange(4 * batch, dtype=np.int32).reshape(batch, 4) % 50


def test_batches_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    delegate = Noting(2)
    engine, whole_ones = Engine(chain(None), [delegate]), Engine(chain(None), [CpuDelegate(1, "onednn")])
    for batch in (7, 2, 64, 3, 7, 1):
        portioned(monkeypatch, None)
        (expected,) = call(whole_ones, ids(batch))
        portioned(monkeypatch, 2 if batch > 2 else None)
        (got,) = call(engine, ids(batch))
        assert got.shape == (batch, 64)
        np.testing.assert_allclose(got, expected, rtol=1e-5)
    counts = [made.details["portions"] for made in delegate.made if isinstance(made, Portions)]
    assert counts == [4, 32, 2]


def test_errors_of_portions_are_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first portion's that fails, whichever thread comes to it first; later calls are as ever."""
    portioned(monkeypatch, 1)
    engine = Engine(chain(8), [Noting(2)])
    good, bad = ids(8), ids(8)
    bad[[3, 6]] = [[50], [51]]
    expected = call(engine, good)[0]
    for _ in range(20):
        with pytest.raises(KernelError, match=r"gather index out of bounds: got 50, .* \(in GATHER#0\)"):
            call(engine, bad)
    np.testing.assert_array_equal(call(engine, good)[0], expected)


def test_no_error_hides_an_interrupt() -> None:
    """Not one of an earlier portion, either."""
    b, interrupted = GraphBuilder(), threading.Event()
    batch = Batch.of(whole(b.graph([b.add("ABS", [b.input(F32, (2, 4))])])))
    assert batch is not None

    def program(lane: Lane, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        if inputs[0][0, 0]:
            interrupted.set()
            raise KeyboardInterrupt
        assert interrupted.wait(60)
        raise KernelError("an error")

    program.library = SimpleNamespace(is_forked=False)  # type: ignore[attr-defined]
    portions = Portions(program, batch, 1, 2)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        portions(Lane(State()), [np.array([[0] * 4, [1] * 4], np.float32)])


def test_calls_from_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    portioned(monkeypatch, 2)
    engine = Engine(chain(8), [Noting(2)])
    inputs = [np.roll(ids(8), shift, 0) for shift in range(6)]
    expected = [call(engine, each)[0] for each in inputs]

    def work(number: int) -> None:
        for _ in range(20):
            np.testing.assert_array_equal(call(engine, inputs[number])[0], expected[number])

    side_by_side(6, work)


def test_a_forked_process_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    portioned(monkeypatch, 2)
    engine = Engine(chain(8), [Noting(2)])
    (expected,) = call(engine, ids(8))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=lambda: queue.put(call(engine, ids(8))[0]))
    child.start()
    np.testing.assert_array_equal(queue.get(timeout=60), expected)
    child.join()


def test_who_watches_hears_of_each_node_once(monkeypatch: pytest.MonkeyPatch) -> None:
    portioned(monkeypatch, 2)
    interpreter = Interpreter(model_content=write_model(chain(8)), device="cpu", num_threads=2, cpu_kernels="onednn")
    runner = interpreter.get_signature_runner("f")
    expected = runner(ids=ids(8))["y"]
    with interpreter.trace() as ran:
        np.testing.assert_array_equal(runner(ids=ids(8))["y"], expected)
    assert ran == [(0, node, "cpu") for node in range(3)]
    with interpreter.profile() as profile:
        np.testing.assert_array_equal(runner(ids=ids(8))["y"], expected)
    assert {node.calls for node in profile.nodes} == {4}
    with interpreter.profile(), interpreter.trace() as ran:
        runner(ids=ids(8))
    assert ran == [(0, node, "cpu") for node in range(3)]


def test_the_callers_thread_runs_the_first_portion(monkeypatch: pytest.MonkeyPatch) -> None:
    portioned(monkeypatch, 2)
    interpreter = Interpreter(model_content=write_model(chain(8)), device="cpu", num_threads=2, cpu_kernels="onednn")
    runner = interpreter.get_signature_runner("f")
    runner(ids=ids(8))
    ran: dict[int, int] = {}
    run = Portions._run

    def recorded(self: Portions, lane: Any, inputs: Any, results: Any, first: int, start: int) -> None:
        ran[first] = threading.get_ident()
        run(self, lane, inputs, results, first, start)

    monkeypatch.setattr(Portions, "_run", recorded)
    for _ in range(20):
        runner(ids=ids(8))
        assert ran[0] == threading.get_ident()
    assert sorted(ran) == [0, 2, 4, 6]


def test_deadlines_hold_in_all_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    portioned(monkeypatch, 1)
    interpreter = Interpreter(model_content=write_model(chain(64)), device="cpu", num_threads=2, cpu_kernels="onednn")
    runner = interpreter.get_signature_runner("f")
    expected = runner(ids=ids(64))["y"]
    np.testing.assert_array_equal(runner.call({"ids": ids(64)}, deadline_ms=60_000)["y"], expected)
    with pytest.raises(LimitError, match="deadline_ms"):
        runner.call({"ids": ids(64)}, deadline_ms=1e-6)


def images(batch: int, size: int, channels: int) -> Batch:
    """Filters of 3 x 3 on as many channels."""
    b = GraphBuilder()
    weights, bias = (
        b.constant(np.zeros((channels, 3, 3, channels), np.float32)),
        b.constant(np.zeros(channels, np.float32)),
    )
    x = b.input(F32, (batch, size, size, channels))
    x = b.add("CONV_2D", [x, weights, bias], padding=Padding.SAME, stride_h=1, stride_w=1)
    found = Batch.of(whole(b.graph([x])))
    assert found is not None
    return found


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_large_images_are_computed_few_at_a_time(threads: int) -> None:
    count = portion(images(16, 256, 16), threads)
    assert count is not None
    assert count * 2 * 256 * 256 * 16 * 4 <= CACHE
    assert 16 % count == 0


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_small_work_is_done_at_once(threads: int) -> None:
    assert portion(images(4, 8, 4), threads) is None


def test_what_fits_into_caches_is_split_for_threads_alone() -> None:
    batch = images(16, 28, 32)
    assert portion(batch, 1) is None
    assert portion(batch, 2) == 8


def test_more_threads_than_samples() -> None:
    assert portion(images(2, 256, 16), 16) is None

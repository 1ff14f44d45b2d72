"""Which programs, and which of their steps, are worth a second thread; which primitives take the least time."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.build import F32, GraphBuilder, model
from tests.engines import call
from tflite_cupy.delegates.cpu import kernels_in_use
from tflite_cupy.delegates.cpu.onednn.binding import library
from tflite_cupy.delegates.cpu.onednn.effort import is_brief
from tflite_cupy.delegates.cpu.onednn.program import Program
from tflite_cupy.delegates.cpu.onednn.steps import Execution
from tflite_cupy.delegates.cpu.onednn.threaded import Threaded
from tflite_cupy.interpreter.errors import MissingDependencyError
from tflite_cupy.interpreter.ops.base import Padding
from tflite_cupy.interpreter.runtime.engine import Engine

try:
    kernels_in_use("onednn")
except MissingDependencyError as error:
    pytest.skip(str(error), allow_module_level=True)

from .test_onednn import Watched

CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def ran(b: GraphBuilder, outputs: list[int], *inputs: np.ndarray, threads: int = 2) -> tuple[Any, np.ndarray]:
    """What runs a graph, and its first result."""
    engine = Engine(model(b.graph(outputs)), [Watched(threads)])
    result = call(engine, *inputs)[0]
    (step,) = engine.latest_plan(engine.model.graphs[0]).steps
    return step.executable, result  # type: ignore[union-attr]


def layer(b: GraphBuilder, x: int, depth: int, units: int, seed: int) -> int:
    weights = np.random.default_rng(seed).standard_normal((units, depth), np.float32) / np.float32(depth**0.5)
    return b.add("FULLY_CONNECTED", [x, b.constant(weights), b.constant(np.zeros(units, np.float32))], [1, units])


def threads_of(program: Program) -> list[int]:
    return [step.threads for step in program.steps if isinstance(step, Execution)]


def test_no_thread_is_woken_for_a_program_that_takes_less_time() -> None:
    b = GraphBuilder()
    x = b.input(F32, [1, 784])
    program, _ = ran(b, [layer(b, layer(b, x, 784, 512, 0), 512, 128, 1)], np.ones((1, 784), np.float32))
    assert isinstance(program, Program)
    assert threads_of(program) == [1, 1]


def test_a_thread_that_is_awake_takes_part_in_shorter_steps() -> None:
    b = GraphBuilder()
    x, sizes = b.input(F32, [1, 1024]), (1024, 1024, 256, 64)
    for seed, (depth, units) in enumerate(pairwise(sizes)):
        x = layer(b, x, depth, units, seed)
    program, _ = ran(b, [x], np.ones((1, 1024), np.float32))
    assert isinstance(program, Threaded)
    assert threads_of(program.program) == [2, 2, 1]


def test_python_waits_only_for_steps_of_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are called with its lock held, whatever comes before them."""
    known, threads = library(), dict[str, list[int]]()
    for name in ("execute", "execute_briefly"):
        execute, seen = getattr(known, name), threads.setdefault(name, [])
        monkeypatch.setattr(known, name, lambda *call, e=execute, s=seen: (s.append(known.threads), e(*call))[1])
    b = GraphBuilder()
    x, sizes = b.input(F32, [1, 64]), (64, 1024, 1024, 64, 1024, 1024)
    for seed, (depth, units) in enumerate(pairwise(sizes)):
        x = layer(b, x, depth, units, seed)
    made, _ = ran(b, [x], np.ones((1, 64), np.float32))
    assert threads_of(made.program) == [1, 2, 1, 1, 2]
    assert threads["execute_briefly"] == [1, 1, 1]
    assert threads["execute"][-2:] == [2, 2]


def test_nodes_without_operands_or_results_take_no_time() -> None:
    """As those that make a table, or fill it."""
    nodes: list[Any] = [SimpleNamespace(ins=(), outs=(1,)), SimpleNamespace(ins=(1,), outs=())]
    assert is_brief(nodes)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_convolution_of_single_pixels_is_a_matrix_product(batch: int) -> None:
    """As in squeeze and excitation."""
    b, rng = GraphBuilder(), np.random.default_rng(0)
    x, image = b.input(F32, [batch, 1, 1, 96]), rng.standard_normal((batch, 1, 1, 96), np.float32)
    weights, bias = rng.standard_normal((24, 1, 1, 96), np.float32), rng.standard_normal(24, np.float32)
    window = {"padding": Padding.SAME, "stride_h": 1, "stride_w": 1}
    y = b.add("CONV_2D", [x, b.constant(weights), b.constant(bias)], [batch, 1, 1, 24], **window)
    program, result = ran(b, [y], image, threads=1)
    (step,) = program.steps
    assert "conv" not in step.primitive.implementation
    expected = image.reshape(batch, 96) @ weights.reshape(24, 96).T + bias
    np.testing.assert_allclose(result, expected.reshape(batch, 1, 1, 24), **CLOSE)


def test_groups_of_channels_stay_a_convolution() -> None:
    b, rng = GraphBuilder(), np.random.default_rng(0)
    x, image = b.input(F32, [1, 1, 1, 32]), rng.standard_normal((1, 1, 1, 32), np.float32)
    weights, bias = rng.standard_normal((32, 1, 1, 16), np.float32), np.zeros(32, np.float32)
    window = {"padding": Padding.VALID, "stride_h": 1, "stride_w": 1}
    y = b.add("CONV_2D", [x, b.constant(weights), b.constant(bias)], [1, 1, 1, 32], **window)
    _, result = ran(b, [y], image, threads=1)
    halves = [weights[16 * g : 16 * g + 16].reshape(16, 16) @ image.reshape(2, 16)[g] for g in range(2)]
    np.testing.assert_allclose(result.reshape(-1), np.concatenate(halves), **CLOSE)

"""What an interpreter remembers between calls."""

from __future__ import annotations

import threading

import numpy as np

from tests.build import F32
from tests.engines import engine_of
from tests.models import counter
from tflite_cupy.interpreter.graph import TensorSpec
from tflite_cupy.interpreter.runtime.delegate import HOST
from tflite_cupy.interpreter.runtime.plan import Value
from tflite_cupy.interpreter.runtime.state import State


def test_initialiser_runs_once_among_threads() -> None:
    engine = engine_of(counter())
    plan = engine.plan(engine.model.graphs[0], [(2,)])
    runs: list[int] = []
    engine.observer = lambda graph, node, delegate: runs.append(graph)
    barrier = threading.Barrier(16)

    def work() -> None:
        barrier.wait()
        engine.call(plan, [Value(HOST, np.float32([1, 1]))], engine.model.graphs[0].outputs)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert runs.count(1) == 2  # the two nodes of the initialiser


def test_variable_tensors_start_at_zero_and_reset() -> None:
    state = State()
    variable = state.variable_tensor(0, 3, TensorSpec(F32, (2, 2)))
    assert variable.read().tolist() == [[0, 0], [0, 0]]
    variable.assign(np.ones((2, 2), np.float32))
    assert state.variable_tensor(0, 3, TensorSpec(F32, (2, 2))).read().sum() == 4
    state.reset_variable_tensors()
    assert variable.read().sum() == 0

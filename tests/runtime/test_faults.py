"""Calls that fail midway: the next one is right, and nothing that the failed one wrote stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import BOOL, F32, I32, GraphBuilder, model
from tests.runtime.test_concurrency import counter_with_signatures, open_interpreter
from tests.runtime.test_state import running_sum
from tflite_cupy.interpreter.graph import Model

FAULTS = (lite.KernelError("a fault"), MemoryError("a fault"), KeyboardInterrupt("a fault"), SystemExit("a fault"))


class Fuse:
    """An observer that raises after the node of a given number, counted from when it is set."""

    def __init__(self, interpreter: lite.Interpreter) -> None:
        self._interpreter = interpreter
        self._left = 0

    def __call__(self, graph: int, node: int, delegate: str) -> None:
        self._left -= 1
        if not self._left:
            raise self._fault

    def set(self, nodes: int, fault: BaseException) -> None:
        self._left, self._fault = nodes, fault
        self._interpreter._engine.observer = self

    def remove(self) -> None:
        self._interpreter._engine.observer = None


def fails_everywhere(interpreter: lite.Interpreter, call: Callable[[], Any], fault: BaseException) -> int:
    """Let `call` fail after each of its nodes in turn; the number of nodes."""
    fuse, nodes = Fuse(interpreter), 0
    kinds = lite.LimitError if isinstance(fault, MemoryError) else type(fault)
    while True:
        nodes += 1
        fuse.set(nodes, fault)
        try:
            call()
        except kinds:
            continue
        fuse.remove()
        return nodes - 1


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_variables_of_a_failed_call(fault: BaseException) -> None:
    """The initialiser counts too: it runs again in the next call."""
    interpreter = open_interpreter(counter_with_signatures())
    increment, read = (interpreter.get_signature_runner(key) for key in ("increment", "read"))
    one = np.float32([1, 1])
    assert fails_everywhere(interpreter, lambda: increment(x=one), fault) == 13  # 4 of them in the initialiser
    assert {name: v.tolist() for name, v in read().items()} == {"v": [11.0, 21.0], "w": [11.0, 21.0]}
    assert fails_everywhere(interpreter, lambda: increment(x=one), fault) == 9
    assert increment(x=one)["total"].tolist() == [13.0, 23.0]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_variable_tensors_of_a_failed_call(fault: BaseException) -> None:
    interpreter = open_interpreter(running_sum(1))
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.ones((1, 2), np.float32))
    output = interpreter.get_output_details()[0]["index"]

    def call() -> list[list[float]]:
        interpreter.invoke()
        result: list[list[float]] = interpreter.get_tensor(output).tolist()
        return result

    assert fails_everywhere(interpreter, call, fault) == 1
    assert call() == [[2.0, 2.0]]


def sequence() -> Model:
    """s(x) -> y: -x, four nodes that a delegate runs as one, in a loop of three turns."""
    b, c, d = GraphBuilder(), GraphBuilder("cond"), GraphBuilder("body")
    x = b.input(F32, [2], "x")
    n, y = b.tensor(I32), b.tensor(F32, [2])
    b.op("WHILE", [b.constant(np.int32(0)), x], [n, y], cond_subgraph_index=1, body_subgraph_index=2)
    k, _ = c.input(I32), c.input(F32, [2])
    less = c.tensor(BOOL)
    c.op("LESS", [k, c.constant(np.int32(3))], [less])
    m, v = d.input(I32), d.input(F32, [2])
    after = d.add("ADD", [m, d.constant(np.int32(1))])
    same = d.add("NEG", [d.add("ABS", [d.add("NEG", [v])])])
    signatures = {"s": (0, {"x": x}, {"y": y})}
    return model(b.graph([y]), c.graph([less]), d.graph([after, same]), signatures=signatures)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_calls_after_a_failed_one_are_right(fault: BaseException) -> None:
    interpreter = open_interpreter(sequence())
    run, x = interpreter.get_signature_runner(), np.float32([3, 4])
    fuse = Fuse(interpreter)
    assert fails_everywhere(interpreter, lambda: run(x=x), fault) == 4 + 3 * 4 + 1
    for nodes in range(1, 17):
        fuse.set(nodes, fault)
        with pytest.raises((type(fault), lite.LimitError)):
            run(x=x)
        fuse.remove()
        assert run(x=x)["y"].tolist() == [-3.0, -4.0]


def test_a_deadline_leaves_variables_alone() -> None:
    interpreter = open_interpreter(counter_with_signatures(), limits=lite.Limits(deadline_ms=0))
    increment = interpreter.get_signature_runner("increment")
    with pytest.raises(lite.LimitError, match="deadline_ms = 0"):
        increment(x=np.float32([1, 1]))
    assert not interpreter._engine.state._variables

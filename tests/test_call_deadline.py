"""`SignatureRunner.call(deadline_ms=...)` and `check`: a call's own bounds, and what is known before it runs."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model
from tests.gate import Gate, gated
from tests.models import add_sub, counter, misfit
from tflite_cupy.interpreter.graph import Signature

X = np.float32([1, 2])


def runner(content: bytes, **options: object) -> lite.SignatureRunner:
    interpreter = lite.Interpreter(model_content=content, device="cpu", **options)
    return interpreter.get_signature_runner(next(iter(interpreter.get_signature_list())))


def slow(nodes: int, seconds: float) -> tuple[lite.SignatureRunner, list[float], lite.CustomOp]:
    """A model of which the first run of a node takes so long, and a list to which each run adds an element."""
    runs: list[float] = []

    @lite.custom_op("Gate", register=False)
    def gate(x: np.ndarray) -> np.ndarray:
        runs.append(time.monotonic())
        if len(runs) == 1:
            time.sleep(seconds)
        return x.copy()

    return runner(gated(nodes), custom_ops=[gate]), runs, gate


def test_a_call_within_its_deadline_is_as_ever() -> None:
    call = runner(add_sub()).call
    assert call({"x": X, "y": X}, deadline_ms=60_000)["sum"].tolist() == call({"x": X, "y": X})["sum"].tolist()
    assert call({"x": [1.0], "y": [2.0]}, deadline_ms=60_000, outputs="host")["sum"].tolist() == [3]


def test_a_call_is_cut_between_nodes() -> None:
    s, runs, _ = slow(nodes=3, seconds=0.6)
    with pytest.raises(lite.LimitError, match="The call goes on for longer, more than deadline_ms = 500") as caught:
        s.call({"x": X}, deadline_ms=500)
    assert caught.value.hint == "SignatureRunner.call(deadline_ms=...) sets another limit."
    assert len(runs) == 1
    assert s.call({"x": X})["y"].tolist() == [1, 2]


def test_the_sooner_deadline_holds() -> None:
    *_, gate = slow(nodes=2, seconds=0.03)  # of the first call
    s = runner(gated(2), custom_ops=[gate], limits=lite.Limits(deadline_ms=10))
    with pytest.raises(lite.LimitError, match="deadline_ms = 10") as caught:
        s.call({"x": X}, deadline_ms=60_000)
    assert caught.value.hint == "Limits(deadline_ms=...) sets another limit."
    *_, gate = slow(nodes=2, seconds=0.03)
    s = runner(gated(2), custom_ops=[gate], limits=lite.Limits(deadline_ms=60_000))
    with pytest.raises(lite.LimitError, match="deadline_ms = 10"):
        s.call({"x": X}, deadline_ms=10)


def test_waiting_for_a_turn_counts() -> None:
    """Two calls that write a variable: the second waits for the first, and then has no time left."""
    gate = Gate()
    b = GraphBuilder()
    x = b.input(F32, [2], "x")
    v = b.variable(F32, [2])
    (y,) = b.op("Gate", [x], [b.tensor(F32, [2])], custom=True)
    total = b.add("ADD", [y, v])
    b.op("ASSIGN_VARIABLE", [*b.op("VAR_HANDLE", [], [b.tensor(lite.TensorType.RESOURCE)], shared_name="v"), total], [])
    content = lite.write_model(model(b.graph([total]), signatures={"s": (0, {"x": x}, {"y": total})}))
    s = runner(content, custom_ops=[gate.op])
    first = threading.Thread(target=s.call, args=({"x": X},))
    first.start()
    assert gate.entered.acquire(timeout=20)
    timer = threading.Timer(1, gate.opened.set)
    timer.start()
    with pytest.raises(lite.LimitError, match="deadline_ms = 10"):
        s.call({"x": X}, deadline_ms=10)
    first.join(20)
    timer.join(20)
    assert gate.runs == 1


@pytest.mark.parametrize("wrong", ["1", float("nan"), [1]])
def test_what_is_no_time(wrong: Any) -> None:
    add = runner(add_sub())
    with pytest.raises(lite.InputError, match=r"deadline_ms=.* is no time"):
        add.call({"x": X, "y": X}, deadline_ms=wrong)
    with pytest.raises(lite.LimitError, match="deadline_ms = -1"):
        add.call({"x": X, "y": X}, deadline_ms=-1)


def test_check_tells_what_can_not_be_called() -> None:
    add = runner(add_sub())
    names = list(add.signature.inputs)
    add.check(dict.fromkeys(names, X))
    with pytest.raises(lite.InputError, match="Invalid number of inputs"):
        add.check({})
    with pytest.raises(lite.InputError, match="expected type FLOAT32"):
        add.check(dict.fromkeys(names, X.astype(np.float64)))
    with pytest.raises(lite.KernelError, match="FULLY_CONNECTED"):
        runner(misfit()).check({"x": np.zeros((2, 5), np.float32)})


def test_check_runs_nothing() -> None:
    content = counter()
    inputs, outputs = {"x": content.graphs[0].inputs[0]}, {"v": content.graphs[0].outputs[0]}
    s = runner(lite.write_model(replace(content, signatures=(Signature("s", inputs, outputs, 0),))))
    s.check({"x": X})
    assert s.call({"x": X})["v"].tolist() == [11, 22]

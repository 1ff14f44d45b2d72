"""Many threads on interpreters: every call gets its own answer, calls overlap, and what they share stays whole."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, RESOURCE, GraphBuilder, model
from tests.models import add_sub, counter
from tests.threads import side_by_side
from tflite_cupy import Limits
from tflite_cupy.delegates.cpu import CpuDelegate
from tflite_cupy.interpreter.graph import Model
from tflite_cupy.interpreter.runtime.delegate import HOST, BoundNode, Executable, Partition
from tflite_cupy.interpreter.runtime.turns import Reading, Turns, Writing, during

WAIT_S = 30.0  # for what must happen: long enough for a busy machine


def open_interpreter(content: Model | bytes, **options: Any) -> lite.Interpreter:
    data = content if isinstance(content, bytes) else lite.write_model(content)
    return lite.Interpreter(model_content=data, device="cpu", **options)


class Through:
    """A delegate whose partitions run on the CPU, after `before` was told of each."""

    name, title, space = "through", "ThroughDelegate", HOST

    def __init__(self, before: Callable[[Partition], None]) -> None:
        self._before, self._cpu = before, CpuDelegate(1)

    def refuses(self, bound: BoundNode) -> str | None:
        return self._cpu.refuses(bound)

    def compile(self, partition: Partition) -> Executable:
        run = self._cpu.compile(partition)

        def through(lane: Any, inputs: Sequence[Any]) -> Sequence[Any]:
            self._before(partition)
            return run(lane, inputs)

        return through


def wrong_answers(threads: int, runners: str, shapes: str, calls: int) -> int:
    """Calls of `add_sub`, by turns of either signature, that gave something else than they should.

    From so many threads, with "shared" or "own" runners, on inputs of "one" or "mixed" shapes.
    """
    shared = open_interpreter(add_sub())
    common = {key: shared.get_signature_runner(key) for key in ("add", "sub")}
    wrong = [0] * threads

    def work(number: int) -> None:
        mine = common if runners == "shared" else {key: shared.get_signature_runner(key) for key in ("add", "sub")}
        rng = np.random.default_rng(number)
        for turn in range(calls):
            x, y = rng.integers(-99, 99, (2, 3 if shapes == "one" else 1 + (turn + number) % 40)).astype(np.float32)
            if turn % 2:
                ok = np.array_equal(mine["add"](x=x, y=y)["sum"], x + y)
            else:
                out = mine["sub"](a=x, b=y)
                ok = np.array_equal(out["diff"], x - y) and np.array_equal(out["prod"], x * y)
            wrong[number] += not ok

    side_by_side(threads, work)
    return sum(wrong)


@pytest.mark.parametrize("shapes", ["one", "mixed"])
@pytest.mark.parametrize("runners", ["shared", "own"])
@pytest.mark.parametrize("threads", [1, 2, 4, 8, 16])
def test_no_call_gets_another_s_answer(threads: int, runners: str, shapes: str) -> None:
    assert wrong_answers(threads, runners, shapes, 100) == 0


@pytest.mark.slow
@pytest.mark.parametrize("shapes", ["one", "mixed"])
@pytest.mark.parametrize("runners", ["shared", "own"])
@pytest.mark.parametrize("threads", [1, 2, 4, 8, 16])
def test_no_call_of_20_000_gets_another_s_answer(threads: int, runners: str, shapes: str) -> None:
    assert wrong_answers(threads, runners, shapes, 20_000 // threads) == 0


def test_calls_of_two_signatures_overlap() -> None:
    """Each waits, inside its node, until the other one is there too."""
    met = threading.Barrier(2)
    interpreter = open_interpreter(add_sub(), delegates=[Through(lambda partition: met.wait(WAIT_S) and None)])
    add, sub = interpreter.get_signature_runner("add"), interpreter.get_signature_runner("sub")
    x = np.float32([3, 4])
    calls: list[Callable[[], Any]] = [lambda: add(x=x, y=x)["sum"], lambda: sub(a=x, b=x)["prod"]]
    got: list[Any] = [None, None]

    def work(number: int) -> None:
        got[number] = calls[number]().tolist()

    side_by_side(2, work)
    assert got == [[6.0, 8.0], [9.0, 16.0]]


def test_initialisers_run_once() -> None:
    runs: list[int] = []
    interpreter = open_interpreter(
        counter_with_signatures(), delegates=[Through(lambda partition: runs.append(partition.graph.index))]
    )
    read = interpreter.get_signature_runner("read")
    values: list[list[float]] = [[]] * 16

    def work(number: int) -> None:
        values[number] = read()["v"].tolist()

    side_by_side(16, work)
    assert values == [[10.0, 20.0]] * 16
    assert runs.count(2) == 1


def counter_with_signatures() -> Model:
    """increment(x) -> total: v += x; read() -> v, w: both are v; two variables that are always assigned together."""
    b, r, i = GraphBuilder("increment"), GraphBuilder("read"), GraphBuilder("init")

    def value(g: GraphBuilder, name: str) -> tuple[int, int]:
        (handle,) = g.op("VAR_HANDLE", [], [g.tensor(RESOURCE)], shared_name=name)
        return handle, *g.op("READ_VARIABLE", [handle], [g.tensor(F32, [2])])  # type: ignore[return-value]

    x = b.input(F32, [2], "x")
    b.op("CALL_ONCE", [], [], init_subgraph_index=2)
    (first, v), (second, w) = value(b, "v"), value(b, "w")
    total, other = b.add("ADD", [v, x]), b.add("ADD", [w, x])
    b.op("ASSIGN_VARIABLE", [first, total], [])
    b.op("ASSIGN_VARIABLE", [second, other], [])
    r.op("CALL_ONCE", [], [], init_subgraph_index=2)
    (_, v), (_, w) = value(r, "v"), value(r, "w")
    for name in ("v", "w"):
        (handle,) = i.op("VAR_HANDLE", [], [i.tensor(RESOURCE)], shared_name=name)
        i.op("ASSIGN_VARIABLE", [handle, i.constant(np.float32([10, 20]))], [])
    signatures = {"increment": (0, {"x": x}, {"total": total}), "read": (1, {}, {"v": v, "w": w})}
    return model(b.graph([total]), r.graph([v, w]), i.graph([]), signatures=signatures)


def test_updates_and_inferences_are_linearizable() -> None:
    """No increment is lost, no reader sees half of one, nobody sees time go backwards."""
    interpreter = open_interpreter(counter_with_signatures())
    increment, read = interpreter.get_signature_runner("increment"), interpreter.get_signature_runner("read")
    writers, turns = 4, 200
    totals: list[list[float]] = [[] for _ in range(writers)]
    seen: list[list[tuple[float, float]]] = [[] for _ in range(writers)]
    one = np.float32([1, 1])

    def work(number: int) -> None:
        for _ in range(turns):
            if number < writers:
                totals[number].append(float(increment(x=one)["total"][0]))
            else:
                out = read()
                seen[number - writers].append((float(out["v"][0]), float(out["w"][1])))

    side_by_side(2 * writers, work)
    assert sorted(t for history in totals for t in history) == [11.0 + n for n in range(writers * turns)]
    for history in (*totals, *([v for v, _ in pairs] for pairs in seen)):
        assert history == sorted(history)
    assert all(w == v + 10 for pairs in seen for v, w in pairs)


def test_writers_are_not_kept_waiting_by_new_readers() -> None:
    turns, order = Turns(), list[str]()

    def writing() -> Writing:
        return Writing(turns, lambda: lambda: None, lambda: None)

    first, again = Reading(turns), Reading(turns)
    first.begin()
    writer = threading.Thread(target=lambda: during(writing(), lambda: order.append("writer")))
    reader = threading.Thread(target=lambda: during(Reading(turns), lambda: order.append("reader")))
    writer.start()
    while not turns._waiting:
        time.sleep(0.001)
    reader.start()
    again.begin()  # who reads already may go on
    again.end()
    assert order == []
    with pytest.raises(lite.StateError, match="within a call of the same interpreter"):
        writing().begin()
    first.end()
    writer.join(WAIT_S)
    reader.join(WAIT_S)
    assert order == ["writer", "reader"]


def test_calls_beyond_the_limit_wait_or_say_so() -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold(partition: Partition) -> None:
        inside.set()
        assert leave.wait(WAIT_S)

    limits = Limits(max_concurrent_calls=1, max_wait_ms=20)
    interpreter = open_interpreter(add_sub(), delegates=[Through(hold)], limits=limits)
    add, x = interpreter.get_signature_runner("add"), np.float32([1])
    first = threading.Thread(target=lambda: add(x=x, y=x))
    first.start()
    assert inside.wait(WAIT_S)
    with pytest.raises(lite.LimitError, match=r"has waited for 20 ms.* max_concurrent_calls = 1"):
        add(x=x, y=x)
    leave.set()
    first.join(WAIT_S)
    assert add(x=x, y=x)["sum"].tolist() == [2.0]


def test_closing_with_calls_in_flight() -> None:
    """The call in flight gives its answer; later ones, classic ones too, say that the interpreter is closed."""
    inside, leave = threading.Event(), threading.Event()

    def hold(partition: Partition) -> None:
        inside.set()
        assert leave.wait(WAIT_S)

    answers: list[Any] = []
    with open_interpreter(add_sub(), delegates=[Through(hold)]) as interpreter:
        interpreter.allocate_tensors()
        add, x = interpreter.get_signature_runner("add"), np.float32([1])
        call = threading.Thread(target=lambda: answers.append(add(x=x, y=x)["sum"].tolist()))
        call.start()
        assert inside.wait(WAIT_S)
    leave.set()
    call.join(WAIT_S)
    assert answers == [[2.0]]
    for late in (
        lambda: add(x=x, y=x),
        interpreter.invoke,
        interpreter.allocate_tensors,
        interpreter.delegation_report,
    ):
        with pytest.raises(lite.StateError, match=r"the interpreter is closed|not ready"):
            late()
    interpreter.close()


def test_closing_while_threads_call() -> None:
    """Each call gives its answer or a StateError, and nothing else happens."""
    for _ in range(5):
        interpreter = open_interpreter(counter())
        runner = open_interpreter(counter_with_signatures())
        increment = runner.get_signature_runner("increment")
        ended: list[int] = []

        def work(
            number: int, runner: lite.Interpreter = runner, increment: Any = increment, ended: list[int] = ended
        ) -> None:
            if number == 0:
                time.sleep(0.005)
                runner.close()
                return
            try:
                for _ in range(10_000):
                    assert increment(x=np.float32([0, 0]))["total"].tolist() == [10.0, 20.0]
            except lite.StateError:
                ended.append(number)

        side_by_side(5, work)
        assert sorted(ended) == [1, 2, 3, 4]
        interpreter.close()


def in_child(work: Callable[[], bool]) -> int:
    """Exit code of a forked process: 0 if `work` gives True there."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        code = 0 if work() else 2
    finally:
        os._exit(code)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forks_go_on_by_themselves() -> None:
    """Also where another thread was in a call, with locks in its hands."""
    inside, leave = threading.Event(), threading.Event()

    def hold(partition: Partition) -> None:
        if threading.current_thread() is other:
            inside.set()
            assert leave.wait(WAIT_S)

    interpreter = open_interpreter(counter_with_signatures(), delegates=[Through(hold)])
    increment = interpreter.get_signature_runner("increment")
    one = np.float32([1, 1])
    other = threading.Thread(target=lambda: increment(x=one))
    increment(x=one)
    other.start()
    assert inside.wait(WAIT_S)
    assert in_child(lambda: increment(x=one)["total"].tolist() == [12.0, 22.0]) == 0
    leave.set()
    other.join(WAIT_S)
    assert increment(x=one)["total"].tolist() == [13.0, 23.0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forks_of_devices_say_so() -> None:
    delegate = Through(lambda partition: None)
    delegate.forkable = False  # type: ignore[attr-defined]
    add = open_interpreter(add_sub(), delegates=[delegate]).get_signature_runner("add")
    x = np.float32([1])
    add(x=x, y=x)

    def says_so() -> bool:
        with pytest.raises(lite.StateError, match="forked from one in which the ThroughDelegate was in use"):
            add(x=x, y=x)
        return True

    assert in_child(says_so) == 0
    assert add(x=x, y=x)["sum"].tolist() == [2.0]


def asked_again(limits: Limits, key: str) -> tuple[lite.Interpreter, list[Any]]:
    """The counter, which calls signature `key` of itself at its last node, and what that gave."""
    interpreter, got = open_interpreter(counter_with_signatures(), limits=limits), list[Any]()
    inner = interpreter.get_signature_runner(key)

    def ask(graph: int, node: int, delegate: str) -> None:
        if (graph, node) == (0, 8):
            interpreter._engine.observer = None
            try:
                got.append(inner(**({"x": np.float32([1, 1])} if key == "increment" else {})))
            except lite.TfliteError as error:
                got.append(error)

    interpreter._engine.observer = ask
    return interpreter, got


@pytest.mark.parametrize("limits", [Limits(), Limits(max_concurrent_calls=1)], ids=["free", "queued"])
@pytest.mark.parametrize("key", ["increment", "read"])
def test_calls_within_calls_go_on(limits: Limits, key: str) -> None:
    """They need no place and no turn of their own, and see what the call has written so far."""
    interpreter, got = asked_again(limits, key)
    interpreter.get_signature_runner("increment")(x=np.float32([1, 1]))
    expected = [12.0, 22.0] if key == "increment" else [11.0, 21.0]
    assert [next(iter(out.values())).tolist() for out in got] == [expected]
    read = interpreter.get_signature_runner("read")
    with ThreadPoolExecutor(1) as other:
        assert other.submit(read).result(WAIT_S)["w"].tolist() == expected


def test_a_call_within_a_call_that_fails_leaves_what_it_found() -> None:
    interpreter = open_interpreter(counter_with_signatures())
    increment, read = interpreter.get_signature_runner("increment"), interpreter.get_signature_runner("read")
    one, seen = np.float32([1, 1]), list[Any]()

    def observe(graph: int, node: int, delegate: str) -> None:
        if (graph, node) == (0, 8) and not seen:
            seen.append(None)
            with pytest.raises(lite.KernelError, match="too much"):
                increment(x=one)
            seen[:] = [read()["v"].tolist()]
        elif (graph, node) == (0, 8):
            raise lite.KernelError("too much")

    interpreter._engine.observer = observe
    increment(x=one)
    assert seen == [[11.0, 21.0]]


def test_resetting_waits_for_calls() -> None:
    """Else what a call has read before, or undoes afterwards, would come back."""
    inside, leave = threading.Event(), threading.Event()
    interpreter = open_interpreter(counter_with_signatures())
    increment = interpreter.get_signature_runner("increment")

    def hold(graph: int, node: int, delegate: str) -> None:
        inside.set()
        assert leave.wait(WAIT_S)

    interpreter._engine.observer = hold
    with ThreadPoolExecutor(2) as others:
        call = others.submit(increment, x=np.float32([1, 1]))
        assert inside.wait(WAIT_S)
        reset = others.submit(interpreter.reset_all_variables)
        while not interpreter._engine.state._turns._waiting:
            time.sleep(0.001)
        assert not reset.done()
        leave.set()
        assert call.result(WAIT_S)["total"].tolist() == [11.0, 21.0]
        reset.result(WAIT_S)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forks_find_no_half_of_a_call() -> None:
    """Neither of another thread's, nor do they lose their own."""
    interpreter = open_interpreter(counter_with_signatures())
    increment, read = interpreter.get_signature_runner("increment"), interpreter.get_signature_runner("read")
    one, inside, leave, codes = np.float32([1, 1]), threading.Event(), threading.Event(), list[int]()
    increment(x=one)

    def hold(graph: int, node: int, delegate: str) -> None:
        if (graph, node) == (0, 7):  # one of two variables is assigned
            inside.set()
            assert leave.wait(WAIT_S)

    def both() -> list[list[float]]:
        return [value.tolist() for value in read().values()]

    interpreter._engine.observer = hold
    with ThreadPoolExecutor(1) as other:
        call = other.submit(increment, x=one)
        assert inside.wait(WAIT_S)
        assert in_child(lambda: both() == [[11.0, 21.0]] * 2) == 0
        leave.set()
        call.result(WAIT_S)
    in_the_child = False

    def fork(graph: int, node: int, delegate: str) -> None:
        nonlocal in_the_child
        if (graph, node) == (0, 7):
            child = os.fork()
            in_the_child = not child
            if child:
                codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    interpreter._engine.observer = fork
    total = increment(x=one)["total"].tolist()
    interpreter._engine.observer = None
    if in_the_child:
        with ThreadPoolExecutor(1) as other:
            found = other.submit(increment, x=one).result(WAIT_S)["total"].tolist()
        os._exit(0 if (total, found) == ([13.0, 23.0], [14.0, 24.0]) else 1)
    assert (total, both(), codes) == ([13.0, 23.0], [[13.0, 23.0]] * 2, [0])

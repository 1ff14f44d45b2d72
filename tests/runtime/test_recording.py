"""Spans within spans: whose time is whose."""

from __future__ import annotations

import pytest

from tflite_cupy.interpreter.runtime import recording
from tflite_cupy.interpreter.runtime.recording import Kind, Recorder, Recording, Span, Task

CALL, PLAN, PART, COPY = Task(Kind.CALL, "s"), Task(Kind.PLAN), Task(Kind.PARTITION), Task(Kind.COPY, "a to b")


class Clock:
    """Time that goes by when it is told to."""

    now = 0

    def __call__(self) -> int:
        return self.now

    def wait(self, time: int) -> None:
        self.now += time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(recording, "perf_counter_ns", clock)
    return clock


def node(*nodes: int, graph: int = 0) -> Task:
    return Task(Kind.NODE, "", graph, nodes, "cpu")


def totals(made: Recording) -> dict[Task, tuple[int, int, int]]:
    made.fold()
    return {task: (total.count, total.own, total.spent) for task, total in made.totals.items()}


def test_a_node_has_the_time_since_the_one_before(clock: Clock) -> None:
    made = Recording()
    made.begin()
    clock.wait(5)
    made.ran(0, (3, 4), "cpu")
    clock.wait(2)
    made.ran(0, (5,), "cpu")
    clock.wait(1)
    made.end(PART)
    assert totals(made) == {node(3, 4): (1, 5, 5), node(5): (1, 2, 2), PART: (1, 1, 8)}


def test_spans_within_a_node_are_not_its_own(clock: Clock) -> None:
    made = Recording()
    made.begin()
    clock.wait(10)  # before the node
    made.restart()
    for _ in range(2):
        clock.wait(1)
        with made.span(PART):
            clock.wait(4)
            made.ran(1, (0,), "cpu")
    clock.wait(3)
    made.ran(0, (7,), "cpu")
    made.end(CALL)
    found = totals(made)
    assert found[node(7)] == (1, 5, 13)
    assert found[node(0, graph=1)] == (2, 8, 8)
    assert found[CALL] == (1, 10, 23)
    assert sum(own for _, own, _ in found.values()) == 23


def test_spans_that_an_error_leaves_open_are_no_spans(clock: Clock) -> None:
    made = Recording()

    def fail() -> None:
        with made.span(PLAN):
            made.begin()
            made.begin()
            clock.wait(2)
            made.ran(0, (1,), "cpu")
            clock.wait(3)
            raise ValueError("no")

    with made.span(CALL):
        clock.wait(1)
        with pytest.raises(ValueError, match="no"):
            fail()
        clock.wait(4)
    assert totals(made) == {node(1): (1, 2, 2), PLAN: (1, 3, 5), CALL: (1, 5, 10)}


def test_measured_nodes_end_now_and_begin_within_their_span(clock: Clock) -> None:
    made = Recording()
    with made.span(PART):
        clock.wait(10)
        made.measured(0, "gpu", [((0, 1), "gemm", 2), ((), "fill", 1), ((2,), "a", 3), ((2,), "b", 1)], views=[9])
    made.fold()
    spans = [(s.task.nodes, s.task.name, s.start, s.end, s.times) for s in made.kept if s.task.kind is Kind.NODE]
    assert spans == [
        ((0, 1), "gemm", 3, 5, 1),
        ((2,), "a", 6, 9, 1),
        ((2,), "b", 9, 10, 0),
        ((9,), "view", 10, 10, 1),
    ]
    assert made.kept[-1] == Span(PART, 0, 10, 4)


def test_a_device_clock_that_runs_fast_stays_within_the_span(clock: Clock) -> None:
    made = Recording()
    with made.span(PART):
        clock.wait(10)
        made.measured(0, "gpu", [((0,), "", 8), ((1,), "", 8)])
    made.fold()
    assert [(s.start, s.end) for s in made.kept] == [(0, 8), (8, 10), (0, 10)]


def test_a_recorder_adds_calls_up(clock: Clock) -> None:
    recorder = Recorder()
    for _ in range(2):
        with recorder.call("s", 0):
            clock.wait(3)
            assert recorder.recording is not None
            with recorder.call("inner", 1), recorder.recording.span(COPY):
                clock.wait(1)
        assert recorder.recording is None
    assert (recorder.calls, recorder.wall, recorder.left_out, len(recorder.spans)) == (2, 8, 0, 6)
    found = {task: (total.count, total.own) for task, total in recorder.totals.items()}
    assert found == {Task(Kind.CALL, "s", 0): (2, 6), Task(Kind.CALL, "inner", 1): (2, 0), COPY: (2, 2)}


def test_a_closed_recorder_takes_no_more(clock: Clock) -> None:
    recorder = Recorder()
    with recorder.call("s", 0):
        recorder.close()
    assert (recorder.calls, recorder.spans) == (0, [])

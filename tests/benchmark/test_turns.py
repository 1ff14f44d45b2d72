"""Against a clock that goes on only while something runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from tflite_cupy.benchmark.turns import SAMPLES, WARMUP_LIMIT, WINDOW, Effort, Times, WarmUp, take_turns, warm_up


class Machine:
    """Runs that take as long as they say, and the clock that they move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ran: list[str] = []

    def clock(self) -> float:
        return self.now

    def run(self, name: str, seconds: float | Iterable[float]) -> Callable[[], None]:
        times = iter(seconds) if isinstance(seconds, Iterable) else None

        def call() -> None:
            self.ran.append(name)
            self.now += seconds if isinstance(seconds, float) else next(times or iter(()))

        return call


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_warm_up_ends_when_runs_get_no_faster(machine: Machine) -> None:
    falling = [1.0, 0.9, 0.8, 0.7, 0.6] + [0.1] * 20
    found = warm_up(machine.run("x", falling), Effort(), machine.clock)
    assert (found.runs, found.steady) == (5 + 2 * WINDOW - 2, True)  # medians of two windows are 0.1 then


def test_warm_up_does_not_go_on_for_ever(machine: Machine) -> None:
    found = warm_up(machine.run("x", (1 / (1 + n) for n in range(10**6))), Effort(), machine.clock)
    assert found.steady is False
    assert WARMUP_LIMIT <= found.seconds < WARMUP_LIMIT + 1


@pytest.mark.parametrize(("runs", "seconds", "expected"), [(3, 0.0, 3), (1, 2.0, 4), (10, 2.0, 10)])
def test_warm_up_as_long_as_asked(machine: Machine, runs: int, seconds: float, expected: int) -> None:
    effort = Effort(warmup_runs=runs, warmup_seconds=seconds)
    assert warm_up(machine.run("x", 0.5), effort, machine.clock) == WarmUp(expected, expected * 0.5, None)


def test_one_alone_is_run_as_often_as_asked(machine: Machine) -> None:
    found = take_turns({"x": machine.run("x", 0.25)}, Effort(runs=4, seconds=0), machine.clock)
    assert found["x"].turns == ((0.25,),) * 4
    assert len(machine.ran) == 4


def test_one_alone_is_run_for_as_long_as_asked(machine: Machine) -> None:
    found = take_turns({"x": machine.run("x", 0.25)}, Effort(runs=1, seconds=2, limit=2), machine.clock)
    assert len(found["x"].all) == 8


def test_short_runs_are_woken_and_timed_thrice_in_a_turn(machine: Machine) -> None:
    runs = {"a": machine.run("a", 0.5**10), "b": machine.run("b", 0.5**8)}
    found = take_turns(runs, Effort(runs=7, seconds=0), machine.clock)
    assert found["a"].turns == ((0.5**10,) * SAMPLES,) * 3  # three rounds of three give seven
    assert "".join(machine.ran) == "ab" + "bbbbaaaa" + "aaaabbbb" + "bbbbaaaa"  # the order goes round


def test_long_runs_are_timed_alone(machine: Machine) -> None:
    runs = {"a": machine.run("a", 0.5), "b": machine.run("b", 0.25)}
    found = take_turns(runs, Effort(runs=100, seconds=0, limit=2.0), machine.clock)
    assert found["a"].turns == ((0.5,),) * 3
    assert found["b"].turns == ((0.25,),) * 3


def test_what_is_slow_may_sit_out(machine: Machine) -> None:
    runs = {"fast": machine.run("fast", 0.25), "slow": machine.run("slow", 3.0)}
    found = take_turns(runs, Effort(runs=9, seconds=0, limit=5.0), machine.clock, sparing=["slow"])
    assert len(found["slow"].turns) == 1
    assert len(found["fast"].turns) == 8
    assert found["fast"].ratios(found["slow"]) == [0.25 / 3]


def test_ratios_are_of_medians_of_turns() -> None:
    ours, theirs = Times(((1.0, 2.0, 9.0), (4.0, 4.0, 1.0))), Times(((1.0, 1.0, 1.0), (2.0, 2.0, 3.0), (5.0,)))
    assert ours.ratios(theirs) == [2.0, 2.0]


def test_progress_is_told(machine: Machine) -> None:
    told: list[tuple[int, int]] = []
    runs = {"a": machine.run("a", 0.5**10), "b": machine.run("b", 0.5**10)}
    take_turns(runs, Effort(runs=9, seconds=0), machine.clock, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]

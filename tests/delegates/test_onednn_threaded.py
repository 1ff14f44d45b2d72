"""Programs for several threads go on with one while those do not run together."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from networks import mobilenet_v2

from tests.build import F32, GraphBuilder, model
from tests.engines import call
from tflite_cupy.delegates.cpu import kernels_in_use
from tflite_cupy.delegates.cpu.onednn import threaded
from tflite_cupy.delegates.cpu.onednn.alike import alike
from tflite_cupy.delegates.cpu.onednn.threaded import DOUBLINGS, FEWEST, PATIENCE, WINDOW, Threaded, Watch
from tflite_cupy.interpreter.errors import MissingDependencyError
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.ops.base import Padding
from tflite_cupy.interpreter.runtime.engine import Engine

LANE: Any = SimpleNamespace(is_watched=False)


class Clock:
    """Seconds that pass in a call, and how many processors work in it, which those that keep time hear of late."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.together, self.call, self.tick = 2.0, 1.0, 0.0
        self._now = self._used = self._heard = self._ticked = 0.0
        monkeypatch.setattr(threaded, "perf_counter", lambda: self._now)
        monkeypatch.setattr(threaded, "process_time", lambda: self._now + self._heard)
        monkeypatch.setattr(threaded, "thread_time", lambda: self._now)

    def pass_call(self) -> None:
        self._now += self.call
        self.work((self.together - 1.0) * self.call)

    def work(self, seconds: float) -> None:
        """What other threads do."""
        self._used += seconds
        if self._now >= self._ticked + self.tick:
            self._ticked, self._heard = self._now, self._used


class Fake:
    """A program that notes its calls."""

    def __init__(self, name: str, log: list[str], clock: Clock) -> None:
        self.name, self._log, self._clock = name, log, clock
        self.library, self.steps, self.details = SimpleNamespace(is_forked=False), (), {"name": name}
        self.is_silent = True

    def __call__(self, lane: object, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        self._log.append(self.name)
        self._clock.pass_call()
        return [np.zeros(1)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def calls(program: Threaded, count: int, log: list[str]) -> str:
    log.clear()
    for _ in range(count):
        program(LANE, [])
    return "".join(log)


def test_threads_that_run_together_stay(clock: Clock) -> None:
    log: list[str] = []
    program = Threaded(Fake("n", log, clock), lambda: Fake("1", log, clock))  # type: ignore[arg-type, return-value]
    assert calls(program, 20, log) == "n" * 20
    assert program.details == {"name": "n"}


def test_threads_that_wait_for_each_other_are_given_up_for_a_time(clock: Clock) -> None:
    log: list[str] = []
    program = Threaded(Fake("n", log, clock), lambda: Fake("1", log, clock))  # type: ignore[arg-type, return-value]
    clock.together = 1.0
    assert calls(program, PATIENCE, log) == "n" * PATIENCE
    for time in range(DOUBLINGS + 3):
        ones = FEWEST << min(time, DOUBLINGS)
        assert calls(program, ones + 1, log) == "1" * ones + "n"
    clock.together = 2.0
    assert calls(program, (FEWEST << DOUBLINGS) + 9, log) == "1" * (FEWEST << DOUBLINGS) + "n" * 9


def test_short_calls_are_judged_over_many_ticks_of_the_system(clock: Clock) -> None:
    """What running threads use is added up every 4 ms."""
    log: list[str] = []
    program = Threaded(Fake("n", log, clock), lambda: Fake("1", log, clock))  # type: ignore[arg-type, return-value]
    clock.call, clock.tick = 0.0005, 0.004
    assert calls(program, 500, log) == "n" * 500
    clock.together = 1.0
    window = round(WINDOW / clock.call)
    assert calls(program, 3 * window, log).count("1") > 0
    assert calls(program, 9 * window, log).count("n") <= 6 * window


def test_what_others_use_between_calls_counts_up_to_a_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, watch = Clock(monkeypatch), Watch()
    clock.together = 1.0

    def judged(between: float) -> bool | None:
        for _ in range(PATIENCE):
            start = watch.started()
            clock.pass_call()
            found = watch.judged(start, PATIENCE)
            clock.work(between)
        return found

    assert judged(between=100.0) is False
    clock.call = 0.01
    assert judged(between=0.009) is True


def test_calls_of_other_threads_may_end_meanwhile(clock: Clock) -> None:
    """One whose threads ran together, while the program for one thread is made."""
    log: list[str] = []

    def remake() -> Any:
        clock.together = 2.0
        program(LANE, [])
        return Fake("1", log, clock)

    program = Threaded(Fake("n", log, clock), remake)  # type: ignore[arg-type]
    clock.together = 1.0
    assert calls(program, PATIENCE, log) == "n" * (PATIENCE + 1)
    assert calls(program, FEWEST + 1, log) == "1" * FEWEST + "n"


def test_a_program_that_adds_up_in_another_order_is_never_used(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    made: list[str] = []

    def remake() -> Any:
        made.append("1")
        return Fake("1", log, clock)

    monkeypatch.setattr(threaded, "alike", lambda *_: False)
    program = Threaded(Fake("n", log, clock), remake)  # type: ignore[arg-type]
    clock.together = 1.0
    assert calls(program, 50, log) == "n" * 50
    assert made == ["1"]


def test_a_profiled_call_runs_the_program_that_reports_show(clock: Clock) -> None:
    log: list[str] = []
    program = Threaded(Fake("n", log, clock), lambda: Fake("1", log, clock))  # type: ignore[arg-type, return-value]
    clock.together = 1.0
    for _ in range(9):
        program(SimpleNamespace(is_watched=True), [])  # type: ignore[arg-type]
    assert log == ["n"] * 9


@pytest.fixture
def _onednn() -> None:
    try:
        kernels_in_use("onednn")
    except MissingDependencyError as error:
        pytest.skip(str(error))


def program_of(engine: Engine) -> Any:
    (step,) = engine.latest_plan(engine.model.graphs[0]).steps
    return step.executable  # type: ignore[union-attr]


@pytest.mark.usefixtures("_onednn")
def test_networks_give_the_same_bits_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    from .test_onednn import Watched, normal

    monkeypatch.setattr(threaded, "TOGETHER", np.inf)
    monkeypatch.setattr(threaded, "WINDOW", 0.0)
    engine, image = Engine(load_model(write_model(mobilenet_v2(resolution=64))), [Watched(2)]), normal(1, 64, 64, 3)
    results = [call(engine, image)[0].tobytes() for _ in range(PATIENCE + FEWEST + 2)]
    assert len(set(results)) == 1
    program = program_of(engine)
    assert isinstance(program, Threaded)
    assert program._single is not None
    assert program._single.threads == {1}
    assert program._left > 0


def filtered(threads: int, scale: float = 1.0) -> Any:
    """The program that filters an image of 16 x 16 x 256 with 3 x 3 of such a scale."""
    from .test_onednn import Watched

    b, weights = GraphBuilder(), np.random.default_rng(3).normal(size=(8, 3, 3, 256)).astype(np.float32)
    x, bias = b.input(F32, [1, 16, 16, 256]), b.constant(np.zeros(8, np.float32))
    window = {"padding": Padding.SAME, "stride_h": 1, "stride_w": 1}
    result = b.add("CONV_2D", [x, b.constant(weights * np.float32(scale)), bias], [1, 16, 16, 8], **window)
    engine = Engine(model(b.graph([result])), [Watched(threads)])
    call(engine, np.zeros((1, 16, 16, 256), np.float32))
    return program_of(engine)


@pytest.mark.usefixtures("_onednn")
def test_primitives_are_compared_on_numbers_of_their_own() -> None:
    """Not on what is called with: sums of zeros are the same in any order."""
    several, one, other = filtered(2), filtered(1), filtered(1, scale=1.00001)
    assert alike(several.program, one)
    assert several._is_alike()
    assert not alike(several.program, other)

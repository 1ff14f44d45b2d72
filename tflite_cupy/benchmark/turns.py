"""Times of runs: warmed up first, then taken in turn, so that a slow moment of the machine hits all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

Run = Callable[[], Any]
Clock = Callable[[], float]
"""Seconds."""

LONG = 0.15
"""Seconds of a run that is timed alone in a turn."""

SAMPLES = 3
"""Timed runs in a turn of shorter ones."""

ROUNDS = 3
"""How many there are at least where several runtimes take turns."""

WINDOW = 5
"""Runs whose median is held against that of as many before: warm is what gets no faster."""

GAIN = 0.05
"""By how much of it a median may still fall."""

WARMUP_LIMIT = 5.0
"""Seconds after which a run counts as warm anyhow."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure. There are `runs` timed runs of each and `seconds` of them, unless `limit` seconds end it."""

    runs: int = 50
    seconds: float = 1.0
    limit: float = 20.0
    warmup_runs: int | None = None  # None: until they get no faster
    warmup_seconds: float = 0.0  # at least


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What came before the first timed run; `steady`: whether runs had stopped getting faster, None if not asked."""

    runs: int
    seconds: float
    steady: bool | None


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of runs, by turn: the first of one runtime was taken beside the first of each other."""

    turns: tuple[tuple[float, ...], ...]

    @property
    def all(self) -> list[float]:
        return [seconds for turn in self.turns for seconds in turn]

    def ratios(self, others: Times) -> list[float]:
        """These / others, by the medians of turns that were taken beside each other."""
        return [median(a) / median(b) for a, b in zip(self.turns, others.turns, strict=False)]


def warm_up(run: Run, effort: Effort, clock: Clock = time.perf_counter) -> WarmUp:
    """Run it until it is warm, or as often as asked."""
    begun, times = clock(), list[float]()
    while True:
        times.append(timed(run, clock))
        spent, enough = clock() - begun, effort.warmup_seconds
        if effort.warmup_runs is not None:
            if len(times) >= effort.warmup_runs and spent >= enough:
                return WarmUp(len(times), spent, None)
            continue
        steady = _is_steady(times)
        if (steady and spent >= enough) or spent >= max(WARMUP_LIMIT, enough):
            return WarmUp(len(times), spent, steady)


def _is_steady(times: list[float]) -> bool:
    if len(times) < 2 * WINDOW:
        return False
    return median(times[-WINDOW:]) >= (1 - GAIN) * median(times[-2 * WINDOW : -WINDOW])


def take_turns(
    runs: Mapping[str, Run],
    effort: Effort,
    clock: Clock = time.perf_counter,
    *,
    sparing: Collection[str] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Times]:
    """Times of each, by name; the order changes from round to round.

    A turn among several is one untimed run, which wakes threads while others' go to sleep, and `SAMPLES` timed ones;
    one timed run where it takes `LONG`. Those in `sparing` sit out once they have had their share of the limit.
    progress is told rounds (done, expected).
    """
    long = {name: timed(run, clock) >= LONG for name, run in runs.items()} if len(runs) > 1 else {}
    turns: dict[str, list[tuple[float, ...]]] = {name: [] for name in runs}
    spent = dict.fromkeys(runs, 0.0)
    order, begun = list(runs), clock()
    while not _is_enough(turns, effort, clock() - begun, sparing):
        order.append(order.pop(0))
        for name in order:
            if name in sparing and turns[name] and spent[name] > effort.limit / len(runs):
                continue
            start = clock()
            turns[name].append(_turn(runs[name], len(runs) == 1 or long[name], len(runs) == 1, clock))
            spent[name] += clock() - start
        progress(*_rounds(turns, effort))
    return {name: Times(tuple(taken)) for name, taken in turns.items()}


def _is_enough(
    turns: Mapping[str, list[tuple[float, ...]]], effort: Effort, spent: float, sparing: Collection[str]
) -> bool:
    counts = [sum(map(len, taken)) for name, taken in turns.items() if name not in sparing]
    rounds = max(map(len, turns.values()))
    if rounds < (1 if len(turns) == 1 else min(ROUNDS, effort.runs)):
        return False
    return spent >= effort.limit or (min(counts) >= effort.runs and spent >= effort.seconds)


def _rounds(turns: Mapping[str, list[tuple[float, ...]]], effort: Effort) -> tuple[int, int]:
    """Rounds done, and how many there will be if nothing ends them before."""
    done = max(map(len, turns.values()))
    samples = min(len(taken[-1]) for taken in turns.values())
    return done, max(done, -(-effort.runs // samples))


def _turn(run: Run, is_alone: bool, is_warm: bool, clock: Clock) -> tuple[float, ...]:
    if not is_alone and not is_warm:
        run()
    return tuple(timed(run, clock) for _ in range(1 if is_alone else SAMPLES))


def timed(run: Run, clock: Clock = time.perf_counter) -> float:
    """Seconds of one run."""
    start = clock()
    run()
    return clock() - start

"""Programs for several threads, also where those don't get to run: on busy processors, in forked processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter, process_time, thread_time
from typing import TYPE_CHECKING

from ....interpreter.graph import Array
from .alike import alike
from .program import Program

if TYPE_CHECKING:
    from ....interpreter.runtime.lane import Lane

TOGETHER = 0.2
"""Seconds of processors that the other threads of the process use a second of a call, below which its threads ran one
after the other: others hold processors. Threads that wait use them, too, so this is 1 where they get one each."""

TICK = 0.01
"""Seconds at most after which systems add up what threads use that go on running; 4 ms is usual."""

WINDOW = 2 * TICK
"""Seconds of calls that are judged as one."""

PATIENCE = 3
"""Calls at least that are judged as one before threads are given up; one is enough where they are tried again."""

FEWEST, DOUBLINGS = 4, 5
"""Calls on one thread before threads are tried again, and how often a vain try doubles them."""


class Threaded:
    """A program for several threads that goes on with one while these do not run together: a thread that waits for one
    that others keep from running spins in each primitive, which makes a call five times as long.

    The program for one thread is made when it is first needed, and used if it adds up in the same order: what a call
    gives does not depend on how busy the machine is. A forked process has no other threads, and always uses it.
    """

    def __init__(self, program: Program, remake: Callable[[], Program | None]) -> None:
        self.program, self._remake = program, remake
        self.details, self.is_silent = program.details, program.is_silent
        self._single: Program | None = None
        self._may_switch = True
        self._left = 0  # calls on one thread before threads are tried again
        self._vain = 0  # windows in a row whose threads did not run together
        self._watch = Watch()

    def __call__(self, lane: Lane, inputs: Sequence[Array]) -> Sequence[Array]:
        if self.program.library.is_forked:
            self._single = self._made()
            return self._single(lane, inputs)
        single = self._single  # other threads' calls change these fields, too
        if self._left > 0 and single is not None:
            self._left -= 1
            return single(lane, inputs)
        if not self._may_switch or lane.is_watched:
            return self.program(lane, inputs)
        start = self._watch.started()
        results = self.program(lane, inputs)
        are_together = self._watch.judged(start, 1 if self._vain else PATIENCE)
        if are_together is not None:
            self._vain = vain = 0 if are_together else self._vain + 1
            if vain and self._is_alike():
                self._left = FEWEST << min(vain - 1, DOUBLINGS)
        return results

    def _made(self) -> Program:
        made = self._single or self._remake()
        assert made is not None  # as there is one for several threads
        return made

    def _is_alike(self) -> bool:
        """Whether the program for one thread gives the same bits; looked at once."""
        if self._single is None:
            single = self._made()
            self._may_switch = alike(self.program, single)
            self._single = single if self._may_switch else None
        return self._may_switch


class Watch:
    """Adds up what the other threads of the process use of processors during calls, and up to a tick of what they use
    after a call, because that is added up late.

    What they do besides, as in calls of their own, counts as if it were for these: nothing tells them apart. Calls that
    overlap may overwrite each other's sums, which are estimates anyway.
    """

    def __init__(self) -> None:
        self._before: float | None = None  # what they had used when the last call ended
        self._calls, self._spent, self._used = 0, 0.0, 0.0

    def started(self) -> tuple[float, float]:
        """Told that a call starts: when that is, and what others have used."""
        before, others = self._before, process_time() - thread_time()
        if before is not None:
            self._used += min(max(others - before, 0.0), TICK)
        return perf_counter(), others

    def judged(self, start: tuple[float, float], calls: int) -> bool | None:
        """Told that a call has ended: whether threads ran together, None for too few calls or too short ones."""
        spent, others = perf_counter() - start[0], process_time() - thread_time()
        self._before, self._used = others, self._used + max(others - start[1], 0.0)
        self._calls, self._spent = self._calls + 1, self._spent + spent
        if self._calls < calls or self._spent < WINDOW:
            return None
        are_together = self._used >= TOGETHER * self._spent
        self._before, self._calls, self._spent, self._used = None, 0, 0.0, 0.0
        return are_together

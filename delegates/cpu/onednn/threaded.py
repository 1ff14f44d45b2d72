"""Programs for several threads, also where those don't get to run: on busy processors, in forked processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter, process_time
from typing import TYPE_CHECKING

from ....interpreter.graph import Array
from .alike import alike
from .program import Program

if TYPE_CHECKING:
    from ....interpreter.runtime.lane import Lane

TOGETHER = 1.2
"""Seconds of processors a second of a call, below which its threads ran one after the other: others hold processors.

The threads that wait use them, too, so this is 2 and more where threads get a processor each."""

PATIENCE = 3
"""Calls in a row whose threads did not run together, before threads are given up."""

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
        self.details = program.details
        self._single: Program | None = None
        self._may_switch = True
        self._left = 0  # calls on one thread before threads are tried again
        self._vain = 0  # calls in a row whose threads did not run together

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
        start, used = perf_counter(), process_time()
        results = self.program(lane, inputs)
        are_together = process_time() - used >= TOGETHER * (perf_counter() - start)
        self._vain = vain = 0 if are_together else self._vain + 1
        if vain >= PATIENCE and self._is_alike():
            self._left = FEWEST << min(vain - PATIENCE, DOUBLINGS)
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

"""What calls spend their time on: a `Recording` for each call, collected by a `Recorder` while a block is profiled.

A call is recorded on its own thread, as spans within spans: planning, subgraphs, partitions, copies. Nodes are told of
when they have ended: what went by since the one before, or since the partition began, is a node's. Times are in
nanoseconds, of `time.perf_counter_ns`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from time import perf_counter_ns
from typing import NamedTuple, Protocol

MAX_SPANS = 200_000
"""Spans that a recorder keeps one by one, about 40 MB; of further ones it keeps sums."""

_FOLDED_AT = 50_000
"""Spans of a call after which they are added up."""


class Kind(Enum):
    """What a span of time was spent on."""

    CALL = "call"
    PLAN = "plan"
    WAIT = "wait"  # for other calls
    SUBGRAPH = "subgraph"
    PARTITION = "partition"
    COPY = "copy"
    NODE = "node"


class Task(NamedTuple):
    """One piece of work that is done again and again, and that times are added up for."""

    kind: Kind
    name: str = ""  # of a call: its signature; of a copy: from where to where; of nodes: the kernel, if it has a name
    graph: int = -1
    nodes: tuple[int, ...] = ()  # computed as one, the head first
    delegate: str = ""


class Span(NamedTuple):
    """A task done once."""

    task: Task
    start: int
    end: int
    own: int  # without what lies within it
    times: int = 1  # 0 for a further part of what was counted already


class Step(Protocol):
    """What is recorded again and again."""

    @property
    def task(self) -> Task: ...


class Total:
    """How often a task was done, and how long that took."""

    __slots__ = ("count", "own", "spent")

    def __init__(self) -> None:
        self.count = self.own = self.spent = 0

    def add(self, count: int, own: int, spent: int) -> None:
        self.count += count
        self.own += own
        self.spent += spent


class _Frame:
    """A span that has begun."""

    __slots__ = ("heard", "inner", "mark", "start", "within")

    def __init__(self, now: int) -> None:
        self.start = self.mark = now  # mark: the end of the last node
        self.within = 0  # of what has ended: spans and nodes, to the mark
        self.inner = 0  # of spans that have ended since the mark
        self.heard = False  # of a node


class Recording:
    """Spans of one call. For the thread that makes the call."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.totals: dict[Task, Total] = {}
        self.kept: list[Span] = []
        self.left_out = 0
        self.spent = 0
        """By the span that ended last."""
        self._spans: list[tuple[Task, int, int, int, int]] = []  # as in `Span`, which takes longer to make
        self._tasks: dict[tuple[str, int, tuple[int, ...], str], Task] = {}  # of nodes, by their other fields
        self._steps: dict[Step, Task] = {}
        self._frames: list[_Frame] = []

    def task(self, step: Step) -> Task:
        """That of a step, made once."""
        task = self._steps.get(step)
        if task is None:
            task = self._steps[step] = step.task
        return task

    @property
    def has_heard(self) -> bool:
        """Whether a node was told of since the last `begin`."""
        return self._frames[-1].heard

    def begin(self) -> None:
        """A span begins."""
        self._frames.append(_Frame(perf_counter_ns()))

    def end(self, task: Task) -> None:
        """The span that began last has ended."""
        now, frame = perf_counter_ns(), self._frames.pop()
        spent = now - frame.start
        self.spent = spent
        self._spans.append((task, frame.start, now, spent - frame.within - frame.inner, 1))
        if self._frames:
            self._frames[-1].inner += spent
        if len(self._spans) >= _FOLDED_AT:
            self.fold()

    @contextmanager
    def span(self, task: Task) -> Iterator[None]:
        """Around what takes the time. Of spans within it that an error has left open, what ended in them counts."""
        depth = len(self._frames)
        self.begin()
        try:
            yield
        finally:
            while len(self._frames) > depth + 1:
                lost = self._frames.pop()
                self._frames[-1].inner += lost.within + lost.inner
            self.end(task)

    def restart(self) -> None:
        """What follows belongs to the next node."""
        frame = self._frames[-1]
        frame.mark, frame.within, frame.inner = perf_counter_ns(), frame.within + frame.inner, 0

    def ran(self, graph: int, nodes: Sequence[int], delegate: str, name: str = "") -> None:
        """Nodes have run, computed as one: since the one before, or since their span began."""
        now, frame = perf_counter_ns(), self._frames[-1]
        spent = now - frame.mark
        key = name, graph, tuple(nodes), delegate
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = Task(Kind.NODE, *key)
        self._spans.append((task, frame.mark, now, spent - frame.inner, 1))
        frame.mark, frame.within, frame.inner, frame.heard = now, frame.within + spent, 0, True

    def measured(
        self, graph: int, delegate: str, laps: Sequence[tuple[Sequence[int], str, int]], views: Sequence[int] = ()
    ) -> None:
        """Nodes have run one after another on a device, which is done now: (nodes, kernel, nanoseconds) of each step.

        Further steps with the same head are parts of that node, steps without nodes are not the work of any. `views`
        are nodes that took no time, those among the others left out.
        """
        now, frame = perf_counter_ns(), self._frames[-1]
        heads: set[int] = set()
        told = {node for nodes, _, _ in laps for node in nodes}
        laps = [*laps, *(((node,), "view", 0) for node in views if node not in told)]
        start = max(frame.start, now - sum(lap[2] for lap in laps))
        for nodes, name, spent in laps:
            begin, start = start, min(start + spent, now)
            if nodes:
                task = Task(Kind.NODE, name, graph, tuple(nodes), delegate)
                self._spans.append((task, begin, start, start - begin, int(nodes[0] not in heads)))
                frame.within += start - begin
                heads.add(nodes[0])
        frame.mark, frame.heard = now, True

    def fold(self) -> None:
        """Add up the spans so far."""
        for task, start, end, own, times in self._spans:
            total = self.totals.get(task)
            if total is None:
                total = self.totals[task] = Total()
            total.add(times, own, end - start)
        room = max(MAX_SPANS - len(self.kept), 0)
        self.kept += map(Span._make, self._spans[:room])
        self.left_out += max(len(self._spans) - room, 0)
        self._spans.clear()


class Recorder:
    """Collects the calls of one interpreter, from any number of threads, until it is closed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._local = threading.local()
        self._is_closed = False
        self._totals: dict[Task, Total] = {}
        self._kept: list[tuple[int, Span]] = []
        self.calls = 0
        """Calls that have ended, those within others not counted."""
        self.wall = 0
        """Nanoseconds that these took, added up."""
        self.left_out = 0
        """Spans that are in the totals only."""

    @property
    def recording(self) -> Recording | None:
        """That of the call that this thread is making."""
        recording: Recording | None = getattr(self._local, "recording", None)
        return recording

    @contextmanager
    def call(self, name: str, graph: int) -> Iterator[None]:
        """Around a call; one within another of the same thread is a part of that."""
        outer = self.recording
        recording = self._local.recording = outer or Recording()
        try:
            with recording.span(Task(Kind.CALL, name, graph)):
                yield
        finally:
            self._local.recording = outer
            if outer is None:
                self._add(recording)

    @property
    def totals(self) -> Mapping[Task, Total]:
        """By task; they go on changing while calls end."""
        with self._lock:
            return dict(self._totals)

    @property
    def spans(self) -> list[tuple[int, Span]]:
        """(thread, span) of the first `MAX_SPANS`, call by call in the order in which these ended."""
        with self._lock:
            return list(self._kept)

    def close(self) -> None:
        """Calls that end later do not count."""
        with self._lock:
            self._is_closed = True

    def after_fork(self) -> None:
        """Make the lock anew, which a thread may have held that this process does not have."""
        self._lock = threading.Lock()

    def _add(self, recording: Recording) -> None:
        recording.fold()
        with self._lock:
            if self._is_closed:
                return
            self.calls += 1
            self.wall += recording.spent
            for task, total in recording.totals.items():
                self._totals.setdefault(task, Total()).add(total.count, total.own, total.spent)
            room = max(MAX_SPANS - len(self._kept), 0)
            self._kept += [(recording.thread, span) for span in recording.kept[:room]]
            self.left_out += recording.left_out + max(len(recording.kept) - room, 0)

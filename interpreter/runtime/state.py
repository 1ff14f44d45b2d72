"""What one interpreter remembers between calls: variables, tables, streams of nodes, which initialisers have run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from itertools import chain

import numpy as np

from ..graph import TensorSpec, TensorType
from ..ops.shared.resources import Table, Variable
from .turns import Reading, Turns, Writing, during


class State:
    """Resources of one interpreter, shared by all its signatures and by no other interpreter. Thread-safe."""

    xp = np

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._initialising = threading.RLock()
        self._initialised: set[int] = set()
        self._settled: frozenset[int] = frozenset()  # those of calls that have ended well
        self._turns = Turns()
        self._variables: dict[tuple[str, str], Variable] = {}
        self._tables: dict[int, Table] = {}
        self._tensors: dict[tuple[int, int], tuple[Variable, TensorSpec]] = {}
        self._memories: dict[tuple[int, int], tuple[Variable, np.ndarray]] = {}
        self._streams: dict[tuple[int, int], Variable] = {}

    def variable(self, container: str, shared_name: str) -> Variable:
        """The variable of that name, made on first use without a value."""
        with self._lock:
            return self._variables.setdefault((container, shared_name), Variable(shared_name))

    def read(self, variable: Variable) -> np.ndarray:
        """The value of a variable on the host."""
        value: np.ndarray = variable.read()
        return value

    def assign(self, variable: Variable, value: np.ndarray) -> None:
        """Set a variable to a copy of an array on the host."""
        variable.assign(value)

    def table(self, table_id: int) -> Table:
        """The table of that id, made empty on first use."""
        with self._lock:
            return self._tables.setdefault(table_id, Table())

    def variable_tensor(self, graph: int, index: int, spec: TensorSpec) -> Variable:
        """The variable behind a tensor that the file marks as variable; zeros at first."""
        with self._lock:
            entry = self._tensors.get((graph, index))
            if entry is None or entry[1].shape != spec.shape:
                entry = self._tensors[graph, index] = Variable(spec.name, _zeros(spec)), spec
            return entry[0]

    def memory(self, place: tuple[int, int], start: np.ndarray) -> Variable:
        """What the node at `place` (graph, node) remembers: `start` at first, and again for a `start` of new shape."""
        with self._lock:
            entry = self._memories.get(place)
            if entry is None or (entry[1].shape, entry[1].dtype) != (start.shape, start.dtype):
                entry = self._memories[place] = Variable(f"of node {place[1]} in subgraph {place[0]}", start), start
            return entry[0]

    def stream(self, place: tuple[int, int], start: np.ndarray) -> Variable:
        """How far the node at `place` is in its random numbers, `start` at first. Calls that fail have used up theirs,
        since others may have gone on from there."""
        with self._lock:
            return self._streams.setdefault(place, Variable(f"of node {place[1]} in subgraph {place[0]}", start))

    def reset_variable_tensors(self) -> None:
        """Set variable tensors to zero and let nodes forget; resource variables and tables keep their values."""
        during(self.writing(), self._reset)

    def _reset(self) -> None:
        with self._lock:
            for variable, spec in self._tensors.values():
                variable.assign(_zeros(spec))
            self._memories = {}
            self._streams = {}

    def is_initialised(self, graph: int) -> bool:
        """Whether an initialiser subgraph has run."""
        return graph in self._initialised

    def is_settled(self, graphs: AbstractSet[int]) -> bool:
        """Whether these initialisers have run, in calls that have ended."""
        return graphs <= self._settled

    def after_fork(self) -> None:
        """Make locks anew that threads may have held which this process does not have, and undo what their calls have
        written."""
        self._lock, self._initialising = threading.Lock(), threading.RLock()
        for variable in chain(self._all(), self._streams.values()):
            variable.lock = threading.RLock()
        for table in self._tables.values():
            table.lock = threading.Lock()
        for writing in self._turns.after_fork():
            writing.undo()

    def _all(self) -> Iterator[Variable]:
        """Everything that calls write and that is undone if they fail."""
        pairs = chain(self._tensors.values(), self._memories.values())
        return chain(self._variables.values(), (variable for variable, _ in pairs))

    def once(self, graph: int, run: Callable[[], object]) -> None:
        """Run the initialiser subgraph `graph` unless it has run before; other threads wait until it has."""
        if graph in self._initialised:
            return
        with self._initialising:
            if graph not in self._initialised:
                run()
                self._initialised.add(graph)

    def reading(self) -> Reading:
        """For a call that reads: no other call writes meanwhile."""
        return Reading(self._turns)

    def writing(self) -> Writing:
        """For a call that writes: no other call reads or writes meanwhile, and if it fails, nothing stays that it
        wrote."""
        return Writing(self._turns, self._remembered, self._settle)

    def _settle(self) -> None:
        if len(self._settled) != len(self._initialised):
            self._settled = frozenset(self._initialised)

    def _remembered(self) -> Callable[[], None]:
        """A function that makes everything but hash tables and random streams what it is now."""
        with self._lock:
            before = dict(self._variables), dict(self._tensors), dict(self._memories)
            held = [(variable, variable.held) for variable in self._all()]
        initialised = set(self._initialised)

        def restore() -> None:
            with self._lock:
                self._variables, self._tensors, self._memories = before
                self._initialised = initialised
                for variable, value in held:
                    variable.restore(value)

        return restore


def _zeros(spec: TensorSpec) -> np.ndarray:
    """The start value of a variable tensor: the zero point of an int8 one, else 0, as in the reference."""
    is_centred = spec.type is TensorType.INT8 and spec.quantization is not None and len(spec.quantization.zero_points)
    start = int(spec.quantization.zero_points[0]) if is_centred and spec.quantization is not None else 0
    return np.full(spec.shape or (), start, spec.dtype)

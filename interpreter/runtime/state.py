"""What one interpreter remembers between calls: variables, tables, streams of nodes, which initialisers have run."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from ..graph import TensorSpec, TensorType
from ..ops.shared.resources import Table, Variable


class State:
    """Resources of one interpreter, shared by all its signatures and by no other interpreter. Thread-safe."""

    xp = np

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._initialising = threading.RLock()
        self._initialised: set[int] = set()
        self._variables: dict[tuple[str, str], Variable] = {}
        self._tables: dict[int, Table] = {}
        self._tensors: dict[tuple[int, int], tuple[Variable, TensorSpec]] = {}
        self._memories: dict[tuple[int, int], tuple[Variable, np.ndarray]] = {}

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

    def reset_variable_tensors(self) -> None:
        """Set variable tensors to zero and let nodes forget; resource variables and tables keep their values."""
        with self._lock:
            for variable, spec in self._tensors.values():
                variable.assign(_zeros(spec))
            self._memories.clear()

    def is_initialised(self, graph: int) -> bool:
        """Whether an initialiser subgraph has run."""
        return graph in self._initialised

    def once(self, graph: int, run: Callable[[], object]) -> None:
        """Run the initialiser subgraph `graph` unless it has run before; other threads wait until it has."""
        if graph in self._initialised:
            return
        with self._initialising:
            if graph not in self._initialised:
                run()
                self._initialised.add(graph)


def _zeros(spec: TensorSpec) -> np.ndarray:
    """The start value of a variable tensor: the zero point of an int8 one, else 0, as in the reference."""
    is_centred = spec.type is TensorType.INT8 and spec.quantization is not None and len(spec.quantization.zero_points)
    start = int(spec.quantization.zero_points[0]) if is_centred and spec.quantization is not None else 0
    return np.full(spec.shape or (), start, spec.dtype)

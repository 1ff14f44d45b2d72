"""What one call has to itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ..graph import Array
from ..ops.shared.resources import Variable
from .budget import DEFAULT_BUDGET, Budget, Deadline
from .recording import Kind, Recording, Task
from .state import State

if TYPE_CHECKING:
    from .delegate import Space
    from .plan import Plan

T = TypeVar("T")
PREPARED = Task(Kind.PLAN, "memory of a partition")
Observer = Callable[[int, int, str], None]
"""Called as observer(graph index, node index, delegate name) after each node."""

Finished: TypeAlias = "Callable[[Plan, list[Any]], None]"
"""Called as finished(plan, slots) after each run of a subgraph by control flow."""


@dataclass(slots=True)
class Lane:
    """One call in flight: the interpreter's state, and who wants to hear of each node that ran.

    Everything mutable that a call uses hangs on its lane or is local to it, so calls of one interpreter may overlap.
    """

    state: State
    observer: Observer | None = None
    depth: int = 0  # subgraphs entered from subgraphs
    borrowed: list[tuple[Variable, Array]] = field(default_factory=list)  # values on a device, until the call ends
    finished: Finished | None = None  # for calls that keep all
    budget: Budget = DEFAULT_BUDGET
    deadline: Deadline | None = None
    peak: int = 0  # bytes that results of the subgraph that is being run take at a time, as far as its plan tells
    held: int = 0  # the same of those that wait for it
    frames: list[tuple[Plan, list[Any]]] = field(default_factory=list)  # slots of each subgraph that is being run
    recording: Recording | None = None  # of what takes the time

    @property
    def is_watched(self) -> bool:
        """Whether somebody wants to hear of nodes."""
        return self.observer is not None or self.recording is not None

    def prepared(self, make: Callable[[], T]) -> T:
        """What `make` gives, which a first call needs and later ones find made: a profile takes that for planning."""
        if self.recording is None:
            return make()
        with self.recording.span(PREPARED):
            made = make()
        self.recording.restart()
        return made

    def ran(self, graph: int, nodes: Sequence[int], delegate: str, name: str = "") -> None:
        """Tell whoever wants to hear that nodes have run, computed as one, the head first; `name` is the kernel's."""
        if self.recording is not None:
            self.recording.ran(graph, nodes, delegate, name)
        if self.observer is not None:
            for node in nodes:
                self.observer(graph, node, delegate)


@dataclass(frozen=True, slots=True)
class DeviceState:
    """Variables as nodes that run in `space` see them: values are read from there and stay there."""

    lane: Lane
    space: Space

    @property
    def xp(self) -> Any:
        """The array module of this space."""
        return self.space.xp

    def read(self, variable: Variable) -> Array:
        """The value in this space. Another call may replace it, so this call holds on to it."""
        array = variable.borrow(self.space)
        self.lane.borrowed.append((variable, array))
        return array

    def take(self, variable: Variable) -> Array:
        """The value in this space, to be overwritten by the holder of the variable's lock and given back."""
        return variable.take(self.space)

    def give(self, variable: Variable, value: Array) -> None:
        """Replace the value by what `take` gave; it may leave the call as a copy only."""
        variable.give(value, self.space)
        variable.borrow(self.space)
        self.lane.borrowed.append((variable, value))

    def assign(self, variable: Variable, value: Array) -> None:
        """Replace the value by a copy of an array of this space."""
        variable.assign(value, self.space)

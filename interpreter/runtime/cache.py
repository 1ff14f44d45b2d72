"""Plans kept for the next call, and the shapes that a subgraph which control flow calls is planned for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from ..graph import Shape

if TYPE_CHECKING:
    from .plan import Plan

MAX_PLANS = 32
"""Plans that one interpreter keeps of each subgraph; the least recently used goes first."""

MAX_BODY_SHAPES = 8
"""Sets of input shapes that a body is planned for one by one, before those that vary are left open."""

OptionalShape: TypeAlias = Shape | None
"""None: not known when the plan is made."""

HeldKey: TypeAlias = tuple[tuple[tuple[str, str], Shape], ...]
"""Shapes of variables by name."""

PlanKey: TypeAlias = tuple[tuple[OptionalShape, ...], tuple[str, ...], bool, frozenset[int], HeldKey]
"""Input shapes, names of the input spaces, whether every tensor is kept, inputs that may be overwritten, shapes of
variables."""


class PlanCache:
    """The plans of one subgraph. Thread-safe."""

    def __init__(self) -> None:
        self._plans: OrderedDict[PlanKey, Plan] = OrderedDict()
        self._lock = threading.Lock()
        self._seen: set[tuple[OptionalShape, ...]] = set()  # what control flow asked for, open shapes left out
        self._held: set[HeldKey] = set()
        self._varies: tuple[bool, ...] = ()  # per input, once too many shapes were seen
        self._last: tuple[PlanKey, Plan] | None = None  # found last, and so the most recently used
        self.newest: Plan | None = None

    def find(self, key: PlanKey) -> Plan | None:
        """The plan of that key, which counts as used now."""
        last = self._last
        if last is not None and last[0] == key:
            return last[1]
        with self._lock:
            plan = self._plans.get(key)
            if plan is not None:
                self._plans.move_to_end(key)
                self._last = key, plan
            return plan

    def add(self, key: PlanKey, plan: Plan) -> None:
        """Keep a plan, and drop the one that was not used for longest if there are too many."""
        with self._lock:
            self._plans[key] = self.newest = plan
            self._last = key, plan
            if len(self._plans) > MAX_PLANS:
                self._plans.popitem(last=False)

    def after_fork(self) -> None:
        """Make the lock anew, which a thread may have held that this process does not have."""
        self._lock = threading.Lock()

    @property
    def plans(self) -> list[Plan]:
        """All that are kept."""
        with self._lock:
            return list(self._plans.values())

    def body_shapes(self, shapes: tuple[OptionalShape, ...]) -> tuple[OptionalShape, ...]:
        """The shapes to plan for when control flow calls the subgraph with `shapes`.

        These shapes, until there were more than `MAX_BODY_SHAPES` different ones: from then on the inputs whose shapes
        vary are left open, so that a loop whose values grow is not planned anew for each turn.
        """
        if self._varies:
            shapes = _opened(shapes, self._varies)
        return shapes if shapes in self._seen else self._noted(shapes)

    def held(self, shapes: HeldKey) -> HeldKey:
        """The shapes of variables to plan for: these, or none where they have changed too often."""
        if shapes not in self._held and len(self._held) < MAX_BODY_SHAPES:
            self._held.add(shapes)
        return shapes if shapes in self._held else ()

    def _noted(self, shapes: tuple[OptionalShape, ...]) -> tuple[OptionalShape, ...]:
        with self._lock:
            if self._varies:
                shapes = _opened(shapes, self._varies)
            self._seen.add(shapes)
            if len(self._seen) <= MAX_BODY_SHAPES:
                return shapes
            self._varies = tuple(None in column or len(set(column)) > 1 for column in zip(*self._seen, strict=True))
            self._seen = {_opened(shapes, self._varies)}
            return _opened(shapes, self._varies)


def _opened(shapes: Sequence[OptionalShape], varies: Sequence[bool]) -> tuple[OptionalShape, ...]:
    return tuple([None if open else shape for shape, open in zip(shapes, varies, strict=True)])

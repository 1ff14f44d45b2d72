"""Which nodes one kernel computes together: a head with its elementwise tail, or elementwise nodes alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from ...interpreter.ops.base import Op
from ...interpreter.runtime.delegate import BoundNode
from .tail import is_expressible, readers
from .views import views_of

if TYPE_CHECKING:
    from .lowering import Options, Site

MAX_TAIL = 24
"""Nodes of one tail; each may add an operand to read."""

Lower: TypeAlias = "Callable[[Site], str | None]"
"""Emits the launches of a head into its site; a sentence, and nothing emitted, where it has no kernel for it."""


@dataclass(frozen=True, slots=True, eq=False)
class Lowering:
    """How heads of one kind become launches.

    tail: whether these call `FINISH` for each element of the result.
    joint: the nodes of a head stand side by side: each one's results leave, and all can run where the first one does.
    half: whether they can read and write float16 in memory where the nodes have float32.
    """

    lower: Lower
    tail: bool = False
    joint: bool = False
    half: bool = False


LOWERINGS: dict[type[Op], list[Lowering]] = {}
"""Candidates by operator; one that refuses a node leaves it to the next."""


def lowers(*classes: type[Op], tail: bool = False, half: bool = False) -> Callable[[Lower], Lower]:
    """Register how nodes of these operators become launches."""

    def register(lower: Lower) -> Lower:
        for cls in classes:
            LOWERINGS.setdefault(cls, []).append(Lowering(lower, tail, half=half))
        return lower

    return register


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Nodes that are lowered together, by the first of `lowerings` that takes them. Where none does, the head, if there
    is one, runs as array code."""

    head: tuple[BoundNode, ...]
    tail: tuple[BoundNode, ...] = ()
    lowerings: tuple[Lowering, ...] = ()

    @property
    def nodes(self) -> tuple[BoundNode, ...]:
        return (*self.head, *self.tail)

    @property
    def is_joint(self) -> bool:
        """Whether the results of all nodes of the head leave, not of the last one alone."""
        return any(lowering.joint for lowering in self.lowerings)

    @property
    def ends(self) -> tuple[BoundNode, ...]:
        """The nodes whose results leave."""
        return self.head if self.is_joint else self.nodes[-1:]


class Matcher:
    """What patterns see of a partition: nodes by position, who reads what, what leaves; and what is wished."""

    def __init__(self, nodes: Sequence[BoundNode], leaving: AbstractSet[int], options: Options | None = None) -> None:
        self.nodes, self.leaving, self.options = nodes, leaving, options
        self.readers = readers(nodes)
        self.makers = {t: p for p, bound in enumerate(nodes) for t in bound.node.outputs}
        self.taken: set[int] = set()  # positions that are in a group already

    def reader(self, tensor: int) -> int | None:
        """The position of the only node that reads a tensor which stays inside; None if there are more or none."""
        found = self.readers.get(tensor, [])
        return found[0] if len(found) == 1 and tensor not in self.leaving else None

    def followers(self, positions: AbstractSet[int]) -> set[int]:
        """Positions of the other nodes that read what these make."""
        made = (t for p in positions for t in self.nodes[p].node.outputs)
        return {p for t in made for p in self.readers.get(t, ())} - positions

    def stays(self, positions: set[int]) -> bool:
        """Whether only the result of the last of these nodes is read by others."""
        inner = (t for p in positions if p != max(positions) for t in self.nodes[p].node.outputs)
        return all(t not in self.leaving and positions.issuperset(self.readers.get(t, ())) for t in inner)


Pattern: TypeAlias = Callable[[Matcher, int], "tuple[Sequence[int], Lowering] | None"]
"""Positions of nodes that start at the given one, in file order, and how to lower them as one head; None: no match."""

PATTERNS: list[Pattern] = []


def pattern(match: Pattern) -> Pattern:
    """Register a pattern; those registered first are tried first."""
    PATTERNS.append(match)
    return match


def group(nodes: Sequence[BoundNode], leaving: AbstractSet[int], options: Options | None = None) -> list[Group]:
    """All nodes in groups, in an order in which they can run.

    leaving: tensors that others read. options: for patterns that ask whether they pay, which match nothing without.
    """
    matcher = Matcher(nodes, leaving, options)
    groups: list[tuple[int, Group]] = []  # with the position at which it runs
    taken = matcher.taken
    for position, bound in enumerate(nodes):
        if position in taken:
            continue
        head, lowerings = _head(matcher, position, taken)
        tail: list[int] = []
        if not head:
            tail = [position, *_grown(matcher, [position], taken)]
        elif any(lowering.tail for lowering in lowerings):
            tail = _grown(matcher, head, taken)
        members = [*head, *tail]
        taken.update(members)
        made = Group(tuple(nodes[p] for p in head), tuple(nodes[p] for p in tail), lowerings)
        groups.append((position if made.is_joint else max(members), made))
        assert bound in made.nodes
    return [made for _, made in sorted(groups, key=lambda g: g[0])]


def has_shapes(bound: BoundNode) -> bool:
    """Whether a node gives something, and all shapes around it are known before the call."""
    specs = [s for s in (*bound.ins, *bound.outs) if s is not None]
    return bool(bound.outs) and all(s.shape is not None for s in specs)


def _head(matcher: Matcher, position: int, taken: AbstractSet[int]) -> tuple[list[int], tuple[Lowering, ...]]:
    for match in PATTERNS if has_shapes(matcher.nodes[position]) else ():
        found = match(matcher, position)
        if found is not None and taken.isdisjoint(found[0]):
            return list(found[0]), (found[1],)
    bound = matcher.nodes[position]
    if views_of(bound) is not None:
        return [position], ()
    if is_expressible(bound):
        return [], ()
    return [position], tuple(LOWERINGS.get(type(bound.op), ()))


def _grown(matcher: Matcher, start: Sequence[int], taken: AbstractSet[int]) -> list[int]:
    """Positions of elementwise nodes after the result of `start`: as many as leave one result that others read.

    With each come the elementwise nodes that make its other operands for it alone.
    """
    last = matcher.nodes[start[-1]]
    if len(last.outs) != 1:
        return []
    members, best = set(start), set(start)
    position = start[-1]
    while following := [p for p in matcher.followers(members) if p > position]:
        position = min(following)
        joined = _joined(matcher, position, members, taken, last.outs[0].size)
        if len(members) + len(joined) > len(start) + MAX_TAIL:
            break
        members |= joined
        if joined and matcher.stays(members):
            best = set(members)
    return sorted(best - set(start))


def _joined(
    matcher: Matcher, position: int, members: AbstractSet[int], taken: AbstractSet[int], size: int | None
) -> set[int]:
    """An elementwise node with those that make operands for it alone; none if it does not fit."""
    bound = matcher.nodes[position]
    if position in taken or not is_expressible(bound) or bound.outs[0].size != size:
        return set()
    joined = {position}
    for tensor in bound.node.inputs:
        maker = matcher.makers.get(tensor)
        if maker is None or maker in members or maker in joined or tensor in matcher.leaving:
            continue
        if set(matcher.readers[tensor]) <= members | joined:
            joined |= _joined(matcher, maker, members | joined, taken, size)
    return joined

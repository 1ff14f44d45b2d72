"""Who runs what: each node's delegate, and the runs of nodes that a delegate executes as a unit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from heapq import heappop, heappush

from ..errors import DelegationError, PolicyError, TfliteError, UnsupportedError
from ..graph import ABSENT, Array, Graph
from ..ops.base import ControlOp, StatefulOp
from ..ops.binding import UnknownOp
from ..ops.variables import Hashtable, VarHandle
from .delegate import HOST, BoundNode, Delegate, Executable, Partition, Refusal
from .lane import Lane

SMALL_ISLAND = 3
"""A partition of at most this many nodes without weights, between host partitions, may join its neighbours."""

_WEIGHT_BYTES = 4096

_HINTS: dict[type[TfliteError], str] = {
    PolicyError: "Where you trust the model, name the operator in Interpreter(flex=[...]).",
    UnsupportedError: "A delegate of your own may run it: Interpreter(delegates=[...]).",
}


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The delegate of one node, None for control flow; and what each delegate before it said."""

    bound: BoundNode
    delegate: Delegate | None
    refusals: tuple[tuple[str, str], ...]  # (delegate name, sentence)

    @property
    def runner(self) -> str:
        """Name of who runs the node; control flow counts as the host's."""
        return "cpu" if self.delegate is None else self.delegate.name


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """Adjacent nodes of one delegate; a control-flow node is a unit of its own with delegate None."""

    delegate: Delegate | None
    choices: tuple[Choice, ...]

    @property
    def nodes(self) -> tuple[BoundNode, ...]:
        return tuple(choice.bound for choice in self.choices)


def choose(
    graph: Graph, nodes: Iterable[BoundNode], delegates: Sequence[Delegate], require: str | None
) -> list[Choice]:
    """The first delegate that takes each node.

    Raises the refusal's kind of error for a node that none takes, and DelegationError for those that are not on the
    delegate named by `require`, apart from bookkeeping.
    """
    choices = [_first(graph, bound, delegates) for bound in nodes]
    if strays := stray_nodes(graph, choices, require):
        raise delegation_error(strays)
    return choices


def stray_nodes(graph: Graph, choices: Sequence[Choice], require: str | None) -> list[DelegationError]:
    """An error for each node that computes something elsewhere than on the required delegate."""
    strays = [c for c in choices if require not in (None, c.runner) and not is_bookkeeping(c.bound)]
    return [_stray(graph, choice, str(require)) for choice in strays]


def is_bookkeeping(bound: BoundNode) -> bool:
    """Whether a node computes nothing itself: control flow, whose bodies count instead, and handles of resources."""
    op = bound.op
    return not op.computes if isinstance(op, ControlOp) else isinstance(op, VarHandle | Hashtable)


def delegation_error(strays: Sequence[DelegationError]) -> DelegationError:
    """One error that names all of the nodes."""
    if len(strays) == 1:
        return strays[0]
    lines = [
        f"{len(strays)} nodes do not run where `require` wants them:",
        *(f"{s.what} [at {s.where}]" for s in strays),
    ]
    return DelegationError("\n  ".join(lines) + "\n", hint=strays[0].hint)


def _stray(graph: Graph, choice: Choice, require: str) -> DelegationError:
    reasons = "; ".join(f"{name}: {sentence}" for name, sentence in choice.refusals)
    return DelegationError(
        f"{choice.bound.node} runs on {choice.runner}, not on {require} ({reasons or f'there is no {require}'})",
        where=graph.where(choice.bound.node),
        hint="Drop require= to let other delegates run it.",
    )


class Nobody:
    """Stands, in plans that are made to be reported and not to be run, for the delegate that a node lacks."""

    name, title, space = "nobody", "nobody", HOST

    def refuses(self, bound: BoundNode) -> None:
        return None

    def compile(self, partition: Partition) -> Executable:
        def run(lane: Lane, inputs: Sequence[Array]) -> Sequence[Array]:
            raise UnsupportedError(f"no delegate runs {partition.nodes[0].node}")

        return run


def _first(graph: Graph, bound: BoundNode, delegates: Sequence[Delegate]) -> Choice:
    is_control = isinstance(bound.op, ControlOp)
    if is_control and bound.refused is None:
        return Choice(bound, None, tuple((d.name, "control flow runs between partitions.") for d in delegates))
    refusals: list[tuple[str, str]] = []
    for delegate in () if is_control else delegates:
        sentence = delegate.refuses(bound)
        if sentence is None:
            return Choice(bound, delegate, tuple(refusals))
        refusals.append((delegate.name, sentence))
    sentence = best_refusal(bound, refusals)
    hint = _HINTS.get(sentence.error, "")
    if isinstance(bound.op, UnknownOp) and bound.op.custom:
        hint = f"A Python function can be its meaning: @tflite_cupy.custom_op({bound.node.name!r}). {hint}"
    raise sentence.error(f"{sentence} (node {bound.node})", where=graph.where(bound.node), hint=hint)


def best_refusal(bound: BoundNode, refusals: Sequence[tuple[str, str]]) -> Refusal:
    """The sentence that says best why no delegate takes a node, given what each of them said."""
    asked = [s for _, s in refusals if isinstance(s, Refusal)]
    said = "; ".join(f"{name}: {sentence}" for name, sentence in refusals) or "there is no delegate."
    return asked[-1] if asked else Refusal(bound.refused or said)


def units(choices: Sequence[Choice]) -> list[Unit]:
    """Group nodes so that each delegate runs as few, as long partitions as the order of data and effects allows."""
    waiting = _dependencies(choices)
    users: list[list[int]] = [[] for _ in choices]
    for index, needs in enumerate(waiting):
        for need in needs:
            users[need].append(index)
    ready: dict[int, list[int]] = {}  # per delegate, a heap of nodes that could run now
    for index, needs in enumerate(waiting):
        if not needs:
            heappush(ready.setdefault(id(choices[index].delegate), []), index)
    result: list[Unit] = []
    while any(ready.values()):
        heap = min((h for h in ready.values() if h), key=lambda h: h[0])
        delegate = choices[heap[0]].delegate
        taken: list[int] = []
        while heap and not (delegate is None and taken):
            index = heappop(heap)
            taken.append(index)
            for user in users[index]:
                waiting[user].discard(index)
                if not waiting[user]:
                    heappush(ready.setdefault(id(choices[user].delegate), []), user)
        result.append(Unit(delegate, tuple(choices[i] for i in taken)))
    return result


def _dependencies(choices: Sequence[Choice]) -> list[set[int]]:
    """Per node, the nodes that must run before it: makers of its inputs, readers and makers of what it writes anew
    (variable tensors), and the node with effects before it."""
    maker: dict[int, int] = {}
    readers: dict[int, list[int]] = {}  # of the present value
    last_effect: int | None = None
    needs = []
    for index, choice in enumerate(choices):
        node = choice.bound.node
        before = {maker[i] for i in node.inputs if i in maker}
        if choice.bound.op.effects:
            if last_effect is not None:
                before.add(last_effect)
            last_effect = index
        for tensor in node.inputs:
            readers.setdefault(tensor, []).append(index)
        for tensor in node.outputs:
            before.update(readers.pop(tensor, ()))
            if tensor in maker:
                before.add(maker[tensor])
            maker[tensor] = index
        needs.append(before - {index})
    return needs


def join_islands(choices: list[Choice], delegates: Sequence[Delegate]) -> list[Choice]:
    """Move small device partitions without weights that lie between host partitions to the host delegate."""
    hosts = [d for d in delegates if _on_host(d)]
    if all(_on_host(choice.delegate) for choice in choices):
        return choices
    found = units(choices)
    moved: dict[int, Choice] = {}
    for index, unit in enumerate(found):
        beside = found[max(0, index - 1) : index] + found[index + 1 : index + 2]
        if _on_host(unit.delegate) or len(unit.nodes) > SMALL_ISLAND or any(map(_has_weights, unit.nodes)):
            continue
        if not beside or not all(_on_host(u.delegate) for u in beside):
            continue
        for choice in unit.choices:
            host = next((d for d in hosts if d.refuses(choice.bound) is None), None)
            if host is not None:
                refusals = (*choice.refusals, (choice.runner, "its copies would cost more than it does."))
                moved[choice.bound.node.index] = Choice(choice.bound, host, refusals)
    return [moved.get(c.bound.node.index, c) for c in choices]


def _on_host(delegate: Delegate | None) -> bool:
    return delegate is None or delegate.space.name == HOST.name


def _has_weights(bound: BoundNode) -> bool:
    """Whether a node reads what is on the device already: large constants, and variables."""
    if isinstance(bound.op, StatefulOp):
        return True
    return any(s is not None and s.value is not None and s.value.nbytes > _WEIGHT_BYTES for s in bound.ins)


def partition(
    graph: Graph, unit: Unit, read_later: set[int] | None, donated: AbstractSet[int] = frozenset()
) -> Partition:
    """The partition of a unit; `read_later` are the tensors that it makes and others read, None for all it makes,
    `donated` those that nobody reads after it and that may be overwritten."""
    made: set[int] = set()
    inputs: dict[int, None] = {}
    constants = {}
    for bound in unit.nodes:
        for index, spec in zip(bound.node.inputs, bound.ins, strict=True):
            if index == ABSENT or index in made or spec is None:
                continue
            if spec.value is not None:
                constants[index] = spec.value
            else:
                inputs[index] = None
        made.update(bound.node.outputs)
    order = [i for bound in unit.nodes for i in bound.node.outputs]
    outputs = tuple(dict.fromkeys(i for i in order if read_later is None or i in read_later))
    return Partition(graph, unit.nodes, tuple(inputs), outputs, constants, frozenset(donated & inputs.keys()))

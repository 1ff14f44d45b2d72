"""Limits held against specs when a call is planned, and against arrays where only the call knows them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from math import prod
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from ..errors import LimitError
from ..graph import ABSENT, Graph, Node, TensorSpec, TensorType
from ..limits import DEFAULT_LIMITS, Limits, beyond
from ..ops.base import ControlOp, Op, StatefulOp
from .delegate import BoundNode
from .memory import free_bytes

if TYPE_CHECKING:
    from .lane import Observer

GRANTED_BYTES = 64 << 20
"""What a call may always have where its limit is a share of the free memory, which takes a while to look up."""

_MOVED = frozenset({TensorType.FLOAT32, TensorType.STRING})
NO_LARGER = frozenset({
    *("EXPAND_DIMS", "RESHAPE", "REVERSE_V2", "SLICE", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE"),
    "UNPACK",
})  # fmt: skip
"""Operators whose results have no more elements than their operand, of which they are views on the host."""

_VIEWS = NO_LARGER | {"BROADCAST_TO"}


def _or_endless(limit: int | float | None) -> int:
    return sys.maxsize if limit is None else int(limit)


class Budget:
    """The limits of one interpreter, as the runtime asks for them. Immutable."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.most_bytes = _or_endless(limits.max_tensor_bytes)
        self.most_string_bytes = _or_endless(limits.max_output_string_bytes)
        self.most_turns = _or_endless(limits.max_while_iterations)
        arena = limits.max_arena_bytes
        self.granted = GRANTED_BYTES if isinstance(arena, float) else _or_endless(arena)
        """Bytes that a call may have at a time without further question."""

    def check(self, what: object, spec: TensorSpec, most_rank: int, where: str = "") -> None:
        """Raise LimitError for a spec of too many bytes or dimensions; `what` has it."""
        if spec.shape is None:
            return
        if len(spec.shape) > most_rank:
            option = "max_rank" if most_rank == self.limits.max_rank else "max_view_rank"
            raise beyond(f"{what} has a tensor of {len(spec.shape)} dimensions", option, most_rank, where=where)
        nbytes = prod(spec.shape) * spec.dtype.itemsize
        if nbytes > self.most_bytes:
            asked = f"{what} has a tensor of {nbytes} bytes ({spec})"
            raise beyond(asked, "max_tensor_bytes", self.most_bytes, where=where)

    def check_node(self, graph: Graph, node: Node, op: Op, outs: Iterable[TensorSpec]) -> None:
        """The same for the results of a node."""
        most_rank = self.most_rank(op)
        for spec in outs:
            self.check(node, spec, most_rank, graph.where(node))

    def most_rank(self, op: Op) -> int:
        """Dimensions that an operator's results may have: more where it moves elements without looking at them."""
        moves = isinstance(op, ControlOp | StatefulOp) or any(accepted >= _MOVED for accepted in op.types)
        return self.limits.max_view_rank if moves else self.limits.max_rank

    def check_arena(self, nbytes: int, what: object, where: str = "") -> None:
        """Raise LimitError if a call may not have `nbytes` at a time; `what` asks for the last of them."""
        limit = self.limits.max_arena_bytes
        if nbytes <= self.granted or limit is None:
            return
        if isinstance(limit, float):
            free = free_bytes()
            if free is None or nbytes <= limit * free:
                return
            shown = f"{limit} of the {free} bytes that are free"
            raise LimitError(
                f"{what} needs {nbytes} bytes at a time, more than max_arena_bytes = {shown}.",
                where=where,
                hint="Use smaller inputs; Limits(max_arena_bytes=...) sets another limit.",
            )
        raise beyond(f"{what} needs {nbytes} bytes at a time", "max_arena_bytes", limit, where=where)

    def check_strings(self, what: object, array: np.ndarray, where: str = "") -> None:
        """Raise LimitError for an array whose strings are too long together."""
        items = array.reshape(-1).tolist()
        self.check_string_bytes(what, sum(len(item) for item in items if isinstance(item, bytes)), where)

    def check_string_bytes(self, what: object, nbytes: int, where: str = "") -> None:
        """The same for strings that an operator is about to make."""
        if nbytes > self.most_string_bytes:
            asked = f"{what} gives strings of {nbytes} bytes"
            raise beyond(asked, "max_output_string_bytes", self.most_string_bytes, where=where)

    def check_turns(self, turns: int) -> None:
        """Raise LimitError for a loop that is about to make one turn too many."""
        if turns > self.most_turns:
            raise beyond(f"A loop has made {turns - 1} turns and goes on", "max_while_iterations", self.most_turns)

    def deadline(self, own: Deadline | None = None) -> Deadline | None:
        """The deadline of a call that starts now: that of the limits, or the call's own where that is sooner."""
        allowed = self.limits.deadline_ms
        if allowed is None:
            return own
        general = Deadline(allowed)
        return own if own is not None and own.end < general.end else general


class Deadline:
    """When a call has to be over. `of`: who takes the argument `deadline_ms` that said so."""

    def __init__(self, allowed_ms: float, of: str = "Limits") -> None:
        self._allowed_ms, self._of, self.end = allowed_ms, of, monotonic() + allowed_ms / 1e3

    def check(self) -> None:
        """Raise LimitError if it has passed."""
        if monotonic() > self.end:
            raise beyond("The call goes on for longer", "deadline_ms", self._allowed_ms, of=self._of)

    def watching(self, observer: Observer | None) -> Observer:
        """An observer that checks the deadline after each node."""

        def watch(graph: int, node: int, delegate: str) -> None:
            if observer is not None:
                observer(graph, node, delegate)
            self.check()

        return watch


DEFAULT_BUDGET = Budget(DEFAULT_LIMITS)


def peak_bytes(graph: Graph, nodes: Sequence[BoundNode], *, keep_all: bool = False) -> tuple[int, Node | None]:
    """The most bytes that results of `nodes` take at a time, run in this order, and the node that asks for the last.

    As far as shapes are known; operands, constants and what kernels use for themselves do not count.
    """
    owner: dict[int, int] = {}  # of tensors that are views, whose memory they show
    last: dict[int, int] = {}
    for position, bound in enumerate(nodes):
        if bound.node.name in _VIEWS:
            source = next((i for i in bound.node.inputs if i != ABSENT and _is_shown(bound, i)), ABSENT)
            owner.update((i, owner.get(source, source)) for i in bound.node.outputs)
        last.update((owner.get(i, i), position) for i in bound.node.inputs)
    last.update((owner.get(i, i), len(nodes)) for i in graph.outputs)
    dying: dict[int, list[int]] = {}
    for tensor, position in last.items():
        dying.setdefault(position, []).append(tensor)
    held: dict[int, int] = {}
    now = peak = 0
    at: Node | None = None
    for position, bound in enumerate(nodes):
        for index, spec in zip(bound.node.outputs, bound.outs, strict=True):
            if index not in owner and last.get(index, -1) >= position and spec.shape is not None:
                now += held.setdefault(index, prod(spec.shape) * spec.dtype.itemsize)
        if now > peak:
            peak, at = now, bound.node
        if not keep_all:
            now -= sum(held.pop(tensor, 0) for tensor in dying.get(position, ()))
    return peak, at


def _is_shown(bound: BoundNode, tensor: int) -> bool:
    """Whether the results of a view may show this operand rather than be shaped by it."""
    spec = bound.ins[bound.node.inputs.index(tensor)]
    return spec is not None and bool(bound.outs) and spec.type is bound.outs[0].type

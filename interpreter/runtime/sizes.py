"""Sizes of results that no plan knows, worked out before the operator takes memory for them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ..graph import Array, Graph, TensorSpec, TensorType
from ..ops.python_op import PythonOp
from ..ops.shared.pointwise import Binary, Unary
from .budget import NO_LARGER, Budget
from .delegate import BoundNode

if TYPE_CHECKING:
    from .lane import Lane

_ARENA_STEP = 1 << 20
"""Bytes that results may grow by before what a call holds is counted anew."""

_KEY_ELEMENTS = 64
"""Operands of more elements than this are looked at in each call."""

_SMALL = 1 << 16
"""Elements that results of operators with a known bound may have without being asked for their size."""

_SHRINKING = NO_LARGER | {
    *("ARG_MAX", "ARG_MIN", "CAST", "CUMSUM", "DEQUANTIZE", "LOG_SOFTMAX", "MEAN", "QUANTIZE", "RANK", "REDUCE_ALL"),
    *("REDUCE_ANY", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "SHAPE", "SOFTMAX", "SUM"),
}
_JOINING = frozenset({"CONCATENATION", "PACK"})


def sizing(graph: Graph, bound: BoundNode) -> Sizing | None:
    """How to work out the sizes of a node's results in each call; None where there is no need."""
    op = bound.op
    if isinstance(op, Unary | PythonOp) or op.name in _SHRINKING:
        return None
    needed = any(spec.shape is None for spec in bound.outs) or (op.host_only and _gives_strings(bound))
    return Sizing(graph, bound) if needed else None


def _gives_strings(bound: BoundNode) -> bool:
    return any(spec.type is TensorType.STRING for spec in bound.outs)


class Sizing:
    """The shape rule of one node, asked with the operands of a call. Remembers only what it was asked last.

    Rules that want values get those of operands on the host.
    """

    def __init__(self, graph: Graph, bound: BoundNode) -> None:
        self._graph, self._bound, op = graph, bound, bound.op
        self._strings = _gives_strings(bound)
        self._wants_values = False
        self._open = tuple(p for p, s in enumerate(bound.ins) if s is not None and s.value is None)
        self._numbers = tuple(p for p in self._open if (s := bound.ins[p]) is not None and not s.type.is_object)
        self._bound_by = sum if op.name in _JOINING else prod if isinstance(op, Binary) else None
        self._last: tuple[tuple[Any, ...], int] = ((), 0)

    def account(
        self, lane: Lane, operands: Sequence[Array | None], values: Sequence[Any], first: int, grown: int
    ) -> int:
        """Check the sizes of what the node is about to make, and from time to time what the call holds by then.

        From the `first` on, `values` are what it holds now; `grown` is what it took since they were counted. Gives that
        anew. Raises LimitError for a result that is too large, KernelError for operands that the operator can't take.
        """
        if self._bound_by is not None and (size := self._bound_by([x.size for x in operands])) <= _SMALL:  # type: ignore[union-attr]
            nbytes = size * self._bound.outs[0].dtype.itemsize
        else:
            nbytes = self._nbytes(lane.budget, operands)
        if grown + nbytes <= _ARENA_STEP:
            return grown + nbytes
        node = self._bound.node
        lane.budget.check_arena(nbytes + _live_bytes(lane, values[first:]), node, self._graph.where(node))
        return 0

    def _nbytes(self, budget: Budget, operands: Sequence[Array | None]) -> int:
        """Bytes of the results, as far as they can be told."""
        key, last = self._key(operands), self._last
        if key and key == last[0]:
            return last[1]
        node = self._bound.node
        if self._strings:
            budget.check_string_bytes(node, self._bound.op.string_bytes(*operands), self._graph.where(node))
        pairs = list(zip(self._bound.outs, self._inferred(operands), strict=False))
        if not self._wants_values and any(spec.shape is None for _, spec in pairs):
            self._wants_values, key = True, ()
            pairs = list(zip(self._bound.outs, self._inferred(operands), strict=False))
        specs = [TensorSpec(declared.type, spec.shape) for declared, spec in pairs if spec.shape is not None]
        budget.check_node(self._graph, node, self._bound.op, specs)
        nbytes = sum(prod(spec.shape or ()) * spec.dtype.itemsize for spec in specs)
        self._last = key, nbytes
        return nbytes

    def _key(self, operands: Sequence[Array | None]) -> tuple[Any, ...]:
        """What the sizes depend on; () if that is much."""
        if self._strings:
            return ()
        arrays: list[Array] = [operands[p] for p in self._open]
        shapes = tuple([x.shape for x in arrays])
        if not self._wants_values:
            return shapes
        arrays = [operands[p] for p in self._numbers]
        if any(x.size > _KEY_ELEMENTS or not isinstance(x, np.ndarray) for x in arrays):
            return ()
        return *shapes, *[x.tobytes() for x in arrays]

    def _inferred(self, operands: Sequence[Array | None]) -> Sequence[TensorSpec]:
        specs = list(self._bound.ins)
        for p in self._open:
            array, spec = operands[p], specs[p]
            assert array is not None
            assert spec is not None
            has_value = self._wants_values and isinstance(array, np.ndarray) and array.dtype != object
            value = array if has_value else None
            specs[p] = TensorSpec(spec.type, tuple(array.shape), spec.quantization, value, spec.name, spec.sparsity)
        found = self._bound.op.infer(*specs)
        return found if isinstance(found, tuple) else (found,)


def _live_bytes(lane: Lane, values: Sequence[Any]) -> int:
    """Bytes of the host memory of what a call has made, each memory once: `values`, and what waits in slots."""
    waiting = (
        new
        for plan, slots in lane.frames
        for slot, (old, new) in enumerate(zip(plan.preset, slots, strict=True))
        if new is not old and slot not in plan.inputs
    )
    owners = {id(owner): owner for owner in map(_owner, chain(values, waiting)) if isinstance(owner, np.ndarray)}
    return sum(owner.nbytes for owner in owners.values() if owner.flags.owndata)


def _owner(value: Any) -> Any:
    """The object that has the memory of an array."""
    return value.base if isinstance(value, np.ndarray) and value.base is not None else value

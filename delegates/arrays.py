"""A delegate that runs operator bodies with an array module: NumPy, CuPy, or a test's stand-in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np

from ..interpreter.graph import ABSENT, Array, Graph
from ..interpreter.ops.base import Op, StatefulOp
from ..interpreter.ops.flex import Flex
from ..interpreter.runtime.delegate import HOST, BoundNode, Executable, Partition, Space
from ..interpreter.runtime.faults import BODY_ERRORS, node_error
from ..interpreter.runtime.lane import DeviceState
from ..interpreter.runtime.sizes import Sizing, sizing

if TYPE_CHECKING:
    from ..interpreter.runtime.lane import Lane

Kernel: TypeAlias = Callable[..., Any]
"""Called with one array per operand (None for an absent one); gives the result, or a tuple of results."""


class ArrayDelegate:
    """Runs `op.body` with the array module `xp` on arrays of `space`.

    One instance may serve many interpreters: constants and prepared kernels are kept for as long as their graph lives.
    """

    def __init__(self, name: str, title: str, xp: Any, space: Space) -> None:
        self.name, self.title, self.xp, self.space = name, title, xp, space
        self.errors: tuple[type[Exception], ...] = BODY_ERRORS  # what bodies raise for values that they can't take
        self._lock = Lock()
        self._uploaded: WeakKeyDictionary[Graph, dict[int, tuple[np.ndarray, Array]]] = WeakKeyDictionary()
        self._prepared: WeakKeyDictionary[Graph, dict[int, tuple[Mapping[int, np.ndarray], Kernel]]]
        self._prepared = WeakKeyDictionary()

    def after_fork(self) -> None:
        """Make the lock anew, which a thread may have held that this process does not have."""
        self._lock = Lock()

    def refuses(self, bound: BoundNode) -> str | None:
        """Why this delegate can't run the node; None if it can."""
        if isinstance(bound.op, Flex):
            return f"{bound.node.name} is a TensorFlow operator, which only the FlexDelegate runs."
        return bound.refused

    def prepare(self, op: Op, constants: Mapping[int, np.ndarray]) -> Kernel:
        """The kernel of an op whose operands at some positions are constant; override it for special kernels."""
        return partial(op.body, self.xp)

    def prepare_stateful(self, op: StatefulOp) -> Kernel:
        """The same for an op that remembers; its kernel takes the state first."""
        return op.run_with

    def compile(self, partition: Partition) -> Executable:
        """Make a partition ready to run; what an earlier compile uploaded or packed is used again."""
        return _Program(self, partition)

    def constant(self, graph: Graph, tensor: int, value: np.ndarray) -> Array:
        """A constant in this delegate's space, put there once for as long as the tensor keeps this value."""
        with self._lock:
            known = self._uploaded.setdefault(graph, {})
            if tensor not in known or known[tensor][0] is not value:
                known[tensor] = value, self.space.put(value)
            return known[tensor][1]

    def kernel(self, graph: Graph, bound: BoundNode, constants: Mapping[int, np.ndarray]) -> Kernel:
        """The kernel of a node, prepared once for as long as its constant operands stay the same objects."""
        with self._lock:
            known = self._prepared.setdefault(graph, {})
            before, kernel = known.get(bound.node.index, (None, None))
            if kernel is None or not _same(before, constants):
                op = _knowing(bound.op, constants)
                kernel = self.prepare_stateful(op) if isinstance(op, StatefulOp) else self.prepare(op, constants)
                known[bound.node.index] = constants, kernel
            return kernel


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """One node, with its operands as positions in the program's list of values."""

    bound: BoundNode
    kernel: Kernel
    stateful: bool
    inputs: tuple[int, ...]
    outputs: tuple[tuple[int, np.dtype[Any]], ...]
    output: int  # the only output; -1 where there are more or none
    dtype: np.dtype[Any] | None  # its dtype
    dead: tuple[int, ...]  # values that no later step reads
    sizing: Sizing | None  # where the plan does not know how large its results are


class _Program:
    """A partition as a flat list of steps over a list of values: [None, *inputs, *constants, *results]."""

    def __init__(self, delegate: ArrayDelegate, partition: Partition) -> None:
        self._delegate, self._graph = delegate, partition.graph
        slots = _slots(partition)
        constants = {t: delegate.constant(partition.graph, t, v) for t, v in partition.constants.items()}
        self._values: list[Array] = [constants.get(tensor) for tensor in slots]
        self._outputs = [slots[t] for t in partition.outputs]
        self._first_result = 1 + len(partition.inputs) + len(partition.constants)
        keep = {slots[ABSENT], *(slots[t] for t in chain(partition.constants, partition.outputs))}
        steps = []
        for bound in reversed(partition.nodes):
            step = _step(delegate, partition, bound, slots, keep)
            keep.update(step.inputs)
            steps.append(step)
        self._steps = tuple(reversed(steps))
        self._array = delegate.xp.ndarray
        self._on_host = delegate.space.name == HOST.name

    def __call__(self, lane: Lane, inputs: Sequence[Array]) -> list[Array]:
        values = self._values.copy()
        values[1 : 1 + len(inputs)] = inputs
        array, asarray = self._array, self._delegate.xp.asarray
        is_watched, value_at = lane.is_watched, values.__getitem__
        state = lane.state if self._on_host else DeviceState(lane, self._delegate.space)
        step, grown = None, 0
        try:
            for step in self._steps:
                operands: Iterable[Array] = map(value_at, step.inputs)
                if step.sizing is not None:
                    operands = list(operands)
                    grown = step.sizing.account(lane, operands, values, self._first_result, grown)
                result = step.kernel(state, *operands) if step.stateful else step.kernel(*operands)
                if step.output >= 0 and type(result) is array and result.dtype == step.dtype:  # as nearly always
                    values[step.output] = result
                else:
                    results = result if type(result) is tuple else (result,)
                    for (slot, dtype), value in zip(step.outputs, results, strict=True):
                        values[slot] = asarray(value, dtype=dtype)
                for slot in step.dead:
                    values[slot] = None
                if is_watched:
                    lane.ran(self._graph.index, (step.bound.node.index,), self._delegate.name)
        except self._delegate.errors as error:
            if step is None or (named := node_error(error, self._graph, step.bound.node)) is error:
                raise
            raise named from error
        return [values[i] for i in self._outputs]


def _slots(partition: Partition) -> dict[int, int]:
    """Position of each tensor in the list of values; the absent operand comes first."""
    tensors = chain([ABSENT], partition.inputs, partition.constants, *(bound.node.outputs for bound in partition.nodes))
    return {tensor: position for position, tensor in enumerate(dict.fromkeys(tensors))}


def _step(
    delegate: ArrayDelegate, partition: Partition, bound: BoundNode, slots: Mapping[int, int], keep: set[int]
) -> _Step:
    """`keep`: positions that later steps, or the caller, still read."""
    node = bound.node
    constants = {p: partition.constants[t] for p, t in enumerate(node.inputs) if t in partition.constants}
    dtypes = [spec.dtype for spec in bound.outs]
    inputs, outputs = tuple(slots[t] for t in node.inputs), tuple(slots[t] for t in node.outputs)
    return _Step(
        bound=bound,
        kernel=delegate.kernel(partition.graph, bound, constants),
        stateful=isinstance(bound.op, StatefulOp),
        inputs=inputs,
        outputs=tuple(zip(outputs, dtypes, strict=True)),
        output=outputs[0] if len(outputs) == 1 else -1,
        dtype=dtypes[0] if len(outputs) == 1 else None,
        dead=tuple({*inputs, *outputs} - keep),
        sizing=sizing(partition.graph, bound),
    )


def _same(before: Mapping[int, np.ndarray] | None, now: Mapping[int, np.ndarray]) -> bool:
    return before is not None and before.keys() == now.keys() and all(before[p] is now[p] for p in now)


def _knowing(op: Op, constants: Mapping[int, np.ndarray]) -> Op:
    """The op with the values that a plan has found out: bodies read index-like operands from `self.ins`."""
    learnt = {p for p in constants if (spec := op.ins[p]) is not None and spec.value is None}
    if not learnt:
        return op
    ins = (replace(s, value=constants[p]) if s is not None and p in learnt else s for p, s in enumerate(op.ins))
    return replace(op, ins=tuple(ins))

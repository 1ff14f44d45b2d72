"""A partition of TensorFlow nodes, ready to run: one eager operator after another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np

from ...interpreter.errors import GraphError, KernelError
from ...interpreter.graph import Array, TensorType
from ...interpreter.ops.flex import Flex
from ...interpreter.runtime.delegate import BoundNode, Partition
from ...interpreter.runtime.faults import BODY_ERRORS, node_error
from ...interpreter.runtime.recording import Kind, Task
from .eager import Eager, EagerTensor, Operator, note_types
from .guard import Guard

if TYPE_CHECKING:
    from ...interpreter.runtime.lane import Lane
    from ...interpreter.runtime.state import State

_ANONYMOUS_NAME = b"cd2c89b7-88b7-44c8-ad83-06c2a9158347"  # TensorFlow's ResourceHandle::ANONYMOUS_NAME
_ANONYMOUS = {
    "HashTableV2": "AnonymousHashTable",
    "MutableHashTableV2": "AnonymousMutableHashTable",
    "MutableHashTableOfTensorsV2": "AnonymousMutableHashTableOfTensors",
    "MutableDenseHashTableV2": "AnonymousMutableDenseHashTable",
}
"""Operators that find a table by name in the whole process, and those that make a nameless one."""

_NO_LONGER = frozenset({
    "ExpandDims", "Identity", "Reshape", "Squeeze", "StringLower", "StringSplit", "StringSplitV2", "StringStrip",
    "StringUpper", "Substr", "UnicodeTranscode",
})  # fmt: skip
"""Operators whose strings are together no longer, or not much, than those that they get."""

_ENTERED, _LEFT = Task(Kind.COPY, "host to TensorFlow"), Task(Kind.COPY, "TensorFlow to host")
_NAMES = ("container", "shared_name", "use_node_name_sharing")
Handles: TypeAlias = dict[tuple[str, ...], EagerTensor]


class Resources:
    """Handles of the variables and tables of each interpreter, by name.

    The resources themselves are nameless, so no model can reach those of another, and they end with their interpreter.
    """

    def __init__(self) -> None:
        self._handles: WeakKeyDictionary[State, Handles] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def get(self, state: State, key: tuple[str, ...], make: Callable[[], EagerTensor]) -> EagerTensor:
        """The resource named `key` of one interpreter, made on first use."""
        with self._lock:
            handles = self._handles.setdefault(state, {})
            if key not in handles:
                handles[key] = make()
            return handles[key]


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """One node, with its operands as positions in the program's list of values."""

    bound: BoundNode
    run: Callable[[State, Sequence[EagerTensor]], Sequence[EagerTensor]]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    dead: tuple[int, ...]  # values that no later step reads
    texts: tuple[int, ...]  # results that are strings and may be long


class Program:
    """Runs a partition; values are TensorFlow tensors within it and arrays outside."""

    def __init__(self, name: str, eager: Eager, resources: Resources, partition: Partition, max_bytes: int) -> None:
        self._name, self._eager, self._graph = name, eager, partition.graph
        self._resources, self._max_bytes = resources, max_bytes
        tensors = chain(partition.inputs, partition.constants, *(b.node.outputs for b in partition.nodes))
        slots = {tensor: position for position, tensor in enumerate(dict.fromkeys(tensors))}
        constants = {tensor: eager.tensor(value) for tensor, value in partition.constants.items()}
        self._values: list[EagerTensor] = [constants.get(tensor) for tensor in slots]
        self._outputs = [slots[tensor] for tensor in partition.outputs]
        keeps = any(b.op.effects or any(s.type is TensorType.VARIANT for s in b.outs) for b in partition.nodes)
        self._enter = self._copied if keeps else self._shared
        keep = {slots[tensor] for tensor in chain(partition.constants, partition.outputs)}
        steps = []
        for bound in reversed(partition.nodes):
            run = self._prepare(bound)
            inputs, outputs = (tuple(slots[t] for t in tensors) for tensors in (bound.node.inputs, bound.node.outputs))
            steps.append(_Step(bound, run, inputs, outputs, tuple({*inputs, *outputs} - keep), _texts(bound)))
            keep.update(inputs)
        self._steps = tuple(reversed(steps))

    def __call__(self, lane: Lane, inputs: Sequence[Array]) -> list[np.ndarray]:
        values = self._values.copy()
        values[: len(inputs)] = _each(self._enter, inputs, lane, _ENTERED)
        for step in self._steps:
            try:
                results = step.run(lane.state, [values[i] for i in step.inputs])
                for position in step.texts:
                    lane.budget.check_string_bytes(step.bound.node, self._eager.string_bytes(results[position]))
            except BODY_ERRORS as error:
                named = node_error(error, self._graph, step.bound.node)
                if named is error:
                    raise
                raise named from error
            for slot, tensor in zip(step.outputs, results, strict=True):
                values[slot] = tensor
            for slot in step.dead:
                values[slot] = None
            if lane.is_watched:
                lane.ran(self._graph.index, (step.bound.node.index,), self._name)
        return _each(self._eager.array, [values[i] for i in self._outputs], lane, _LEFT)

    def _shared(self, array: np.ndarray) -> EagerTensor:
        if array.dtype != object or array.ndim:
            return self._eager.tensor(array)
        value = array[()]
        if self._eager.is_tensor(value):
            return value
        if not isinstance(value, bytes):
            raise KernelError(f"a {type(value).__name__} of a builtin operator is no resource of TensorFlow's")
        return self._eager.tensor(array)

    def _copied(self, array: np.ndarray) -> EagerTensor:
        """For nodes that may keep their operands, which share memory that the caller will write to again."""
        return self._shared(array if array.dtype == object else array.copy())

    def _prepare(self, bound: BoundNode) -> Callable[[State, Sequence[EagerTensor]], Sequence[EagerTensor]]:
        """What runs a node. Raises GraphError if it has another number of operands than its operator."""
        op = bound.op
        assert isinstance(op, Flex)
        node, eager = op.node_def, self._eager
        try:
            operator = eager.operator(node)
            got, takes = (len(op.ins), len(op.outs)), operator.arity
            if got != takes or None in op.ins:
                raise GraphError(f"{node.op} has {got[0]} operands and {got[1]} results, it takes and gives {takes}")
            if node.op == "Const":
                constant = (eager.constant(operator),)
                return lambda state, inputs: constant
            guard = Guard(eager, operator, self._max_bytes)
        except GraphError as error:
            raise node_error(error, self._graph, bound.node) from error
        if node.op == "VarHandleOp" or node.op in _ANONYMOUS:
            return self._handle(bound, operator)
        flat = _flat(operator.attributes)

        def run(state: State, inputs: Sequence[EagerTensor]) -> Sequence[EagerTensor]:
            guard.check(inputs)
            return guard.written(eager.execute(operator.name, flat, inputs, takes[1]))

        return run

    def _handle(
        self, bound: BoundNode, operator: Operator
    ) -> Callable[[State, Sequence[EagerTensor]], Sequence[EagerTensor]]:
        """What gives the handle of a variable or table: the interpreter's own one of that name."""
        attributes = operator.attributes
        container, shared_name = (attributes[name].decode(errors="surrogateescape") for name in _NAMES[:2])
        key = (operator.name, container, shared_name) if shared_name else (self._graph.where(bound.node),)
        types = tuple(int(attributes[n]) for n in ("dtype", "key_dtype", "value_dtype") if n in attributes)
        if operator.name == "VarHandleOp":
            kind, flat = operator.name, _flat({**attributes, "container": b"", "shared_name": _ANONYMOUS_NAME})
        else:
            kind, flat = _ANONYMOUS[operator.name], _flat({n: v for n, v in attributes.items() if n not in _NAMES})

        def run(state: State, inputs: Sequence[EagerTensor]) -> Sequence[EagerTensor]:
            make = lambda: note_types(self._eager.execute(kind, flat, inputs, 1)[0], types)  # noqa: E731
            return (self._resources.get(state, key, make),)

        return run


def _each(function: Callable[[Any], Any], items: Sequence[Any], lane: Lane, task: Task) -> list[Any]:
    """function(item) for each, which a profile takes for `task`."""
    if lane.recording is None:
        return [function(item) for item in items]
    with lane.recording.span(task):
        results = [function(item) for item in items]
    lane.recording.restart()
    return results


def _texts(bound: BoundNode) -> tuple[int, ...]:
    assert isinstance(bound.op, Flex)
    if bound.op.node_def.op in _NO_LONGER:
        return ()
    return tuple(position for position, spec in enumerate(bound.outs) if spec.type is TensorType.STRING)


def _flat(attributes: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(chain.from_iterable(attributes.items()))

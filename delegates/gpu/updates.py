"""Variables that a partition updates in place: READ_VARIABLE -> DYNAMIC_UPDATE_SLICE -> ASSIGN_VARIABLE."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from ...interpreter.graph import Array
from ...interpreter.ops.shared.resources import Variable
from ...interpreter.ops.slicing import DynamicUpdateSlice
from ...interpreter.ops.variables import AssignVariable, ReadVariable, VarHandle
from ...interpreter.runtime.delegate import BoundNode, Partition
from ...interpreter.runtime.lane import DeviceState
from .device import Device
from .tail import readers


def updated_in_place(partition: Partition) -> frozenset[int]:
    """Indices of the reads and assignments between which a variable's value is only updated.

    Nobody else in the partition reads the old value, and nothing else in it touches the variable.
    """
    names = {
        node.outputs[0]: (node.attributes.get("container", ""), node.attributes.get("shared_name", ""))
        for node in partition.graph.nodes
        if node.name == VarHandle.name
    }
    touching: dict[object, list[BoundNode]] = {}
    for bound in partition.nodes:
        if isinstance(bound.op, ReadVariable | AssignVariable):
            handle = bound.node.inputs[0]
            touching.setdefault(names.get(handle, ""), []).append(bound)
    if "" in touching:  # a variable that the subgraph does not name may be any of them
        return frozenset()
    read_by = readers(partition.nodes)
    makers = {t: bound for bound in partition.nodes for t in bound.node.outputs}
    found: set[int] = set()
    for nodes in touching.values():
        if [type(bound.op) for bound in nodes] != [ReadVariable, AssignVariable]:
            continue
        read, assign = nodes
        old, new = read.node.outputs[0], assign.node.inputs[1]
        update = makers.get(new)
        is_update = update is not None and isinstance(update.op, DynamicUpdateSlice) and update.node.inputs[0] == old
        if is_update and len(read_by.get(old, ())) == 1 and old not in partition.outputs:
            found |= {read.node.index, assign.node.index}
    return frozenset(found)


class Exclusive:
    """Variables as the nodes of one partition see them that updates some in place, while no other call does.

    It holds all variables of the partition from the start, in one order for all, so that no two calls wait for each
    other.
    """

    def __init__(self, device: Device, state: DeviceState, variables: set[Variable]) -> None:
        self._device, self._state = device, state
        self._taken: dict[Variable, Array] = {}
        self._stack = ExitStack()
        self._variables = sorted(variables, key=id)

    def __enter__(self) -> Exclusive:
        for variable in self._variables:
            self._stack.enter_context(variable.lock)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def xp(self) -> Any:
        return self._device.xp

    def read(self, variable: Variable) -> Array:
        """The value, to be overwritten: the variable's own array, or a copy where another call still reads that."""
        array = self._state.take(variable)
        self._taken[variable] = array
        return array

    def assign(self, variable: Variable, value: Array) -> None:
        """The value that was read and has been updated becomes the variable's; another value is copied."""
        taken = self._taken.pop(variable, None)
        if taken is not None and self._device.address(taken) == self._device.address(value):
            self._state.give(variable, taken)
        else:
            self._state.assign(variable, value)

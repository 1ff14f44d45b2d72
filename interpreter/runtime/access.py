"""Which calls read what others write: variables, variable tensors, nodes that go on where their last call ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..graph import Graph
from ..ops.base import ControlOp, Op, StatefulOp
from ..ops.control import CallOnce
from ..ops.flex import Flex
from ..ops.variables import ReadVariable
from .simplify import variable_tensors

_FLEX_READS = ("ReadVariableOp", "ResourceGather", "VariableShape", "LookupTableFind", "LookupTableSize")
_FLEX_WRITES = ("Assign", "Resource", "LookupTableInsert", "LookupTableImport", "LookupTableRemove")


class Access(NamedTuple):
    """What a call of a subgraph does with the state of its interpreter, by itself or in subgraphs that it may run."""

    reads: bool
    writes: bool
    initialisers: frozenset[int]  # subgraphs that it runs once, which write

    def __or__(self, other: Access) -> Access:
        return Access(self.reads or other.reads, self.writes or other.writes, self.initialisers | other.initialisers)

    @property
    def is_none(self) -> bool:
        return not (self.reads or self.writes or self.initialisers)


NO_ACCESS = Access(False, False, frozenset())


def access_of(graph: Graph, graphs: Sequence[Graph], ops: Callable[[Graph], Sequence[Op]]) -> Access:
    """What a call of `graph` does; `ops` gives the bound ops of a subgraph."""
    total, seen, waiting = NO_ACCESS, {graph.index}, [graph]
    while waiting:
        body = waiting.pop()
        if variable_tensors(body):
            total |= Access(True, True, frozenset())
        for op in ops(body):
            total |= _of(op)
            if isinstance(op, ControlOp) and not isinstance(op, CallOnce):
                found = [i for i in op.subgraphs if 0 <= i < len(graphs) and i not in seen]
                seen.update(found)
                waiting.extend(graphs[i] for i in found)
    return total


def _of(op: Op) -> Access:
    if isinstance(op, CallOnce):
        return Access(False, False, frozenset(op.subgraphs))
    if isinstance(op, ReadVariable):
        return Access(True, False, frozenset())
    if isinstance(op, StatefulOp):
        return Access(op.writes, op.writes, frozenset())
    if isinstance(op, Flex) and op.effects:
        name = op.node_def.op
        if name.startswith(_FLEX_READS):
            return Access(True, False, frozenset())
        writes = name.startswith(_FLEX_WRITES)
        return Access(writes, writes, frozenset())
    return NO_ACCESS

"""Subgraphs of a file: tensors are written or given, and never read before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import GraphError
from ..graph import ABSENT, Graph, Node, Tensor, TensorType
from .assignment import single_assignment
from .columns import Columns
from .layout import Layout, Operands
from .nodes import Operators
from .quantization import Blocks
from .schema import CUSTOM

_NEVER = 2**62


def read_graphs(
    columns: Columns, tensors: Sequence[Tensor], operators: Operators
) -> tuple[tuple[Graph, ...], tuple[Mapping[int, int], ...]]:
    """The subgraphs, made from `tensors` and `operators` by row; and where each has the last values of some tensors.

    Raises ModelError, GraphError, LimitError.
    """
    layout = Layout(columns)
    flow = _DataFlow(layout, tensors, operators)
    empty, rewritten = flow.check(), flow.rewritten()
    blocks = Blocks(columns)
    names = columns.texts("SubGraph", "name")
    inputs, outputs = (columns.vector("SubGraph", name).tuples() for name in ("inputs", "outputs"))
    made, latest = [], []
    for index, row in enumerate(layout.rows.tolist()):
        rows = layout.tensor_row[layout.tensors(index)].tolist()
        held = [tensors[i] for i in rows]
        for place in np.nonzero(empty[layout.tensors(index)])[0].tolist():
            held[place] = replace(held[place], data=_no_elements(held[place]))
        for place, tensor_row in blocks.of(rows):
            where = f"subgraphs[{index}].tensors[{place}].quantization"
            quantization = blocks.resolve(tensor_row, held[place].shape, held, where)
            held[place] = replace(held[place], quantization=quantization)
        ops = layout.op_row[layout.ops(index)].tolist()
        nodes = tuple(_node(operators, place, op) for place, op in enumerate(ops))
        graph = Graph(index, names[row], tuple(held), nodes, inputs[row], outputs[row])
        several = frozenset(np.nonzero(rewritten[layout.tensors(index)])[0].tolist())
        graph, last = single_assignment(graph, several) if several else (graph, {})
        made.append(graph)
        latest.append(last)
    return tuple(made), tuple(latest)


def _node(operators: Operators, index: int, row: int) -> Node:
    code = operators.codes[operators.code_of[row]]
    return Node(
        index,
        code.name,
        operators.inputs[row],
        operators.outputs[row],
        operators.attributes[row],
        code.version,
        code.code == CUSTOM,
        operators.custom_options[row],
        operators.intermediates[row],
    )


def _no_elements(tensor: Tensor) -> NDArray[np.generic]:
    data = np.empty(tensor.shape, tensor.type.dtype)
    data.flags.writeable = False
    return data


class _DataFlow:
    """Who writes and who reads each tensor, by number across the file."""

    def __init__(self, layout: Layout, tensors: Sequence[Tensor], operators: Operators) -> None:
        self._layout = layout
        self._operators = operators
        self._reads = layout.operator_operands("inputs", optional=True)
        self._writes = layout.operator_operands("outputs", optional=False)
        self._fed = layout.graph_operands("inputs")
        self._wanted = layout.graph_operands("outputs")
        layout.operator_operands("intermediates", optional=True)
        self._constant = self._flags([tensor.data is not None for tensor in tensors])
        self._variable = self._flags([tensor.is_variable for tensor in tensors])
        self._hollow = self._flags([0 in tensor.shape and _may_be_hollow(tensor) for tensor in tensors])

    def _flags(self, by_row: list[bool]) -> NDArray[np.bool_]:
        return np.asarray(np.array(by_row, bool)[self._layout.tensor_row])

    def check(self) -> NDArray[np.bool_]:
        """Raises GraphError where the graph can't run. Returns which tensors are constants without elements.

        A file holds no data for those: they are what is read, has a dimension of 0, and nothing writes.
        """
        reads, writes = self._reads, self._writes
        self._refuse(self._constant[writes.tensor], writes, "an operator writes a constant.")
        self._refuse(_repeated(writes), writes, "an operator writes the same tensor twice.")
        total = len(self._layout.tensor_row)
        written = np.full(total, _NEVER)
        np.minimum.at(written, writes.tensor, writes.owner)
        ready = self._constant | self._variable
        ready[self._fed.tensor] = True
        read = np.zeros(total, bool)
        read[reads.tensor[reads.tensor != ABSENT]] = True
        read[self._wanted.tensor] = True
        empty: NDArray[np.bool_] = self._hollow & read & ~ready & (written == _NEVER)
        ready |= empty
        late = (reads.tensor != ABSENT) & ~ready[reads.tensor] & (written[reads.tensor] >= reads.owner)
        for at in np.nonzero(late)[0].tolist():
            late[at] = not self._only_shape_matters(at)
        self._refuse(late, reads, "Input tensor lacks data: nothing gives it a value before it is read.")
        missing = ~ready[self._wanted.tensor] & (written[self._wanted.tensor] == _NEVER)
        self._refuse(missing, self._wanted, "nothing gives this output a value.")
        return empty

    def rewritten(self) -> NDArray[np.bool_]:
        """Which tensors have several values in a call; variables have one that their nodes change."""
        total = len(self._layout.tensor_row)
        given = np.zeros(total, bool)
        given[self._fed.tensor] = True
        written = np.bincount(self._writes.tensor, minlength=total)
        several: NDArray[np.bool_] = (written + given > 1) & (given | ~self._variable)
        return several

    def _refuse(self, bad: NDArray[np.bool_], operands: Operands, what: str) -> None:
        if bad.any():
            raise GraphError(what, where=self._layout.where(operands, int(np.argmax(bad))))

    def _only_shape_matters(self, at: int) -> bool:
        """The reference lets RESHAPE name a tensor without data as its second operand: its options count then."""
        row = int(self._layout.op_row[self._reads.owner[at]])
        code = self._operators.codes[self._operators.code_of[row]]
        return code.name == "RESHAPE" and int(self._reads.place[at]) == 1


def _may_be_hollow(tensor: Tensor) -> bool:
    return not tensor.shape_signature and (tensor.type is TensorType.STRING or not tensor.type.is_object)


def _repeated(operands: Operands) -> NDArray[np.bool_]:
    """Which operands name a tensor that the same owner named before."""
    order = np.lexsort((operands.place, operands.tensor, operands.owner))
    owner, tensor = operands.owner[order], operands.tensor[order]
    repeated = np.zeros(len(order), bool)
    repeated[order[1:]] = (owner[1:] == owner[:-1]) & (tensor[1:] == tensor[:-1])
    return repeated

"""Subgraphs laid end to end: each operator and each tensor has one number across the whole file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import GraphError, LimitError, ModelError
from ..graph import ABSENT
from .columns import Columns

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Operands:
    """One list of tensors (of operators or subgraphs), end to end: whose it is, the place in it, the tensor there."""

    name: str
    owner: Numbers
    place: Numbers
    tensor: Numbers  # number across the file, ABSENT for an operand that is not given


class Layout:
    """Numbers of the tensors and operators of all subgraphs, and the rows that hold them."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.rows: Numbers = columns.vector("Model", "subgraphs").values
        limits = columns.limits
        if not len(self.rows):
            raise ModelError("No subgraph in the model.", where="subgraphs")
        if len(self.rows) > limits.max_subgraphs:
            what = f"The model has {len(self.rows)} subgraphs, more than max_subgraphs = {limits.max_subgraphs}."
            raise LimitError(what, where="subgraphs")
        self.tensor_row, _, self._tensor_bounds = self._flatten("tensors")
        self.op_row, self._op_graph, self._op_bounds = self._flatten("operators")
        if len(self.op_row) > limits.max_ops:
            what = f"The model has {len(self.op_row)} operators, more than max_ops = {limits.max_ops}."
            raise LimitError(what, where="subgraphs")

    def _flatten(self, name: str) -> tuple[Numbers, Numbers, Numbers]:
        """Rows and subgraphs of all elements, and where the elements of each subgraph begin and end."""
        vectors = self.columns.vector("SubGraph", name)
        graph, row = self.columns.expand(vectors, self.rows, name)
        return row, graph, np.append(0, np.cumsum(vectors.lengths[self.rows]))

    def tensors(self, graph: int) -> slice:
        return slice(*self._tensor_bounds[graph : graph + 2].tolist())

    def ops(self, graph: int) -> slice:
        return slice(*self._op_bounds[graph : graph + 2].tolist())

    def where(self, operands: Operands, at: int) -> str:
        """Path of an operand, such as ``subgraphs[3].operators[5].outputs[0]``."""
        owner = int(operands.owner[at])
        path = f"{operands.name}[{operands.place[at]}]"
        if operands.name.startswith("subgraph"):
            return path.replace("subgraph", f"subgraphs[{owner}]", 1)
        graph = int(self._op_graph[owner])
        return f"subgraphs[{graph}].operators[{owner - int(self._op_bounds[graph])}].{path}"

    def operator_operands(self, name: str, *, optional: bool) -> Operands:
        """`inputs`, `outputs` or `intermediates` of all operators; owners are operators."""
        return self._operands("Operator", name, name, self.op_row, self._op_graph, optional)

    def graph_operands(self, name: str) -> Operands:
        """`inputs` or `outputs` of all subgraphs; owners are subgraphs."""
        graphs = np.arange(len(self.rows))
        return self._operands("SubGraph", name, f"subgraph.{name}", self.rows, graphs, optional=False)

    def _operands(self, table: str, field: str, name: str, rows: Numbers, graphs: Numbers, optional: bool) -> Operands:
        vectors = self.columns.vector(table, field)
        owner, index = self.columns.expand(vectors, rows, field)
        counts = vectors.lengths[rows]
        place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        graph = graphs[owner]
        most = np.diff(self._tensor_bounds)[graph]
        made = Operands(name, owner, place, np.where(index == ABSENT, ABSENT, index + self._tensor_bounds[graph]))
        ok = (index >= 0) & (index < most) | optional & (index == ABSENT)
        if not ok.all():
            bad = int(np.argmin(ok))
            what = f"tensor index {index[bad]} is out of range: the subgraph has {most[bad]} tensors."
            raise GraphError(what, where=self.where(made, bad))
        return made

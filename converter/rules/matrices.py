"""Diagonals and bands of matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..draft import DraftTensor
from ..lower import Lowering, NotBuiltin, lowers
from .conv import padded
from .steps import counted, move, number, reshape, size_along, slice_of
from .types import BOOL, I32


@lowers("MatrixDiag", "MatrixDiagV2", "MatrixDiagV3", "Diag")
def matrix_diag(op: Lowering) -> DraftTensor:
    """A diagonal that is not the main one is moved there by a border."""
    dims = op.dims(0)
    op.require(op.node.op != "Diag" or len(dims) == 1, "Diag is builtin for vectors only")
    k = _diagonal(op, 1)
    if len(op) > 2:
        plain = int(op.const(2, "the number of rows")) == -1 and int(op.const(3, "the number of columns")) == -1
        op.require(plain, "MATRIX_DIAG gives square matrices only")
        op.require(not op.const(4, "the padding").any(), "MATRIX_DIAG pads with zeros only")
    square = move(op, "MATRIX_DIAG", op.input(0), dims=(*dims, dims[-1]))
    if k == 0:
        return square
    border = (max(-k, 0), max(k, 0))
    return padded(op, square, np.array([(0, 0)] * (len(dims) - 1) + [border, border[::-1]], np.int32))


@lowers("MatrixSetDiag", "MatrixSetDiagV2", "MatrixSetDiagV3")
def matrix_set_diag(op: Lowering) -> DraftTensor:
    op.require(_diagonal(op, 2) == 0, "MATRIX_SET_DIAG sets the main diagonal only")
    return op.emit("MATRIX_SET_DIAG", op.input(0), op.input(1))


@lowers("MatrixDiagPart", "MatrixDiagPartV2", "MatrixDiagPartV3", "DiagPart")
def matrix_diag_part(op: Lowering) -> DraftTensor:
    """Every (columns + 1)th element of the flattened matrix."""
    dims = op.dims(0)
    op.require(op.node.op != "DiagPart" or len(dims) == 2, "DiagPart is builtin for matrices only")
    rows, columns = dims[-2:]
    if rows is None or columns is None:
        raise NotBuiltin("the size of the matrix is not known")
    k = _diagonal(op, 1)
    count = min(rows - max(-k, 0), columns - max(k, 0))
    start = k if k >= 0 else -k * columns
    flat = reshape(op, op.input(0), (None, rows * columns))
    picked = slice_of(op, flat, 1, start, start + (count - 1) * (columns + 1) + 1, columns + 1)
    return reshape(op, picked, (*dims[:-2], count))


def _diagonal(op: Lowering, index: int) -> int:
    """Which diagonal is meant: 0 for the main one, above it positive."""
    if len(op) <= index:
        return 0
    k = np.unique(op.const(index, "the diagonal"))
    op.require(k.size == 1, "several diagonals at once have no builtin form")
    return int(k[0])


@lowers("MatrixBandPart")
def matrix_band_part(op: Lowering) -> DraftTensor:
    """Elements at most `lower` below and `upper` above the diagonal; a negative number stands for all."""
    x = op.input(0)
    lower, upper = (int(op.const(i, "the width of the band")) for i in (1, 2))
    rows, columns = (size_along(op, x, axis) for axis in (-2, -1))
    if isinstance(rows, np.ndarray) and isinstance(columns, np.ndarray):
        below = np.arange(rows.item())[:, None] - np.arange(columns.item())
        inside = ((lower < 0) | (below <= lower)) & ((upper < 0) | (-below <= upper))
        return op.emit("SELECT_V2", op.constant(inside, "/band"), x, np.zeros((), x.type.dtype))
    down, across = reshape(op, counted(op, rows), (None, 1)), counted(op, columns)
    bounds = [("LESS_EQUAL", lower)] if lower >= 0 else []
    bounds += [("GREATER_EQUAL", -upper)] if upper >= 0 else []
    return _banded(op, x, down, across, bounds)


def _banded(op: Lowering, x: DraftTensor, down: DraftTensor, across: DraftTensor,
            bounds: Sequence[tuple[str, int]]) -> DraftTensor:  # fmt: skip
    dims = op.dims(0)[-2:]
    below = move(op, "SUB", down, across, dims=dims)
    for name, bound in bounds:
        inside = move(op, name, below, number(bound, I32), dims=dims, type=BOOL)
        x = move(op, "SELECT_V2", inside, x, np.zeros((), x.type.dtype), dims=op.dims(0), type=x.type)
    return x

"""Tensors of a file: shapes, types and constants checked against each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import GraphError, LimitError, UnsupportedError
from ..graph import Array, Sparsity, Tensor, TensorType
from .buffers import Buffers
from .columns import Columns
from .constants import decode
from .quantization import read_quantization
from .schema import ENUMS
from .sparsity import read_sparsity, stored_count

_TYPE_NAMES = {number: name for name, number in ENUMS["TensorType"].items()}
_TYPES = {type.value: type for type in TensorType}
_LARGEST = 2**58  # elements, zeros not counted: NumPy refuses to address more
_SMALL = 11  # 16 dimensions of at most this many elements can't exceed that


def read_tensors(columns: Columns, buffers: Buffers) -> list[Tensor]:
    """The tensors of all subgraphs, by row of the Tensor columns. Constants are views of the file where possible."""
    rows = columns.rows["Tensor"]
    if not len(rows):
        return []
    _check_references(columns, buffers)
    shapes = _shapes(columns)
    _check_signatures(columns)
    types = [_TYPES[number] for number in rows["type"].tolist()]
    sparsities = read_sparsity(columns, shapes)
    constants = _constants(columns, buffers, types, shapes, sparsities)
    return [
        Tensor(
            name,
            type,
            shape,
            signature if -1 in signature else None,
            ranked or bool(shape) or data is not None,
            quantization,
            sparsity,
            variable,
            data,
        )
        for name, type, shape, signature, ranked, quantization, sparsity, variable, data in zip(
            columns.texts("Tensor", "name"),
            types,
            shapes,
            columns.vector("Tensor", "shape_signature").tuples(),
            rows["has_rank"].tolist(),
            read_quantization(columns, shapes),
            sparsities,
            rows["is_variable"].tolist(),
            constants,
            strict=True,
        )
    ]


def _constants(
    columns: Columns,
    buffers: Buffers,
    types: Sequence[TensorType],
    shapes: Sequence[tuple[int, ...]],
    sparsities: Sequence[Sparsity | None],
) -> list[Array | None]:
    """The data of each tensor row, None for what is no constant. What several tensors share is decoded once."""
    rows = columns.rows["Tensor"]
    held = (rows["buffer"] > 0) & (buffers.lengths[rows["buffer"]] > 0)
    if (held & rows["is_variable"]).any():
        row = int(np.argmax(held & rows["is_variable"]))
        raise GraphError("a variable has constant data.", where=columns.where("Tensor", row))
    found: list[Array | None] = [None] * len(rows)
    made: dict[tuple[int, TensorType, int], Array] = {}
    for row, buffer in zip(np.nonzero(held)[0].tolist(), rows["buffer"][held].tolist(), strict=True):
        sparsity = sparsities[row]
        count = math.prod(shapes[row]) if sparsity is None else stored_count(sparsity)
        key = int(buffers.starts[buffer]), types[row], count
        values = made.get(key)
        if values is None:
            try:
                values = made[key] = decode(buffers[buffer], types[row], count)
            except (GraphError, UnsupportedError) as error:
                raise error.__class__(error.what, where=columns.where("Tensor", row)) from None
        found[row] = values.reshape(shapes[row]) if sparsity is None else values
    return found


def _check_references(columns: Columns, buffers: Buffers) -> None:
    rows = columns.rows["Tensor"]
    unknown = ~np.isin(rows["type"], [type.value for type in TensorType])
    if unknown.any():
        row = int(np.argmax(unknown))
        number = int(rows["type"][row])
        what = f"Tensor type {_TYPE_NAMES.get(number, number)} is not supported."
        raise UnsupportedError(what, where=columns.where("Tensor", row))
    if rows["external_buffer"].any():
        row = int(np.argmax(rows["external_buffer"] != 0))
        what = "Constants in external files (external_buffer) are not supported."
        raise UnsupportedError(what, where=columns.where("Tensor", row))
    columns.require(rows["buffer"] < len(buffers), "Tensor", "buffer", f"the model has {len(buffers)} buffers.")


def _shapes(columns: Columns) -> list[tuple[int, ...]]:
    shapes = columns.vector("Tensor", "shape")
    longest = int(np.argmax(shapes.lengths))
    most = columns.limits.max_rank
    if shapes.lengths[longest] > most:
        what = f"A tensor has {shapes.lengths[longest]} dimensions, more than max_rank = {most}."
        raise LimitError(what, where=columns.where("Tensor", longest))
    made = shapes.tuples()
    if (shapes.values < 0).any():
        row = next(row for row, shape in enumerate(made) if min(shape, default=0) < 0)
        raise GraphError(f"shape {made[row]} has a negative dimension.", where=columns.where("Tensor", row, "shape"))
    if shapes.values.max(initial=0) > _SMALL:
        for row, shape in enumerate(made):
            if math.prod(n or 1 for n in shape) > _LARGEST:
                what = f"A tensor of shape {shape} has too many elements."
                raise LimitError(what, where=columns.where("Tensor", row, "shape"))
    return made


def _check_signatures(columns: Columns) -> None:
    """A shape signature repeats the shape with -1 for dimensions that are not known."""
    shapes, signatures = columns.vector("Tensor", "shape"), columns.vector("Tensor", "shape_signature")
    given = np.nonzero(signatures.lengths)[0]
    same = signatures.lengths[given] == shapes.lengths[given]
    columns.require(same, "Tensor", "shape_signature", "its rank is not that of the shape.", given)
    owner, declared = columns.expand(signatures, given, "dimensions")
    _, actual = columns.expand(shapes, given, "dimensions")
    ok: NDArray[np.bool_] = (declared == -1) | (declared == actual)
    columns.require(ok, "Tensor", "shape_signature", "it contradicts the shape.", given[owner])

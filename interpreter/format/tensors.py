"""Tensors of a file: shapes, types and constants checked against each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import GraphError, LimitError, UnsupportedError
from ..graph import Array, Sparsity, Tensor, TensorType
from .buffers import Buffers
from .columns import Columns
from .constants import decode
from .quantization import read_quantization
from .sparsity import read_sparsity, stored_count

_TYPES = {type.value: type for type in TensorType}
_AS_STORED: dict[TensorType, np.dtype[Any]] = {
    type: type.dtype for type in set(TensorType) - {TensorType.BOOL} if type.bits == type.dtype.itemsize * 8
}
"""dtypes of types whose bytes in the file are those in memory, whatever they are."""

SMALL = 1 << 10
"""Bytes of constants that are copied: where calls read them, a system keeps up to 2 MiB of the file around each."""

_LARGEST = 2**58  # elements, zeros not counted: NumPy refuses to address more


def read_tensors(columns: Columns, buffers: Buffers) -> list[Tensor]:
    """The tensors of all subgraphs, by row of the Tensor columns. Constants of some size are views, where possible."""
    rows = columns.rows["Tensor"]
    if not len(rows):
        return []
    _check_references(columns, buffers)
    shapes = _shapes(columns)
    signatures = _signatures(columns, shapes)
    types = [_TYPES[number] for number in rows["type"].tolist()]
    sparsities = read_sparsity(columns, shapes)
    constants = _constants(columns, buffers, types, shapes, sparsities)
    return [
        Tensor(
            name,
            type,
            shape,
            signature,
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
            signatures,
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
    copies: dict[tuple[int, int], bytes] = {}
    content, address = columns.view.data.data, columns.view.data.ctypes.data
    sources = rows["buffer"][held]
    places = zip(buffers.starts[sources].tolist(), buffers.lengths[sources].tolist(), strict=True)
    for row, (start, length) in zip(np.nonzero(held)[0].tolist(), places, strict=True):
        type, shape, sparsity = types[row], shapes[row], sparsities[row]
        count = math.prod(shape) if sparsity is None else stored_count(sparsity)
        dtype = _AS_STORED.get(type) if sparsity is None else None
        if dtype is not None and length == count * dtype.itemsize and not (address + start) % dtype.alignment:
            source: memoryview | bytes = content
            at = start
            if length <= SMALL:
                source, at = copies.setdefault((start, length), bytes(content[start : start + length])), 0
            found[row] = np.ndarray(shape, dtype, source, at)  # what `decode` gives, in a third of the time
            continue
        key = start, type, count
        values = made.get(key)
        if values is None:
            try:
                values = made[key] = decode(columns.view.data[start : start + length], type, count)
            except (GraphError, UnsupportedError) as error:
                raise error.__class__(error.what, where=columns.where("Tensor", row)) from None
        found[row] = values.reshape(shape) if sparsity is None else values
    return found


def _check_references(columns: Columns, buffers: Buffers) -> None:
    rows = columns.rows["Tensor"]
    types = rows["type"].tolist()
    if unknown := set(types) - _TYPES.keys():
        row = next(row for row, number in enumerate(types) if number in unknown)
        what = f"Tensor type {types[row]} is not supported."
        raise UnsupportedError(what, where=columns.where("Tensor", row))
    if rows["external_buffer"].any():
        row = int(np.argmax(rows["external_buffer"] != 0))
        what = "Constants in external files (external_buffer) are not supported."
        raise UnsupportedError(what, where=columns.where("Tensor", row))
    columns.require(rows["buffer"] < len(buffers), "Tensor", "buffer", f"the model has {len(buffers)} buffers.")


def _shapes(columns: Columns) -> list[tuple[int, ...]]:
    shapes = columns.vector("Tensor", "shape")
    longest = int(np.argmax(shapes.lengths))
    most = columns.limits.max_view_rank
    if shapes.lengths[longest] > most:
        what = f"A tensor has {shapes.lengths[longest]} dimensions, more than max_view_rank = {most}."
        raise LimitError(what, where=columns.where("Tensor", longest))
    made = shapes.tuples()
    if (shapes.values < 0).any():
        row = next(row for row, shape in enumerate(made) if min(shape, default=0) < 0)
        raise GraphError(f"shape {made[row]} has a negative dimension.", where=columns.where("Tensor", row, "shape"))
    if int(shapes.values.max(initial=0)) ** int(shapes.lengths[longest]) > _LARGEST:
        for row, shape in enumerate(made):
            if math.prod(n or 1 for n in shape) > _LARGEST:
                what = f"A tensor of shape {shape} has too many elements."
                raise LimitError(what, where=columns.where("Tensor", row, "shape"))
    return made


def _signatures(columns: Columns, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...] | None]:
    """Shape signatures: the shape with -1 for dimensions that are not known. None where all of them are."""
    signatures = columns.vector("Tensor", "shape_signature").tuples()
    wrong = {pair for pair in set(zip(shapes, signatures, strict=True)) if not _agree(*pair)}
    if wrong:
        row = next(row for row, pair in enumerate(zip(shapes, signatures, strict=True)) if pair in wrong)
        what = f"shape signature {signatures[row]} contradicts shape {shapes[row]}."
        raise GraphError(what, where=columns.where("Tensor", row, "shape_signature"))
    return [signature if -1 in signature else None for signature in signatures]


def _agree(shape: tuple[int, ...], signature: tuple[int, ...]) -> bool:
    return not signature or (
        len(signature) == len(shape) and all(n in (-1, m) for n, m in zip(signature, shape, strict=True))
    )

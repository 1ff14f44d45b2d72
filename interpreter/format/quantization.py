"""Quantisation parameters of a file's tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import GraphError, UnsupportedError
from ..graph import ABSENT, Array, Quantization, Tensor, TensorType
from .columns import Columns
from .schema import UNIONS
from .view import Ragged


def _range(type: TensorType) -> tuple[int, int]:
    """Least and greatest integer of a type; all that int64 holds for types that are not integers."""
    if type.dtype.kind not in "iu" or type.bits == 64:
        return -(2**63), 2**63 - 1
    return (0, 2**type.bits - 1) if type.dtype.kind == "u" else (-(2 ** (type.bits - 1)), 2 ** (type.bits - 1) - 1)


_RANGES = np.array([_range(type) for type in TensorType])
_TAGS = {name: tag for tag, name in enumerate(UNIONS["QuantizationDetails"]) if name}


def read_quantization(columns: Columns, shapes: Sequence[tuple[int, ...]]) -> list[Quantization | None]:
    """The affine quantisation of each tensor row, None where there is none or where it is blockwise."""
    owners = columns.child("Tensor", "quantization")
    rows = columns.rows["QuantizationParameters"]
    if not len(rows):
        return [None] * len(owners)
    _check(columns)
    scales = columns.vector("QuantizationParameters", "scale")
    zero_points = columns.vector("QuantizationParameters", "zero_point")
    for vectors in (scales, zero_points):
        vectors.values.flags.writeable = False
    _check_zero_points(columns, owners, zero_points)
    axes = rows["quantized_dimension"].tolist()
    made = [
        Quantization(scales[row], zero_points[row], axes[row]) if scales.lengths[row] else None
        for row in range(len(rows))
    ]
    quantizations = [made[row] if row >= 0 else None for row in owners.tolist()]
    for row, quantization in enumerate(quantizations):
        if quantization is not None and len(quantization.scales) > 1:
            quantizations[row] = _on_axis(columns, row, quantization, shapes[row])
    return quantizations


class Blocks:
    """Blockwise quantisation, whose scales and zero points are other tensors of the same subgraph."""

    def __init__(self, columns: Columns) -> None:
        parameters, details = columns.rows["QuantizationParameters"], columns.rows["BlockwiseQuantization"]
        chosen = parameters["details_type"] == _TAGS["BlockwiseQuantization"]
        owners = columns.child("Tensor", "quantization")
        rows = np.nonzero((owners >= 0) & np.append(chosen, False)[owners])[0]
        source = columns.index("BlockwiseQuantization", parameters["details"][owners[rows]])
        fields = [details[name][source].tolist() for name in ("scales", "zero_points", "block_size")]
        axes = parameters["quantized_dimension"][owners[rows]].tolist()
        self._rows = dict(zip(rows.tolist(), zip(*fields, axes, strict=True), strict=True))
        self._made: dict[tuple[int, str, int], Array] = {}

    def of(self, rows: Sequence[int]) -> list[tuple[int, int]]:
        """Those of `rows` of the Tensor columns that are quantised so, each with its place."""
        return [(place, row) for place, row in enumerate(rows) if row in self._rows] if self._rows else []

    def resolve(self, row: int, shape: tuple[int, ...], tensors: Sequence[Tensor], where: str) -> Quantization:
        """The parameters of a tensor, taken from constants among `tensors`. Raises GraphError where they are not."""
        scales, zero_points, size, axis = self._rows[row]
        if size <= 0 or math.prod(shape) % size:
            raise GraphError(f"blocks of {size} do not divide shape {shape}.", where=where)
        count = math.prod(shape) // size
        held = [self._constant(tensors, scales, count, np.float32, where)]
        if zero_points == ABSENT:
            held.append(np.broadcast_to(np.int64(0), count))
        else:
            held.append(self._constant(tensors, zero_points, count, np.int64, where))
        return Quantization(held[0], held[1], axis, size)

    def _constant(self, tensors: Sequence[Tensor], index: int, count: int, dtype: type, where: str) -> Array:
        """A constant as a flat array of `dtype`; what several tensors share is converted once."""
        data = tensors[index].data if 0 <= index < len(tensors) else None
        if data is None or data.dtype == object or data.size != count:
            raise GraphError(f"tensor {index} is no constant of {count} elements, one a block.", where=where)
        key = data.ctypes.data, data.dtype.name + dtype.__name__, count
        if key not in self._made:
            self._made[key] = data.reshape(-1).astype(dtype)
            self._made[key].flags.writeable = False
        return self._made[key]


def _check(columns: Columns) -> None:
    rows = columns.rows["QuantizationParameters"]
    scales = columns.vector("QuantizationParameters", "scale")
    zero_points = columns.vector("QuantizationParameters", "zero_point")
    unequal = (scales.lengths > 0) & (scales.lengths != zero_points.lengths)
    if unequal.any():
        row = int(np.argmax(unequal))
        what = f"{scales.lengths[row]} scales but {zero_points.lengths[row]} zero points."
        raise GraphError(what, where=columns.where("QuantizationParameters", row))
    _check_scales(columns, scales)
    several = rows["details_type"] == _TAGS["MultiAxisQuantization"]
    if several.any():
        where = columns.where("QuantizationParameters", int(np.argmax(several)))
        raise UnsupportedError("Quantisation along several axes is not supported.", where=where)


def _check_scales(columns: Columns, scales: Ragged) -> None:
    """Scales are positive. Those of channels that hold nothing but zeros may be 0: some quantisers write that."""
    zero = np.append(scales.values, 1)[scales.starts] == 0
    odd = ~((scales.values >= 0) & np.isfinite(scales.values))
    bad = (scales.lengths == 1) & zero
    if odd.any():
        at = int(np.argmax(odd))
        bad |= (scales.starts <= at) & (at < scales.starts + scales.lengths)
    if bad.any():
        row = int(np.argmax(bad))
        what = f"{scales[row].min()} is no scale: scales are positive numbers."
        raise GraphError(what, where=columns.where("QuantizationParameters", row, "scale"))


def _check_zero_points(columns: Columns, owners: NDArray[np.int64], zero_points: Ragged) -> None:
    """Zero points are values that the tensors can hold."""
    types = columns.rows["Tensor"]["type"].astype(np.int64)
    quantised = np.nonzero(owners >= 0)[0]
    lows, highs = _RANGES[types[quantised]].T
    least, greatest = zero_points.values.min(initial=0), zero_points.values.max(initial=0)
    if len(quantised) and lows.max() <= least and greatest <= highs.min():
        return
    _, first = np.unique(owners[quantised] * len(_RANGES) + types[quantised], return_index=True)
    which, values = columns.expand(zero_points, owners[quantised[first]], "zero points")
    tensors = quantised[first][which]
    lowest, highest = _RANGES[types[tensors]].T
    bad = (values < lowest) | (values > highest)
    if bad.any():
        at = int(np.argmax(bad))
        what = f"zero point {values[at]} is no value of the tensor's type."
        raise GraphError(what, where=columns.where("Tensor", int(tensors[at]), "quantization"))


def _on_axis(columns: Columns, row: int, quantization: Quantization, shape: tuple[int, ...]) -> Quantization:
    axis, count = quantization.axis, len(quantization.scales)
    if shape == (count,):  # a bias may carry the axis of its filter
        return quantization if axis == 0 else replace(quantization, axis=0)
    if not 0 <= axis < len(shape) or shape[axis] != count:
        what = f"{count} scales for dimension {axis} of shape {shape}."
        raise GraphError(what, where=columns.where("Tensor", row, "quantization"))
    return quantization

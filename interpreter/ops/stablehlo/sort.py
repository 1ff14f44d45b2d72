"""STABLEHLO_SORT."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec
from ..base import op
from ..shared.host import normalize_axis, shape_of
from .bodies import Arrays, BodyOp, Function
from .elementwise import VALUE


@op("STABLEHLO_SORT", VALUE)
class StablehloSort(BodyOp):
    """Arrays of one shape, sorted together along `dimension`.

    The comparator takes two elements of each array and says whether the first ones come before the second ones.
    Elements of which neither comes before the other keep their order, whether or not `is_stable` asks for it.
    """

    dimension: int = -1
    is_stable: bool = False
    comparator_subgraph_index: int = 0

    @property
    def body_graph(self) -> int:
        return self.comparator_subgraph_index

    @property
    def body_takes(self) -> int:
        return 2 * len(self.ins)

    @property
    def body_gives(self) -> tuple[np.dtype[Any], ...]:
        return (np.dtype(np.bool_),)

    def infer(self, *inputs: TensorSpec) -> tuple[TensorSpec, ...]:
        normalize_axis(self.dimension, inputs[0].rank, f"{self.name}: dimension")
        if any(spec.shape != inputs[0].shape for spec in inputs):
            raise KernelError(f"{self.name} got {', '.join(map(str, inputs))}, expected equal shapes.")
        return tuple(TensorSpec(spec.type, shape_of(spec)) for spec in inputs)

    def run(self, xp: Any, *inputs: Array) -> Arrays:
        axis = normalize_axis(self.dimension, inputs[0].ndim)
        rows = tuple(xp.moveaxis(x, axis, -1) for x in inputs)
        if rows[0].size < 2:
            return inputs
        if self.applied.order is not None:
            key, descending = self.applied.order
            order = _sorted_order(xp, rows[key], descending)
        else:
            order = _network_order(xp, self.applied, rows)
        return tuple(xp.moveaxis(xp.take_along_axis(x, order, axis=-1), -1, axis) for x in rows)


def _sorted_order(xp: Any, keys: Array, descending: bool) -> Array:
    """Positions that sort each row of `keys`, equal ones in order."""
    if not descending:
        return xp.argsort(keys, axis=-1, kind="stable")
    # Sorting upwards what is turned around keeps equal elements in order once the result is turned around too.
    return keys.shape[-1] - 1 - xp.argsort(keys[..., ::-1], axis=-1, kind="stable")[..., ::-1]


def _network_order(xp: Any, comparator: Function, rows: Arrays) -> Array:
    """Positions that sort the rows by any comparator: a bitonic sorting network, each layer of which compares at once.

    The network has a power of two of places; positions that are not there stay behind all others (Batcher 1968).
    """
    outer, length = rows[0].shape[:-1], rows[0].shape[-1]
    size = 1 << (length - 1).bit_length()
    flat = tuple(x.reshape(-1, length) for x in rows)
    order = xp.broadcast_to(xp.arange(size), (len(flat[0]), size))
    block = 2
    while block <= size:
        distance = block // 2
        while distance:
            order = _exchanged(xp, comparator, flat, order, block, distance)
            distance //= 2
        block *= 2
    return order[:, :length].reshape(*outer, length)


def _exchanged(xp: Any, comparator: Function, rows: Arrays, order: Array, block: int, distance: int) -> Array:
    """One layer: pairs `distance` apart put in order, upwards and downwards in turn for blocks of `block` places."""
    count, size = order.shape
    length = rows[0].shape[1]
    pairs = order.reshape(count, size // (2 * distance), 2, distance)
    early, late = xp.minimum(pairs[:, :, 0], pairs[:, :, 1]), xp.maximum(pairs[:, :, 0], pairs[:, :, 1])
    elements = []
    for x in rows:
        for places in (late, early):
            picked = xp.minimum(places, length - 1).reshape(count, -1)
            elements.append(xp.take_along_axis(x, picked, axis=1).reshape(late.shape))
    (overtakes,) = comparator(xp, *elements)
    overtakes = overtakes & (late < length)
    first, second = xp.where(overtakes, late, early), xp.where(overtakes, early, late)
    starts = xp.arange(size // (2 * distance)).reshape(-1, 1) * (2 * distance)
    upwards = (starts & block) == 0
    return xp.stack([xp.where(upwards, first, second), xp.where(upwards, second, first)], axis=2).reshape(count, size)

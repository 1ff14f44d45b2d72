"""Plain float LSTMs as primitives, several steps a call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np

from ....interpreter.graph import Array
from ....interpreter.ops.recurrent.layer import Layer, States
from ....interpreter.ops.recurrent.lstm_float import PlainLayer
from ....interpreter.sharing import release, settle
from . import primitive as p
from .binding import Arg, Handle, Library, Query, Unimplemented
from .primitive import Layout, Primitive, address, aligned, arguments, make_layout
from .recipe import Constant
from .weights import Slab, weights_of

LENGTHS = (8, 4, 2, 1)
"""Steps that a primitive may take. More would take no less time each, and memory for the gates of all."""

MOST = 16
"""Combinations of steps and rows that primitives are kept ready for."""


class FloatLstm:
    """A layer. Thread-safe; runs on one thread, with the same bits however many steps and rows a primitive takes.

    Primitives know no limit of the cell state. A step adds at most 1 to it, so they take those steps that can't pass
    the limit; from where one could, `other` computes the rest.
    """

    def __init__(self, library: Library, layer: PlainLayer, other: Callable[[], Layer]) -> None:
        self._library, self._layer, self._other = library, layer, other
        cells, self._depth = layer.input[0].shape
        self.widths = cells, cells
        self._idle: dict[tuple[int, int], list[_Steps]] = {}  # by how many steps, and how many rows
        self._is_there = True  # whether oneDNN has code for this processor
        self._packed: list[tuple[Primitive, list[np.ndarray]]] = []
        self._bias = np.concatenate(layer.bias)

    def unrolled(self, steps: Array, states: States, aux: Array | None = None) -> tuple[Array, States]:
        """Outputs [time, batch, cells] for inputs [time, batch, depth], and the states after the last."""
        length, batch = steps.shape[:2]
        steps, result = np.ascontiguousarray(steps), np.empty((length, batch, self.widths[0]), np.float32)
        sources, targets, done = _Rows(steps), _Rows(result), 0
        before, after = (_Rows(np.array(states)) for _ in range(2))
        while done < length:
            count = self._certain(before.array[1], length - done)
            ready = self._ready(count, batch)
            if ready is None:
                result[done:], states = self._other().unrolled(steps[done:], tuple(before.array))
                return result, states
            ready(sources.at(done), before.at(0), before.at(1), targets.at(done), after.at(0), after.at(1))
            self._idle.setdefault((count, batch), []).append(ready)
            before, after, done = after, before, done + count
        return result, tuple(before.array)

    def _certain(self, c: Array, left: int) -> int:
        """How many of the steps that are left a primitive takes next, all within the limit of the cell state."""
        limit = self._layer.cell_clip
        most = min(limit - float(np.abs(c).max(initial=0)), left) if limit else left
        return next((count for count in LENGTHS if count <= most), 0)

    def _ready(self, count: int, batch: int) -> _Steps | None:
        """A primitive for one call; None where there is none."""
        if not self._is_there or 0 in (count, batch, self._depth, *self.widths):
            return None
        with suppress(LookupError):
            return self._idle[count, batch].pop()
        if len(self._idle) >= MOST:
            self._idle = {}
        try:
            return self._made(count, batch)
        except Unimplemented:
            self._is_there = False
            return None

    def _made(self, count: int, batch: int) -> _Steps:
        cells, depth = self.widths[0], self._depth
        shapes = (count, batch, depth), (1, 1, batch, cells), (1, 1, 4, cells), (count, batch, cells)
        src, state, bias, dst = (Layout.of(shape, np.float32) for shape in shapes)
        weights = [Layout.of((1, 1, 4, cells, size), np.float32, (0, 1, 4, 2, 3)) for size in (depth, cells)]
        input, recurrent = (each.packed for each in weights)
        primitive = p.lstm(self._library, src, state, input, recurrent, bias, dst)
        return _Steps(primitive, (src, state, bias, dst), (*self._weights(primitive, weights), self._bias))

    def _weights(self, primitive: Primitive, layouts: list[Layout]) -> list[np.ndarray]:
        """Packed as the primitive reads them."""
        library = self._library
        for known, packed in self._packed:
            if all(library.are_equal(_target(known, place), _target(primitive, place)) for place in range(2)):
                return packed
        packed = []
        for place, (parts, layout) in enumerate(zip((self._layer.input, self._layer.recurrent), layouts, strict=True)):
            constant = Constant(np.concatenate(parts), layout, packed=True, place=place)
            packed.append(weights_of(library).stored(constant, primitive, Slab(0))[0])
            for part in parts:
                release(part)
        settle()
        self._packed.append((primitive, packed))
        return packed


def _target(primitive: Primitive, place: int) -> object:
    return primitive.library.query(primitive.description, Query.WEIGHTS, place)


class _Rows:
    """An array, and where its parts along the first dimension lie."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self._first, self._step = array, address(array), array.strides[0]

    def at(self, position: int) -> int:
        return self._first + position * self._step


class _Steps:
    """So many steps of so many rows, for one call at a time."""

    def __init__(self, primitive: Primitive, layouts: tuple[Layout, ...], constants: tuple[np.ndarray, ...]) -> None:
        self._library = library = primitive.library
        src, state, bias, dst = (make_layout(library, each) for each in layouts)
        scratch = aligned(max(primitive.scratch, 1))
        moving = {Arg.SRC: src, Arg.SRC_1: state, Arg.SRC_2: state, Arg.DST: dst, Arg.DST_1: state, Arg.DST_2: state}
        fixed = {
            Arg.WEIGHTS: _target(primitive, 0),
            Arg.WEIGHTS_1: _target(primitive, 1),
            Arg.BIAS: bias,
            Arg.SCRATCHPAD: library.query(primitive.description, Query.SCRATCHPAD),
        }
        places: dict[int, Handle] = {argument: library.memory(layout, 0) for argument, layout in moving.items()}
        self._moving = list(places.values())
        for (argument, layout), array in zip(fixed.items(), (*constants, scratch), strict=True):
            places[argument] = library.memory(layout, address(array))
        self._call = primitive.handle, library.stream(), len(places), arguments(places)
        self._kept = primitive, constants, scratch, places

    def __call__(self, *addresses: int) -> None:
        """`addresses`: of steps, h and c, and of where outputs and the new h and c go."""
        for memory, place in zip(self._moving, addresses, strict=True):
            self._library.move_to(memory, place)
        if status := self._library.execute(*self._call):
            self._library.check(status, "LSTM")

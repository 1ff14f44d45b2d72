"""Integer LSTMs on products of bytes: their weights take a quarter of what they take as floats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ....interpreter.graph import Array
from ....interpreter.ops.base import StatefulOp
from ....interpreter.ops.recurrent.layer import Layer
from ....interpreter.ops.recurrent.lstm import LstmLayer
from ....interpreter.ops.recurrent.lstm_integer import FloatSums
from ....interpreter.sharing import release, settle
from . import primitive as p
from .binding import Arg, Handle, Library, Query, Unimplemented
from .float_lstm import FloatLstm
from .primitive import Attributes, Layout, aligned, arguments, make_layout
from .recipe import Constant
from .weights import Slab, weights_of

MOST = 8
"""Numbers of rows that a product is kept ready for."""


def lstm(library: Library, op: StatefulOp) -> Callable[..., Any] | None:
    """What runs an LSTM of constant weights, one of integers or a plain one of floats; None for other ops."""
    if not isinstance(op, LstmLayer) or (layer := _layer(library, op)) is None:
        return None
    kernel = op.running(layer)

    def run(*operands: Any) -> Any:
        before = library.use_threads(1)
        try:
            return kernel(*operands)
        finally:
            library.use_threads(before)

    return run


def _layer(library: Library, op: LstmLayer) -> Layer | None:
    """Integers only where products of bytes are exact."""
    plain = op.plain_layer
    if plain is None:
        return op.integer_cell(partial(_Sums, library)) if library.multiplies_bytes else None

    def other() -> Layer:
        cell = op.constant_cell
        assert cell is not None  # as its weights are constant
        return cell

    return FloatLstm(library, plain, other)


class _Sums:
    """int8 rows [n, k] times constant int8 matrices [., k]: int32 [n, m], exactly. Thread-safe; runs on one thread."""

    def __init__(self, library: Library, weights: Sequence[np.ndarray]) -> None:
        self._library, self._weights = library, weights
        self._sizes = sum(map(len, weights)), weights[0].shape[1]
        self._idle: dict[int, list[_Rows]] = {}  # by how many rows they take
        self._floats: FloatSums | None = None

    def __call__(self, rows: Array) -> Array:
        if self._floats is not None:
            return self._floats(rows)
        idle = self._idle.setdefault(len(rows), [])
        if len(self._idle) > MOST:
            self._idle = {len(rows): idle}
        try:
            ready = idle.pop()
        except IndexError:
            made = self._made(len(rows))
            if made is None:
                return self(rows)
            ready = made
        sums = ready(rows)
        idle.append(ready)
        return sums

    def _made(self, count: int) -> _Rows | None:
        """Ready for so many rows; None where oneDNN has nothing for them."""
        try:
            if 0 in (count, *self._sizes):
                raise Unimplemented("products of nothing")
            found = _Rows(self._library, np.concatenate(self._weights), count)
        except Unimplemented:
            self._floats, found = FloatSums(self._weights), None
        for part in self._weights:
            release(part)
        settle()
        return found


class _Rows:
    """Products with one matrix [m, k] of so many rows at once, for one call at a time."""

    def __init__(self, library: Library, weights: np.ndarray, count: int) -> None:
        units, depth = weights.shape
        layout = Layout.of(weights.shape, np.int8, (1, 0))
        src, dst = Layout.of((count, depth), np.int8), Layout.of((count, units), np.int32)
        primitive = p.matmul(library, src, layout.packed, None, dst, Attributes())
        packed, target = weights_of(library).stored(Constant(weights, layout, packed=True), primitive, Slab(0))
        scratch = aligned(max(primitive.scratch, 1))
        self._rows, self._sums = (library.memory(make_layout(library, each), 0) for each in (src, dst))
        self._places: dict[int, Handle] = {
            Arg.SRC: self._rows,
            Arg.DST: self._sums,
            Arg.WEIGHTS: library.memory(target, packed.ctypes.data),
            Arg.SCRATCHPAD: library.memory(library.query(primitive.description, Query.SCRATCHPAD), scratch.ctypes.data),
        }
        self._call = primitive.handle, library.stream(), len(self._places), arguments(self._places)
        self._library, self._kept, self._shape = library, (primitive, packed, scratch), dst.shape

    def __call__(self, rows: Array) -> Array:
        library, sums = self._library, np.empty(self._shape, np.int32)
        held = library.move(self._rows, rows)
        library.move(self._sums, sums)
        if status := library.execute(*self._call):
            library.check(status, "products of bytes")
        del held
        return sums

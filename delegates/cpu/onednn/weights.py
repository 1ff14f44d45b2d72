"""Constants as primitives read them: packed once a process for all primitives that want equal ones alike."""

from __future__ import annotations

import os
from functools import cache
from threading import Lock
from typing import Any, NamedTuple, TypeAlias
from weakref import ref

import numpy as np

from ....interpreter.sharing import release
from .binding import Library, Query
from .primitive import Layout, Primitive, aligned, make_layout, pack
from .recipe import Constant

SAMPLES = 64
"""Elements by which arrays that may be equal are found."""


LARGE = 1 << 23
"""Bytes of weights from which on they are packed side by side."""


class Slab:
    """Memory for packed weights, side by side: the system gives large pieces in large pages, in a quarter of the time.

    nbytes: of the weights as they are; packed, they may take some more.
    """

    def __init__(self, nbytes: int) -> None:
        self._left = nbytes * 33 // 32 if nbytes >= LARGE else 0
        self._rest = np.empty(0, np.uint8)

    def take(self, nbytes: int) -> np.ndarray:
        """uint8 [nbytes] that starts at a multiple of 64: of the slab, as long as there is room."""
        step = -(-nbytes // 64) * 64
        if step > self._left:
            return aligned(nbytes)
        rest = self._rest if self._rest.size else aligned(self._left)
        self._left, self._rest = self._left - step, rest[step:]
        return rest[:nbytes]


class _Packed(NamedTuple):
    """Packed weights: their memory, the primitive for which they were packed, and what lies where they were found.

    The source is not read again: it may be part of a mapped file, which may have been written over since.
    """

    memory: ref[np.ndarray]
    primitive: Primitive
    source: ref[np.ndarray] | None = None  # None where they are found by samples
    place: int = 0

    @property
    def is_alive(self) -> bool:
        return self.memory() is not None and (self.source is None or self.source() is not None)


_Key: TypeAlias = tuple[object, Layout]


class Weights:
    """Finds or makes the memory of constants. Thread-safe."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._after_fork()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)
        self._packed: dict[_Key, list[_Packed]] = {}  # by where the source lies, and by samples of it
        self._most = SAMPLES  # keys, before those of what is gone are dropped

    def _after_fork(self) -> None:
        self._lock = Lock()  # a thread may have held it that a forked process does not have

    def stored(self, constant: Constant, primitive: Primitive, slab: Slab) -> tuple[np.ndarray, Any]:
        """The memory of a constant that `primitive` reads, of `slab` if it has to be packed, and its layout."""
        array = np.ascontiguousarray(constant.array)
        if not constant.packed:
            return array, make_layout(self._library, constant.layout)
        target = self._library.query(primitive.description, Query.WEIGHTS, constant.place)
        with self._lock:
            place: _Key = array.__array_interface__["data"][0], constant.layout
            found = next(iter(self._known(place, target)), None)
            if found is None:
                found = self._found_or_made(constant, array, target, primitive, slab)
            if all(each.source is None or each.source() is not array for each in self._packed.get(place, ())):
                self._packed.setdefault(place, []).append(_Packed(ref(found), primitive, ref(array), constant.place))
            return found, target

    def _found_or_made(
        self, constant: Constant, array: np.ndarray, target: Any, primitive: Primitive, slab: Slab
    ) -> np.ndarray:
        """Weights that lie where none are known: packed, and given up for equal ones if there are any."""
        samples: _Key = array.reshape(-1)[:: max(1, array.size // SAMPLES)].tobytes(), constant.layout
        known, nbytes = self._known(samples, target), self._library.nbytes(target)
        made = aligned(nbytes) if known else slab.take(nbytes)
        pack(self._library, array, constant.layout, target, made)
        release(constant.array)
        found = next((memory for memory in known if np.array_equal(memory, made)), made)
        if found is made:
            self._sweep()
            self._packed.setdefault(samples, []).append(_Packed(ref(made), primitive, None, constant.place))
        return found

    def _known(self, key: _Key, target: Any) -> list[np.ndarray]:
        """Packed weights in a layout that are found by this key."""
        if key not in self._packed:
            return []
        self._packed[key] = alive = [each for each in self._packed[key] if each.is_alive]
        memories = (each.memory() for each in alive if self._is_for(each, target))
        return [memory for memory in memories if memory is not None]

    def _is_for(self, packed: _Packed, target: Any) -> bool:
        return self._library.are_equal(
            target, self._library.query(packed.primitive.description, Query.WEIGHTS, packed.place)
        )

    def _sweep(self) -> None:
        """Drop the keys of what is gone, now and then."""
        if len(self._packed) > self._most:
            left = ((key, [one for one in each if one.is_alive]) for key, each in self._packed.items())
            self._packed = {key: each for key, each in left if each}
            self._most = 2 * len(self._packed) + SAMPLES


@cache
def weights_of(library: Library) -> Weights:
    """Those of the process."""
    return Weights(library)

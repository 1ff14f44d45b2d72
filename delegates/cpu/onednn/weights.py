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
        self._left = nbytes * 9 // 8 if nbytes >= LARGE else 0
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
    """Packed weights: what they were made of, their memory, and the primitive for which they were packed."""

    source: ref[np.ndarray]
    memory: ref[np.ndarray]
    primitive: Primitive


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
        target = self._library.query(primitive.description, Query.WEIGHTS)
        with self._lock:
            place: _Key = array.__array_interface__["data"][0], constant.layout
            found = self._find(place, target)
            if found is None:
                found = self._found_or_made(constant, array, primitive, place, slab)
            elif all(each.source() is not array for each in self._packed[place]):
                self._packed[place].append(_Packed(ref(array), ref(found), primitive))
            return found, target

    def _found_or_made(
        self, constant: Constant, array: np.ndarray, primitive: Primitive, place: _Key, slab: Slab
    ) -> np.ndarray:
        """Weights that lie where none are known: packed, unless their equals have been."""
        target = self._library.query(primitive.description, Query.WEIGHTS)
        samples = array.reshape(-1)[:: max(1, array.size // SAMPLES)].tobytes(), constant.layout
        found = self._find(samples, target, array)
        if found is None:
            found = slab.take(self._library.nbytes(target))
            pack(self._library, array, constant.layout, target, found)
        release(constant.array)
        if len(self._packed) > self._most:
            self._packed = {key: alive for key, each in self._packed.items() if (alive := _alive(each))}
            self._most = 2 * len(self._packed) + SAMPLES
        for key in (place, samples):
            self._packed.setdefault(key, []).append(_Packed(ref(array), ref(found), primitive))
        return found

    def _find(self, key: _Key, target: Any, array: np.ndarray | None = None) -> np.ndarray | None:
        """Packed weights in a layout, of a source that equals an array; without one, of whatever lies at that key."""
        if key not in self._packed:
            return None
        self._packed[key] = known = _alive(self._packed[key])
        for source, memory, primitive in known:
            is_same = self._library.are_equal(target, self._library.query(primitive.description, Query.WEIGHTS))
            if is_same and (array is None or _are_equal(source(), array)):
                return memory()
        return None


def _alive(packed: list[_Packed]) -> list[_Packed]:
    return [each for each in packed if each.source() is not None and each.memory() is not None]


def _are_equal(one: np.ndarray | None, other: np.ndarray) -> bool:
    return one is not None and one.tobytes() == other.tobytes()


@cache
def weights_of(library: Library) -> Weights:
    """Those of the process."""
    return Weights(library)

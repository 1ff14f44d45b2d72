"""Arrays that never change, one copy a process for equal ones: weights as kernels want them, folded constants."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np

_lock = Lock()
_arrays: WeakValueDictionary[tuple[object, ...], np.ndarray] = WeakValueDictionary()
_copied: WeakKeyDictionary[mmap.mmap, int] = WeakKeyDictionary()
"""Bytes of the constants of mapped files that were released since the last pages went."""

SOME = 1 << 20
"""So many of these bytes are worth a call of the system."""

SMALL = 1 << 18
"""Bytes of a constant that are fewer than what a system keeps of a file around it."""


def _after_fork() -> None:
    global _lock
    _lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)  # a thread may have held it that a forked process does not have


def contents(array: np.ndarray) -> tuple[object, ...]:
    """What tells an array from others: a digest of its elements, its shape, its dtype."""
    digest = hashlib.blake2b(np.ascontiguousarray(array).view(np.uint8).data, digest_size=20).digest()
    return digest, array.shape, array.dtype.str


def shared(key: tuple[object, ...], make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array that goes by `key` in this process, made read-only on first use and gone with its last user."""
    with _lock:
        array = _arrays.get(key)
        if array is None:
            array = make()
            array.flags.writeable = False
            _arrays[key] = array
        return array


def release(array: np.ndarray) -> None:
    """Take a constant's pages out of this process, if they are a mapped file's, at the latest with `settle`: for those
    that have made their own copy of it. Whoever reads it still gets them back from the system's cache of the file.

    All pages of the file go, because neighbours come together: systems map files in pieces of up to 2 MiB.
    """
    mapped = _file_of(array)
    if mapped is None:
        return
    with _lock:
        copied = _copied.get(mapped, 0) + array.nbytes
        _copied[mapped] = copied % SOME
    if copied >= SOME:
        _let_go(mapped)


def settle() -> None:
    """Let go of the pages of all constants that were released since."""
    with _lock:
        files = [mapped for mapped, copied in _copied.items() if copied]
        _copied.clear()
    for mapped in files:
        _let_go(mapped)


def _let_go(mapped: mmap.mmap) -> None:
    with suppress(OSError):  # pages that a process has locked in memory stay there
        mapped.madvise(mmap.MADV_DONTNEED)


def own(array: np.ndarray) -> np.ndarray:
    """A constant that calls read: a copy if it is a small part of a mapped file, whose pages then need not stay."""
    return array.copy() if array.nbytes <= SMALL and _file_of(array) is not None else array


def _file_of(array: np.ndarray) -> mmap.mmap | None:
    """The mapped file that an array is a part of; None if it is not, or where pages can't be let go of: those of a
    mapping that can be written to may hold what is in no file."""
    root: object = array
    while isinstance(root, np.ndarray):
        root = root.base
    mapped = root.obj if isinstance(root, memoryview) else root
    if not isinstance(mapped, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED"):
        return None
    with memoryview(mapped) as view:
        return mapped if view.readonly else None

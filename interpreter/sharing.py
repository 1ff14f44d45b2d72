"""Arrays that never change, one copy a process for equal ones: weights as kernels want them, folded constants."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Callable
from threading import Lock
from weakref import WeakValueDictionary

import numpy as np

_lock = Lock()
_arrays: WeakValueDictionary[tuple[object, ...], np.ndarray] = WeakValueDictionary()


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
    """Take the pages that hold a constant out of this process, if they are a mapped file's: for those that have made
    their own copy of it. Whoever reads it still gets them back from the system's cache of the file."""
    root: object = array
    while isinstance(root, np.ndarray):
        first, root = root, root.base
    mapped = root.obj if isinstance(root, memoryview) else root
    if not isinstance(mapped, mmap.mmap) or not array.flags.c_contiguous or not hasattr(mmap, "MADV_DONTNEED"):
        return
    offset = _address(array) - _address(first)
    start = offset // mmap.PAGESIZE * mmap.PAGESIZE
    if array.nbytes:
        mapped.madvise(mmap.MADV_DONTNEED, start, offset + array.nbytes - start)


def _address(array: np.ndarray) -> int:
    address: int = array.__array_interface__["data"][0]
    return address

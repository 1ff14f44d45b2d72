"""Arrays that never change, one copy a process for equal ones: weights as kernels want them, folded constants."""

from __future__ import annotations

import hashlib
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

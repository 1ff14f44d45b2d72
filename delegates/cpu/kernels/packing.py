"""Weights in the layout that a kernel wants, one copy a process for equal weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ....interpreter.sharing import contents, release, shared


def pack(weights: np.ndarray, layout: tuple[object, ...], make: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """`make(weights)` as a C-contiguous read-only array, shared by all whose weights and `layout` are equal."""

    def packed() -> np.ndarray:
        made = np.ascontiguousarray(make(weights))
        return made.copy() if np.shares_memory(made, weights) else made

    found = shared((*contents(weights), *layout), packed)
    release(weights)
    return found

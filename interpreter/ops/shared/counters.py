"""Random bits as functions of a counter and a key (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).

Counters and keys are words of 32 bits, held in uint64 arrays, or in scalars that broadcast against them.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from ...graph import Array

Words: TypeAlias = tuple[Array, ...]

_WORD, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
_PHILOX_FACTORS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_PHILOX_STEPS = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_THREEFRY_PARITY = np.uint64(0x1BD11BDA)
_THREEFRY_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def words(x: Array) -> Words:
    """The low and the high word of uint64 numbers."""
    return x & _WORD, x >> _SHIFT


def philox(counter: Words, key: Words) -> Words:
    """Four words for counters of four and keys of two: Philox 4x32 of 10 rounds."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        low0, high0 = words(c0 * _PHILOX_FACTORS[0])
        low1, high1 = words(c2 * _PHILOX_FACTORS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + _PHILOX_STEPS[0]) & _WORD, (k1 + _PHILOX_STEPS[1]) & _WORD
    return c0, c1, c2, c3


def threefry(counter: Words, key: Words) -> Words:
    """Two words for counters of two and keys of two: Threefry 2x32 of 20 rounds."""
    keys = (*key, key[0] ^ key[1] ^ _THREEFRY_PARITY)
    x, y = (counter[0] + keys[0]) & _WORD, (counter[1] + keys[1]) & _WORD
    for turn in range(5):
        for rotation in _THREEFRY_ROTATIONS[turn % 2]:
            x = (x + y) & _WORD
            y = ((y << np.uint64(rotation)) & _WORD | y >> np.uint64(32 - rotation)) ^ x
        x = (x + keys[(turn + 1) % 3]) & _WORD
        y = (y + keys[(turn + 2) % 3] + np.uint64(turn + 1)) & _WORD
    return x, y


def interleaved(xp: Any, blocks: Words) -> Array:
    """uint32: the words of the first block, then those of the second, and so on."""
    return xp.stack(blocks, axis=-1).astype(np.uint32).reshape(-1)

"""STABLEHLO_RNG_BIT_GENERATOR."""

from __future__ import annotations

from enum import IntEnum
from math import prod
from typing import Any

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec, TensorType
from ..base import INDEX, UINT32, UINT64, Op, op
from ..shared.counters import interleaved, philox, threefry, words

_BITS = INDEX | UINT32 | UINT64


class RngAlgorithm(IntEnum):
    """How bits are made of a state."""

    DEFAULT = 0
    PHILOX = 1
    THREEFRY = 2


@op("STABLEHLO_RNG_BIT_GENERATOR", UINT64)
class StablehloRngBitGenerator(Op):
    """The next state and random bits from `initial_state` (reference: rng_bit_generator.cc).

    The state is [key, counter] or, for Philox only, [key, counter, high half of the counter], which the key stands for
    where it is not given. DEFAULT is Philox. The shape of the bits is the one that the file declares.
    """

    algorithm: RngAlgorithm = RngAlgorithm.DEFAULT

    def refuses(self, initial_state: TensorSpec) -> str | None:
        bits = self.outs[1]
        if bits.type not in _BITS:
            return f"operator {self.name} gives int32, int64, uint32 or uint64, not {bits.type.name.lower()}."
        return f"operator {self.name} needs an output of known shape." if bits.shape is None else None

    def infer(self, initial_state: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
        lengths = (2,) if self.algorithm is RngAlgorithm.THREEFRY else (2, 3)
        if initial_state.rank != 1 or initial_state.size not in lengths:
            raise KernelError(f"{self.name} got the state {initial_state}, expected {' or '.join(map(str, lengths))} "
                              f"numbers for {self.algorithm.name}.")  # fmt: skip
        return TensorSpec(TensorType.UINT64, initial_state.shape), TensorSpec(self.outs[1].type, self.outs[1].shape)

    def run(self, xp: Any, initial_state: Array) -> tuple[Array, Array]:
        bits = self.outs[1]
        shape = bits.shape or ()
        count = prod(shape) * bits.dtype.itemsize // 4
        per_block = 2 if self.algorithm is RngAlgorithm.THREEFRY else 4
        blocks = -(-count // per_block)
        key = words(initial_state[0:1])
        low = words(initial_state[1:2] + xp.arange(blocks, dtype=np.uint64))
        if self.algorithm is RngAlgorithm.THREEFRY:
            made = threefry(low, key)
        else:
            high = words(initial_state[2:3]) if initial_state.size == 3 else key
            made = philox((*low, *(xp.broadcast_to(word, (blocks,)) for word in high)), key)
        state = xp.concatenate([initial_state[:1], initial_state[1:2] + np.uint64(blocks), initial_state[2:]])
        return state, interleaved(xp, made)[:count].view(bits.dtype).reshape(shape)

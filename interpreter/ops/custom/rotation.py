"""The rotation that ai-edge-quantizer puts before weights which it has rotated, so that few bits serve them better."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec
from ..base import FLOAT, Op, op
from ..shared.host import shape_of


@op("aeq.hadamard_rotation", FLOAT)
class HadamardRotation(Op):
    """Each run of `hadamard_size` numbers times the orthonormal Hadamard matrix of that size.

    Runs divide the last dimension, or all but the first together: FULLY_CONNECTED flattens what it gets. Reference:
    hadamard_rotation.cc, which has no use for the random vector either, but leaves runs over several dimensions as
    they are and takes two or three dimensions.
    """

    hadamard_size: int = 0

    def infer(self, input: TensorSpec) -> TensorSpec:
        size = self.hadamard_size
        if size < 1 or size & (size - 1):
            raise KernelError(f"{self.name}: hadamard_size is {size}, expected a power of 2.")
        shape = shape_of(input)
        if not shape or math.prod(shape[1:] or shape) % size:
            raise KernelError(f"{self.name} got {input}, expected features that are a multiple of {size}.")
        return TensorSpec(input.type, input.shape)

    def run(self, xp: Any, input: Array) -> Array:
        x, size = input, self.hadamard_size
        for half in (1 << stage for stage in range(size.bit_length() - 1)):
            pairs = x.reshape(-1, 2, half)
            x = xp.stack((pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]), axis=1)
        return x.reshape(input.shape) * np.float32(1 / np.sqrt(size))

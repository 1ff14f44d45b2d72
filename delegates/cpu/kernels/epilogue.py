"""What follows a product while its block is in cache: the bias and the activation, in place."""

from __future__ import annotations

import math

import numpy as np

from ....interpreter.ops.base import Activation

_BOUNDS = {
    Activation.RELU: (0.0, math.inf),
    Activation.RELU_N1_TO_1: (-1.0, 1.0),
    Activation.RELU6: (0.0, 6.0),
}
_RUN = 2048
"""Elements over which a bias is repeated, so that additions run over long rows however few the channels are."""


class Epilogue:
    """Adds a bias [channels], or none, to blocks [rows, channels] and applies an activation."""

    def __init__(self, bias: np.ndarray | None, activation: Activation) -> None:
        self.bias, self.activation = bias, activation
        self._repeats = 1 if bias is None else max(1, _RUN // max(1, bias.size))
        self._tile = None if bias is None else np.tile(bias.reshape(-1), self._repeats)

    def __call__(self, block: np.ndarray) -> None:
        """Finish a C-contiguous float block in place."""
        if self.bias is not None:
            self._add(block)
        if self.activation in _BOUNDS:
            block.clip(*_BOUNDS[self.activation], out=block)
        elif self.activation is Activation.TANH:
            np.tanh(block, out=block)
        elif self.activation is Activation.SIGN_BIT:
            block[:] = np.signbit(block)

    def _add(self, block: np.ndarray) -> None:
        whole = len(block) // self._repeats * self._repeats
        runs = block[:whole].reshape(-1, block.shape[1] * self._repeats)
        np.add(runs, self._tile, out=runs)
        if whole < len(block):
            rest = block[whole:]
            np.add(rest, self.bias, out=rest)

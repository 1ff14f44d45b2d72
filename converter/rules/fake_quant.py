"""Quantisation that training simulates."""

from __future__ import annotations

import numpy as np

from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .steps import number, step


@lowers("FakeQuantWithMinMaxArgs")
def of_numbers(op: Lowering) -> DraftTensor:
    return _fake_quant(op, number(op.attr("min", -6.0)), number(op.attr("max", 6.0)))


@lowers("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel")
def of_constants(op: Lowering) -> DraftTensor:
    return _fake_quant(op, op.const(1, "the minimum"), op.const(2, "the maximum"))


def _fake_quant(op: Lowering, low: np.ndarray, high: np.ndarray) -> DraftTensor:
    """FAKE_QUANT if it can be; ranges by channel, and narrow ones, are spelled out."""
    bits, narrow = op.attr("num_bits", 8), bool(op.attr("narrow_range", False))
    if np.ndim(low) == 0 and not narrow:
        return op.emit("FAKE_QUANT", op.input(0), min=float(low), max=float(high), num_bits=bits, narrow_range=False)
    least, most = np.float32(narrow), np.float32(2**bits - 1)
    scale = (high - low) / (most - least)
    zero = np.clip(least - low / scale, least, most)
    nudged = np.floor(zero + np.float32(0.5)).astype(np.float32)
    start, end = _floats((least - nudged) * scale), _floats((most - nudged) * scale)
    inside = step(op, "MINIMUM", step(op, "MAXIMUM", op.input(0), start), end)
    places = step(op, "MUL", step(op, "SUB", inside, start), _floats(1 / scale))
    whole = step(op, "FLOOR", step(op, "ADD", places, number(0.5)))
    return op.emit("ADD", step(op, "MUL", whole, _floats(scale)), start)


def _floats(x: object) -> np.ndarray:
    return np.asarray(x, np.float32)

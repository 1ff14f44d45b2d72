"""Constants of integer nodes: weights, biases on the scale of their products, and others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...interpreter.graph import Quantization, TensorType
from ...interpreter.ops.base import Op
from .roles import bias_position, channel_axis, weights_position
from .scales import asymmetric, quantization, stored, symmetric

_GREATEST_BIAS = (2**31 - 1) // 2  # room for the products that are added to it

_SYMMETRIC = frozenset({"PRELU"})
"""Operators whose constants are factors, for which zero point 0 is kept."""


class Stored(NamedTuple):
    """A constant as the file holds it."""

    kind: TensorType
    data: np.ndarray
    parameters: Quantization


def product_constants(op: Op, data: Sequence[np.ndarray | None], input: Quantization,
                      weights: Quantization | None) -> dict[int, Stored]:  # fmt: skip
    """Weights and bias of a product by position, from the values of its operands.

    `input` is the quantisation of its input, `weights` that of weights that are no constant. A bias beyond int32 makes
    the scale of its channel's weights greater.
    """
    found: dict[int, Stored] = {}
    place, axis, bias = weights_position(op), channel_axis(op), bias_position(op)
    if place is not None and axis is not None:
        weights = symmetric(_known(data[place]), axis)
    if bias is not None:
        assert weights is not None
        values = _known(data[bias])
        scales = np.float64(input.scales[0]) * weights.scales.astype(np.float64)
        least = np.abs(values.astype(np.float64)) / _GREATEST_BIAS
        least = least.reshape(-1) if len(scales) > 1 else least.max(initial=0.0)
        if place is not None and axis is not None and np.any(least > scales):
            scales = np.maximum(scales, least)
            weights = quantization(scales / np.float64(input.scales[0]), axis=axis)
        parameters = quantization(scales)
        found[bias] = Stored(TensorType.INT32, stored(values, parameters, TensorType.INT32), parameters)
    if place is not None and axis is not None:
        assert weights is not None
        found[place] = Stored(TensorType.INT8, stored(_known(data[place]), weights), weights)
    return found


def plain_constant(op: Op, values: np.ndarray, parameters: Quantization | None) -> Stored:
    """Any other constant, with the scale that the node needs or that of its values."""
    if parameters is None and op.name in _SYMMETRIC:
        parameters = symmetric(values)
    if parameters is None:
        parameters = asymmetric(float(values.min(initial=0.0)), float(values.max(initial=0.0)))
    return Stored(TensorType.INT8, stored(values, parameters), parameters)


def _known(values: np.ndarray | None) -> np.ndarray:
    assert values is not None
    return values

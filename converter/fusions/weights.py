"""Constants that scale or shift what an operator with weights makes: folded into its weights and bias."""

from __future__ import annotations

import math
from itertools import takewhile

import numpy as np

from ...interpreter.graph import TensorType
from ..draft import DraftNode, DraftTensor
from ..rewrite import Rewriter, fuses

CHANNELS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 0, "CONV_3D": 4, "FULLY_CONNECTED": 0}
"""Operators with weights and a bias -> the dimension of their weights that counts the results' channels."""


@fuses("ADD", "SUB", "MUL", "DIV")
def neutral(graph: Rewriter, node: DraftNode) -> None:
    """x + 0, x - 0, x * 1, x / 1 -> x."""
    orders = [node.inputs] if node.op in ("SUB", "DIV") else [node.inputs, node.inputs[::-1]]
    for x, constant in orders:
        if x is None or constant is None or constant.data is None or x.dims != node.outputs[0].dims:
            continue
        if _fits(constant.data, x) and np.all(constant.data == (0 if node.op in ("ADD", "SUB") else 1)):
            graph.skip(node, x)
            return


def _fits(constant: np.ndarray, x: DraftTensor) -> bool:
    """Whether x, broadcast against a constant, surely keeps its shape."""
    if x.dims is None or constant.ndim > len(x.dims):
        return False
    last = x.dims[len(x.dims) - constant.ndim :]
    return all(n in (1, size) for n, size in zip(constant.shape, last, strict=True))


@fuses("ADD", "SUB", "MUL", "DIV")
def arithmetic(graph: Rewriter, node: DraftNode) -> None:
    """conv(x) * c, conv(x) + c, ... -> conv(x), with c in weights and bias; a reshape may stand between."""
    for position in (0, 1):
        product, constant = node.inputs[position], node.inputs[1 - position]
        last, maker = graph.makers_through_reshape(product)
        if product is None or constant is None or last is None or maker is None or not _takes_constants(maker):
            continue
        row = _per_channel(constant, product, maker) if product.dims == node.outputs[0].dims else None
        if row is None or (node.op == "DIV" and position == 1):
            continue
        scale, shift = _affine(node.op, row, position)
        if scale is not None and not np.isfinite(scale).all():
            continue
        _scale(maker, scale, shift, node)
        graph.absorb(last, node)
        return


def _takes_constants(node: DraftNode) -> bool:
    """Whether a node has constant weights and bias, and nothing happens after the bias."""
    if node.op not in CHANNELS or node.is_activated:
        return False
    bias = _bias(node)
    return _weights(node).data is not None and (bias is None or bias.data is not None)


def _weights(node: DraftNode) -> DraftTensor:
    weights = node.inputs[1]
    assert weights is not None
    return weights


def _bias(node: DraftNode) -> DraftTensor | None:
    position = _bias_position(node)
    return node.inputs[position] if len(node.inputs) > position else None


def _bias_position(node: DraftNode) -> int:
    return 3 if node.op == "TRANSPOSE_CONV" else 2


def _per_channel(constant: DraftTensor, product: DraftTensor, maker: DraftNode) -> np.ndarray | None:
    """A constant as one number for each channel of `maker`, None if it is anything else.

    `product` is what it is combined with; its last dimensions must be the channels, split up at most.
    """
    if constant.data is None or product.dims is None or constant.data.ndim > len(product.dims):
        return None
    channels = (_weights(maker).static or ())[CHANNELS[maker.op]]
    leading = sum(1 for _ in takewhile(lambda n: n == 1, constant.data.shape))
    parts = constant.data.shape[leading:]
    if parts and (parts != product.dims[-len(parts) :] or math.prod(parts) != channels):
        return None
    return np.broadcast_to(constant.data.reshape(-1), (channels,))


def _affine(op: str, row: np.ndarray, position: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(scale, shift) such that `op` of x and the constant is x * scale + shift; `position` is that of x."""
    if op == "MUL":
        return row, None
    if op == "DIV":
        with np.errstate(divide="ignore", over="ignore"):
            return np.float32(1) / row, None
    if op == "ADD":
        return None, row
    return (None, -row) if position == 0 else (np.full_like(row, -1), row)


def _scale(maker: DraftNode, scale: np.ndarray | None, shift: np.ndarray | None, node: DraftNode) -> None:
    weights, bias = _weights(maker), _bias(maker)
    assert weights.data is not None
    channels = weights.data.shape[CHANNELS[maker.op]]
    offset = np.zeros(channels, np.float32) if bias is None else bias.data
    assert offset is not None
    if scale is not None:
        across = [1] * weights.data.ndim
        across[CHANNELS[maker.op]] = channels
        maker.inputs[1] = _constant(weights.name, weights.data * scale.reshape(across))
        offset = offset * scale
    if shift is not None:
        offset = offset + shift
    maker.inputs[_bias_position(maker)] = _constant(f"{node.origin}/bias", offset)


def _constant(name: str, array: np.ndarray) -> DraftTensor:
    data = np.ascontiguousarray(array, np.float32)
    return DraftTensor(name, TensorType.FLOAT32, data.shape, data)

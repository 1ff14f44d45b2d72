"""Subgraphs made smaller: constants folded into weights, activations and paddings into the operator beside them.

Each pass looks at a node and at the only node that makes its input; where they can be one, the first takes over the
results of the second. Patterns hold for float32 alone, exactly but for the order of roundings.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from ..interpreter.graph import TensorType
from ..interpreter.ops.base import Activation, Padding
from .draft import DraftGraph, DraftNode, DraftTensor

CHANNELS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 0, "CONV_3D": 4, "FULLY_CONNECTED": 0}
"""Operators with weights and a bias -> the dimension of their weights that counts the results' channels."""
ACTIVATIONS = {"RELU": Activation.RELU, "RELU6": Activation.RELU6, "RELU_N1_TO_1": Activation.RELU_N1_TO_1}
TAKE_ACTIVATION = {*CHANNELS, "ADD", "SUB", "MUL", "DIV", "AVERAGE_POOL_2D", "MAX_POOL_2D"}
"""Operators that apply an activation. CONCATENATION has the field too, but its kernels ignore or reject it."""
WINDOWS = {"CONV_2D", "DEPTHWISE_CONV_2D"}


def rewrite(graph: DraftGraph) -> None:
    """Apply all passes to a subgraph, in place."""
    rewriter = _Rewriter(graph)
    for node in graph.nodes:
        fuse = _FUSIONS.get(node.op)
        if fuse is not None and all(t.type is TensorType.FLOAT32 for t in node.outputs):
            fuse(rewriter, node)
    graph.nodes = [node for node in graph.nodes if node not in rewriter.gone]
    drop_dead(graph)


def drop_dead(graph: DraftGraph) -> None:
    """Remove nodes that have no effect and whose results nothing uses."""
    needed = set(map(id, graph.outputs))
    kept = []
    for node in reversed(graph.nodes):
        if node.effect or any(id(t) in needed for t in node.outputs):
            kept.append(node)
            needed.update(map(id, node.inputs))
    graph.nodes = kept[::-1]


class _Rewriter:
    def __init__(self, graph: DraftGraph) -> None:
        self.makers = {id(t): node for node in graph.nodes for t in node.outputs}
        used = [t for node in graph.nodes for t in node.inputs if t is not None]
        self.uses = Counter(map(id, (*used, *graph.outputs)))
        self.gone: set[DraftNode] = set()

    def maker(self, tensor: DraftTensor | None) -> DraftNode | None:
        """The node that makes a tensor for one user alone."""
        return self.makers.get(id(tensor)) if tensor is not None and self.uses[id(tensor)] == 1 else None

    def absorb(self, kept: DraftNode, gone: DraftNode) -> None:
        """Let `kept` make what `gone` made."""
        kept.outputs = gone.outputs
        self.makers[id(gone.outputs[0])] = kept
        self.gone.add(gone)

    def fold_arithmetic(self, node: DraftNode) -> None:
        """conv(x) * c, conv(x) + c, ... -> conv(x), with c in weights and bias."""
        for position in (0, 1):
            product, constant = node.inputs[position], node.inputs[1 - position]
            maker = self.maker(product)
            if constant is None or constant.data is None or maker is None or not _takes_constants(maker):
                continue
            row = _per_channel(constant, maker, node)
            if row is None or (node.op == "DIV" and position == 1):
                continue
            scale, shift = _affine(node.op, row, position)
            _scale(maker, scale, shift, node)
            self.absorb(maker, node)
            return

    def fuse_activation(self, node: DraftNode) -> None:
        """relu(conv(x)) -> conv(x), activation included."""
        maker = self.maker(node.inputs[0])
        if maker is None or maker.op not in TAKE_ACTIVATION or maker.attributes.get("fused_activation_function"):
            return
        maker.attributes["fused_activation_function"] = ACTIVATIONS[node.op]
        if maker.op == "TRANSPOSE_CONV":
            maker.version = 4
        self.absorb(maker, node)

    def fuse_padding(self, node: DraftNode) -> None:
        """valid_conv(pad(x)) -> same_conv(x), where that pads alike."""
        pad = self.maker(node.inputs[0])
        if pad is None or pad.op != "PAD" or node.attributes["padding"] != Padding.VALID:
            return
        image, pads = pad.inputs
        assert image is not None
        assert pads is not None
        if pads.data is None or pads.data.tolist() != _same_pads(node, image):
            return
        node.attributes["padding"] = Padding.SAME
        node.inputs[0] = image
        self.gone.add(pad)

    def fuse_dilation(self, node: DraftNode) -> None:
        """batch_to_space(conv(space_to_batch(x))) -> dilated_conv(x)."""
        conv = self.maker(node.inputs[0])
        spread = None if conv is None or conv.op not in WINDOWS else self.maker(conv.inputs[0])
        if conv is None or spread is None or spread.op != "SPACE_TO_BATCH_ND" or not _is_plain(conv):
            return
        (image, block, pads), (_, same_block, crops) = spread.inputs, node.inputs
        known = [t.data for t in (block, same_block, pads, crops) if t is not None and t.data is not None]
        if image is None or len(known) < 4 or known[0].tolist() != known[1].tolist() or known[0].shape != (2,):
            return
        undilated = dict(conv.attributes)
        conv.attributes["dilation_h_factor"], conv.attributes["dilation_w_factor"] = known[0].tolist()
        inner = (known[2] - known[3]).tolist()
        if inner == [[0, 0], [0, 0]]:
            padding = Padding.VALID
        elif [[0, 0], *inner, [0, 0]] == _same_pads(conv, image):
            padding = Padding.SAME
        else:
            conv.attributes = undilated
            return
        conv.attributes["padding"] = padding
        conv.inputs[0] = image
        self.gone.add(spread)
        self.absorb(conv, node)


_FUSIONS = {
    "BATCH_TO_SPACE_ND": _Rewriter.fuse_dilation,
    **dict.fromkeys(("ADD", "SUB", "MUL", "DIV"), _Rewriter.fold_arithmetic),
    **dict.fromkeys(ACTIVATIONS, _Rewriter.fuse_activation),
    **dict.fromkeys(WINDOWS, _Rewriter.fuse_padding),
}


def _is_plain(node: DraftNode) -> bool:
    """Whether a window operator neither pads nor strides nor dilates."""
    steps = {node.attributes[name] for name in ("stride_h", "stride_w", "dilation_h_factor", "dilation_w_factor")}
    return node.attributes["padding"] == Padding.VALID and steps == {1}


def _takes_constants(node: DraftNode) -> bool:
    """Whether a node has constant weights and bias, and nothing happens after the bias."""
    if node.op not in CHANNELS or node.attributes.get("fused_activation_function"):
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


def _per_channel(constant: DraftTensor, maker: DraftNode, node: DraftNode) -> np.ndarray | None:
    """A constant as one number for each channel of `maker`, None if it is anything else."""
    data, rank = constant.data, maker.outputs[0].rank
    assert data is not None
    channels = (_weights(maker).static or ())[CHANNELS[maker.op]]
    flat = data.ndim == 0 or (data.shape[-1] in (1, channels) and math.prod(data.shape[:-1]) == 1)
    if not flat or rank is None or data.ndim > rank or node.outputs[0].rank != rank:
        return None
    return np.broadcast_to(data.reshape(-1), (channels,))


def _affine(op: str, row: np.ndarray, position: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(scale, shift) such that `op` of x and the constant is x * scale + shift; `position` is that of x."""
    if op == "MUL":
        return row, None
    if op == "DIV":
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


def _same_pads(node: DraftNode, image: DraftTensor) -> list[list[int]] | None:
    """The pads of TensorFlow's SAME padding, None if they depend on what is not known."""
    kernel, a = _weights(node), node.attributes
    if image.dims is None or kernel.dims is None:
        return None
    pads = [[0, 0]]
    for axis, letter in ((1, "h"), (2, "w")):
        size, extent = image.dims[axis], kernel.dims[axis]
        if size is None or extent is None:
            return None
        reach = (extent - 1) * a[f"dilation_{letter}_factor"] + 1
        stride = a[f"stride_{letter}"]
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        pads.append([total // 2, total - total // 2])
    return [*pads, [0, 0]]

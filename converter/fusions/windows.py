"""Paddings and dilations that stand beside a convolution: made part of it."""

from __future__ import annotations

from ...interpreter.ops.base import Padding
from ..draft import DraftNode, DraftTensor
from ..rewrite import Rewriter, fuses

WINDOWS = ("CONV_2D", "DEPTHWISE_CONV_2D")


@fuses("BATCH_TO_SPACE_ND")
def dilation(graph: Rewriter, node: DraftNode) -> None:
    """batch_to_space(conv(space_to_batch(x))) -> dilated_conv(x)."""
    conv = graph.maker(node.inputs[0])
    spread = None if conv is None or conv.op not in WINDOWS else graph.maker(conv.inputs[0])
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
    graph.gone.add(spread)
    graph.absorb(conv, node)


@fuses(*WINDOWS)
def padding(graph: Rewriter, node: DraftNode) -> None:
    """valid_conv(pad(x)) -> same_conv(x), where that pads alike."""
    pad = graph.source(node.inputs[0])
    if pad is None or pad.op != "PAD" or node.attributes["padding"] != Padding.VALID:
        return
    image, pads = pad.inputs
    assert image is not None
    assert pads is not None
    if pads.data is None or pads.data.tolist() != _same_pads(node, image):
        return
    node.attributes["padding"] = Padding.SAME
    graph.bypass(node, 0, image)


def _is_plain(node: DraftNode) -> bool:
    """Whether a window operator neither pads nor strides nor dilates."""
    steps = {node.attributes[name] for name in ("stride_h", "stride_w", "dilation_h_factor", "dilation_w_factor")}
    return node.attributes["padding"] == Padding.VALID and steps == {1}


def _same_pads(node: DraftNode, image: DraftTensor) -> list[list[int]] | None:
    """The pads of TensorFlow's SAME padding, None if they depend on what is not known."""
    kernel, a = node.inputs[1], node.attributes
    if image.dims is None or kernel is None or kernel.dims is None:
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

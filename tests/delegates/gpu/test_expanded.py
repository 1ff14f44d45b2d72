"""Pointwise and depthwise convolutions in one launch on the emulated GPU, where that pays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model
from tests.delegates.gpu.checks import TOLERANCES, check, noise
from tflite_cupy.delegates.gpu import PlannedGpuDelegate
from tflite_cupy.delegates.gpu.ceilings import H100
from tflite_cupy.delegates.gpu.kernels import expanded
from tflite_cupy.delegates.gpu.kernels.patches import TILES, Axis, Expansion, apart, layouts, pays, together
from tflite_cupy.interpreter.graph import Graph
from tflite_cupy.interpreter.ops.base import Activation, Padding

ONES = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}


class Block(NamedTuple):
    """The start of an inverted residual block."""

    size: tuple[int, int]
    depth: int
    channels: int
    window: int = 3
    stride: int = 1
    images: int = 1
    swish: bool = False
    pads: bool = False  # a node of its own
    biases: bool = True
    padding: Padding = Padding.SAME


def build(block: Block, *, mean: bool = False) -> Graph:
    b = GraphBuilder()
    n, (height, width), c = block.images, block.size, block.channels
    x = b.input(F32, [n, height, width, block.depth])
    biases = [b.constant(noise(c, seed=s)) if block.biases else -1 for s in (1, 2)]
    act = Activation.NONE if block.swish else Activation.RELU6
    made = [n, height, width, c]
    image = b.add("CONV_2D", [x, weights(b, c, block.depth, 3), biases[0]], made, **ONES, fused_activation_function=act)
    image = swish(b, image) if block.swish else image
    k, s = block.window, block.stride
    padding = Padding.VALID if block.pads else block.padding
    if block.pads:
        around = [[0, 0], [k // 2, k // 2], [(k - 1) // 2, k // 2], [0, 0]]
        height, width = height + 2 * (k // 2), width + (k - 1) // 2 + k // 2
        image = b.add("PAD", [image, b.constant(np.int32(around))], [n, height, width, c])
    outs = [-(-(v - (k - 1) * (padding is Padding.VALID)) // s) for v in (height, width)]
    filters = b.constant(noise(1, k, k, c, seed=4) / k)
    steps = ONES | {"stride_h": s, "stride_w": s}
    out = b.add(
        "DEPTHWISE_CONV_2D", [image, filters, biases[1]], [n, *outs, c], **steps, padding=padding, depth_multiplier=1,
        fused_activation_function=act,
    )  # fmt: skip
    out = swish(b, out) if block.swish else out
    if not mean:
        return b.graph([out])
    squeezed = b.add("MEAN", [out, b.constant(np.int32([1, 2]))], [n, c], keep_dims=False)
    return b.graph([out, squeezed])


def weights(b: GraphBuilder, channels: int, depth: int, seed: int) -> int:
    """Of a pointwise convolution."""
    return b.constant(noise(channels, 1, 1, depth, seed=seed) / np.float32(depth**0.5))


def swish(b: GraphBuilder, x: int) -> int:
    return b.add("MUL", [x, b.add("LOGISTIC", [x])])


def run(block: Block, **options: Any) -> None:
    graph = build(block)
    check(graph, [noise(block.images, *block.size, block.depth)], **options)


BLOCKS = {
    "whole map": Block((7, 7), 32, 72),
    "swish, 5 x 5": Block((7, 6), 24, 40, 5, swish=True),
    "stride": Block((14, 13), 16, 36, stride=2),
    "several tiles": Block((15, 17), 16, 32, images=2),
    "a node of zeros": Block((9, 10), 24, 16, 5, 2, swish=True, pads=True),
    "without zeros": Block((9, 10), 16, 20, biases=False, padding=Padding.VALID),
}


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expanded, "pays", lambda *_: True)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("precision", ["strict", "tf32", "fp16"])
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_both_in_one(block: Block, precision: str) -> None:
    run(block, launches=1, precision=precision, atol=TOLERANCES[precision])  # windows add roundings up


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("block", [Block((9, 17), 16, 24, images=2), Block((14, 14), 24, 40, 5, 2, swish=True)])
def test_sums_for_a_mean(block: Block) -> None:
    """The second launch brings the sums of the first together."""
    check(build(block, mean=True), [noise(block.images, *block.size, block.depth)], launches=2)


@pytest.mark.usefixtures("always")
def test_an_image_that_others_read_is_made() -> None:
    graph = build(Block((7, 7), 16, 32))
    graph = replace(graph, outputs=(graph.nodes[0].outputs[0], *graph.outputs))
    check(graph, [noise(1, 7, 7, 16)], launches=2)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("precision", ["strict", "fp16"])
def test_a_block_after_another(precision: str) -> None:
    """With fp16 what a launch leaves for the next one is float16."""
    b, channels = GraphBuilder(), 24
    image = b.input(F32, [1, 9, 10, channels])
    for seed in (1, 4):
        wide = b.add("CONV_2D", [image, weights(b, 48, channels, seed), -1], [1, 9, 10, 48], **ONES)
        wide = b.add("HARD_SWISH", [wide])
        filters = b.constant(noise(1, 3, 3, 48, seed=seed + 1) / 3)
        deep = b.add("DEPTHWISE_CONV_2D", [wide, filters, -1], [1, 9, 10, 48], **ONES, depth_multiplier=1)
        back = b.add("CONV_2D", [deep, weights(b, channels, 48, seed + 2), -1], [1, 9, 10, channels], **ONES)
        image = b.add("ADD", [image, back])
    feed = noise(1, 9, 10, channels)
    check(b.graph([image]), [feed], launches=4, precision=precision, atol=TOLERANCES[precision])


def launches(block: Block, *, arch: int = 90, precision: str = "tf32") -> int:
    """How many launches are planned."""
    delegate = PlannedGpuDelegate(arch=arch, precision=precision)
    content = lite.write_model(model(build(block)))
    interpreter = lite.Interpreter(model_content=content, device="cpu", delegates=[delegate])
    interpreter.allocate_tensors()
    (partition,) = interpreter.delegation_report().subgraphs[0].partitions
    details: Any = partition.details
    return int(details["launches"])


def test_small_maps_of_one_image_take_one_launch() -> None:
    """Blocks of MobileNetV2."""
    blocks = Block((14, 14), 64, 384), Block((7, 7), 160, 960), Block((28, 28), 32, 192, stride=2)
    assert [launches(block) for block in blocks] == [1, 1, 1]


def test_where_bytes_are_few_and_windows_many_two_launches_stay() -> None:
    assert launches(Block((28, 28), 40, 240, 5, swish=True)) == 2
    assert launches(Block((7, 7), 160, 960, images=64)) == 2


def test_without_copies_beside_the_arithmetic_two_launches_stay() -> None:
    assert launches(Block((14, 14), 64, 384), arch=75, precision="fp16") == 2
    assert launches(Block((14, 14), 12, 72)) == 2


SAME = Axis(14, 14, 1)


@pytest.mark.parametrize(("share", "reach"), [(14, 14), (7, 8), (4, 6), (1, 3)])
def test_what_results_look_at(share: int, reach: int) -> None:
    """At the borders of an image windows look at less."""
    assert SAME.reach(share, 3, 1) == reach


@pytest.mark.parametrize("unit", TILES)
def test_tiles_hold_what_their_results_look_at(unit: str) -> None:
    what = Expansion(1, SAME, SAME, 64, 384, 3, 1, True, 4, 4)
    found = layouts(what, unit, H100)
    assert len(found) == len(TILES[unit])
    for layout in found:
        assert SAME.reach(layout.height, 3, 1) * SAME.reach(layout.width, 3, 1) <= layout.tile.rows
    assert together(what, found[0], H100) < apart(what, unit, H100)
    assert pays(what, unit, H100)


def test_rectangles_that_cover_a_map_exactly_are_made_of_fewer_pixels() -> None:
    what = Expansion(1, SAME, SAME, 64, 384, 3, 1, True, 4, 4)
    (layout, *_) = (found for found in layouts(what, "tf32", H100) if found.tile.rows == 64)
    assert (layout.height, layout.width) == (7, 7)

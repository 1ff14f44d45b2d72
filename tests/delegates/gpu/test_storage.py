"""Float32 that is kept in float16 between launches, under precision="fp16"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import BOOL, F32, I32, GraphBuilder, model
from tests.delegates.gpu.checks import call, check, compare, interpreter_of, noise, scheduled
from tests.emulator.device import EmulatedGpuDelegate, HostDevice
from tflite_cupy.delegates.gpu import Planned, PlannedGpuDelegate
from tflite_cupy.delegates.gpu.kernels import library
from tflite_cupy.delegates.gpu.listing import Listing, Storage
from tflite_cupy.interpreter.graph import Graph, Quantization
from tflite_cupy.interpreter.ops.base import Activation, Padding
from tflite_cupy.interpreter.runtime.delegate import Executable, Partition

FP16 = 1e-2
"""Relative to the largest value: of results, as `check` has it."""


class Planner(PlannedGpuDelegate):
    """Plans, and keeps the listing."""

    def __init__(self, arch: int = 90, precision: str = "fp16") -> None:
        super().__init__(arch=arch, precision=precision)
        self.listings: list[Listing] = []

    def compile(self, partition: Partition) -> Executable:
        made = super().compile(partition)
        assert isinstance(made, Planned)
        self.listings.append(made.listing)
        return made


def planned(graph: Graph, **options: Any) -> Listing:
    planner = Planner(**options)
    lite.Interpreter(model_content=lite.write_model(model(graph)), device="cpu", delegates=[planner]).allocate_tensors()
    (listing,) = planner.listings
    return listing


def wide(listing: Listing) -> list[str]:
    """Blocks of float32 that the call has to itself and that do not leave, but for sums on their way."""
    outputs = {operand.block for operand in listing.outputs}
    found = {
        operand.block: operand.block.name
        for step in listing.steps
        for operand in step.operands
        if operand.dtype == np.float32 and operand.block.storage is Storage.ARENA and operand.block not in outputs
    }
    return [name for name in found.values() if name != "scratch"]


def check_half(graph: Graph, feeds: Sequence[np.ndarray], *, kept: Sequence[str] = (), **options: Any) -> None:
    """What `check` does, and that no tensor but those of `kept` is float32 between launches."""
    check(graph, feeds, precision="fp16", atol=FP16, **options)
    assert wide(planned(graph)) == list(kept)


def masked(batch: int, words: int) -> np.ndarray:
    """What is added to scores: the last words of each row do not count."""
    mask = np.zeros((batch, 1, 1, words), np.float32)
    mask[..., -5:] = -1e9
    return mask


def conv(
    b: GraphBuilder, x: int, shape: Sequence[int], out: Sequence[int], seed: int = 1, *, step: int = 1, **options: Any
) -> int:
    """CONV_2D with filters [*shape], to an image of shape `out`."""
    weights = noise(*shape, seed=seed) / np.sqrt(np.prod(shape[1:]))
    return b.add(
        "CONV_2D",
        [x, b.constant(weights.astype(np.float32)), b.constant(noise(shape[0], seed=seed + 50) / 4)],
        out,
        **{"stride_h": step, "stride_w": step, "dilation_h_factor": 1, "dilation_w_factor": 1, **options},
    )


def depthwise(b: GraphBuilder, x: int, size: int, out: Sequence[int], seed: int = 2, **options: Any) -> int:
    channels = out[-1]
    return b.add(
        "DEPTHWISE_CONV_2D",
        [x, b.constant(noise(1, size, size, channels, seed=seed) / size), b.constant(noise(channels, seed=seed) / 4)],
        out,
        **{"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1, "depth_multiplier": 1,
           **options},
    )  # fmt: skip


def dense(b: GraphBuilder, x: int, units: int, depth: int, out: Sequence[int], seed: int = 3, **options: Any) -> int:
    weights = noise(units, depth, seed=seed) / np.sqrt(depth)
    return b.add(
        "FULLY_CONNECTED",
        [x, b.constant(weights.astype(np.float32)), b.constant(noise(units, seed=seed) / 4)],
        out,
        keep_num_dims=True,
        **options,
    )


def layer_norm(b: GraphBuilder, x: int, shape: Sequence[int]) -> int:
    axes, row = b.constant([len(shape) - 1], np.int32), (*shape[:-1], 1)
    mean = b.add("MEAN", [x, axes], row, keep_dims=True)
    square = b.add("SQUARED_DIFFERENCE", [x, mean], shape)
    variance = b.add("MEAN", [square, axes], row, keep_dims=True)
    root = b.add("RSQRT", [b.add("ADD", [variance, b.constant(np.float32(1e-5))], row)], row)
    gain = b.add("MUL", [root, b.constant(noise(shape[-1], seed=8) + 1)], shape)
    offset = b.add("SUB", [b.constant(noise(shape[-1], seed=9)), b.add("MUL", [mean, gain], shape)], shape)
    return b.add("ADD", [b.add("MUL", [x, gain], shape), offset], shape)


def mobile_net() -> Graph:
    """The first convolution, an inverted residual, and what ends the network."""
    b = GraphBuilder()
    relu6 = {"fused_activation_function": Activation.RELU6}
    x = conv(b, b.input(F32, [2, 17, 17, 3]), (16, 3, 3, 3), (2, 9, 9, 16), step=2, padding=Padding.SAME, **relu6)
    y = conv(b, x, (48, 1, 1, 16), (2, 9, 9, 48), 2, **relu6)
    y = depthwise(b, y, 3, (2, 9, 9, 48), 3, padding=Padding.SAME, **relu6)
    x = b.add("ADD", [x, conv(b, y, (16, 1, 1, 48), (2, 9, 9, 16), 4)], (2, 9, 9, 16))
    mean = b.add("MEAN", [x, b.constant([1, 2], np.int32)], [2, 16])
    out = b.add("SOFTMAX", [dense(b, mean, 20, 16, [2, 20])], beta=1.0)
    return b.graph([out])


def squeeze_and_excite() -> Graph:
    b = GraphBuilder()
    image = (2, 6, 6, 24)
    x = conv(b, b.input(F32, [2, 6, 6, 8]), (24, 1, 1, 8), image)
    x = depthwise(b, x, 5, image, padding=Padding.SAME)
    x = b.add("MUL", [x, b.add("LOGISTIC", [x], image)], image)
    mean = b.add("MEAN", [x, b.constant([1, 2], np.int32)], [2, 1, 1, 24], keep_dims=True)
    hidden = conv(b, mean, (8, 1, 1, 24), (2, 1, 1, 8), 5, fused_activation_function=Activation.RELU)
    gate = b.add("LOGISTIC", [conv(b, hidden, (24, 1, 1, 8), (2, 1, 1, 24), 6)], (2, 1, 1, 24))
    x = conv(b, b.add("MUL", [x, gate], image), (16, 1, 1, 24), (2, 6, 6, 16), 7)
    out = conv(b, x, (8, 1, 1, 16), (2, 6, 6, 8), 8)
    return b.graph([out])


def transformer_layer() -> Graph:
    b = GraphBuilder()
    words, size, heads = 40, 64, 2
    shape, apart = (2, words, size), (2, words, heads, size // heads)
    turned, scores = (2, heads, words, size // heads), (2, heads, words, words)
    ids, mask = b.input(I32, [2, words]), b.input(F32, [2, 1, 1, words])
    x = b.add("GATHER", [b.constant(noise(30, size, seed=1)), ids], shape)
    x = layer_norm(b, b.add("ADD", [x, b.constant(noise(1, words, size, seed=2))], shape), shape)

    def headed(seed: int) -> int:
        made = b.add("RESHAPE", [dense(b, x, size, size, shape, seed), b.constant(apart, np.int32)], apart)
        return b.add("TRANSPOSE", [made, b.constant((0, 2, 1, 3), np.int32)], turned)

    q, k, v = (headed(seed) for seed in (11, 12, 13))
    score = b.add("MUL", [b.add("BATCH_MATMUL", [q, k], scores, adj_y=True), b.constant(np.float32(0.2))], scores)
    weights = b.add("SOFTMAX", [b.add("ADD", [score, mask], scores)], scores, beta=1.0)
    mixed = b.add("TRANSPOSE", [b.add("BATCH_MATMUL", [weights, v], turned), b.constant((0, 2, 1, 3), np.int32)], apart)
    mixed = b.add("RESHAPE", [mixed, b.constant(shape, np.int32)], shape)
    x = layer_norm(b, b.add("ADD", [x, dense(b, mixed, size, size, shape, 14)], shape), shape)
    hidden = b.add("GELU", [dense(b, x, 128, size, (2, words, 128), 15)], (2, words, 128), approximate=True)
    x = layer_norm(b, b.add("ADD", [x, dense(b, hidden, size, 128, shape, 16)], shape), shape)
    return b.graph([x])


def unet() -> Graph:
    """Down, up by a transposed convolution and by a resize, and side by side with what was there before."""
    b = GraphBuilder()
    relu = {"fused_activation_function": Activation.RELU, "padding": Padding.SAME}
    x = conv(b, b.input(F32, [1, 12, 12, 3]), (8, 3, 3, 3), (1, 12, 12, 8), **relu)
    pool = {"filter_height": 2, "filter_width": 2, "stride_h": 2, "stride_w": 2}
    y = conv(b, b.add("MAX_POOL_2D", [x], [1, 6, 6, 8], **pool), (16, 3, 3, 8), (1, 6, 6, 16), 2, **relu)
    up = b.add("RESIZE_BILINEAR", [y, b.constant([12, 12], np.int32)], [1, 12, 12, 16], half_pixel_centers=True)
    weights = b.constant(noise(8, 2, 2, 16, seed=4) / 8)
    (turned,) = b.op("TRANSPOSE_CONV", [b.constant([1, 12, 12, 8], np.int32), weights, y],
                     [b.tensor(F32, [1, 12, 12, 8])], stride_h=2, stride_w=2, padding=Padding.VALID)  # fmt: skip
    joined = b.add("CONCATENATION", [x, up, turned], [1, 12, 12, 32], axis=3)
    out = conv(b, joined, (4, 3, 3, 32), (1, 12, 12, 4), 5, padding=Padding.SAME)
    return b.graph([out])


def widths(channels: int) -> Graph:
    """Products of so many channels: by windows, by rows, and with scales."""
    b = GraphBuilder()
    image = (2, 7, 7, channels)
    x, factors = b.input(F32, [2, 7, 7, 3]), b.input(F32, [2, 1, 1, channels])
    x = conv(b, x, (channels, 1, 1, 3), image)
    x = conv(b, x, (channels, 3, 3, channels), image, 2, padding=Padding.SAME)
    factors = b.add("LOGISTIC", [conv(b, factors, (channels, 1, 1, channels), (2, 1, 1, channels), 3)])
    x = conv(b, b.add("MUL", [x, factors], image), (channels, 1, 1, channels), image, 4)
    x = depthwise(b, x, 3, image, 5, padding=Padding.SAME)
    return b.graph([dense(b, x, 5, channels, (2, 7, 7, 5), 6)])


NETWORKS = {
    "MobileNet": (mobile_net(), [noise(2, 17, 17, 3)]),
    "squeeze and excite": (squeeze_and_excite(), [noise(2, 6, 6, 8)]),
    "U-Net": (unet(), [noise(1, 12, 12, 3)]),
    "transformer": (transformer_layer(), [noise(2, 40, seed=1, dtype=np.int32) % 30, masked(2, 40)]),
    "6 channels": (widths(6), [noise(2, 7, 7, 3), noise(2, 1, 1, 6)]),
    "12 channels": (widths(12), [noise(2, 7, 7, 3), noise(2, 1, 1, 12)]),
    "64 channels": (widths(64), [noise(2, 7, 7, 3), noise(2, 1, 1, 64)]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_network(name: str) -> None:
    graph, feeds = NETWORKS[name]
    check_half(graph, feeds)


@pytest.mark.parametrize("name", ["MobileNet", "squeeze and excite", "transformer", "64 channels"])
def test_where_copies_do_not_run_beside(name: str) -> None:
    """On an architecture without them the operands of products pass through registers."""
    graph, feeds = NETWORKS[name]
    content = lite.write_model(model(graph))
    delegate = EmulatedGpuDelegate(HostDevice(arch=75), precision="fp16")
    (expected,) = call(interpreter_of(content, feeds), feeds)
    ((got,), _) = scheduled(interpreter_of(content, feeds, delegate), delegate, "greedy", feeds)
    compare(got, expected, FP16, FP16)


def test_products_of_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operands, biases and results of float16; a tail reads what the library has left."""
    monkeypatch.setattr(library, "LEAST_WORK", 1)
    monkeypatch.setattr(library, "LEAST_DEPTH", 1)
    graph, feeds = NETWORKS["transformer"]
    check_half(graph, feeds, apart=False)
    problems = [gemm.problem for gemm in planned(graph).gemms]
    assert len(problems) > 4
    assert {(problem.dtype, problem.out_dtype) for problem in problems} == {(np.dtype(np.float16),) * 2}


MOVES = {
    "PAD": ([b"", [[0, 0], [1, 2], [0, 1], [0, 0]]], (2, 9, 6, 8), {}),
    "MIRROR_PAD": ([b"", [[0, 0], [1, 2], [0, 1], [0, 0]]], (2, 9, 6, 8), {}),
    "TRANSPOSE": ([b"", [0, 3, 1, 2]], (2, 8, 6, 5), {}),
    "SLICE": ([b"", [0, 1, 0, 3], [2, 4, 5, 4]], (2, 4, 5, 4), {}),
    "TILE": ([b"", [1, 2, 1, 1]], (2, 12, 5, 8), {}),
    "GATHER": ([b"", [3, 0, 0]], (2, 3, 5, 8), {"axis": 1}),
    "RESIZE_NEAREST_NEIGHBOR": ([b"", [7, 9]], (2, 7, 9, 8), {}),
    "REDUCE_MAX": ([b"", [1]], (2, 5, 8), {}),
    "AVERAGE_POOL_2D": ([b""], (2, 5, 4, 8), {"filter_height": 2, "filter_width": 2, "stride_h": 1, "stride_w": 1}),
    "L2_NORMALIZATION": ([b""], (2, 6, 5, 8), {}),
}
"""Operands after the image [2, 6, 5, 8], shape of the result, and options."""


def moved(name: str) -> Graph:
    """An operator between others, from float32, and to it."""
    operands, shape, options = MOVES[name]
    given, narrow = (2, 6, 5, 8), (*shape[:-1], 4)
    b = GraphBuilder()
    x = b.input(F32, given)
    rest = [b.constant(values, np.int32) for values in operands[1:]]
    between, first, last = (
        b.add(name, [source, *rest], shape, **options)
        for source in (dense(b, x, 8, 8, given, 1), x, dense(b, x, 8, 8, given, 4))
    )
    ends = (dense(b, y, 4, shape[-1], narrow, seed) for seed, y in ((2, between), (3, first)))
    return b.graph([*ends, last])


@pytest.mark.parametrize("name", MOVES)
def test_between_others(name: str) -> None:
    check_half(moved(name), [noise(2, 6, 5, 8)])


def test_the_edges_have_the_types_of_the_model() -> None:
    b = GraphBuilder()
    x = b.input(F32, [12, 16])
    hidden = dense(b, x, 32, 16, [12, 32])
    out = dense(b, hidden, 8, 32, [12, 8], 4)
    listing = planned(b.graph([out]))
    assert [operand.dtype for operand in listing.outputs] == [np.float32]
    assert [step.operands[1].dtype for step in listing.steps] == [np.float32, np.float16]
    assert [step.operands[0].dtype for step in listing.steps] == [np.float16, np.float32]
    assert wide(planned(b.graph([out, hidden]))) == []
    assert [operand.dtype for operand in planned(b.graph([out, hidden])).outputs] == [np.float32] * 2


@pytest.mark.parametrize("precision", ["auto", "strict", "tf32"])
def test_other_precisions_keep_float32(precision: str) -> None:
    b = GraphBuilder()
    out = dense(b, dense(b, b.input(F32, [12, 16]), 32, 16, [12, 32]), 8, 32, [12, 8], 4)
    listing = planned(b.graph([out]), precision=precision)
    assert {operand.dtype for step in listing.steps for operand in step.operands} == {np.dtype(np.float32)}


def test_an_operator_without_a_kernel_gets_float32() -> None:
    """Around array code, also by way of a view, tensors keep their type."""
    b = GraphBuilder()
    x = dense(b, b.input(F32, [4, 16]), 16, 16, [4, 16])
    flat = b.add("RESHAPE", [x, b.constant([64], np.int32)], [64])
    found, _ = b.op("UNIQUE", [flat], [b.tensor(F32, [None]), b.tensor(I32, [64])])
    much = dense(b, x, 8, 16, [4, 8], 5)
    graph = b.graph([found, dense(b, much, 4, 8, [4, 4], 6)])
    listing = planned(graph)
    (step,) = listing.array_steps
    assert [operand.dtype for operand in step.inputs if operand is not None] == [np.float32]
    assert len(wide(listing)) == 1


def test_a_head_without_such_a_kernel_keeps_its_tail() -> None:
    """Weights of 8 bits: what stands around their kernel is float32, and it still adds."""
    b = GraphBuilder()
    x = dense(b, b.input(F32, [20, 16]), 16, 16, [20, 16])
    scale = Quantization(scales=np.float32([0.01]), zero_points=np.int64([0]))
    weights = b.constant(noise(16, 16, seed=2, dtype=np.int8), q=scale)
    added = b.add("ADD", [b.add("FULLY_CONNECTED", [x, weights, -1], [20, 16]), x], [20, 16])
    graph = b.graph([dense(b, dense(b, added, 16, 16, [20, 16], 4), 4, 16, [20, 4], 5)])
    listing, other = planned(graph), planned(graph, precision="tf32")
    assert [step.name for step in listing.steps] == [step.name for step in other.steps]
    assert len(wide(listing)) == len(wide(other)) - 1


def test_numbers_that_float16_does_not_have() -> None:
    """Whole numbers on their way to indices, and masks of large constants, keep float32."""
    b = GraphBuilder()
    x, keep = b.input(F32, [4, 16]), b.input(BOOL, [4, 16])
    far = dense(b, x, 16, 16, [4, 16])
    far = b.add("MUL", [far, b.constant(np.float32(4096))], [4, 16])
    (index,) = b.op("CAST", [b.add("RESHAPE", [far, b.constant([64], np.int32)], [64])], [b.tensor(I32, [64])])
    scores = b.add("SELECT_V2", [keep, dense(b, x, 16, 16, [4, 16], 5), b.constant(np.float32(-1e9))], [4, 16])
    out = b.add("SOFTMAX", [scores], beta=1.0)
    listing = planned(b.graph([index, out]))
    assert len(wide(listing)) == 1
    every = np.ones((4, 16), np.bool_)
    every[1] = False
    check(b.graph([out]), [noise(4, 16), every], precision="fp16", atol=FP16)


def test_too_large_values_become_infinite() -> None:
    b = GraphBuilder()
    x = b.input(F32, [12, 8])
    large = dense(b, b.add("MUL", [x, b.constant(np.full(8, 1e5, np.float32))], [12, 8]), 8, 8, [12, 8])
    shown = b.add("L2_NORMALIZATION", [b.add("RELU", [dense(b, large, 8, 8, [12, 8], 4)])])
    graph, feeds = b.graph([shown]), [noise(12, 8)]
    assert wide(planned(graph)) == []
    delegate = EmulatedGpuDelegate(precision="fp16")
    content = lite.write_model(model(graph))
    ((got,), _) = scheduled(interpreter_of(content, feeds, delegate), delegate, "greedy", feeds)
    assert np.isnan(got).any()

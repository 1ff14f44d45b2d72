"""Which tiles products are made of, by the model of a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from networks import efficientnet_b0, mobilenet_v2

import tflite_cupy as lite
from tflite_cupy.delegates.gpu import PlannedGpuDelegate
from tflite_cupy.delegates.gpu.ceilings import A10, A100, H100, T4, Ceilings, ceilings_of
from tflite_cupy.delegates.gpu.kernels.tiles import PIPELINED, TILES
from tflite_cupy.delegates.gpu.listing import Launch
from tflite_cupy.delegates.gpu.tiling import Size, Tile, choose, expected, fit, share_of, shared_bytes
from tflite_cupy.interpreter.graph import Model
from tflite_cupy.interpreter.runtime.delegate import Executable, Partition

LATE = Size(49, 512, 4608)
"""A late layer of ResNet50 for one image: few results, each of a long sum."""

MANY = Size(64 * 56 * 56, 256, 64)
SIZES = [LATE, MANY, Size(128, 768, 3072), Size(196, 80, 480), Size(12544, 96, 16), Size(128, 128, 64, pairs=12)]


class Collector(PlannedGpuDelegate):
    """Plans, and keeps the launches."""

    def __init__(self, arch: int, precision: str) -> None:
        super().__init__(arch=arch, precision=precision)
        self.launches: list[Launch] = []

    def compile(self, partition: Partition) -> Executable:
        planned = super().compile(partition)
        self.launches += [step for step in planned.listing.steps if isinstance(step, Launch)]  # type: ignore[attr-defined]
        return planned


def test_blocks_share_long_sums_of_few_results() -> None:
    alone = choose(PIPELINED["tf32"], LATE, "tf32", H100)
    shared = choose(PIPELINED["tf32"], LATE, "tf32", H100, splits=True)
    assert alone.parts == 1 < shared.parts
    assert shared.seconds < 0.7 * alone.seconds


def test_large_tiles_where_there_is_much_to_do() -> None:
    chosen = choose(PIPELINED["tf32"], MANY, "tf32", H100, splits=True)
    assert (chosen.tile.rows, chosen.parts) == (128, 1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ceilings", [T4, A10, A100, H100], ids=lambda c: c.name)
def test_nothing_is_expected_to_be_faster_than_a_device(size: Size, ceilings: Ceilings) -> None:
    operations = 2 * size.rows * size.columns * size.depth * size.pairs
    nbytes = 4 * size.pairs * (size.rows + size.columns) * size.depth
    for tiles in (TILES["tf32"], PIPELINED["tf32"]):
        for tile in tiles:
            seconds = expected(tile, 1, size, "tf32", ceilings)
            assert seconds >= max(operations / ceilings.peak("tf32"), nbytes / ceilings.memory)


@pytest.mark.parametrize("size", SIZES)
def test_a_faster_device_is_expected_to_take_less_time(size: Size) -> None:
    faster = replace(H100, peaks={unit: 2 * peak for unit, peak in H100.peaks.items()}, latency=H100.latency / 2)
    for tile in PIPELINED["fp16"]:
        assert expected(tile, 1, size, "fp16", faster) <= expected(tile, 1, size, "fp16", H100)


def test_all_of_a_sum_is_shared_out() -> None:
    tile = PIPELINED["tf32"][-1]
    for depth in (64, 640, 1000, 4608):
        for parts in (1, 2, 3, 7):
            share = share_of(tile, parts, depth)
            assert share % tile.depth == 0
            assert share * parts >= depth


@pytest.mark.parametrize("precision", PIPELINED)
def test_the_smallest_tiles_fit_everywhere(precision: str) -> None:
    for tile in PIPELINED[precision][-3:]:
        assert shared_bytes(tile, 4, 4) <= 99 << 10
    assert all(shared_bytes(tile, 4, 4) <= A100.shared_bytes for tile in PIPELINED[precision])


def test_devices_by_architecture() -> None:
    names = [ceilings_of(arch).name for arch in (70, 75, 87, 90, 100, 120)]
    assert names == ["T4", "T4", "A10", "H100", "H100", "L40S"]


def test_threads_of_a_tile() -> None:
    assert Tile(128, 64, (32, 32), 1, 32, 3).threads("tf32") == 256
    assert Tile(64, 64, (4, 4), 1, 16).threads("strict") == 256


@pytest.mark.parametrize("arch", [75, 80, 86, 89, 90, 120])
@pytest.mark.parametrize("precision", TILES)
@pytest.mark.parametrize("network", [efficientnet_b0, partial(mobilenet_v2, quantized=True)])
def test_blocks_have_the_shared_memory_that_they_ask_for(
    arch: int, precision: str, network: Callable[[], Model]
) -> None:
    """Products with scaled operands ask for most."""
    delegate = Collector(arch, precision)
    content = lite.write_model(network())
    lite.Interpreter(model_content=content, device="cpu", delegates=[delegate]).allocate_tensors()
    assert any(launch.shared for launch in delegate.launches) == (arch >= 80)
    for launch in delegate.launches:
        assert launch.shared <= ceilings_of(arch).shared_bytes
        assert max(launch.grid[1:]) <= 65535


def test_fewer_stages_where_memory_is_small() -> None:
    tile = Tile(16, 32, (16, 32), 4, 16, 7)
    assert fit(tile, lambda t: t.stages <= 5) == tile._replace(stages=5)
    assert fit(tile, lambda t: True) == tile
    assert fit(tile, lambda t: t.stages < 3) is None

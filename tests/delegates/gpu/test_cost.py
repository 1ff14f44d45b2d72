"""What plans should take: bytes, arithmetic and floors of launches, without a device."""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from typing import Any

import gpu_cost
import pytest
from gpu_stages.workloads import Row

import tflite_cupy as lite
from tests.build import F32, I32, GraphBuilder, model
from tests.delegates.gpu.checks import noise
from tflite_cupy.delegates.gpu.ceilings import GUESS, H100, SOURCES, Ceilings
from tflite_cupy.delegates.gpu.cost import Cost, costs, total
from tflite_cupy.interpreter.graph import Graph


def planned(graph: Graph, *, library: bool = False) -> tuple[Cost, ...]:
    planner = gpu_cost.Planner(90, "tf32", library=library)
    lite.Interpreter(model_content=lite.write_model(model(graph)), device="cpu", delegates=[planner]).allocate_tensors()
    ((listing, planned_graph),) = planner.listings
    return costs(listing, planned_graph, H100)


def dense(rows: int, depth: int, units: int) -> Graph:
    b = GraphBuilder()
    x = b.input(F32, [rows, depth])
    return b.graph(
        [b.add("FULLY_CONNECTED", [x, b.constant(noise(units, depth)), b.constant(noise(units))], [rows, units])]
    )


def test_a_product() -> None:
    (cost,) = planned(dense(128, 768, 3072))
    assert cost.work[:2] == (2 * 128 * 768 * 3072, "tf32")
    assert cost.nbytes == 4 * (128 * 768 + 768 * 3072 + 3072 + 128 * 3072)
    assert cost.far_bytes == 0  # all of it stays in the L2 between calls
    assert cost.floor == H100.node < cost.expected
    assert cost.limit == "tiles"


def test_what_the_cache_can_not_hold_comes_from_memory() -> None:
    (cost,) = planned(dense(8, 4096, 4096))
    weights = 4 * 4096 * 4096
    assert weights <= cost.far_bytes <= cost.nbytes
    assert cost.floor == cost.far_bytes / H100.memory
    (small,) = planned(dense(8, 1024, 1024))
    assert small.far_bytes == 0


def test_a_product_of_a_library() -> None:
    (cost,) = planned(dense(8192, 768, 3072), library=True)
    assert cost.name == "gemm of a library"
    assert cost.work[:2] == (2 * 8192 * 768 * 3072, "tf32")
    assert cost.floor == cost.work.operations / H100.peak("tf32")
    assert cost.limit == "arithmetic"


def test_of_a_table_only_what_is_looked_up_is_read() -> None:
    b = GraphBuilder()
    rows = b.add("GATHER", [b.constant(noise(30000, 64)), b.input(I32, [1, 16])], [1, 16, 64], axis=0)
    (cost,) = planned(b.graph([rows]))
    assert cost.nbytes == 2 * 4 * 16 * 64 + 4 * 16


def test_blocks_that_share_tiles_move_their_sums() -> None:
    (cost,) = planned(dense(49, 4608, 512))
    assert cost.nbytes > 4 * (49 * 4608 + 4608 * 512 + 512 + 49 * 512)


def test_each_number_of_a_device_has_a_source() -> None:
    assert list(SOURCES) == [field.name for field in fields(Ceilings)]
    guessed = {name for name, source in SOURCES.items() if source.startswith(GUESS)}
    assert guessed == {"cache", "node", "gap", "latency", "per_multiprocessor", "join"}


def test_blocks_of_squeeze_and_excite_each_read_the_first_layer() -> None:
    b = GraphBuilder()
    weights = b.constant(noise(48, 1152)), b.constant(noise(1152, 48))
    hidden = b.add("FULLY_CONNECTED", [b.input(F32, [1, 1152]), weights[0], -1], [1, 48])
    (cost,) = planned(b.graph([b.add("FULLY_CONNECTED", [hidden, weights[1], -1], [1, 1152])]))
    assert cost.name == "squeeze_excite"
    assert cost.limit == "tiles"
    assert cost.expected > H100.gap + 4 * 48 * 1152 / H100.per_multiprocessor


def test_a_call_is_the_sum_of_its_steps() -> None:
    (cost,) = planned(dense(128, 768, 3072))
    whole = total([cost, cost])
    assert (whole.launches, whole.nbytes, whole.operations) == (2, 2 * cost.nbytes, 2 * cost.work.operations)
    assert (whole.floor, whole.expected) == (2 * cost.floor, 2 * cost.expected)
    assert total([]).expected == 0
    assert replace(cost, expected=3.0, floor=1.0).gap == 2.0


def test_reports_foretell() -> None:
    content = lite.write_model(model(dense(128, 768, 3072)))
    report = lite.Interpreter(model_content=content, device="gpu", dry_run=True).delegation_report()
    details: Any = report.subgraphs[0].partitions[0].details
    assert details["operations"] == 2 * 128 * 768 * 3072
    assert details["floor_us"] == 2.0 < details["time_us"] < 20
    assert details["predicted_for"] == "H100"


def test_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu_cost", "MobileNetV2 int8", "--steps"])
    monkeypatch.setattr(gpu_cost, "BATCHES", (1,))
    assert gpu_cost.main() == 0
    said = capsys.readouterr().out
    assert "On an H100, predicted and not measured" in said
    (line,) = (line for line in said.splitlines() if line.startswith("MobileNetV2 int8 "))
    assert line.split()[2:5] == ["1", "int8", "55"]
    assert "quantized_tensor: CONV_2D#" in said


def test_floors_of_the_design() -> None:
    found = [gpu_cost._design(Row("ResNet50", batch, precision)) for batch in (1, 64) for precision in ("tf32", "fp16")]
    assert found == [114, 114, 2670, 1390]
    assert gpu_cost._design(Row("ResNet50", 1, "strict")) is None

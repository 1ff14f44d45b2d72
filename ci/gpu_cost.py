"""Predicts the times of networks on a GPU that need not be there: bytes, arithmetic and launches of each plan, the
floors that these set, and what a model of the device expects (delegates/gpu/cost.py); in ci/results/gpu_cost.json, too.

Nothing here is measured: a run of `ci/gpu_check` on that device confirms or refutes it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gpu_stages import cold
from gpu_stages.workloads import BATCHES, WORKLOADS, Row, rows

import tflite_cupy as lite
from tflite_cupy.delegates.gpu import Planned, PlannedGpuDelegate
from tflite_cupy.delegates.gpu.ceilings import Ceilings, ceilings_of
from tflite_cupy.delegates.gpu.cost import Cost, costs, total
from tflite_cupy.delegates.gpu.listing import Listing
from tflite_cupy.interpreter.graph import Graph
from tflite_cupy.interpreter.runtime.delegate import Executable, Partition

RESULT = ROOT / "ci" / "results" / "gpu_cost.json"

DESIGN = {
    ("MobileNetV2", 1): (110, 23, 11),
    ("ResNet50", 1): (114, 72, 36),
    ("EfficientNet-B0", 1): (136, 29, 14),
    ("BERT-base", 1): (170, 155, 77),
    ("MobileNetV2", 64): (110, 1180, 590),
    ("ResNet50", 64): (114, 2670, 1390),
    ("EfficientNet-B0", 64): (136, 1390, 690),
    ("BERT-base", 64): (170, 3710, 2160),
}
"""Microseconds on an H100 that the design names as floors: of launches, and of the roofline in tf32 and in fp16."""

COLUMNS = ("model", "batch", "precision", "launches", "GFLOP", "MB", "floor", "expected", "ratio", "design")
LARGEST = 12
"""Steps of each network that are listed: those with the largest gaps."""


class Planner(PlannedGpuDelegate):
    """Plans, and keeps the listings."""

    def __init__(self, arch: int, precision: str, *, library: bool = True) -> None:
        super().__init__(arch=arch, precision=precision, library=library)
        self.listings: list[tuple[Listing, Graph]] = []

    def compile(self, partition: Partition) -> Executable:
        planned = super().compile(partition)
        assert isinstance(planned, Planned)
        self.listings.append((planned.listing, partition.graph))
        return planned


@lru_cache(maxsize=1)
def content(model: str, batch: int) -> bytes:
    """The file of a workload."""
    return lite.write_model(WORKLOADS[model].make(batch=batch))


def listings_of(content: bytes, arch: int, precision: str) -> list[tuple[Listing, Graph]]:
    """The partitions of a network, planned anew."""
    planner = Planner(arch, "strict" if precision == "int8" else precision)
    lite.Interpreter(model_content=content, device="cpu", delegates=[planner]).allocate_tensors()
    return planner.listings


def planned(content: bytes, arch: int, precision: str) -> list[tuple[Cost, Graph]]:
    """All steps of a network, with the graphs they belong to."""
    found = listings_of(content, arch, precision)
    return [(cost, graph) for listing, graph in found for cost in costs(listing, graph, ceilings_of(arch))]


def predicted(row: Row, content: bytes, arch: int) -> dict[str, Any]:
    """One row of the table; times in microseconds."""
    ceilings, steps = ceilings_of(arch), planned(content, arch, row.precision)
    whole = total([cost for cost, _ in steps])
    arithmetic = sum(cost.work.operations / ceilings.peak(cost.work.unit) for cost, _ in steps)
    limits = {
        "launches": whole.launches * ceilings.node,
        "arithmetic": arithmetic,
        "memory": whole.far_bytes / ceilings.memory,
    }
    floor = max(limits.values())
    return {
        **row._asdict(),
        **{key: value for key, value in asdict(whole).items() if key not in ("floor", "expected")},
        **{f"{name}_us": _us(seconds) for name, seconds in limits.items()},
        "floor_us": _us(floor),
        "steps_floor_us": _us(whole.floor),
        "expected_us": _us(whole.expected),
        "ratio": round(whole.expected / floor, 2),
        "design_us": _design(row),
        "largest": [_step(cost, graph) for cost, graph in sorted(steps, key=lambda s: -s[0].gap)[:LARGEST]],
    }


def started(model: str, arch: int) -> dict[str, Any]:
    """What a network takes before its first call."""
    file, precision = content(model, 1), "tf32" if "tf32" in WORKLOADS[model].precisions else "int8"

    def plan() -> list[Listing]:
        return [listing for listing, _ in listings_of(file, arch, precision)]

    return {"model": model, "precision": precision, **cold.measured(plan, arch)}


def _design(row: Row) -> int | None:
    known = DESIGN.get((row.model, row.batch))
    if known is None or row.precision not in ("tf32", "fp16"):
        return None
    launches, tf32, fp16 = known
    return max(launches, fp16 if row.precision == "fp16" else tf32)


def _step(cost: Cost, graph: Graph) -> dict[str, Any]:
    nodes = [graph.nodes[n] for n in cost.nodes]
    return {
        "kernel": cost.name,
        "nodes": [f"{node.name}#{node.index}" for node in nodes],
        "blocks": cost.blocks,
        "floor_us": _us(cost.floor),
        "expected_us": _us(cost.expected),
        "limit": cost.limit,
    }


def _us(seconds: float) -> float:
    return round(1e6 * seconds, 1)


def lines(found: Sequence[dict[str, Any]], ceilings: Ceilings) -> Iterator[str]:
    """The table, in microseconds."""
    yield f"On an {ceilings.name}, predicted and not measured; microseconds of a call from device to device."
    yield ""
    yield f"{COLUMNS[0]:17}" + "".join(f"{name:>11}" for name in COLUMNS[1:])
    for row in found:
        size = f"{row['operations'] / 1e9:.1f}", f"{row['nbytes'] / 1e6:.0f}"
        times = f"{row['floor_us']:.0f}", f"{row['expected_us']:.0f}", row["ratio"], row["design_us"] or "-"
        cells = row["batch"], row["precision"], row["launches"], *size, *times
        yield f"{row['model']:17}" + "".join(f"{cell:>11}" for cell in cells)


def gaps(row: dict[str, Any]) -> Iterator[str]:
    """The steps of a network that are furthest from their floors."""
    yield f"\n{row['model']}, batch {row['batch']}, {row['precision']}: expected and floor, what sets it, kernel, nodes"
    for step in row["largest"]:
        times = f"{step['expected_us']:8.1f}{step['floor_us']:8.1f}"
        yield f"{times}  {step['limit']:10}  {step['kernel']}: {' '.join(step['nodes'][:3])}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"default: {', '.join(WORKLOADS)}")
    parser.add_argument("--arch", type=int, default=90, help="compute capability times ten (default: %(default)s)")
    parser.add_argument("--steps", action="store_true", help="list the steps with the largest gaps to their floors")
    parser.add_argument("--start", action="store_true", help="measure planning and building of kernels; always for all")
    options = parser.parse_args()
    if unknown := [name for name in options.models if name not in WORKLOADS]:
        parser.error(f"unknown model {unknown[0]!r}; there are {', '.join(WORKLOADS)}")
    chosen = {name: w for name, w in WORKLOADS.items() if name in (options.models or WORKLOADS)}
    found = [predicted(row, content(row.model, row.batch), options.arch) for row in rows(chosen, BATCHES)]
    print("\n".join(lines(found, ceilings_of(options.arch))))
    if options.steps:
        print("\n".join(line for row in found for line in gaps(row)))
    is_whole = not options.models and options.arch == 90
    starts = [started(m, options.arch) for m in chosen] if (is_whole or options.start) and cold.nvrtc() else []
    if starts:
        print("\n".join(cold.lines(starts)))
    if is_whole:
        whole = {"device": ceilings_of(90).name, "measured": False, "rows": found, "starts": starts}
        RESULT.write_text(json.dumps(whole, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

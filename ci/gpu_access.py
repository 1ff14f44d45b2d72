"""Counts what the accesses of kernels to memory would cost a GPU that need not be there: wavefronts of shared memory
and 32-byte sectors of global memory, over those that would do for the bytes asked for, and the lines that waste most;
without options in ci/results/gpu_access.json, too.

Each launch of each network that differs from others is emulated, a few of its blocks, on zeros. Nothing is measured:
how much of the waste costs time is for a device to say.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
from gpu_cost import Planner, content
from gpu_stages.workloads import WORKLOADS, rows

import tflite_cupy as lite
from tests.emulator.watched import Line, Watch
from tflite_cupy.delegates.gpu.listing import Block, Launch, Operand, Storage

RESULT = ROOT / "ci" / "results" / "gpu_access.json"
LINES = 3
"""Of each kernel, how many lines are listed."""


@dataclass
class Count:
    """Requests of warps, and units of memory: wavefronts or sectors."""

    requests: float = 0
    units: float = 0
    ideal: float = 0

    def add(self, weight: float, requests: float, units: float, ideal: float) -> None:
        self.requests += weight * requests
        self.units += weight * units
        self.ideal += weight * ideal

    @property
    def factor(self) -> float:
        return self.units / self.ideal if self.ideal else 1.0

    @property
    def waste(self) -> float:
        return self.units - self.ideal


@dataclass
class Row:
    """A kernel at one precision: what all its launches in the networks come to, by space and line."""

    kernel: str
    precision: str
    launches: int = 0
    lines: dict[tuple[str, str, Line], Count] = field(default_factory=lambda: defaultdict(Count))

    def of(self, space: str) -> Count:
        whole = Count()
        for (where, *_), count in self.lines.items():
            if where == space:
                whole.add(1, count.requests, count.units, count.ideal)
        return whole

    def worst(self, space: str) -> list[tuple[Line, str, Count]]:
        """The lines that waste most."""
        found = [(line, kind, count) for (where, kind, line), count in self.lines.items() if where == space]
        return sorted((entry for entry in found if entry[2].waste > 0), key=lambda e: -e[2].waste)[:LINES]


class Memory:
    """Zeros for the blocks of launches; where blocks count who has come, the first is the last."""

    def __init__(self) -> None:
        self._arrays: dict[Block, np.ndarray] = {}

    def arguments(self, launch: Launch) -> list[Any]:
        named = zip(launch.kernel.parameters, launch.arguments, strict=True)
        parts = next((int(a) for p, a in named if p.name == "parts" and isinstance(a, np.generic)), 1)
        return [self._address(a, parts) if isinstance(a, Operand) else a for a in launch.arguments]

    def _address(self, operand: Operand, parts: int) -> int:
        block = operand.block
        if block not in self._arrays:
            self._arrays[block] = np.zeros(block.nbytes + 512, np.uint8)
        array = self._arrays[block]
        start = -array.ctypes.data % 256
        if block.storage is Storage.COUNTS:
            array[start : start + block.nbytes].view(np.int32)[:] = parts - 1
        return int(array.ctypes.data) + start + operand.offset


def launches(model: str, batch: int, precision: str, arch: int) -> list[tuple[Launch, int]]:
    """The launches of a network that differ, and how often each comes."""
    planner = Planner(arch, "strict" if precision == "int8" else precision, library=False)
    file = content(model, batch)
    lite.Interpreter(model_content=file, device="cpu", delegates=[planner]).allocate_tensors()
    found: dict[Any, list[Launch]] = defaultdict(list)
    for listing, _ in planner.listings:
        for step in listing.steps:
            if isinstance(step, Launch):
                found[_key(step)].append(step)
    return [(same[0], len(same)) for same in found.values()]


def _key(launch: Launch) -> tuple[Any, ...]:
    scalars = (a.shape if isinstance(a, Operand) else a.tobytes() for a in launch.arguments)
    return launch.kernel, launch.grid, launch.block, launch.shared, *scalars


def watch(found: dict[tuple[str, str], Row], launch: Launch, times: int, precision: str, blocks: int) -> None:
    """Add what a launch comes to."""
    kernel = Watch(blocks=blocks, with_races=False)(launch.kernel)
    memory = Memory()
    kernel(launch.grid, launch.block, launch.shared, memory.arguments(launch))
    row = found.setdefault((launch.name, precision), Row(launch.name, precision))
    row.launches += times
    count = prod(launch.grid)
    run = -(-count // -(-count // blocks)) if blocks < count else count
    for key, seen in kernel.traffic.items():
        row.lines[key].add(times * count / run, seen.requests, seen.units, seen.ideal)


def lines(found: Sequence[Row]) -> Iterator[str]:
    """The table."""
    yield "Wavefronts and sectors of all requests over those that would do: counted while emulated, not measured."
    yield ""
    names = f"{'kernel':26}{'precision':>10}{'launches':>9}{'shared':>8}{'global':>8}"
    yield f"{names}  worst lines: factor, share of units, line"
    for row in found:
        shared, far = row.of("shared"), row.of("global")
        yield f"{row.kernel:26}{row.precision:>10}{row.launches:>9}{shared.factor:>8.2f}{far.factor:>8.2f}"
        for space, whole in (("shared", shared), ("global", far)):
            for line, kind, count in row.worst(space):
                share = f"{100 * count.units / whole.units:.0f} %"
                yield f"{'':30}{space} {kind:6}{count.factor:6.2f}{share:>7}  {line}"


def plain(row: Row) -> dict[str, Any]:
    """For JSON."""
    whole = {"kernel": row.kernel, "precision": row.precision, "launches": row.launches}
    for space in ("shared", "global"):
        count = row.of(space)
        whole[space] = {
            "factor": round(count.factor, 3),
            "requests": round(count.requests),
            "worst": [
                {"line": str(line), "kind": kind, "factor": round(c.factor, 2)} for line, kind, c in row.worst(space)
            ],
        }
    return whole


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"default: {', '.join(WORKLOADS)}")
    parser.add_argument("--arch", type=int, default=90, help="compute capability times ten (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=1, help="images or sentences of a call (default: %(default)s)")
    parser.add_argument("--blocks", type=int, default=2, help="of a launch, emulated at most (default: %(default)s)")
    parser.add_argument("--kernel", help="only launches whose kernel's name has this in it")
    parser.add_argument("--precision", help="only this one of strict, tf32, fp16 and int8")
    options = parser.parse_args()
    if unknown := [name for name in options.models if name not in WORKLOADS]:
        parser.error(f"unknown model {unknown[0]!r}; there are {', '.join(WORKLOADS)}")
    chosen = {name: w for name, w in WORKLOADS.items() if name in (options.models or WORKLOADS)}
    found: dict[tuple[str, str], Row] = {}
    for row in rows(chosen, [options.batch]):
        if options.precision in (None, row.precision):
            for launch, times in launches(row.model, row.batch, row.precision, options.arch):
                if (options.kernel or "") in launch.name:
                    watch(found, launch, times, row.precision, options.blocks)
    table = sorted(found.values(), key=lambda r: -(r.of("shared").waste + r.of("global").waste))
    print("\n".join(lines(table)))
    if not sys.argv[1:]:
        settings = {"measured": False, "arch": options.arch, "batch": options.batch, "models": list(chosen)}
        RESULT.write_text(json.dumps({**settings, "kernels": [plain(row) for row in table]}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

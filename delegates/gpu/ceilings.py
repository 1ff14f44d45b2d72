"""What devices can do at most: numbers of data sheets, by which plans are made and predictions too.

Those of launches and latencies are round figures for all of them, which no sheet has; a measurement may replace them.
`SOURCES` says of each number where it is from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UNITS = ("strict", "tf32", "fp16", "int8", "dp4a")
"""What multiplies: float32 and bytes on ordinary cores, the others on tensor cores."""


@dataclass(frozen=True, slots=True, eq=False)
class Ceilings:
    """One device. Times are in seconds, rates per second."""

    name: str
    multiprocessors: int
    memory: float  # bytes
    cache: float  # bytes, of the L2
    cache_bytes: int
    peaks: Mapping[str, float]  # additions and multiplications, by unit
    shared_bytes: int  # that a block may have
    node: float = 2.0e-6  # a kernel in a graph that waits for the one before and does next to nothing
    gap: float = 1.3e-6  # of that, what passes between the two kernels
    latency: float = 0.7e-6  # of a load from memory, with what it waits for
    per_multiprocessor: float = 1.0e11  # bytes that one of them takes from the L2
    join: float = 1.2e-6  # for blocks to bring their sums together

    def peak(self, unit: str) -> float:
        """Operations a second of all multiprocessors."""
        return self.peaks.get(unit, self.peaks["strict"])


GUESS = "guess"

SOURCES: Mapping[str, str] = {
    "name": "the maker's name",
    "multiprocessors": "data sheet",
    "memory": "data sheet",
    "cache": f"{GUESS}, near what others have published of microbenchmarks on A100 and H100",
    "cache_bytes": "data sheet or architecture paper",
    "peaks": f"data sheet, dense, at boost clock; dp4a is {GUESS}: four times float32",
    "shared_bytes": "CUDA C++ Programming Guide, table of compute capabilities",
    "node": GUESS,
    "gap": GUESS,
    "latency": GUESS,
    "per_multiprocessor": f"{GUESS}: 64 bytes a clock at 1.6 GHz",
    "join": GUESS,
}
"""Where the fields of `Ceilings` are from. None of the guesses has been measured."""


def _peaks(strict: float, tf32: float, fp16: float, int8: float) -> dict[str, float]:
    """From TFLOP/s; four products of bytes take an ordinary core as long as one of float32."""
    return {"strict": strict * 1e12, "tf32": tf32 * 1e12, "fp16": fp16 * 1e12, "int8": int8 * 1e12,
            "dp4a": 4 * strict * 1e12}  # fmt: skip


T4 = Ceilings("T4", 40, 0.32e12, 1.2e12, 4 << 20, _peaks(8.1, 8.1, 65, 130), 64 << 10)
A100 = Ceilings("A100", 108, 2.04e12, 4.0e12, 40 << 20, _peaks(19.5, 156, 312, 624), 163 << 10)
A10 = Ceilings("A10", 72, 0.6e12, 2.0e12, 6 << 20, _peaks(31.2, 62.5, 125, 250), 99 << 10)
L40S = Ceilings("L40S", 142, 0.86e12, 4.0e12, 96 << 20, _peaks(91.6, 183, 362, 733), 99 << 10)
H100 = Ceilings("H100", 132, 3.35e12, 5.5e12, 50 << 20, _peaks(67, 495, 989, 1979), 227 << 10)

_BY_ARCH = {75: T4, 80: A100, 86: A10, 89: L40S, 90: H100, 120: L40S}
"""Devices that stand for all of their architecture; 120, of which no sheet was read, for what has as little memory."""


def ceilings_of(arch: int) -> Ceilings:
    """Of a device of this compute capability, times ten: of the nearest one before where there is none."""
    return _BY_ARCH[max((known for known in _BY_ARCH if known <= arch), default=75)]

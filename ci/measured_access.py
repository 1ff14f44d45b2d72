"""The table of what kernels waste of memory's wavefronts and sectors, from what `ci/gpu_access` wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SPACES = ("shared", "global")
LEAST = 1.05
"""A kernel that is below this in both spaces is not listed."""

Row = Mapping[str, Any]


def section(numbers: Mapping[str, Any]) -> str:
    """A line for each kernel and precision that wastes something, the worst first; how many waste next to nothing."""
    rows: Sequence[Row] = numbers["kernels"]
    listed = sorted((row for row in rows if _worst(row) >= LEAST), key=lambda row: -_worst(row))
    lines = [
        "| kernel | precision | launches | shared memory | global memory | most wasted at |",
        "|---" * 6 + "|",
        *(_line(row) for row in listed),
        "",
        "Wavefronts of shared memory and sectors of global memory over those that would do for the bytes asked for, in "
        f"all launches of {', '.join(numbers['models'])} at batch {numbers['batch']}, planned for compute capability "
        f"{numbers['arch'] / 10:.1f}. Counted while kernels are emulated, not measured: caches are not looked at, so a "
        f"sector that is read again counts again. The other {len(rows) - len(listed)} of {len(rows)} rows are below "
        f"{LEAST:.2f}.",
    ]
    return "\n".join([*lines, ""])


def _worst(row: Row) -> float:
    return float(max(row[space]["factor"] for space in SPACES))


def _line(row: Row) -> str:
    space = max(SPACES, key=lambda name: float(row[name]["factor"]))
    file, number, _ = row[space]["worst"][0]["line"].split(":", 2)
    factors = (f"{row[name]['factor']:.2f}" for name in SPACES)
    return f"| {' | '.join([row['kernel'], row['precision'], str(row['launches']), *factors, f'{file}:{number}'])} |"

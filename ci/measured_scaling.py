"""The table of calls that overlap, from what `ci/bench --scaling` wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

GOAL = 1.6
"""Times the calls of one thread, at least, that two do."""

Row = Mapping[str, Any]


def section(numbers: Mapping[str, Any]) -> str:
    """A line for each network, precision and kind of kernels: two interpreters, and one that both threads call."""
    rows: Sequence[Row] = numbers["results"]
    groups: dict[tuple[str, str, str], dict[int, Row]] = {}
    for row in rows:
        groups.setdefault((row["network"], row["precision"], row["kernels"]), {})[row["interpreters"]] = row
    lines = ["| two threads |  |  | two interpreters | one interpreter |", "|---" * 5 + "|"]
    lines += [
        f"| {' | '.join([*what, *(_times(found[count]) for count in (2, 1))])} |" for what, found in groups.items()
    ]
    head = "Calls in a second by two threads, in times those of one; each call on one thread."
    return "\n".join(
        [*lines, "", f"{head} At least {numbers['goal']:.2g} is wanted: {_verdict(rows, numbers['goal'])}", ""]
    )


def _times(row: Row) -> str:
    found = row["ratios"]
    return f"{found['median']:.2f} ({found['p10']:.2f} to {found['p90']:.2f})"


def _verdict(rows: Sequence[Row], goal: float) -> str:
    below = sorted((row["ratios"]["median"], _name(row)) for row in rows if row["ratios"]["median"] < goal)
    if not below:
        return "met in every row."
    named = ", ".join(f"{name} ({value:.2f})" for value, name in below[:3])
    return f"missed in {len(below)} of {len(rows)} rows, by most in {named}."


def _name(row: Row) -> str:
    shared = "one interpreter" if row["interpreters"] == 1 else "two interpreters"
    return f"{row['network']} {row['precision']}, {row['kernels']}, {shared}"

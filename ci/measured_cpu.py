"""The tables of the CPU in README, from what `ci/bench` wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import geometric_mean
from typing import Any

OURS, NUMPY, BUILTIN, XNNPACK = "oneDNN", "NumPy", "LiteRT", "LiteRT + XNNPACK"
Row = Mapping[str, Any]


def section(numbers: Mapping[str, Any]) -> str:
    """A line for each network and precision: milliseconds of the first batch size and number of threads, all ratios."""
    rows: Sequence[Row] = numbers["results"]
    settings = list(dict.fromkeys((row["batch"], row["threads"]) for row in rows))
    settings.sort()
    batch, threads = settings[0]
    ratios = [f"batch {b}, {t} thread{'s' * (t > 1)}" for b, t in settings]
    columns = ["network", "", OURS, NUMPY, BUILTIN, XNNPACK, *ratios]
    lines = [
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
        *(_line(group, settings) for group in _groups(rows)),
        *_means(rows, settings),
        "",
        f"Milliseconds at batch {batch} on {_threads(threads)}: this package with either kind of kernels, and LiteRT. "
        "The other columns are times ours (oneDNN) / LiteRT with XNNPACK, medians of runs taken in turn with the "
        "limits of their middle 80 %; below 1 this package is faster.",
        *_remarks(numbers, rows),
    ]
    return "\n".join([*lines, ""])


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of the same network and precision."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["precision"], row["network"]), []).append(row)
    return [groups[key] for key in sorted(groups, key=lambda key: key[0])]


def _line(group: Sequence[Row], settings: Sequence[tuple[int, int]]) -> str:
    by_setting = {(row["batch"], row["threads"]): row for row in group}
    first = by_setting[settings[0]]
    times = [f"{first['milliseconds'][name]['median']:.3g}" for name in (OURS, NUMPY, BUILTIN, XNNPACK)]
    ratios = [_ratio(by_setting[setting]) if setting in by_setting else "" for setting in settings]
    return f"| {' | '.join([first['network'], first['precision'], *times, *ratios])} |"


def _ratio(row: Row) -> str:
    ratio = row["ratios"][XNNPACK]
    return f"{ratio['median']:.2f} ({ratio['p10']:.2f} to {ratio['p90']:.2f})"


def _means(rows: Sequence[Row], settings: Sequence[tuple[int, int]]) -> list[str]:
    lines = []
    for precision in dict.fromkeys(row["precision"] for row in rows):
        cells = []
        for setting in settings:
            seen = [row for row in rows if row["precision"] == precision and (row["batch"], row["threads"]) == setting]
            cells.append(f"**{_mean(seen, XNNPACK):.2f}**" if seen else "")
        lines.append(f"| {' | '.join(['geometric mean', precision, '', '', '', '', *cells])} |")
    return lines


def _mean(rows: Sequence[Row], peer: str) -> float:
    return geometric_mean(row["ratios"][peer]["median"] for row in rows)


def _remarks(numbers: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    machine, calls = numbers["machine"], numbers["calls_us"]
    means = ", ".join(
        f"{_mean([row for row in rows if (row['precision'], row['threads']) == key], XNNPACK):.2f} {key[0]} on "
        f"{_threads(key[1])}"
        for key in dict.fromkeys((row["precision"], row["threads"]) for row in rows)
    )
    lines = [
        f"Over all batch sizes the geometric means are {means}. A call of a signature that adds four numbers takes "
        f"{calls[OURS]['median']:.0f} us, {calls[XNNPACK]['median']:.0f} us in LiteRT."
    ]
    loads = {id(row["loading"]): row["loading"] for row in rows if row["loading"]}.values()
    if loads:
        seconds, memory = (
            geometric_mean(load[OURS][k] / load[XNNPACK][k] for load in loads) for k in ("ready_ms", "peak_mb")
        )
        lines.append(
            f"Loading and the first call take {seconds:.1f} times as long as LiteRT's with XNNPACK, and {memory:.1f} "
            "times as much memory (geometric means)."
        )
    lines.append("{processor}, {processors} cores, Python {python}, NumPy {numpy}, oneDNN {onednn}, LiteRT {litert}."
                 .format_map(machine))  # fmt: skip
    if machine["load"] > machine["processors"]:
        lines.append(f"Other work kept the machine busy meanwhile (load {machine['load']:.1f}): the ratios tell more.")
    return lines


def _threads(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"

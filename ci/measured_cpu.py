"""The tables of runs and of loading on the CPU, from what `ci/bench` wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import geometric_mean
from typing import Any

OURS, NUMPY, BUILTIN, XNNPACK = "oneDNN", "NumPy", "LiteRT", "LiteRT + XNNPACK"
Row = Mapping[str, Any]

GOALS = {"float32": 1.0, "int8": 1.5, "ready_ms": 1.0, "peak_mb": 1.2}
"""Times that of LiteRT with XNNPACK, at most, in the geometric mean: runs of either precision, the way from the file to
the first result, memory for that."""


def section(numbers: Mapping[str, Any]) -> str:
    """A line for each network and precision: milliseconds of the first batch size and number of threads, all ratios;
    then goals."""
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
        *_goals(numbers.get("goals", {}), rows),
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
    lines.append("{processor}, {processors} cores, Python {python}, NumPy {numpy}, oneDNN {onednn}, LiteRT {litert}."
                 .format_map(machine))  # fmt: skip
    if machine["load"] > machine["processors"]:
        lines.append(f"Other work kept the machine busy meanwhile (load {machine['load']:.1f}): the ratios tell more.")
    return lines


def loading(numbers: Mapping[str, Any]) -> str:
    """A line for each network and precision that was loaded: milliseconds and megabytes, ours and LiteRT's."""
    loaded = _loaded(numbers["results"])
    figures = (("first result", "ms"), ("peak memory", "MB"), ("memory after it", "MB"))
    columns = ["network", "", *(f"{what}, {unit}: {whose}" for what, unit in figures for whose in (OURS, XNNPACK))]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in loaded:
        cells = [row["network"], row["precision"]]
        for number in ("ready_ms", "peak_mb", "held_mb"):
            cells += [f"{row['loading'][name][number]:.3g}" for name in (OURS, XNNPACK)]
        lines.append(f"| {' | '.join(cells)} |")
    means = [geometric_mean(_times(row, number) for row in loaded) for number in ("ready_ms", "peak_mb")]
    lines += [
        "",
        "From the file to the first result, and the memory that the process then needs more than before, at its peak "
        "and to stay; at batch 1 on one thread, each in a process of its own that has run another model. Geometric "
        f"means: {means[0]:.1f} times as long as LiteRT with XNNPACK, {means[1]:.2f} times as much memory at the peak.",
    ]
    return "\n".join([*lines, ""])


def _loaded(rows: Sequence[Row]) -> list[Row]:
    """The first row of each network and precision whose loading was measured, by precision."""
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        if "held_mb" in _first(row["loading"]):
            found.setdefault((row["precision"], row["network"]), row)
    return sorted(found.values(), key=lambda row: str(row["precision"]))


def _first(loading: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(iter(loading.values()), {})


def _times(row: Row, number: str) -> float:
    """Ours / LiteRT's with XNNPACK, of a number of loading."""
    ours, theirs = (row["loading"][name][number] for name in (OURS, XNNPACK))
    return float(ours / theirs)


def _goals(goals: Mapping[str, float], rows: Sequence[Row]) -> list[str]:
    """Which of the goals that the numbers name are met, and where they are missed by most."""
    loaded = _loaded(rows)
    figures = {
        precision: (f"a run in {precision} takes", {_name(row): row["ratios"][XNNPACK]["median"] for row in rows
                                                    if row["precision"] == precision})
        for precision in ("float32", "int8")
    } | {
        "ready_ms": ("the first result takes", {_network(row): _times(row, "ready_ms") for row in loaded}),
        "peak_mb": ("peak memory is", {_network(row): _times(row, "peak_mb") for row in loaded}),
    }  # fmt: skip
    lines = [
        f"- {what} at most {goals[goal]:.2g}: {_verdict(found, goals[goal])}"
        for goal, (what, found) in figures.items()
        if found and goal in goals
    ]
    head = "Goals, as multiples of LiteRT with XNNPACK in the geometric mean:"
    return ["", head, "", *lines] if lines else []


def _verdict(found: Mapping[str, float], goal: float) -> str:
    mean, beyond = geometric_mean(found.values()), sorted((v, name) for name, v in found.items() if v > goal)[::-1]
    verdict = f"{mean:.2f}, {'met' if mean <= goal else 'missed'}"
    if not beyond:
        return f"{verdict} in every row."
    named = ", ".join(f"{name} ({value:.2f})" for value, name in beyond[:3])
    return f"{verdict}; more in {len(beyond)} of {len(found)} rows, most in {named}."


def _network(row: Row) -> str:
    return f"{row['network']} {row['precision']}"


def _name(row: Row) -> str:
    return f"{_network(row)}, batch {row['batch']}, {_threads(row['threads'])}"


def _threads(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"

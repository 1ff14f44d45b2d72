"""The table of conversions of README, from what `ci/bench --convert` wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OURS, OFFICIAL = "tflite-cupy", "tf.lite"
COLUMNS = ("network", "weights", "seconds", "tf.lite", "times faster", "peak memory", "tf.lite", "nodes", "tf.lite",
           "file", "tf.lite")  # fmt: skip


def section(numbers: Mapping[str, Any]) -> str:
    """The table as Markdown."""
    machine = numbers["machine"]
    where = "{processor}, {processors} cores, Python {python}, TensorFlow {tensorflow}, Keras {keras}"
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
        *(_row(result) for result in numbers["results"]),
        "",
        "Each conversion in a process of its own, in turn; medians, seconds of processor time. Peak memory is what "
        "`from_keras_model(...).convert()` adds, file included, in multiples of the weights; about 20 MB of it are "
        "TensorFlow's graphs. "
        f"{where.format_map(machine)}.",
    ]
    if any(result["flex"][OFFICIAL] for result in numbers["results"]):
        lines.append("Files with an asterisk hold TensorFlow (Flex) operators.")
    if machine["load"] > machine["processors"]:
        lines.append(f"Other work kept the machine busy meanwhile (load {machine['load']:.1f}).")
    return "\n".join([*lines, ""])


def _row(result: Mapping[str, Any]) -> str:
    ours, theirs = (result["processor_seconds"][c]["median"] for c in (OURS, OFFICIAL))
    cells = [result["network"], _megabytes(result["weights"]), f"{ours:.2f}", f"{theirs:.2f}", f"{theirs / ours:.1f}"]
    cells += [f"{result['memory'][c]['median']:.1f}" for c in (OURS, OFFICIAL)]
    cells += [f"{result['nodes'][c]}{'*' if result['flex'][c] else ''}" for c in (OURS, OFFICIAL)]
    cells += [_megabytes(result["bytes"][c]) for c in (OURS, OFFICIAL)]
    return f"| {' | '.join(cells)} |"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.0f} kB"

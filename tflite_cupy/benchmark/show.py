"""Benchmarks for people: tables of 80 columns, or of Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from textwrap import fill

from ..interpreter.words import aligned, count, printable, size
from .results import Benchmark, Comparison, Row, Timing

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Headers and rows."""


WIDTH = 80


def text(found: Benchmark) -> str:
    """Paragraphs and aligned tables."""
    return "\n".join(_document(found, _lines, _wrapped))


def markdown(found: Benchmark) -> str:
    """Paragraphs and tables of pipes."""
    return "\n".join(_document(found, _piped, lambda line: line))


def _document(found: Benchmark, draw: Callable[[Table], list[str]], say: Callable[[str], str]) -> Iterator[str]:
    yield printable(found.model)
    yield from map(say, _head(found))
    for row in found.rows:
        yield ""
        yield say(_inputs(row))
        yield ""
        yield from draw(_times(row))
        yield ""
        yield say(_runs(row))
        yield from (say(_ratio(row.timings[0], comparison)) for comparison in row.comparisons)
    if found.failures:
        yield ""
        yield from (say(f"Not compared: {printable(failure)}.") for failure in found.failures)
    if found.loading:
        yield ""
        yield "Loading, in a process of its own:"
        yield ""
        yield from draw(_loads(found))


def _head(found: Benchmark) -> Iterator[str]:
    if found.signature:
        yield f"signature {printable(found.signature)}"
    arena = "" if found.arena_bytes is None else f", arena of {size(found.arena_bytes)}"
    yield f"file of {size(found.file_bytes)}, weights of {size(found.weight_bytes)}{arena}"
    machine = found.machine
    yield f"{machine['processor']}, {machine['processors']} processors; {count(found.threads, 'thread')} a runtime"
    if (machine["load"] or 0) > machine["processors"]:
        yield f"Other work keeps the machine busy (load {machine['load']:.1f}): the ratios tell more than the times."


def _inputs(row: Row) -> str:
    inputs = ", ".join(f"{printable(name)} {kind} {list(shape)}" for name, (kind, shape) in row.inputs.items())
    return f"batch {row.batch}: {inputs}" if row.batch else f"inputs: {inputs or 'none'}"


def _times(row: Row) -> Table:
    percents = list(row.timings[0].seconds.percentiles)
    unit, scale = _unit([timing.seconds.median for timing in row.timings])
    headers = [unit, *(f"p{percent:g}" for percent in percents), "mean", "std", "/s"]
    return headers, [[_label(timing), *_numbers(timing, percents, scale)] for timing in row.timings]


def _unit(seconds: Sequence[float]) -> tuple[str, float]:
    """In which all can be read, and how many of it are a second."""
    if max(seconds) >= 5:
        return "s", 1.0
    return ("ms", 1e3) if min(seconds) >= 1e-4 else ("us", 1e6)


def _label(timing: Timing) -> str:
    return f"{timing.title}, on device" if timing.on_device else timing.title


def _numbers(timing: Timing, percents: Sequence[float], scale: float) -> list[str]:
    seconds = timing.seconds
    values = [*(seconds.percentiles[percent] for percent in percents), seconds.mean, seconds.std]
    return [*(short(value * scale) for value in values), many(timing.per_second)]


def _runs(row: Row) -> str:
    counts = sorted({timing.seconds.count for timing in row.timings})
    number = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    unsteady = [_label(timing) for timing in row.timings if timing.warm_up.steady is False]
    also = f"; still getting faster when warmed up: {', '.join(unsteady)}" if unsteady else ""
    return f"{number} runs each{also}"


def _ratio(first: Timing, comparison: Comparison) -> str:
    ratios, outputs = comparison.ratios, comparison.agreement
    low, high = min(ratios.percentiles), max(ratios.percentiles)
    spread = f"pairs: {ratios.percentiles[low]:.2f} to {ratios.percentiles[high]:.2f}"
    line = f"{first.title} / {comparison.title}: {ratios.median:.2f} times as long ({spread}"
    if outputs.agrees:
        return f"{line}; outputs differ by {outputs.difference:.1e})"
    return (
        f"{line}). WRONG RESULTS on one side: output {printable(outputs.output)} differs by {outputs.difference:.1e}, "
        f"allowed {outputs.tolerance:.1e}"
    )


def _loads(found: Benchmark) -> Table:
    headers = ["", "load ms", "first call ms", "peak MB", "held MB"]
    return headers, [
        [one.title, short(one.load_seconds * 1e3), short(one.first_call_seconds * 1e3),
         _megabytes(one.peak_bytes), _megabytes(one.held_bytes)] for one in found.loading
    ]  # fmt: skip


def _megabytes(nbytes: float | None) -> str:
    return "-" if nbytes is None else f"{nbytes / 1e6:.1f}"


def _wrapped(line: str) -> str:
    return fill(line, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _lines(table: Table) -> list[str]:
    headers, rows = table
    return aligned([headers, *rows])


def _piped(table: Table) -> list[str]:
    headers, rows = table
    ruler = ["---", *["--:"] * (len(headers) - 1)]
    return [f"| {' | '.join(row)} |" for row in (headers, ruler, *rows)]


def short(value: float) -> str:
    """Three digits, or all of those before the point."""
    if value >= 100 or not value:
        return f"{value:.0f}"
    return f"{value:.3g}" if value >= 1e-3 else f"{value:.1e}"


def many(number: float) -> str:
    """A large number in thousands (k) or millions (M)."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if number >= 10 * unit:
            return f"{short(number / unit)}{name}"
    return short(number)

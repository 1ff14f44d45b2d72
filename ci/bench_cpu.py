"""Times eight networks on the CPU: this package, with oneDNN and with NumPy, against LiteRT with and without XNNPACK.

All of them run in one process and take turns within each round, so that a slow moment of the machine hits them alike
(`tflite_cupy.benchmark.turns` says how); ratios are of turns of the same round. Results are compared before. What
loading takes, in time and memory, is measured in processes of its own. All of it takes about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench_tiny import tiny_calls
from bench_workloads import BUILTIN, NETWORKS, NUMPY, ONEDNN, PRECISIONS, RUNTIMES, XNNPACK, Feeds, content, feeds
from machine import RESULTS, machine, spread
from measured_cpu import GOALS

from tflite_cupy.benchmark.agreement import compare
from tflite_cupy.benchmark.loading import Loading, in_turn
from tflite_cupy.benchmark.statistics import geometric_mean
from tflite_cupy.benchmark.turns import Effort, Run, Times, take_turns
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.graph import Model
from tflite_cupy.runtimes import Runtime, open_runtime

Row = dict[str, Any]
Clock = Callable[[], float]

SLOW = (NUMPY, BUILTIN)
"""Runtimes that sit out once they have had their share of a row's time."""

TOLERANCES = {"float32": 1e-4, "int8": 0.3}
"""Of differences: int8 networks round in every operator, each runtime in its way."""


def main() -> None:
    options = arguments().parse_args()
    if options.quick:
        options.seconds, options.batches, options.threads, options.no_loading = 1.0, [1], [1], True
    started, results = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        for name, precision, batch in product(options.networks, options.precisions, options.batches):
            path = Path(folder) / "model.tflite"
            path.write_bytes(content(name, precision, batch))
            found = {} if options.no_loading or batch != options.batches[0] else loads(path)
            for threads in options.threads:
                row = {"network": name, "precision": precision, "batch": batch, "threads": threads}
                results.append(row | measure(path, precision, threads, options) | {"loading": found})
                print(line(results[-1]), flush=True)
    calls = tiny_calls(20 if options.quick else 60)
    means = geometric_means(results)
    print(summary(means, calls))
    print(f"{(time.monotonic() - started) / 60:.1f} minutes")
    target = options.json or (None if options.quick else RESULTS / "bench_cpu.json")
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        numbers = {"machine": machine(), "goals": GOALS, "calls_us": calls, "means": means, "results": results}
        target.write_text(json.dumps(numbers, indent=1) + "\n")
        print(f"numbers: {target}")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME",
                        help=f"of {', '.join(NETWORKS)} (default: all)")  # fmt: skip
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16], help="batch sizes (default: 1 16)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default: 1 2)")
    parser.add_argument("--runs", type=int, default=120, help="at most so many runs a row (default: 120)")
    parser.add_argument("--seconds", type=float, default=5.0, help="time for a row, 3 rounds at least (default: 5)")
    parser.add_argument("--quick", action="store_true", help="batch 1 on one thread, a second a row, no loading")
    parser.add_argument("--no-loading", action="store_true", help="without what loading takes")
    parser.add_argument("--processor-time", action="store_true",
                        help="time the processor, not the clock: on busy machines, for one thread")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="PATH",
                        help="for the numbers (default: ci/results/bench_cpu.json; --quick: none)")  # fmt: skip
    return parser


def measure(path: Path, precision: str, threads: int, options: argparse.Namespace) -> Row:
    """Milliseconds of each runtime, and how many times those of the others ours are."""
    model = load_model(path)
    inputs = feeds(model)
    effort = Effort(runs=options.runs, seconds=0.0, limit=options.seconds)
    clock: Clock = time.process_time if options.processor_time else time.perf_counter
    with ExitStack() as stack:
        opened = {
            title: stack.enter_context(open_runtime(name, path, threads=threads)) for title, name in RUNTIMES.items()
        }
        apart = differences(model, opened, inputs)
        if max(apart.values()) > TOLERANCES[precision]:
            raise SystemExit(f"results on {path.name} differ: {apart}")
        runs = {title: run_of(runtime, inputs) for title, runtime in opened.items()}
        times = take_turns(runs, effort, clock, sparing=SLOW)
    ours = times[ONEDNN]
    return {
        "milliseconds": {title: spread([1e3 * median(turn) for turn in found.turns]) for title, found in times.items()},
        "ratios": {title: spread(ours.ratios(found)) for title, found in others(times)},
        "differences": {title: float(f"{value:.2g}") for title, value in apart.items()},
    }


def others(times: Mapping[str, Times]) -> list[tuple[str, Times]]:
    return [(title, found) for title, found in times.items() if title != ONEDNN]


def differences(model: Model, opened: Mapping[str, Runtime], inputs: Feeds) -> dict[str, float]:
    """The largest of an output, against LiteRT without its delegate."""
    results = {t: {key: one.call(key, values) for key, values in inputs.items()} for t, one in opened.items()}
    return {
        title: max(
            compare(model, signature, found[signature.key], results[BUILTIN][signature.key]).difference
            for signature in model.signatures
        )
        for title, found in results.items()
    }


def run_of(runtime: Runtime, inputs: Feeds) -> Run:
    """One call of each signature; of a single one with inputs set beforehand."""
    if len(inputs) == 1:
        ((key, values),) = inputs.items()
        return runtime.prepared(key, values)
    calls = [runtime.repeated(key, values) for key, values in inputs.items()]
    return lambda: [call() for call in calls]


def loads(path: Path) -> dict[str, dict[str, float]]:
    """What loading takes on one thread, by runtime: milliseconds to the first results, megabytes added."""
    found = in_turn([*RUNTIMES.values()], path, [*feeds(load_model(path)).items()], threads=1)
    return {title: _load(one) for title, one in zip(RUNTIMES, found, strict=True)}


def _load(found: Loading) -> dict[str, float]:
    numbers = {"load_ms": 1e3 * found.load_seconds, "ready_ms": 1e3 * found.ready_seconds}
    if found.peak_bytes is not None and found.held_bytes is not None:
        numbers |= {"peak_mb": found.peak_bytes / 1e6, "held_mb": found.held_bytes / 1e6}
    return {name: round(value, 3) for name, value in numbers.items()}


def geometric_means(results: Iterable[Row]) -> list[Row]:
    """Of the ratios over networks and batch sizes, by precision and number of threads."""
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in results:
        groups.setdefault((row["precision"], row["threads"]), []).append(row)
    return [
        {"precision": precision, "threads": threads, "rows": len(rows)}
        | {name: round(geometric_mean(row["ratios"][name]["median"] for row in rows), 3) for name in (BUILTIN, XNNPACK)}
        for (precision, threads), rows in groups.items()
    ]


def line(row: Row) -> str:
    """A row for people."""
    times = "  ".join(f"{name} {ms['median']:.2f}" for name, ms in row["milliseconds"].items())
    to_builtin, to_xnnpack = (row["ratios"][name] for name in (BUILTIN, XNNPACK))
    what = f"{row['network']} {row['precision']}, batch {row['batch']}, {row['threads']} thread(s)"
    return (
        f"{what:50} {times} ms; ours / LiteRT {to_builtin['median']:.2f}, / XNNPACK {to_xnnpack['median']:.2f} "
        f"[{to_xnnpack['p10']:.2f}, {to_xnnpack['p90']:.2f}]"
    )


def summary(means: Iterable[Row], calls: Mapping[str, Mapping[str, float]]) -> str:
    """Geometric means and tiny calls for people."""
    return "\n".join(_summary_lines(means, calls))


def _summary_lines(means: Iterable[Row], calls: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    for mean in means:
        yield (
            f"geometric means of {mean['rows']} rows, {mean['precision']}, {mean['threads']} thread(s): "
            f"ours / LiteRT {mean[BUILTIN]:.2f}, / XNNPACK {mean[XNNPACK]:.2f}"
        )
    yield "a call of a tiny signature: " + ", ".join(f"{name} {us['median']:.1f} us" for name, us in calls.items())


if __name__ == "__main__":
    main()

"""Times eight networks on the CPU: this package, with oneDNN and with NumPy, against LiteRT with and without XNNPACK.

All of them run in one process and take turns within each round, so that a slow moment of the machine hits them alike. A
turn is one untimed run and the median of three timed ones, or one timed run where it takes long; ratios are of turns of
the same round. Results are compared before. What loading takes is measured in a process for each.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench_runtimes import BUILTIN, NUMPY, ONEDNN, RUNTIMES, TOLERANCES, XNNPACK, difference, loading, sessions
from bench_tiny import tiny_calls
from bench_workloads import NETWORKS, PRECISIONS, content
from machine import RESULTS, machine, spread

Run = Callable[[], Any]
Row = dict[str, Any]
Clock = Callable[[], float]

LONG = 0.15
"""Seconds of a run that is timed alone in a turn."""

SLOW = {NUMPY, BUILTIN}
"""Runtimes that sit out once they have had their share of a row's time."""


def main() -> None:
    options = arguments().parse_args()
    if options.quick:
        options.seconds, options.batches, options.no_loading = 1.0, [1], True
    clock = time.process_time if options.processor_time else time.perf_counter
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name, precision, batch in product(options.networks, options.precisions, options.batches):
            path = Path(folder) / "model.tflite"
            path.write_bytes(content(name, precision, batch))
            found = {} if options.no_loading or batch != options.batches[0] else loads(path)
            for threads in options.threads:
                row = {"network": name, "precision": precision, "batch": batch, "threads": threads}
                results.append(row | measure(path, precision, threads, options, clock) | {"loading": found})
                print(line(results[-1]), flush=True)
    calls = tiny_calls(20 if options.quick else 60)
    means = geometric_means(results)
    print(summary(means, calls))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    numbers = {"machine": machine(), "calls_us": calls, "means": means, "results": results}
    options.json.write_text(json.dumps(numbers, indent=1) + "\n")
    print(f"numbers: {options.json}")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME",
                        help=f"of {', '.join(NETWORKS)} (default: all)")  # fmt: skip
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16], help="batch sizes (default: 1 16)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default: 1 2)")
    parser.add_argument("--rounds", type=int, default=40, help="at most so many rounds a row (default: 40)")
    parser.add_argument("--seconds", type=float, default=4.0, help="time for a row, 3 rounds at least (default: 4)")
    parser.add_argument("--quick", action="store_true", help="batch 1 and a second a row, without what loading takes")
    parser.add_argument("--no-loading", action="store_true", help="without what loading takes")
    parser.add_argument("--processor-time", action="store_true",
                        help="time the processor, not the clock: on busy machines, for one thread")  # fmt: skip
    parser.add_argument("--json", type=Path, default=RESULTS / "bench_cpu.json", help="where the numbers go")
    return parser


def measure(path: Path, precision: str, threads: int, options: argparse.Namespace, clock: Clock) -> Row:
    """Milliseconds of each runtime, and how many times those of the others ours are."""
    ready = sessions(path, threads)
    results = {name: session.outputs() for name, session in ready.items()}
    apart = {name: difference(found, results[BUILTIN]) for name, found in results.items()}
    if max(apart.values()) > TOLERANCES[precision]:
        raise SystemExit(f"results on {path.name} differ: {apart}")
    times = turns({name: session.run for name, session in ready.items()}, options.rounds, options.seconds, clock)
    return {
        "milliseconds": {name: spread(np.array(values) * 1e3) for name, values in times.items()},
        "ratios": {name: spread(ratios(times[ONEDNN], times[name])) for name in RUNTIMES if name != ONEDNN},
        "differences": {name: float(f"{value:.2g}") for name, value in apart.items()},
    }


def turns(runs: Mapping[str, Run], rounds: int, seconds: float, clock: Clock) -> dict[str, list[float]]:
    """Seconds of a run by runtime, one for each round; runtimes in `SLOW` sit out after their share of `seconds`."""
    short = {name: timed(run, clock) < LONG for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    spent = dict.fromkeys(runs, 0.0)
    order = list(runs)
    for done in range(rounds):
        if done >= 3 and sum(spent.values()) > seconds:
            break
        order.append(order.pop(0))
        for name in order:
            if name in SLOW and done and spent[name] > seconds / len(runs):
                continue
            start = time.perf_counter()
            times[name].append(turn(runs[name], short[name], clock))
            spent[name] += time.perf_counter() - start
    return times


def turn(run: Run, is_short: bool, clock: Clock) -> float:
    """Seconds of a run. Before short ones there is an untimed one: it wakes threads while others' go to sleep."""
    if not is_short:
        return timed(run, clock)
    run()
    return float(np.median([timed(run, clock) for _ in range(3)]))


def timed(run: Run, clock: Clock) -> float:
    """Seconds of one run."""
    start = clock()
    run()
    return clock() - start


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Of turns of the same rounds."""
    return [a / b for a, b in zip(ours, theirs, strict=False)]


def loads(path: Path) -> dict[str, dict[str, float]]:
    """What loading takes, by runtime."""
    return {runtime: {name: round(value, 3) for name, value in loading(runtime, path).items()} for runtime in RUNTIMES}


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


def geometric_mean(values: Iterable[float]) -> float:
    return float(np.exp(np.mean(np.log(list(values)))))


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

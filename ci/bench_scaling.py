"""Calls that overlap: what two threads do in a second against one, on the CPU, each call on one thread alone.

Either each thread has an interpreter of its own, or both call the same one. Turns of one thread and of two follow each
other, and ratios are of turns side by side. All of it takes about two minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench_workloads import NETWORKS, NUMPY, ONEDNN, PRECISIONS, RUNTIMES, content, feeds
from machine import RESULTS, machine, spread
from measured_scaling import GOAL, section

from tests.threads import side_by_side
from tflite_cupy import Interpreter
from tflite_cupy.interpreter.format.model import load_model

THREADS = 2
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""For libraries that are asked before there is an interpreter."""


def main() -> None:
    options = arguments().parse_args()
    if options.child:
        print(json.dumps(measure(options)))
        return
    call = [sys.executable, __file__, "--child", *sys.argv[1:]]
    done = subprocess.run(call, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, text=True, check=True)
    numbers = {"machine": machine(), "goal": GOAL, "results": json.loads(done.stdout)}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(numbers, indent=1) + "\n")
    print(section(numbers))
    print(f"numbers: {options.json}")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=["MobileNetV2"], metavar="NAME",
                        help=f"of {', '.join(NETWORKS)} (default: MobileNetV2)")  # fmt: skip
    parser.add_argument("--turns", type=int, default=15, help="of one thread and of two, for each row (default: 15)")
    parser.add_argument("--seconds", type=float, default=0.3, help="of a turn, about (default: 0.3)")
    parser.add_argument("--json", type=Path, default=RESULTS / "scaling.json", metavar="PATH",
                        help="for the numbers (default: ci/results/scaling.json)")  # fmt: skip
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each network, precision, kind of kernels, and number of interpreters."""
    rows = []
    for network, precision in product(options.networks, PRECISIONS):
        model = content(network, precision, 1)
        for title, interpreters in product((ONEDNN, NUMPY), (THREADS, 1)):
            calls = callers(model, RUNTIMES[title], interpreters)
            row = {"network": network, "precision": precision, "kernels": title, "interpreters": interpreters}
            rows.append(row | scaling(calls, options.turns, options.seconds))
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


def callers(model: bytes, kernels: str, interpreters: int) -> list[Callable[[], object]]:
    """What each thread calls: the first signature of an interpreter, which has run it once."""
    ((key, values), *_) = feeds(load_model(model)).items()
    made: list[Callable[[], object]] = []
    for _ in range(interpreters):
        interpreter = Interpreter(model_content=model, device="cpu", num_threads=1, cpu_kernels=kernels)
        made.append(_caller(interpreter, key, values))
        made[-1]()
    return made if interpreters > 1 else made * THREADS


def _caller(interpreter: Interpreter, key: str, values: Mapping[str, Any]) -> Callable[[], object]:
    runner = interpreter.get_signature_runner(key)
    return lambda: runner(**values)


def scaling(calls: Sequence[Callable[[], object]], turns: int, seconds: float) -> dict[str, Any]:
    """Milliseconds of a call from one thread, and how many times its calls in a second two threads do."""

    def turn(threads: int, count: int) -> float:
        def work(number: int) -> None:
            for _ in range(count):
                calls[number]()

        start = time.perf_counter()
        side_by_side(threads, work)
        return (time.perf_counter() - start) / (threads * count)

    count = max(2, int(seconds / turn(1, 2)))
    pairs = [(turn(1, count), turn(THREADS, count)) for _ in range(turns)]
    return {
        "milliseconds": round(1e3 * median(one for one, _ in pairs), 3),
        "ratios": spread([one / several for one, several in pairs]),
    }


if __name__ == "__main__":
    main()

"""Times MobileNetV2 on the CPU: this package against LiteRT, with and without XNNPACK, on 1 and 2 threads.

All of them run in one process and take turns within each round, so that a slow moment of the machine hits them alike. A
turn is one untimed run and the median of three timed ones; ratios are of turns of the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from networks import mobilenet_v2

from tflite_cupy import Interpreter, write_model
from tflite_cupy.delegates.cpu import CpuDelegate
from tflite_cupy.interpreter.ops.base import Op

Run = Callable[[], None]
RESULTS = ROOT / "ci" / "results"
OURS, BUILTIN, XNNPACK = "tflite-cupy", "LiteRT", "LiteRT + XNNPACK"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="rounds (default: 40)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default: 1 2)")
    parser.add_argument("--models", nargs="+", choices=["float32", "int8"], default=["float32", "int8"])
    parser.add_argument("--json", type=Path, default=RESULTS / "bench_cpu.json", help="where the numbers go")
    options = parser.parse_args()
    results = []
    for kind in options.models:
        content = write_model(mobilenet_v2(quantized=kind == "int8"))
        for threads in options.threads:
            results.append(measure(kind, content, threads, options.rounds))
            print(table(results[-1]), flush=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"machine": machine(), "results": results}, indent=1) + "\n")
    print(f"numbers: {options.json}")


def measure(kind: str, content: bytes, threads: int, rounds: int) -> dict[str, Any]:
    """Milliseconds of each runtime, and how many times those of the others ours are."""
    runs = runners(content, threads)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(5):
        for run in runs.values():
            run()
    order = list(runs)
    for _ in range(rounds):
        order.append(order.pop(0))
        for name in order:
            runs[name]()  # untimed: wakes its threads, while those of the runtime before it go to sleep
            times[name].append(float(np.median([timed(runs[name]) for _ in range(3)])))
    ours = np.array(times[OURS])
    return {
        "model": f"MobileNetV2-224 {kind}, batch 1",
        "threads": threads,
        "milliseconds": {name: spread(values) for name, values in times.items()},
        "ratios": {name: spread(ours / np.array(times[name])) for name in times if name != OURS},
        "by_operator": by_operator(content, threads, max(5, rounds // 4)),
    }


def timed(run: Run) -> float:
    """Milliseconds of one run."""
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1e3


def runners(content: bytes, threads: int) -> dict[str, Run]:
    """One function per runtime that runs the model on an input that is set already."""
    runs: dict[str, Run] = {OURS: prepared(Interpreter(model_content=content, num_threads=threads, device="cpu"))}
    try:
        from ai_edge_litert import interpreter as litert
    except ImportError:
        print("ai_edge_litert is not installed: nothing to compare with")
        return runs
    kinds = {BUILTIN: litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, XNNPACK: litert.OpResolverType.BUILTIN}
    for name, kind in kinds.items():
        options = {"num_threads": threads, "experimental_op_resolver_type": kind}
        runs[name] = prepared(litert.Interpreter(model_content=content, **options))
    return runs


def prepared(interpreter: Any) -> Run:
    """`invoke` of an interpreter whose input is set."""
    interpreter.allocate_tensors()
    detail = interpreter.get_input_details()[0]
    image = np.random.default_rng(1).standard_normal(detail["shape"])
    if detail["dtype"] != np.float32:
        image = np.clip(np.rint(image * 30), -128, 127)
    interpreter.set_tensor(detail["index"], image.astype(detail["dtype"]))
    run: Run = interpreter.invoke
    return run


class TimedCpuDelegate(CpuDelegate):
    """Adds up the seconds that the kernels of each operator take."""

    def __init__(self, num_threads: int) -> None:
        super().__init__(num_threads)
        self.seconds: dict[str, float] = defaultdict(float)

    def prepare(self, op: Op, constants: Mapping[int, np.ndarray]) -> Any:
        name = op.name
        if name == "CONV_2D" and (weights := constants.get(1)) is not None:
            name += f" {weights.shape[1]}x{weights.shape[2]}"
        return partial(self._timed, name, super().prepare(op, constants))

    def _timed(self, name: str, kernel: Any, *operands: Any) -> Any:
        start = time.perf_counter()
        result = kernel(*operands)
        self.seconds[name] += time.perf_counter() - start
        return result


def by_operator(content: bytes, threads: int, rounds: int) -> dict[str, float]:
    """Milliseconds per run of this package's kernels by operator, the median over rounds."""
    delegate = TimedCpuDelegate(threads)
    run = prepared(Interpreter(model_content=content, device="cpu", delegates=[delegate]))
    run()
    seen = []
    for _ in range(rounds):
        delegate.seconds.clear()
        run()
        seen.append(dict(delegate.seconds))
    medians = {name: float(np.median([s[name] for s in seen])) * 1e3 for name in seen[0]}
    return dict(sorted(medians.items(), key=lambda item: -item[1]))


def spread(values: Any) -> dict[str, float]:
    """Median, and the limits between which the middle 80 % lie."""
    low, median, high = np.quantile(np.asarray(values), [0.1, 0.5, 0.9])
    return {"median": round(float(median), 4), "p10": round(float(low), 4), "p90": round(float(high), 4)}


def table(result: Mapping[str, Any]) -> str:
    """A result for people."""
    lines = [
        f"\n{result['model']}, {result['threads']} thread(s)",
        f"{'':20}{'ms':>8}  [p10, p90]      ours / it [p10, p90]",
    ]
    for name, ms in result["milliseconds"].items():
        line = f"{name:20}{ms['median']:8.2f}  [{ms['p10']:.2f}, {ms['p90']:.2f}]"
        if ratio := result["ratios"].get(name):
            line = f"{line:46}{ratio['median']:.2f} [{ratio['p10']:.2f}, {ratio['p90']:.2f}]"
        lines.append(line)
    lines.append("by operator: " + ", ".join(f"{name} {ms:.2f}" for name, ms in result["by_operator"].items()) + " ms")
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    """What the numbers hold for."""
    return {
        "processor": processor(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": os.getloadavg()[0],
        "platform": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "litert": litert_version(),
    }


def processor() -> str:
    """Name of the processor, empty if it can't be told."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def litert_version() -> str | None:
    """Version of the LiteRT that is installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ai-edge-litert")
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()

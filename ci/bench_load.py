"""Times loading of large models: this package's reader against reading the file, and against LiteRT's load.

The model is a chain of additions with a constant each. What is timed is `verify` (every offset, length and index of the
file), `load_model` (that, and the graph as Python objects), one pass over the file's bytes, and LiteRT's constructor,
which maps the file and prepares no node. Times are of the processor, as all of these use one thread and files that the
system has in memory.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from machine import RESULTS, machine, spread

from tflite_cupy import write_model
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.verify import verify
from tflite_cupy.interpreter.graph import Graph, Model, Node, Tensor, TensorType
from tflite_cupy.interpreter.limits import DEFAULT_LIMITS

VERIFIED, LOADED, READ, LITERT = "verify", "load_model", "read the file", "LiteRT"
GOAL_MS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="rounds (default: 20)")
    parser.add_argument("--tensors", type=int, nargs="+", default=[1000, 20_000], help="default: 1000 20000")
    parser.add_argument("--megabytes", type=int, default=100, help="bytes of constants (default: 100 MB)")
    parser.add_argument("--json", type=Path, default=RESULTS / "load.json", help="where the numbers go")
    options = parser.parse_args()
    results = []
    for count in options.tensors:
        results.append(measure(count, options.megabytes * 10**6, options.rounds))
        print(table(results[-1]), flush=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"machine": machine(), "results": results}, indent=1) + "\n")
    print(f"numbers: {options.json}")


def measure(tensors: int, nbytes: int, rounds: int) -> dict[str, Any]:
    """Milliseconds of each, and how many times those of reading the file and of LiteRT ours are."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(write_model(chain(tensors, nbytes)))
        runs = runners(path)
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(rounds):
            for name, run in runs.items():
                gc.collect()
                times[name].append(processor_ms(run))
        size = path.stat().st_size
    found = {name: np.array(values) for name, values in times.items()}
    others = [name for name in (READ, LITERT) if name in found]
    return {
        "model": f"{tensors} tensors, {size / 1e6:.0f} MB",
        "milliseconds": {name: spread(values) for name, values in found.items()},
        "ratios": {ours: {name: spread(found[ours] / found[name]) for name in others} for ours in (VERIFIED, LOADED)},
    }


def processor_ms(run: Callable[[], Any]) -> float:
    """Milliseconds of processor time that a run takes."""
    start = time.process_time()
    run()
    return (time.process_time() - start) * 1e3


def chain(tensors: int, nbytes: int) -> Model:
    """x + c0 + c1 + ..., with a constant and a result for each addition."""
    count = tensors // 2
    size = nbytes // count // 4
    x = Tensor("x", TensorType.FLOAT32, (size,))
    held, nodes = [x], []
    for i in range(count):
        data = np.full(size, i, np.float32)
        held += [Tensor(f"constant_{i}", x.type, x.shape, data=data), Tensor(f"layer_{i}/add", x.type, x.shape)]
        nodes.append(Node(i, "ADD", (2 * i, 2 * i + 1), (2 * i + 2,)))
    return Model((Graph(0, "main", tuple(held), tuple(nodes), (0,), (2 * count,)),))


def runners(path: Path) -> dict[str, Callable[[], Any]]:
    """What is timed, by name."""
    mapped = np.memmap(path, np.uint8, "r")
    runs: dict[str, Callable[[], Any]] = {
        VERIFIED: lambda: verify(mapped, DEFAULT_LIMITS),
        LOADED: lambda: load_model(path),
        READ: path.read_bytes,
    }
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        print("ai_edge_litert is not installed: nothing to compare with")
        return runs
    return {**runs, LITERT: lambda: Interpreter(str(path))}


def table(result: dict[str, Any]) -> str:
    """A result for people."""
    lines = [f"\n{result['model']}", f"{'':16}{'ms':>8}  [p10, p90]"]
    for name, ms in result["milliseconds"].items():
        lines.append(f"{name:16}{ms['median']:8.2f}  [{ms['p10']:.2f}, {ms['p90']:.2f}]")
    for ours, ratios in result["ratios"].items():
        lines += [f"{ours} / {name}: {r['median']:.2f} [{r['p10']:.2f}, {r['p90']:.2f}]" for name, r in ratios.items()]
    slowest = result["milliseconds"][VERIFIED]["median"]
    lines.append(f"goal: verification below {GOAL_MS} ms: {'met' if slowest < GOAL_MS else 'missed'}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

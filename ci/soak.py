"""Looks for leaks: what memory, open files and threads do over many calls, and what further interpreters take.

Each kind of work runs in a process of its own: first untraced for the resident memory (RSS), then with tracemalloc for
what Python and NumPy hold. The slope over the second half of the samples (the first half warms up) is of a line through
the means of blocks of samples, with its 95 % confidence interval. Before the resident memory is read, the C library
gives free memory back to the system: how much of it a process keeps comes and goes by megabytes. One kind of work leaks
1 KB a call on purpose: the search has to find it.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from machine import machine
from networks import mobilenet_v2

from tests.build import F32, GraphBuilder, model
from tests.models import add_sub
from tflite_cupy import Interpreter, write_model

RESULTS = ROOT / "ci" / "results"
MOST_KB_PER_CALL = 0.02
SAMPLES, BLOCKS = 200, 20
STUDENT_T = 2.101  # two-sided 95 % for BLOCKS - 2 degrees of freedom
Step = Callable[[], None]


def reused() -> Step:
    """Calls of one runner."""
    add, x = Interpreter(model_content=add_sub(), device="cpu").get_signature_runner("add"), np.ones(64, np.float32)
    return lambda: _use(add(x=x, y=x))


def fresh_runner() -> Step:
    """A new runner for each call."""
    interpreter, x = Interpreter(model_content=add_sub(), device="cpu"), np.ones(64, np.float32)
    return lambda: _use(interpreter.get_signature_runner("add")(x=x, y=x))


def changing_shape() -> Step:
    """Another shape in each call, of more shapes than plans are kept."""
    sub = Interpreter(model_content=add_sub(), device="cpu").get_signature_runner("sub")
    sizes = itertools.cycle(range(1, 400))

    def step() -> None:
        x = np.ones(next(sizes), np.float32)
        _use(sub(a=x, b=x))

    return step


def open_close() -> Step:
    """An interpreter that is opened, called and closed."""
    content, x = add_sub(), np.ones(64, np.float32)

    def step() -> None:
        with Interpreter(model_content=content, device="cpu") as interpreter:
            _use(interpreter.get_signature_runner("add")(x=x, y=x))

    return step


def leak() -> Step:
    """Calls of one runner that keep 1 KB each: the search has to find this."""
    call, kept = reused(), list[bytearray]()

    def step() -> None:
        call()
        kept.append(bytearray(1024 - sys.getsizeof(b"")))

    return step


def _use(outputs: Mapping[str, Any]) -> None:
    assert outputs


WORK: Mapping[str, Callable[[], Step]] = {
    "reused runner": reused,
    "fresh runner": fresh_runner,
    "changing shapes": changing_shape,
    "open and close": open_close,
    "deliberate leak": leak,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="for all of it together (default: 10)")
    parser.add_argument("--json", type=Path, default=RESULTS / "soak.json", help="where the numbers go")
    parser.add_argument("--work", choices=WORK, help="one kind of work alone: prints its numbers, writes none")
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        print(json.dumps(soaked(WORK[options.work], options.minutes * 60)))
        return
    if options.model is not None:
        print(json.dumps(shared(options.model)))
        return
    began = time.monotonic()
    found = {name: _child("--work", name, "--minutes", str(options.minutes / len(WORK))) for name in WORK}
    results = {"machine": machine(), "work": found, "sharing": sharing(), "minutes": (time.monotonic() - began) / 60}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))
    print(f"numbers: {options.json}")
    raise SystemExit(0 if passes(results) else 1)


def _child(*arguments: str) -> dict[str, Any]:
    """What this script prints in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def soaked(make: Callable[[], Step], seconds: float) -> dict[str, Any]:
    """Slopes of the resident and the traced memory, in KB a call, and what the process held first and last."""
    step = make()
    for _ in range(500):
        step()
    gc.collect()
    gc.freeze()  # so that collecting again takes no time to speak of
    before = _held()
    resident = _samples(step, seconds / 2, _needed_kb)
    tracemalloc.start()
    traced = _samples(step, seconds / 2, lambda: tracemalloc.get_traced_memory()[0] / 1024)
    tracemalloc.stop()
    return {
        "calls": int(resident[-1][0] + traced[-1][0]),
        "seconds": seconds,
        "resident": slope(resident[len(resident) // 2 :]),
        "traced": slope(traced[len(traced) // 2 :]),
        "first": before,
        "last": _held(),
    }


def _samples(step: Step, seconds: float, measure: Callable[[], float]) -> np.ndarray:
    """[samples, 2]: calls so far and KB, at equal times in these seconds."""
    samples, calls, start = np.zeros((SAMPLES, 2)), 0, time.monotonic()
    for number in range(SAMPLES):
        while True:
            step()
            calls += 1
            if time.monotonic() - start >= (number + 1) * seconds / SAMPLES:
                break
        gc.collect()
        samples[number] = calls, measure()
    return samples


def slope(samples: np.ndarray) -> dict[str, float]:
    """KB a call of the line through the means of blocks, with its 95 % confidence interval."""
    blocks = np.array([np.mean(block, axis=0) for block in np.array_split(samples, BLOCKS)])
    x, y = blocks[:, 0] - blocks[:, 0].mean(), blocks[:, 1] - blocks[:, 1].mean()
    per_call = float(x @ y / (x @ x))
    error = float(np.sqrt(((y - per_call * x) ** 2).sum() / (BLOCKS - 2) / (x @ x)))
    return {"slope": per_call, "low": per_call - STUDENT_T * error, "high": per_call + STUDENT_T * error}


def _held() -> dict[str, int]:
    return {"files": len(os.listdir("/proc/self/fd")), "threads": threading.active_count()}


def _needed_kb() -> float:
    """Resident memory without what the C library keeps for later."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return _resident_kb()


def _resident_kb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def sharing() -> dict[str, Any]:
    """What each of 7 further interpreters of one file takes beside the first, as a share of the weights."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("dense layers", dense()), ("MobileNetV2", write_model(mobilenet_v2()))):
            path = Path(folder) / "model.tflite"
            path.write_bytes(content)
            found[name] = _child("--model", str(path))
    return found


def dense() -> bytes:
    """48 MB of weights as half-precision floats, which become 96 MB of floats."""
    b, rng = GraphBuilder(), np.random.default_rng(0)
    x = b.input(F32, [1, 2048], "x")
    for _ in range(6):
        half = b.constant(rng.normal(0, 0.02, (2048, 2048)).astype(np.float16))
        (weights,) = b.op("DEQUANTIZE", [half], [b.tensor(F32, [2048, 2048])])
        x = b.add("FULLY_CONNECTED", [x, weights, -1], [1, 2048])
    return write_model(model(b.graph([x])))


def shared(path: Path) -> dict[str, Any]:
    """Megabytes of the file, of the first interpreter, of each further one."""
    kept, sizes = [], [_resident_kb()]
    for _ in range(8):
        interpreter = Interpreter(model_path=path, device="cpu", num_threads=1)
        interpreter.allocate_tensors()
        interpreter.invoke()
        kept.append(interpreter)
        gc.collect()
        sizes.append(_resident_kb())
    weights, each = path.stat().st_size / 2**20, (sizes[-1] - sizes[1]) / 7 / 1024
    return {"weights": weights, "first": (sizes[1] - sizes[0]) / 1024, "each": each, "share": each / weights}


def passes(results: Mapping[str, Any]) -> bool:
    """Whether nothing leaks but what has to."""
    return all(leaks(found) == (name == "deliberate leak") for name, found in results["work"].items())


def leaks(found: Mapping[str, Any]) -> bool:
    """Whether the slope of either memory may be more than it should, or files or threads have become more."""
    slopes = (found["resident"]["high"], found["traced"]["high"])
    return max(slopes) > MOST_KB_PER_CALL or any(found["last"][k] > found["first"][k] for k in found["first"])


def table(results: Mapping[str, Any]) -> str:
    """The results for people."""
    lines = [f"{'work':18}{'calls':>9}  RSS, KB a call [95 %]          traced, KB a call [95 %]       files, threads"]
    for name, found in results["work"].items():
        slopes = (
            f"{s['slope']:+.5f} [{s['low']:+.5f}, {s['high']:+.5f}]" for s in (found["resident"], found["traced"])
        )
        held = ", ".join(f"{found['first'][k]} -> {found['last'][k]}" for k in found["first"])
        lines.append(f"{name:18}{found['calls']:>9}  {'  '.join(slopes)}  {held}{'  LEAKS' if leaks(found) else ''}")
    for name, found in results["sharing"].items():
        share = f"{found['each']:.2f} MB each = {found['share']:.1%}"
        lines.append(f"further interpreters of {name} ({found['weights']:.0f} MB): {share}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

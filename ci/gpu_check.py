"""Checks the GPU delegate on a real GPU and writes what it found as JSON: `python ci/gpu_check.py [STAGE...]`.

Each stage is a process of its own with a time limit; one that fails does not stop the next. Needs CuPy and pytest and
neither TensorFlow nor a network. The first lines of a stage's result say whether it passed.

    device      the device, the versions, copy bandwidth, the time of an empty launch
    operators   every operator case and delegate test that is marked `gpu`
    models      MobileNetV2 in float32 and int8, batch 1 and 8: the GPU's results against the CPU's, times of both
    threads     eight threads over one interpreter, every output checked

Exit status: 0 if all stages passed, 1 if one failed, 3 without a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench_models import mobilenet_v2

import tflite_cupy as lite
from tflite_cupy.delegates.gpu import available

LIMITS = {"device": 60, "operators": 240, "models": 150, "threads": 60}
"""Stages and the seconds that each may take."""

TOLERANCE = {"float32": 1e-4, "int8": 0.0}
"""How far the GPU's results may be from the CPU's: relative RMS."""


def device(target: str) -> dict[str, Any]:
    """What the machine is, and its ceilings as far as this delegate's launches see them."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(0)
    source, copy = cupy.ones(1 << 28, cupy.float32), cupy.empty(1 << 28, cupy.float32)
    launch = cupy.ElementwiseKernel("", "float32 y", "y = 1", "touch")
    one = cupy.empty(1, cupy.float32)
    copies = _events(cupy, lambda: cupy.copyto(copy, source), 20)
    return {
        "passed": True,
        "gpu": properties["name"].decode(),
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "runtime": cupy.cuda.runtime.runtimeGetVersion(),
        "cupy": cupy.__version__,
        "numpy": np.__version__,
        "python": sys.version.split()[0],
        "copy_gb_per_s": round(2 * source.nbytes / copies / 1e6, 1),
        "launch_us": round(1000 * _events(cupy, lambda: launch(one), 1000), 2),
    }


def _events(cupy: Any, body: Callable[[], Any], count: int) -> float:
    """Milliseconds of one call of `body`, by events around `count` of them."""
    body()
    start, stop = cupy.cuda.Event(), cupy.cuda.Event()
    start.record()
    for _ in range(count):
        body()
    stop.record()
    stop.synchronize()
    return float(cupy.cuda.get_elapsed_time(start, stop)) / count


def operators(target: str) -> dict[str, Any]:
    """Runs the tests that need a GPU."""
    workers = ["-n", "8"] if find_spec("xdist") else []  # most of the time goes into compiling kernels
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", *workers, "tests/ops", "tests/delegates"]
    limit = LIMITS["operators"] - 10  # so that no test outlives the stage
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit, check=False)
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|errors?)\b", done.stdout)}
    failed = re.findall(r"^(?:FAILED|ERROR) (.*)", done.stdout, re.M)
    return {"passed": done.returncode == 0 and counts.get("passed", 0) > 0, "counts": counts, "failed": failed[:100]}


def models(target: str) -> dict[str, Any]:
    """Whole networks on the GPU against the CPU."""
    rows = []
    for quantized in (False, True):
        for batch in (1, 8):
            kind = "int8" if quantized else "float32"
            content = lite.write_model(mobilenet_v2(quantized=quantized, batch=batch))
            here, there = (_runner(content, name) for name in ("cpu", target))
            image = _image(here, batch)
            (want,), (got,) = here(**image).values(), there(**image).values()
            error = float(np.sqrt(np.mean((want.astype(float) - got) ** 2)) / (np.std(want.astype(float)) or 1.0))
            times = {"cpu_ms": _median(here, image), "device_ms": _median(there, image)}
            passed = error <= TOLERANCE[kind] and bool(np.isfinite(got.astype(float)).all())
            rows.append({"model": f"MobileNetV2 {kind}", "batch": batch, "error": error, "passed": passed, **times})
    return {"passed": all(row["passed"] for row in rows), "models": rows}


def _runner(content: bytes, target: str) -> lite.SignatureRunner:
    interpreter = lite.Interpreter(model_content=content, device=target)
    return interpreter.get_signature_runner(next(iter(interpreter.get_signature_list())))


def _image(runner: lite.SignatureRunner, seed: int) -> dict[str, np.ndarray]:
    ((name, detail),) = runner.get_input_details().items()
    values = np.random.default_rng(seed).normal(scale=30, size=detail["shape"])
    return {name: (np.clip(values, -128, 127) if detail["dtype"] == np.int8 else values / 30).astype(detail["dtype"])}


def _median(runner: lite.SignatureRunner, inputs: dict[str, np.ndarray]) -> float:
    """Milliseconds of a call, NumPy to NumPy: the median of 20 after 3."""
    times = []
    for _ in range(23):
        start = time.perf_counter()
        runner(**inputs)
        times.append(1000 * (time.perf_counter() - start))
    return round(float(np.median(times[3:])), 3)


def threads(target: str) -> dict[str, Any]:
    """Every output of eight threads that share one runner, with inputs of their own."""
    content = lite.write_model(mobilenet_v2(resolution=32))
    runner, reference = _runner(content, target), _runner(content, "cpu")
    images = [_image(reference, seed) for seed in range(8)]
    wants = [next(iter(reference(**image).values())) for image in images]

    def work(number: int) -> int:
        results = (next(iter(runner(**images[number]).values())) for _ in range(25))
        return sum(not np.allclose(got, wants[number], rtol=1e-3, atol=1e-5) for got in results)

    with ThreadPoolExecutor(8) as pool:
        wrong = sum(pool.map(work, range(8)))
    return {"passed": wrong == 0, "calls": 200, "wrong": wrong}


STAGES: dict[str, Callable[[str], dict[str, Any]]] = {
    "device": device,
    "operators": operators,
    "models": models,
    "threads": threads,
}


def run_stage(name: str, target: str) -> dict[str, Any]:
    """A stage in a process of its own; what kills it becomes its result."""
    command = [sys.executable, __file__, "--run", name, "--device", target]
    began = time.monotonic()
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMITS[name], check=False)
        lines = done.stdout.strip().splitlines()
        result = json.loads(lines[-1]) if done.returncode == 0 and lines else None
        said = done.stderr[-2000:]
    except subprocess.TimeoutExpired:
        result, said = None, f"took more than {LIMITS[name]} s"
    result = result or {"passed": False, "error": said}
    return {**result, "seconds": round(time.monotonic() - began, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"default: {' '.join(STAGES)}")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT") or ROOT / "ci" / "gpu_results"))
    parser.add_argument("--device", default="gpu", choices=("gpu", "cpu"), help="cpu: to try the stages without a GPU")
    parser.add_argument("--run", choices=STAGES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(STAGES[options.run](options.device)))
        return 0
    usable, reason = available()
    if options.device == "gpu" and not usable:
        print(f"error: no GPU to check on: {reason}", file=sys.stderr)
        return 3
    unknown = [name for name in options.stages if name not in STAGES]
    if unknown:
        parser.error(f"unknown stage {unknown[0]!r}; there are {', '.join(STAGES)}")
    date = datetime.now(UTC).date().isoformat()
    report: dict[str, Any] = {"date": date, "on": options.device, "version": lite.__version__, "stages": {}}
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.stages or STAGES:
        report["stages"][name] = result = run_stage(name, options.device)
        print(f"{name}: {'passed' if result['passed'] else 'FAILED'} in {result['seconds']} s", flush=True)
        gpu = report["stages"].get("device", {}).get("gpu", options.device)
        path = options.out / f"{date}-{re.sub(r'[^A-Za-z0-9]+', '-', gpu).lower()}.json"
        path.write_text(json.dumps(report, indent=1) + "\n")
    print(f"numbers: {path}")
    return 0 if all(result["passed"] for result in report["stages"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())

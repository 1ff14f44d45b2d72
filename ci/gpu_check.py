"""Checks the GPU delegate on a real GPU and writes what it found as JSON: `python ci/gpu_check.py [STAGE...]`.

Each stage is a process of its own with a time limit; one that fails does not stop the next, and what it found before is
kept. Needs CuPy and pytest; neither TensorFlow nor a network. After `DEADLINE` seconds, less than ten minutes, what is
left is stopped; `--rest` goes on with the stages that today's report of this device, in `--out` or ci/gpu_results, has
not got yet, and then with those that failed. All of them take three such runs.

    device      the device, the versions, its ceilings: copies, matrix products, launches
    models      whole networks: launched one by one, captured, replayed; against the CPU delegate
    benchmarks  times of a call, device to device and NumPy to NumPy, against the floor of the device and the prediction
    peers       times of torch and JAX with the same weights
    sanitizer   compute-sanitizer's four tools over small networks
    operators   every operator and combination of element types that the reference takes, with random shapes
    primitives  device functions of delegates/gpu/cuda over many values, against the same text built by g++
    tuned       the benchmarks again, with products in the ways that TFLITE_CUPY_TUNE=1 finds fastest
    threads     eight threads over one interpreter of four signatures, every output checked; CuPy, torch, JAX arrays
    library     products that cuBLASLt computes: against the CPU delegate, and their times beside kernels of ours
    memory      what thousands of calls and many loads leave behind; what happens where memory ends
    start       from a new process to the first result, without and with kernels kept on disk
    suite       the tests that are marked `gpu`
    compiled    times of torch.compile with the same weights, minutes for each network

Exit status: 0 if all stages passed, 1 if one failed, 3 without a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "ci" / "gpu_results"
sys.path.insert(0, str(ROOT))

from gpu_stages import STAGES
from gpu_stages.progress import Progress, read
from gpu_stages.target import NAMES, Target

import tflite_cupy as lite
from tflite_cupy.delegates.gpu import available
from tflite_cupy.delegates.gpu.cupy_device import import_cupy

DEADLINE = 560.0
"""Seconds for all stages."""

NO_TIME = "no time was left"

LEAST = 10.0
"""A stage that would get less time is not started."""

GRACE = 8.0
"""A stage is told to end so many seconds before it is stopped."""


def run_stage(name: str, target: str, folder: Path, seconds: float) -> dict[str, Any]:
    """A stage in a process of its own; what kills it becomes a part of its result."""
    stage, began = STAGES[name], time.monotonic()
    limit = min(stage.seconds, seconds)
    if limit < LEAST:
        return {"passed": stage.is_optional, "skipped": NO_TIME, "seconds": 0.0}
    partial = folder / f"{name}.partial.json"
    partial.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--run", name, "--device", target, "--seconds", f"{limit - GRACE:.0f}"]
    error = _ended([*command, "--partial", str(partial)], limit)
    result = read(partial)
    partial.unlink(missing_ok=True)
    if error:
        result |= {"passed": False, "error": error}
    return {**result, "seconds": round(time.monotonic() - began, 1)}


def _ended(command: list[str], limit: float) -> str:
    """Runs a command and all that it starts; what went wrong, empty if nothing did."""
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # else JAX takes most of the memory
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            _, said = process.communicate(timeout=limit)
            error = "" if process.returncode == 0 else f"exit status {process.returncode}"
        except subprocess.TimeoutExpired:
            _stop_group(process.pid)
            _, said = process.communicate()
            error = f"stopped after {limit:.0f} s"
    _stop_group(process.pid)  # what it left running would disturb the next
    return f"{error}\n{said[-3000:]}" if error else ""


def _stop_group(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _absolute(path: str) -> Path:
    """Stages work in another folder than their caller."""
    return Path(path).resolve()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"default: {' '.join(STAGES)}")
    parser.add_argument("--out", type=_absolute, default=os.environ.get("OUT") or str(RESULTS))
    parser.add_argument("--device", default="gpu", choices=NAMES, help="emulated: tries the stages without a GPU")
    parser.add_argument(
        "--deadline", type=float, default=DEADLINE, help="seconds for all stages (default: %(default)s)"
    )
    parser.add_argument("--rest", action="store_true", help="leave out stages that today's report has")
    parser.add_argument("--run", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--partial", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=60.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = [name for name in options.stages if name not in STAGES]
    if unknown:
        parser.error(f"unknown stage {unknown[0]!r}; there are {', '.join(STAGES)}")
    return options


def _run_here(options: argparse.Namespace) -> int:
    """A stage in this process."""
    module = import_module(f"gpu_stages.{options.run}")
    module.run(Target(options.device), Progress(options.partial, options.seconds))
    return 0


def main() -> int:
    began, options = time.monotonic(), _arguments()
    if options.run:
        return _run_here(options)
    usable, reason = available()
    if options.device == "gpu" and not usable:
        print(f"error: no GPU to check on: {reason}", file=sys.stderr)
        return 3
    path, report = _report(options.out, options.device)
    before, chosen = report["stages"], list(options.stages or STAGES)
    if options.rest:
        chosen = [name for name in chosen if not _is_known(before.get(name))]
        chosen.sort(key=lambda name: _has_run(before.get(name)))
    for name in chosen:
        left = options.deadline - (time.monotonic() - began)
        result = run_stage(name, options.device, options.out, left)
        if result.get("skipped") != NO_TIME or not _has_run(before.get(name)):
            report["stages"][name] = result
        path.write_text(json.dumps(report, indent=1) + "\n")
        print(f"{name}: {_said(result)} in {result['seconds']} s", flush=True)
    print(f"numbers: {path}")
    return 0 if all(report["stages"][name]["passed"] for name in chosen) else 1


def _report(folder: Path, target: str) -> tuple[Path, dict[str, Any]]:
    """Where today's report of this device goes, and what it says already of stages that are not run again."""
    date, device = datetime.now(UTC).date().isoformat(), target
    if target == "gpu":
        device = import_cupy().cuda.runtime.getDeviceProperties(0)["name"].decode()
    name = f"{date}-{re.sub(r'[^A-Za-z0-9]+', '-', device).lower()}.json"
    report: dict[str, Any] = {"date": date, "on": target, "version": lite.__version__, "stages": {}}
    folder.mkdir(parents=True, exist_ok=True)
    before = next((p for p in (folder / name, RESULTS / name) if p.exists()), None)
    if before is not None:
        report["stages"] = json.loads(before.read_text())["stages"]
    return folder / name, report


def _is_known(result: dict[str, Any] | None) -> bool:
    """Whether a stage was run to its end."""
    return result is not None and result["passed"] and _has_run(result)


def _has_run(result: dict[str, Any] | None) -> bool:
    """Whether there was time for a stage: --rest begins with those for which there was none."""
    return result is not None and result.get("skipped") != NO_TIME


def _said(result: dict[str, Any]) -> str:
    if "skipped" in result:
        return f"skipped ({result['skipped']})"
    return "passed" if result["passed"] else "FAILED"


if __name__ == "__main__":
    sys.exit(main())

"""Checks the GPU delegate on a real GPU and writes what it found as JSON: `python ci/gpu_check.py [STAGE...]`.

Each stage is a process of its own with a time limit; one that fails does not stop the next, and what it found before is
kept. Where a process dies of one of its stage's rows, or can't use the device after it, that row has failed, and
another process goes on with the next. Needs CuPy and pytest; neither TensorFlow nor a network.

After `DEADLINE` seconds, less than ten minutes, what is left is stopped; the report says which rows have not run.
`--rest` goes on from today's report of this device, in `--out` or ci/gpu_results: with the stages that it has not got
yet, with the rows that have not run, with both of the stages that are optional (`peers`, `tuned`, `compiled`), and then
with what failed. All of them take three such runs.

    device      the device, the versions, its ceilings: copies, matrix products, launches
    models      whole networks: launched one by one, captured, replayed; against the CPU delegate
    benchmarks  times of a call, device to device and NumPy to NumPy, against the floor of the device and the prediction
    peers       times of torch and JAX with the same weights
    sanitizer   compute-sanitizer's four tools over small networks
    operators   every operator and combination of element types that the reference takes, with random shapes
    threads     eight threads over one interpreter of four signatures, every output checked; CuPy, torch, JAX arrays
    primitives  device functions of delegates/gpu/cuda over many values, against the same text built by g++
    start       from a new process to the first result, without and with kernels kept on disk
    suite       the tests that are marked `gpu`
    library     products that cuBLASLt computes: against the CPU delegate, and their times beside kernels of ours
    memory      what thousands of calls and many loads leave behind; what happens where memory ends
    tuned       the benchmarks again, with products in the ways that TFLITE_CUPY_TUNE=1 finds fastest
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
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "ci" / "gpu_results"
sys.path.insert(0, str(ROOT))

from gpu_stages import STAGES
from gpu_stages.progress import Progress, ended, read, rows_left, write
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


def run_stage(
    name: str, target: str, partial: Path, seconds: float, known: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A stage in processes of its own; what kills one becomes a part of its result.

    partial: where it writes what it has found so far. known: a result to go on from.
    """
    stage, began = STAGES[name], time.monotonic()
    limit = min(stage.seconds, seconds)
    if limit < LEAST:
        return {"passed": stage.is_optional, "skipped": NO_TIME, "seconds": 0.0}
    write(partial, known or {})
    options, deaths = ["--again"], []
    while True:
        here = limit - (time.monotonic() - began)
        command = [sys.executable, __file__, "--run", name, "--device", target, "--seconds", f"{here - GRACE:.0f}"]
        before, error = rows_left(read(partial)), _ended([*command, "--partial", str(partial), *options], here)
        result = ended(read(partial), error)
        if not error:
            break
        deaths.append(error)
        write(partial, result)
        left = limit - (time.monotonic() - began)
        if left < LEAST + GRACE or rows_left(result) in (0, before):
            break
        options = []
    partial.unlink()
    if deaths:
        result |= {"passed": False, "error": "\n".join(deaths)}
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
    parser.add_argument("--rest", action="store_true", help="leave out what today's report has")
    parser.add_argument("--run", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--partial", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=60.0, help=argparse.SUPPRESS)
    parser.add_argument("--again", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = [name for name in options.stages if name not in STAGES]
    if unknown:
        parser.error(f"unknown stage {unknown[0]!r}; there are {', '.join(STAGES)}")
    return options


def _run_here(options: argparse.Namespace) -> int:
    """A stage in this process."""
    module, target = import_module(f"gpu_stages.{options.run}"), Target(options.device)
    module.run(target, Progress(options.partial, options.seconds, again=options.again, works=target.works))
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
    path.write_text(json.dumps(report, indent=1) + "\n")
    before, chosen = report["stages"], list(options.stages or STAGES)
    if options.rest:
        chosen = [name for name in chosen if not _is_known(before.get(name))]
        chosen.sort(key=lambda name: _rank(name, before.get(name)))
    for name in chosen:
        left, known = options.deadline - (time.monotonic() - began), before.get(name, {}) if options.rest else {}
        known = {**_ceilings(report), **known}
        result = run_stage(name, options.device, _partial(path, name), left, known)
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
        report["stages"] = json.loads(before.read_text())["stages"] | _cut_short(before)
    return folder / name, report


def _ceilings(report: Mapping[str, Any]) -> dict[str, Any]:
    """What `device` has measured that other stages need, too."""
    device = report["stages"].get("device", {"passed": False})
    return {"ceilings": device["ceilings"]} if device["passed"] and "ceilings" in device else {}


def _partial(report: Path, name: str) -> Path:
    return report.with_suffix(f".{name}.partial")


def _cut_short(report: Path) -> dict[str, Any]:
    """What a run that was ended from outside had found of the stage that it was at."""
    found = {name: path for name in STAGES if (path := _partial(report, name)).exists()}
    written = report.stat().st_mtime
    return {
        name: {**ended(read(path), "its run was ended"), "passed": False}
        for name, path in found.items()
        if path.stat().st_mtime >= written
    }


def _is_known(result: dict[str, Any] | None) -> bool:
    """Whether a stage was run to its end."""
    return result is not None and result["passed"] and _has_run(result) and not rows_left(result)


def _has_run(result: dict[str, Any] | None) -> bool:
    """Whether there was time for a stage."""
    return result is not None and result.get("skipped") != NO_TIME


def _rank(name: str, result: dict[str, Any] | None) -> int:
    """Which stages come first: those for which there was no time, those that miss rows, optional ones, failed ones."""
    has_run = _has_run(result)
    if has_run and not rows_left(result or {}):
        return 3
    return 2 if STAGES[name].is_optional else int(has_run)


def _said(result: dict[str, Any]) -> str:
    if "skipped" in result:
        return f"skipped ({result['skipped']})"
    missing = f", {rows_left(result)} not run: time," if rows_left(result) else ""
    return ("passed" if result["passed"] else "FAILED") + missing


if __name__ == "__main__":
    sys.exit(main())

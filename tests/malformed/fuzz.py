"""Runs mutants of a seed in processes of their own, against the clock and a limit on memory.

    python -m tests.malformed.fuzz lstm --count 20000

A mutant may be refused with a TfliteError, or load; one that loads is also allocated and run. Anything else is a
finding: another exception, a death, more than 2 s of processor time for the load or for one call, more memory than
64 MiB and four times the file.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import select
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.format.surgery import in_time
from tests.malformed.mutants import Subject
from tests.malformed.seeds import SEEDS, seed
from tflite_cupy import Interpreter
from tflite_cupy.interpreter.errors import TfliteError
from tflite_cupy.interpreter.limits import Limits

ROOT = Path(__file__).absolute().parents[2]
SECONDS = 2.0
SILENCE_S = 60.0
"""Wall-clock time without a sign of life after which a process is taken for hung (it shares its processors)."""
MOST_FINDINGS = 20
SPARE_BYTES = 64 << 20
ADDRESS_SPACE = 16 << 30
LIMITS = replace(Limits.untrusted(), max_tensor_bytes=16 << 20, max_arena_bytes=32 << 20, max_while_iterations=2000)
CHILD = (sys.executable, "-m", "tests.malformed.fuzz", "--child")


@dataclass
class Outcome:
    """How many mutants ended how, and what was found."""

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)


def fuzz(name: str, count: int, first: int = 0, *, child: Sequence[str] = CHILD, silence: float = SILENCE_S) -> Outcome:
    """Runs mutants `first` to `first + count` of a seed. A process that dies or hangs is followed by another one."""
    outcome, number, end = Outcome(), first, first + count
    while number < end and len(outcome.findings) < MOST_FINDINGS:
        for ended, finding in _watched([*child, name, "--first", str(number), "--count", str(end - number)], silence):
            outcome.counts[ended] += 1
            if finding:
                outcome.findings.append(f"mutant {number} of {name}: {finding}")
            number += 1
    return outcome


def _watched(command: Sequence[str], silence: float) -> Iterator[tuple[str, str]]:
    """(how it ended, finding) of each mutant that a process runs; the last is the one that ended it, if one did."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdout is not None
    try:
        while alive := select.select([process.stdout], [], [], silence)[0]:
            line = process.stdout.readline()
            if not line:
                break
            ended, finding = json.loads(line)
            yield ended, finding
        if not alive:
            yield "hung", "hung"
        elif status := process.wait():
            yield "died", f"died ({status})"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _child(name: str, first: int, count: int) -> None:
    """Prints one line per mutant."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    subject = Subject(seed(name).data)
    seed(name).runs_right()
    for number in range(first, first + count):
        data = subject.mutant(random.Random(f"{name} {number}"))
        sys.stdout.write(json.dumps(_ending(data)) + "\n")
        sys.stdout.flush()


def _ending(data: bytes) -> tuple[str, str]:
    """How a mutant ended, and the finding, "" for none."""
    before = _forget_peak()
    try:
        ended = _attempt(data)
    except BaseException as error:
        return type(error).__name__, "".join(traceback.format_exception(error)[-6:])
    extra = _memory("VmHWM") - before
    allowed = SPARE_BYTES + 4 * len(data)
    return ended, f"took {extra} bytes of memory" if extra > allowed else ""


def _attempt(data: bytes) -> str:
    """Loads, allocates and runs a model as far as it goes; the last error names how that ended."""
    ended = "ran"
    stage = "load"
    try:
        with in_time(SECONDS):
            interpreter = Interpreter(model_content=data, device="cpu", limits=LIMITS)
            stage = "allocate"
            interpreter.allocate_tensors()
        stage = "run"
        with in_time(SECONDS):
            interpreter.invoke()
    except TfliteError as error:
        ended = _named(stage, error)
    for key in interpreter.get_signature_list() if stage != "load" else ():
        try:
            with in_time(SECONDS):
                runner = interpreter.get_signature_runner(key)
                runner.allocate_tensors()
                runner(**{name: ones(detail) for name, detail in runner.get_input_details().items()})
        except TfliteError as error:
            ended = _named("call", error)
    return ended


def _named(stage: str, error: TfliteError) -> str:
    return f"{stage}: {error.code}" if error.where else f"{stage}: {error.code} nowhere"


def ones(detail: Mapping[str, Any]) -> np.ndarray:
    """Ones of the shape and dtype that a tensor's details tell."""
    dtype = detail["dtype"]
    is_object = dtype in (np.bytes_, np.object_)
    return np.full(detail["shape"], b"1" if is_object else 1, object if is_object else dtype)


def _forget_peak() -> int:
    """Starts the measurement of the peak anew; memory in use now, in bytes."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(name: str) -> int:
    """A figure of this process in bytes; 0 where the system does not tell."""
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="*", help=f"some of {', '.join(SEEDS)} (default: all)")
    parser.add_argument("--count", type=int, default=1000, help="mutants of each seed (default: 1000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant (default: 0)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(options.seeds[0], options.first, options.count)
        return
    for name in options.seeds or SEEDS:
        outcome = fuzz(name, options.count, options.first)
        print(f"{name}: {json.dumps(dict(sorted(outcome.counts.items())))}")
        print(*outcome.findings, sep="\n", flush=True)


if __name__ == "__main__":
    main()

"""The tests that are marked `gpu`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from .progress import Progress
from .target import Target

ROOT = Path(__file__).parents[2]
FOLDERS = ("tests/ops", "tests/delegates/gpu", "tests/delegates/test_gpu.py", "tests/test_custom_op.py")
OPTIONS = ("-v", "-p", "no:cacheprovider", "--continue-on-collection-errors")
WORDS = "PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS"
VERDICT = re.compile(
    rf"^\[gw\d+\] \[ *\d+%\] (?P<early>{WORDS}) (?P<after>.*?) *$|^(?P<before>\S+::.*?) (?P<late>{WORDS})\b", re.M
)
"""A test's line of `pytest -v`, with and without workers."""


def run(target: Target, progress: Progress) -> None:
    if not target.is_real:
        progress.skip("its tests need a GPU")
        return
    if find_spec("pytest") is None:
        progress.skip("pytest is not installed")
        return
    count = str(max(2, (os.cpu_count() or 2) - 4))  # most of it is compiling
    workers = ["-p", "xdist", "-n", count] if find_spec("xdist") else []
    command = [sys.executable, "-m", "pytest", *OPTIONS, "-m", "gpu", *workers, *FOLDERS]
    with TemporaryFile("w+") as out:
        status = _ended(command, out, progress.left)
        if status is None:
            progress.note(error="stopped: no time was left")
        out.seek(0)
        said = out.read()
    counts, failed = verdicts(said)
    passed = status == 0 and counts["passed"] > 0
    progress.finish(passed, counts=counts, failed=failed[:100], said="" if passed else said[-2000:])


def environment() -> dict[str, str]:
    """Without plugins that happen to be installed: they may warn, and warnings are errors."""
    return {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def _ended(command: Sequence[str], out: IO[str], seconds: float) -> int | None:
    """The exit status of a command; None if it was stopped. What it has started may outlive it, and hold its output."""
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=out, stderr=subprocess.STDOUT) as process:
        try:
            return process.wait(max(seconds, 1.0))
        except subprocess.TimeoutExpired:
            process.kill()
            return None


def verdicts(said: str) -> tuple[Counter[str], list[str]]:
    """What `pytest -v` has said of each test, as far as it came: how many by verdict, and which failed."""
    found = [(one["early"] or one["late"], one["after"] or one["before"]) for one in VERDICT.finditer(said)]
    return Counter(word.lower() for word, _ in found), [name for word, name in found if word in ("FAILED", "ERROR")]

"""The tests that are marked `gpu`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from .progress import Progress
from .target import Target

ROOT = Path(__file__).parents[2]
FOLDERS = ("tests/ops", "tests/delegates", "tests/test_custom_op.py")


def run(target: Target, progress: Progress) -> None:
    if not target.is_real:
        progress.skip("its tests need a GPU")
        return
    if find_spec("pytest") is None:
        progress.skip("pytest is not installed")
        return
    workers = ["-n", str(max(2, (os.cpu_count() or 2) - 4))] if find_spec("xdist") else []  # most of it is compiling
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", *workers, *FOLDERS]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            said, _ = process.communicate(timeout=progress.left)
        except subprocess.TimeoutExpired:
            process.terminate()
            said, _ = process.communicate()
            progress.note(error="stopped: no time was left")
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|errors?)\b", said)}
    failed = re.findall(r"^(?:FAILED|ERROR) (.*)", said, re.M)
    passed = process.returncode == 0 and counts.get("passed", 0) > 0
    progress.finish(passed, counts=counts, failed=failed[:100], said="" if passed else said[-2000:])

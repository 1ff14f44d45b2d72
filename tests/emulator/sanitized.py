"""Kernels under AddressSanitizer: `python -m tests.emulator.sanitized tests/delegates/gpu` runs these tests that way.

Reads and writes outside of arrays, of shared memory and of the arena's tensors end the process with a report that names
the kernel and the line of its text.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from .compiler import COMPILER

ROOT = Path(__file__).parents[2]
OPTIONS = "detect_leaks=0:detect_stack_use_after_return=0:allocator_may_return_null=1"


@cache
def environment() -> dict[str, str] | None:
    """Variables with which a Python process runs kernels under the sanitizer; None where its library is missing."""
    if COMPILER is None:
        return None
    asked = [COMPILER, "-print-file-name=libasan.so"]
    library = subprocess.run(asked, text=True, capture_output=True, check=True).stdout.strip()
    if not os.path.isabs(library):
        return None
    return {**os.environ, "LD_PRELOAD": library, "ASAN_OPTIONS": OPTIONS, "TFLITE_CUPY_EMULATOR_SANITIZE": "1"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python process under the sanitizer."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(), text=True, capture_output=True)


if __name__ == "__main__":
    if environment() is None:
        sys.exit("no g++, or no libasan beside it")
    os.execve(sys.executable, [sys.executable, "-m", "pytest", "-n0", "-s", *sys.argv[1:]], environment() or {})

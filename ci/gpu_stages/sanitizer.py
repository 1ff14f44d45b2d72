"""compute-sanitizer's four tools over small networks: each tensor apart from the others, CuPy's pool off."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .progress import Progress
from .target import Target

TOOLS = {
    "memcheck": ("--leak-check=no",),
    "racecheck": (),
    "initcheck": (),
    "synccheck": (),
}
SCRIPT = Path(__file__).with_name("sanitized.py")
FOUND = re.compile(r"ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: (\d+) hazard")


def run(target: Target, progress: Progress) -> None:
    """All tools at once, each over a process of its own."""
    program = shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path="/usr/local/cuda/bin")
    if program is None or not target.is_real:
        progress.skip("compute-sanitizer is not installed" if program is None else "it needs a GPU")
        return
    with ThreadPoolExecutor(len(TOOLS)) as pool:
        list(pool.map(lambda tool: _tool(program, tool, target, progress), TOOLS))
    progress.finish()


def _tool(program: str, tool: str, target: Target, progress: Progress) -> None:
    with progress.attempt("tools", tool=tool) as row:
        command = [
            program,
            "--tool",
            tool,
            *TOOLS[tool],
            "--print-limit",
            "5",
            sys.executable,
            str(SCRIPT),
            target.name,
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                said, _ = process.communicate(timeout=max(progress.left - 2, 1))
            except subprocess.TimeoutExpired:
                process.kill()
                said, _ = process.communicate()
                row["stopped"] = True
        found = FOUND.findall(said)
        counts = [int(number) for pair in found for number in pair if number]
        row["errors"] = sum(counts) if counts else None
        row["cases"] = re.findall(r"^case (.*)$", said, re.M)
        row["passed"] = counts == [0] and "all cases ran" in said
        if not row["passed"]:
            row["said"] = said[:3000]

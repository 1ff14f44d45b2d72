"""The tests that are marked `gpu`, a few at a time in processes of their own: a fault of one spoils few others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from .progress import Progress
from .target import Target

ROOT = Path(__file__).parents[2]
OPTIONS = ("-v", "-p", "no:cacheprovider", "--continue-on-collection-errors")
AT_ONCE = 40
"""Tests of one file that a process runs, at most."""
PATIENCE = 45.0
"""Seconds after which such a process has failed if it must be stopped; else its tests have not run."""
VERDICT = re.compile(r"^(?P<test>\S+::.*?) (?P<word>PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b", re.M)
"""A test's line of `pytest -v`."""

Part = tuple[str, int]


def run(target: Target, progress: Progress) -> None:
    if not target.is_real:
        progress.skip("its tests need a GPU")
        return
    if find_spec("pytest") is None:
        progress.skip("pytest is not installed")
        return
    run_tests(marked(ROOT / "tests"), max(2, (os.cpu_count() or 2) - 4), progress)  # most of it is compiling


def marked(folder: Path) -> list[str]:
    """Where tests may be marked: files that say so, and those of operators, which a function of theirs marks."""
    found = (path for path in sorted(folder.rglob("test_*.py")) if "mark.gpu" in path.read_text(encoding="utf-8"))
    return [*(str(path) for path in found), str(folder / "ops")]


def run_tests(places: Sequence[str], processes: int, progress: Progress) -> None:
    """Those of these files and folders that are marked."""
    with TemporaryFile("w+") as out:
        _ended([*_pytest("-q"), "--collect-only", "-m", "gpu", *places], out, progress.left)
        said = _said(out)
    for file in re.findall(r"^ERROR (\S+)", said, re.M):
        progress.row("collected", file=file, passed=False)
    tests = parts(re.findall(r"^\S+::.*$", said, re.M))
    waiting = progress.missing("parts", [{"file": file, "part": number} for file, number in tests])
    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(lambda key: _run_part(key, tests[key["file"], key["part"]], progress), waiting))
    counts: Counter[str] = Counter()
    for row in progress.result.get("parts", ()):
        counts.update(row["counts"])
    progress.finish(counts["passed"] > 0, counts=counts)


def parts(tests: Sequence[str]) -> dict[Part, list[str]]:
    """The tests that a process runs, by file and number of the part."""
    found = {}
    for file, group in groupby(tests, lambda test: test.partition("::")[0]):
        of_file = list(group)
        for number, start in enumerate(range(0, len(of_file), AT_ONCE)):
            found[file, number] = of_file[start : start + AT_ONCE]
    return found


def _run_part(key: Mapping[str, Any], tests: Sequence[str], progress: Progress) -> None:
    began = time.monotonic()
    if progress.left < 2:
        return
    with TemporaryFile("w+") as out:
        status = _ended([*_pytest(*OPTIONS), *tests], out, progress.left - 1)
        said, took = _said(out), time.monotonic() - began
    if status is None and took < PATIENCE:
        return
    counts, failed = verdicts(said)
    row: dict[str, Any] = {"counts": counts, "failed": failed, "passed": status == 0}
    if status != 0:
        row["said"] = f"stopped after {took:.0f} s" if status is None else said[-1500:]
    progress.row("parts", **key, **row)


def _pytest(*options: str) -> list[str]:
    return [sys.executable, "-m", "pytest", *options]


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


def _said(out: IO[str]) -> str:
    out.seek(0)
    return out.read()


def verdicts(said: str) -> tuple[Counter[str], list[str]]:
    """What `pytest -v` has said of each test, as far as it came: how many by verdict, and which failed."""
    found = [(one["word"], one["test"]) for one in VERDICT.finditer(said)]
    return Counter(word.lower() for word, _ in found), [name for word, name in found if word in ("FAILED", "ERROR")]

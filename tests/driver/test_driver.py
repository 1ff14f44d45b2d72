"""CuPy itself, and all of the GPU delegate, on a library that stands for CUDA: `check_*.py`, each in a process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.driver.stand_in import WHEELS, installed
from tests.emulator.compiler import COMPILER

FOLDER = Path(__file__).parent
CHECKS = sorted(path.stem for path in FOLDER.glob("check_*.py"))


def missing() -> str:
    """Why CuPy can't be led to the stand-in here; empty if it can."""
    if COMPILER is None:
        return "no g++ to build the stand-in"
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return "CuPy's calls are led to the stand-in by machine code of x86-64, for Linux"
    match installed():
        case None:
            return f"none of CuPy's wheels is installed: {', '.join(WHEELS)}"
        case _, version if not version.startswith("14."):
            return f"the stand-in is for CuPy 14, found {version}"
    return ""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    if reason := missing():
        pytest.skip(reason)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "CUPY_", "CUDA_"))}
    command = [sys.executable, "-m", "tests.driver", *arguments]
    return subprocess.run(command, cwd=FOLDER.parents[1], env=environment, text=True, capture_output=True)


@pytest.mark.parametrize("name", CHECKS)
def test_on_the_stand_in(name: str) -> None:
    options = ["-q", "-n0", "-p", "no:cacheprovider", "--tb=short", "-o", "python_files=check_*.py"]
    done = run("-m", "pytest", *options, str(FOLDER / f"{name}.py"))
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    assert " passed" in done.stdout


def test_a_file_finds_what_is_beside_it(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("import cupy\nprint(cupy.cuda.runtime.getDeviceCount())\n")
    (tmp_path / "program.py").write_text("import neighbour\n")
    done = run(str(tmp_path / "program.py"))
    assert done.stdout == "1\n", done.stderr

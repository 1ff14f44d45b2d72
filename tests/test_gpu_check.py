"""ci/gpu_check: what it says without a GPU, and its stages tried on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tflite_cupy.delegates.gpu import available

SCRIPT = Path(__file__).resolve().parent.parent / "ci" / "gpu_check.py"


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


def test_without_a_gpu_it_says_why() -> None:
    if available()[0]:
        pytest.skip("there is a GPU")
    done = check()
    assert done.returncode == 3
    assert done.stderr.startswith("error: no GPU to check on: ")


def test_a_stage_on_the_cpu(tmp_path: Path) -> None:
    done = check("threads", "--device", "cpu", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*-cpu.json")
    assert json.loads(path.read_text())["stages"]["threads"]["wrong"] == 0


def test_a_stage_that_fails_is_told(tmp_path: Path) -> None:
    if available()[0]:
        pytest.skip("there is a GPU")
    done = check("device", "--device", "cpu", "--out", str(tmp_path))
    assert done.returncode == 1
    (path,) = tmp_path.glob("*.json")
    result = json.loads(path.read_text())["stages"]["device"]
    assert not result["passed"]
    assert result["error"]

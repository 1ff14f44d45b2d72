"""Every operator that TensorFlow registers, as a model file: it runs or is refused, and files stay as they are."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import pytest

from tests.delegates.isolated import outcomes
from tflite_cupy.delegates.flex.policy import known_ops

pytestmark = pytest.mark.flex

REFUSALS = {"PolicyError", "UnsupportedError", "KernelError", "GraphError", "LimitError", "InputError", "ModelError"}
SAMPLE = 20
"""One operator in so many runs every time."""


def registered() -> list[str]:
    from tests.delegates.registered import operators
    from tflite_cupy.delegates.flex.eager import load

    load()
    return sorted(operators())


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A folder with a file in it; nodes are given both names, and one of a file that is not there."""
    (tmp_path / "canary").write_bytes(b"left alone")
    return tmp_path


def digest(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        p.name: (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in sorted(folder.iterdir())
    }


def hold(names: list[str], folder: Path) -> None:
    """Two drawings of each operator, under the policy that lets most through."""
    before = digest(folder)
    jobs = [f"codecs\t{name}/{number}" for name in names for number in range(2)]
    results = dict(outcomes(jobs, folder))
    allowed = known_ops("pure").keys() | known_ops("codecs").keys()
    wrong = {job: outcome for job, outcome in results.items() if outcome not in {*REFUSALS, "ok"}}
    assert wrong == {}
    reached = {job for job, outcome in results.items() if outcome == "ok" and not _is_allowed(job, allowed)}
    assert reached == set()
    assert digest(folder) == before


def _is_allowed(job: str, allowed: set[str]) -> bool:
    return job.partition("\t")[2].partition("/")[0] in allowed


def test_a_sample_of_registered_operators(canary: Path) -> None:
    hold([name for name in registered() if zlib.crc32(name.encode()) % SAMPLE == 0], canary)


@pytest.mark.slow
def test_all_registered_operators(canary: Path) -> None:
    names = registered()
    assert len(names) > 1500
    hold(names, canary)

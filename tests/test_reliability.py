"""`ci/reliability`: figures keep the machine they were taken on, and say where a promise is not reached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import reliability
import soak

MACHINE = {"processor": "Old", "processors": 2, "python": "3.11", "numpy": "2.0"}


def figure(measured: str, *, passes: bool = True, **more: Any) -> dict[str, Any]:
    return {"command": "ci/x", "wanted": "little", "measured": measured, "passes": passes, **more}


def test_figures_of_one_machine() -> None:
    found = {"machine": MACHINE, "figures": {"threads": figure("3 passed"), "leaks": figure("1 KB", passes=False)}}
    lines = reliability.section(found).splitlines()
    assert lines[3] == "| memory over many calls | little | **not reached:** 1 KB | `ci/x` |"
    assert lines[4:] == ["", "Old, 2 cores, Python 3.11, NumPy 2.0; no GPU."]


def test_a_figure_that_is_taken_again_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = tmp_path / "numbers.json"
    numbers.write_text(json.dumps({"machine": MACHINE, "figures": {"faults": figure("9 passed")}}))
    shares = {"large": 0.04, "small": 0.16}
    monkeypatch.setattr(soak, "sharing", lambda: {n: {"weights": 10.0, "share": s} for n, s in shares.items()})
    monkeypatch.setattr(reliability, "machine", lambda: MACHINE | {"processor": "New"})
    monkeypatch.setattr("sys.argv", ["reliability.py", "--only", "sharing", "--json", str(numbers)])
    page = reliability.PAGE.read_text(encoding="utf-8")
    assert reliability.main() == 0
    assert reliability.PAGE.read_text(encoding="utf-8") == page  # that is for the numbers of all figures
    found = json.loads(numbers.read_text())
    assert found["figures"]["faults"] == {"machine": MACHINE, **figure("9 passed")}
    assert found["figures"]["sharing"]["measured"] == "large (10 MB): 4.0%; small (10 MB): 16.0%"
    assert found["figures"]["sharing"]["passes"] is False
    text = reliability.section(found)
    assert (
        "Old, 2 cores, Python 3.11, NumPy 2.0; no GPU (failures, out of memory and interrupts after every node)."
        in text
    )
    assert "New, 2 cores, Python 3.11, NumPy 2.0; no GPU (8 interpreters of one file)." in text

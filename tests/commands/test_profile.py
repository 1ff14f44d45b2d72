"""`tflite-cupy profile`: tables for people, JSON for programs, and traces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.models import add_sub, misfit
from tests.shell import Run
from tests.test_profile import tower
from tflite_cupy import cli, write_model


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tower.tflite"
    path.write_bytes(write_model(tower()))
    return path


def test_tables(run: Run, file: Path) -> None:
    code, out, err = run("profile", file, "--input", "x=random:256,512", "--runs", 2, "--device", "cpu")
    lines = out.splitlines()
    assert (code, err) == (0, "x: made-up data, float32 [256, 512], seed 0\n")
    assert lines[0].startswith("2 calls, ")
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if line.startswith("FULLY_CONNECTED")] == ["FULLY_CONNECTED"]
    assert any(line.startswith("the call itself ") for line in lines)
    assert any(line.split()[:2] == ["0:0", "FULLY_CONNECTED"] for line in lines)
    assert "planning" not in out


def test_planning_shows_without_warmup(run: Run, file: Path) -> None:
    code, out, _ = run("profile", file, "--warmup", 0, "--runs", 1, "--by", "operator")
    assert code == 0
    assert any(line.startswith("planning ") for line in out.splitlines())
    assert "tensor" not in out


def test_one_table_of_some_rows(run: Run, file: Path) -> None:
    _, out, err = run("profile", file, "--by", "node", "--top", 2, "--input-shape", "x=4,512")
    assert err == "x: made-up data, float32 [4, 512], seed 0\n"
    assert len(out.splitlines()) == 2 + 1 + 2  # what was called, headers, rows


def test_json_is_all_of_stdout(run: Run, file: Path) -> None:
    code, out, _ = run("profile", file, "--json", "--runs", 3, "--warmup", 2)
    found = json.loads(out)
    assert code == 0
    assert (found["command"], found["signature"], found["warmup"]) == ("profile", "main", 2)
    assert (found["profile"]["schema_version"], found["profile"]["calls"]) == (1, 3)
    assert {row["operator"] for row in found["profile"]["operators"]} == {"FULLY_CONNECTED", "RELU", "TANH", "SOFTMAX"}


def test_a_trace(run: Run, file: Path, tmp_path: Path) -> None:
    target = tmp_path / "trace.json"
    code, _, err = run("profile", file, "--chrome-trace", target, "--runs", 2)
    assert (code, err.splitlines()[-1]) == (0, f"trace written to {target}")
    events = json.loads(target.read_text())["traceEvents"]
    assert [event["name"] for event in events if event.get("cat") == "call"] == ["main", "main"]


def test_a_signature_of_several(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "add_sub.tflite"
    path.write_bytes(add_sub())
    code, out, _ = run("profile", path, "--signature", "sub", "--json")
    assert (code, json.loads(out)["signature"]) == (0, "sub")
    code, _, err = run("profile", path)
    assert (code, "the model has several signatures" in err) == (2, True)


@pytest.mark.parametrize("option", [("--runs", 0), ("--warmup", -1), ("--top", "x"), ("--by", "colour")])
def test_wrong_usage(run: Run, file: Path, option: tuple[str, object]) -> None:
    code, out, err = run("profile", file, *option)
    assert (code, out) == (2, "")
    assert str(option[0]) in err


def test_a_trace_that_can_not_be_written_is_told_before_any_call(run: Run, file: Path, tmp_path: Path) -> None:
    code, out, err = run("profile", file, "--chrome-trace", tmp_path / "nowhere" / "trace.json")
    assert (code, out) == (2, "")
    assert "no such folder" in err
    assert "made-up" not in err


def test_a_call_that_fails(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "misfit.tflite"
    path.write_bytes(misfit())
    code, out, err = run("profile", path)
    assert (code, out) == (1, "")
    assert "FULLY_CONNECTED" in err


def test_the_command_is_listed() -> None:
    assert "profile" in cli.COMMANDS

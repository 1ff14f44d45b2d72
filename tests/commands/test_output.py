"""`--json [PATH|-]`, and scripts for the shell."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.models import add_sub
from tests.shell import Run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(add_sub())
    return path


def test_json_in_a_file_leaves_stdout_to_people(run: Run, path: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    code, out, _ = run("inspect", path, "--json", target)
    assert code == 0
    assert "signature add" in out
    found = json.loads(target.read_text())
    assert (found["schema_version"], found["command"], found["operators"]) == (
        1,
        "inspect",
        {"ADD": 1, "MUL": 1, "SUB": 1},
    )


@pytest.mark.parametrize("words", [["--json"], ["--json", "-"], ["--json=-"]])
def test_json_on_stdout_is_alone_there(run: Run, path: Path, words: list[str]) -> None:
    code, out, _ = run("inspect", path, *words)
    assert code == 0
    assert json.loads(out)["path"] == str(path)


def test_json_never_takes_the_place_of_a_model(run: Run, path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    code, out, err = run("inspect", "--json", path)
    assert (code, out) == (2, "")
    assert err.startswith("error: MODEL is missing.")
    code, _, err = run("inspect", path, "--json", path)
    assert code == 2
    assert "would write over a model" in err
    assert path.read_bytes() == before
    code, _, err = run("inspect", path, "--json", tmp_path / "nowhere" / "x.json")
    assert code == 2
    assert "no such folder" in err


def test_errors_go_to_the_file_too(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    code, out, err = run("inspect", tmp_path / "nothing.tflite", "--json", target)
    assert (code, out) == (2, "")
    assert "no such file" in err
    assert json.loads(target.read_text())["error"]["code"] == "usage"


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["rep"], ["report"]),
        (["report", "--as"], ["--assume-gpu"]),
        (["run", "model.tflite", "--device", "g"], ["gpu"]),
        (["report", "mod"], ["model.tflite"]),
        (["visualize", "model.tflite", "--output", "mod"], ["model.tflite"]),
        (["verify", "model.tflite", "--against", "mod"], ["model.tflite"]),
    ],
)
def test_completion_for_bash_works_in_bash(run: Run, path: Path, words: list[str], completed: list[str]) -> None:
    pytest.importorskip("shtab", reason="shtab is not installed")
    code, script, _ = run("completion", "bash")
    assert code == 0
    asked = f"COMP_WORDS=(tflite-cupy {' '.join(words)}); COMP_CWORD={len(words)}"
    ask = f'{asked}; _shtab_tflite_cupy; echo "${{COMPREPLY[@]}}"'
    command = ["bash", "-c", f"{script}\n{ask}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=path.parent)
    assert done.stdout.split() == completed


@pytest.mark.parametrize("shell", ["zsh", "tcsh", "fish"])
def test_completion_for_other_shells_knows_the_commands(run: Run, shell: str) -> None:
    pytest.importorskip("shtab", reason="shtab is not installed")
    code, script, _ = run("completion", shell)
    assert code == 0
    assert "doctor" in script
    assert "assume-gpu" in script

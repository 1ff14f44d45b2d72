"""`report`: forms, files, one signature, conditions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.models import add_sub
from tests.report.models import EVIL, evil
from tests.shell import Run
from tflite_cupy.commands.report import coloured


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "model.tflite"
    target.write_bytes(add_sub())
    return target


def test_a_table_is_printed(run: Run, path: Path) -> None:
    code, out, err = run("report", path, "--device", "cpu")
    assert (code, err) == (0, "")
    assert out.startswith("signature 'sub': 2 nodes\n  delegate  nodes  coverage")
    assert "partition 0 on cpu: 2 nodes: SUB, MUL" in out


@pytest.mark.parametrize(
    ("form", "starts"),
    [
        ("markdown", "### model.tflite\n\n**Signature <code>sub</code>**"),
        ("html", "<!DOCTYPE html>"),
        ("json", '{"schema_version": 1, "subgraphs": ['),
        ("explorer", '{"add": {"results": {"0": {"value": "cpu"'),
        ("table", "signature 'sub'"),
    ],
)
def test_other_forms(run: Run, path: Path, form: str, starts: str) -> None:
    code, out, _ = run("report", path, "--device", "cpu", "--format", form)
    assert code == 0
    assert out.startswith(starts)


@pytest.mark.parametrize(
    ("name", "starts"),
    [
        ("r.md", "### model.tflite"),
        ("r.HTML", "<!DOCTYPE"),
        ("r.json", "{"),
        ("r.txt", "signature"),
        ("r", "signature"),
    ],
)
def test_the_form_of_a_file_is_what_its_name_says(run: Run, path: Path, name: str, starts: str) -> None:
    target = path.with_name(name)
    code, out, err = run("report", path, "--device", "cpu", "-o", target)
    assert (code, out, err) == (0, "", f"report written to {target}\n")
    assert target.read_text(encoding="utf-8").startswith(starts)


def test_a_file_and_json_beside_it(run: Run, path: Path) -> None:
    target = path.with_name("r.md")
    code, out, _ = run("report", path, "--assume-gpu", "-o", target, "--json")
    assert code == 0
    assert json.loads(out)["report"]["totals"]["gpu"]["nodes"] == 3
    assert target.read_text(encoding="utf-8").startswith("### model.tflite")


def test_one_signature(run: Run, path: Path) -> None:
    code, out, _ = run("report", path, "--device", "cpu", "--signature", "add", "--json")
    assert code == 0
    assert list(json.loads(out)["report"]["signatures"]) == ["add"]
    code, _, err = run("report", path, "--signature", "ad")
    assert code == 2
    assert "There are: sub, add." in err


def test_conditions_hold_for_the_signature_asked_for(run: Run, path: Path) -> None:
    assert run("report", path, "--device", "cpu", "--fail-on", "cpu")[0] == 1
    assert run("report", path, "--assume-gpu", "--require-full-delegation", "--signature", "add")[0] == 0


def test_models_are_not_written_over(run: Run, path: Path) -> None:
    code, _, err = run("report", path, "-o", path)
    assert code == 2
    assert "would write over a model" in err
    assert path.read_bytes() == add_sub()


def test_a_page_names_the_model_and_the_plan(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "<b>.tflite"
    path.write_bytes(evil())
    code, out, _ = run("report", path, "--assume-gpu", "--format", "html")
    assert code == 0
    assert f"{len(evil()):,} bytes, planned for a GPU that need not be here, tflite-cupy " in out
    assert "<bdi>&lt;b&gt;.tflite</bdi>" in out
    assert EVIL not in out


def test_colours_change_no_word() -> None:
    pytest.importorskip("rich", reason="rich is not installed")
    text = "  gpu           1    100.0%\n    copy from call to gpu: 1 tensor, 4 bytes\n    nobody runs X#0: why"
    made = coloured(text)
    assert made.plain == text
    assert {(made.plain[s.start : s.end].strip(), s.style) for s in made.spans} == {
        ("gpu           1    100.0%", "green"),
        ("gpu", "green"),
        ("nobody runs X#0: why", "red"),
    }

"""`visualize`: where the page goes, and what it does not write over."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

import pytest

from tests.models import add_sub
from tests.shell import Run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a model in it."""
    (tmp_path / "model.tflite").write_bytes(add_sub())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_has_the_name_of_the_model(run: Run, folder: Path) -> None:
    code, out, err = run("visualize", "model.tflite", "--assume-gpu")
    assert (code, out, err) == (0, "model.html\n", "")
    page = (folder / "model.html").read_text(encoding="utf-8")
    assert "<bdi>model.tflite</bdi>" in page
    assert "on the GPU" in page


def test_pages_are_written_over_and_nothing_else(run: Run, folder: Path) -> None:
    assert run("visualize", "model.tflite")[0] == 0
    assert run("visualize", "model.tflite", "--signature", "add")[0] == 0
    (folder / "model.html").write_text("<html>mine</html>", encoding="utf-8")
    code, out, err = run("visualize", "model.tflite")
    assert (code, out) == (2, "")
    assert "model.html is there and is no page of this command." in err
    assert (folder / "model.html").read_text(encoding="utf-8") == "<html>mine</html>"
    assert run("visualize", "model.tflite", "--force")[0] == 0
    assert (folder / "model.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_models_are_not_written_over(run: Run, folder: Path) -> None:
    assert run("visualize", "model.tflite", "-o", "model.tflite", "--force")[0] == 2
    assert (folder / "model.tflite").read_bytes() == add_sub()


def test_json_tells_where_the_page_is(run: Run, folder: Path) -> None:
    code, out, _ = run("visualize", "model.tflite", "-o", "page.html", "--json")
    assert code == 0
    said = json.loads(out)
    assert said["page"] == "page.html"
    assert said["bytes"] == (folder / "page.html").stat().st_size


def test_a_browser_is_opened_where_asked(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def refuse(url: str) -> bool:
        opened.append(url)
        return False

    monkeypatch.setattr(webbrowser, "open", refuse)
    code, _, err = run("visualize", "model.tflite", "--open")
    assert code == 0
    assert opened == [(folder / "model.html").as_uri()]
    assert "no browser could be opened" in err


def test_what_can_not_be_done(run: Run, folder: Path) -> None:
    assert run("visualize", "nothing.tflite")[0] == 2
    assert run("visualize", "model.tflite", "-o", "nowhere/page.html")[0] == 2
    assert run("visualize", "model.tflite", "-o", str(folder))[0] == 2
    assert run("visualize", "model.tflite", "--signature", "no")[0] == 2
    assert not (folder / "model.html").exists()

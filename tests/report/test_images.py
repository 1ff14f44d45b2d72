"""The pictures of the README (`ci/screenshots` makes them)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

IMAGES = Path(__file__).parents[2] / "docs" / "images"


@pytest.mark.parametrize("name", ["report-light.png", "report-dark.png"])
def test_screenshots_are_as_wide_as_a_page_and_not_large(name: str) -> None:
    content = (IMAGES / name).read_bytes()
    assert content.startswith(b"\x89PNG")
    assert int.from_bytes(content[16:20], "big") == 1280
    assert len(content) < 200_000


def test_the_picture_of_a_terminal_loads_nothing() -> None:
    svg = (IMAGES / "report-terminal.svg").read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"']+", svg)) == {"http://www.w3.org/2000/svg"}
    assert "font-face" not in svg
    assert "<script" not in svg

from __future__ import annotations

import pytest

from tests.shell import Run, shell


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line, in this process."""
    return shell(capsys)

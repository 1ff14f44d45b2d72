"""The command line as tests call it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tflite_cupy.cli import main

Run = Callable[..., tuple[int, str, str]]


def shell(capsys: pytest.CaptureFixture[str]) -> Run:
    """A function that calls the command line with its arguments: (exit code, stdout, stderr)."""

    def call(*argv: object) -> tuple[int, str, str]:
        try:
            code = main([str(argument) for argument in argv])
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        return code, *capsys.readouterr()

    return call

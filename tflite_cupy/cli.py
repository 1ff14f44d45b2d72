"""The command line: `tflite-cupy COMMAND ...`; each command is a module of `commands/`.

Exit codes: 0 success, 1 a model or a check failed, 2 wrong usage, 3 a package or device is missing. Results go to
stdout, everything else to stderr; with `--json` stdout holds one JSON object, errors included.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from .commands.arguments import Prose, UsageError
from .commands.output import add_json, emit_json, note
from .interpreter.errors import InputError, MissingDependencyError, TfliteError

COMMANDS = (
    "demo",
    "convert",
    "inspect",
    "run",
    "report",
    "visualize",
    "profile",
    "benchmark",
    "verify",
    "serve",
    "completion",
    "doctor",
)
FAILED, USAGE, ENVIRONMENT = 1, 2, 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: sys.argv[1:]) and return its exit code."""
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # closed by the shell
            setattr(sys, stream, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (until the process ends)
    arguments = parser().parse_args(argv)
    try:
        code = _call(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads stdout has seen enough
        _forget_stdout()
        return 0
    except OSError as error:  # of stdout: for files there are typed errors
        _forget_stdout()
        note(f"error: stdout can't be written: {error}")
        return FAILED
    return code


def _call(arguments: argparse.Namespace) -> int:
    """Run the command; its exit code, also where it fails, which stderr then tells."""
    try:
        code: int = arguments.main(arguments)
    except TfliteError as error:
        note(f"error: {error}")
        if arguments.json is not None:
            with suppress(UsageError):  # where the JSON can't be written, which stderr then tells
                emit_json(arguments, error={"code": error.code, "where": error.where, "message": str(error)})
        return _exit_code(error)
    return code


def _forget_stdout() -> None:
    """Let what has not been written yet go nowhere, which else is an error when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _exit_code(error: TfliteError) -> int:
    if isinstance(error, InputError):
        return USAGE
    return ENVIRONMENT if isinstance(error, MissingDependencyError) else FAILED


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    from .version import __version__

    root = argparse.ArgumentParser(
        prog="tflite-cupy",
        description="Run .tflite models by signature on GPU, CPU and TensorFlow.",
        formatter_class=Prose,
    )
    root.add_argument("--version", action="version", version=f"tflite-cupy {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        command = import_module(f".commands.{name}", __package__)
        subparser = command.add(commands)
        add_json(subparser)
        subparser.formatter_class = Prose
        subparser.set_defaults(main=command.main, root=root)
    return root

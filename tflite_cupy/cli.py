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

from .commands.arguments import UsageError
from .commands.output import add_json, emit_json
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
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.main(arguments)
        sys.stdout.flush()
    except TfliteError as error:
        print(f"error: {error}", file=sys.stderr)
        if arguments.json is not None:
            with suppress(UsageError):  # where the JSON can't be written, which stderr then tells
                emit_json(arguments, error={"code": error.code, "where": error.where, "message": str(error)})
        return _exit_code(error)
    except BrokenPipeError:  # whoever reads stdout has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _exit_code(error: TfliteError) -> int:
    if isinstance(error, InputError):
        return USAGE
    return ENVIRONMENT if isinstance(error, MissingDependencyError) else FAILED


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    from .version import __version__

    root = argparse.ArgumentParser(
        prog="tflite-cupy", description="Run .tflite models by signature on GPU, CPU and TensorFlow."
    )
    root.add_argument("--version", action="version", version=f"tflite-cupy {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        command = import_module(f".commands.{name}", __package__)
        subparser = command.add(commands)
        add_json(subparser)
        subparser.set_defaults(main=command.main, root=root)
    return root

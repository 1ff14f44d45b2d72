"""The command line: `tflite-cupy demo | convert | inspect | run | report | doctor`.

Exit codes: 0 success, 1 a model or a check failed, 2 wrong usage, 3 a package or device is missing. Results go to
stdout, everything else to stderr; with `--json` stdout holds one JSON object, errors included.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .commands import convert, demo, doctor, inspect, report, run
from .commands.output import emit_json
from .interpreter.errors import InputError, MissingDependencyError, TfliteError

FAILED, USAGE, ENVIRONMENT = 1, 2, 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: sys.argv[1:]) and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.main(arguments)
        sys.stdout.flush()
    except TfliteError as error:
        print(f"error: {error}", file=sys.stderr)
        if arguments.json:
            emit_json(arguments.command, error={"code": error.code, "where": error.where, "message": str(error)})
        return _exit_code(error)
    except BrokenPipeError:  # whoever reads stdout has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _exit_code(error: TfliteError) -> int:
    if isinstance(error, InputError):
        return USAGE
    return ENVIRONMENT if isinstance(error, MissingDependencyError) else FAILED


def _parser() -> argparse.ArgumentParser:
    from . import __version__

    parser = argparse.ArgumentParser(
        prog="tflite-cupy", description="Run .tflite models by signature on GPU, CPU and TensorFlow."
    )
    parser.add_argument("--version", action="version", version=f"tflite-cupy {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (demo, convert, inspect, run, report, doctor):
        subparser = command.add(commands)
        subparser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")
        subparser.set_defaults(main=command.main)
    return parser

"""`tflite-cupy completion SHELL`: a script that completes this command's words.

$ cd ~/.local/share/bash-completion/completions
$ tflite-cupy completion bash > tflite-cupy
$ tflite-cupy completion zsh > "${fpath[1]}/_tflite-cupy"
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import Any

from ..interpreter.errors import MissingDependencyError
from .output import result

SHELLS = ("bash", "zsh", "tcsh", "fish")


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "completion", help="a script for the shell that completes this command's words", description=__doc__
    )
    parser.add_argument("shell", choices=SHELLS)
    return parser


def main(arguments: argparse.Namespace) -> int:
    """Print the script; 0. Raises MissingDependencyError without shtab."""
    try:
        import shtab
    except ModuleNotFoundError as error:
        what = "completion scripts are made by shtab, which is not installed."
        raise MissingDependencyError(what, hint="pip install 'tflite-cupy[cli]'") from error
    for action in _actions(arguments.root):
        if re.search("FILE|MODEL|PATH|npz", str(action.metavar)):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    script = shtab.complete(arguments.root, arguments.shell)
    result(arguments, lambda: print(script), shell=arguments.shell, script=script)
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """What the words of a parser and of its commands mean."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)

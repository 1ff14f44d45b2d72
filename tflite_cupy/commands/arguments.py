"""Arguments that several commands take."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from textwrap import fill

from ..interpreter.errors import InputError, MissingDependencyError, did_you_mean


class Prose(argparse.HelpFormatter):
    """Help whose description keeps its paragraphs, and its lines where each is a command."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = text.strip().split("\n\n")
        return "\n\n".join(
            part if part.startswith("$") else fill(part, width, break_on_hyphens=False) for part in parts
        )

    def add_argument(self, action: argparse.Action) -> None:
        """The same, with names of commands on the lines of their descriptions: argparse forgets their indentation."""
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += 2


class UsageError(InputError):
    """The command line asks for something that is not there."""

    code = "usage"


def add_model(parser: argparse.ArgumentParser) -> None:
    """Declare the positional argument MODEL; `--graph` stands for it, too. `existing(arguments.model)` is the file."""
    parser.add_argument("model", metavar="MODEL", nargs="?", default=argparse.SUPPRESS, help="path of a .tflite file")
    parser.add_argument("--graph", dest="model", metavar="MODEL", help="the same, as benchmark_model calls it")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Declare `--device`."""
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "gpu"),
        default="auto",
        help="auto: the GPU where there is one (default); cpu: no GPU; gpu: an error where there is none",
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Declare `--num-threads`."""
    parser.add_argument(
        *("--num-threads", "--num_threads"),
        type=positive,
        metavar="N",
        help="threads of the CPU delegate (default: all)",
    )


def add_signature(parser: argparse.ArgumentParser) -> None:
    """Declare `--signature`."""
    parser.add_argument(
        *("--signature", "--signature_to_run_for"), metavar="KEY", help="default: the only one, or serving_default"
    )


def positive(text: str) -> int:
    """A whole number above 0, as a type of argparse."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return number


def existing(path: str | None) -> Path:
    """`path`, if a file is there. Raises UsageError, also for None: no path was given."""
    if path is None:
        raise UsageError("MODEL is missing.", hint="Name a .tflite file; a word right after --json is where JSON goes.")
    if not Path(path).is_file():
        raise UsageError(f"no such file: {path}")
    return Path(path)


def writable(path: str) -> Path:
    """`path`, if its folder is there. Raises UsageError."""
    if not Path(path).parent.is_dir():
        raise UsageError(f"no such folder: {Path(path).parent}")
    return Path(path)


def write_text(path: str, text: str) -> None:
    """Write a file. Raises UsageError where that can't be done."""
    target = writable(path)
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error}") from error


def need_tensorflow(what: str) -> None:
    """Let TensorFlow log errors only. Raises MissingDependencyError where it is not installed; `what` needs it."""
    if find_spec("tensorflow") is None:
        hint = "pip install 'tflite-cupy[convert]'"
        raise MissingDependencyError(f"{what}, and TensorFlow is not installed.", hint=hint)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # TensorFlow logs its use at any level


def known(kind: str, name: str, names: Iterable[str]) -> str:
    """`name`, if it is one of `names`; else raises UsageError, which lists them and suggests the closest."""
    names = list(names)
    if name in names:
        return name
    hint = f"{did_you_mean(name, names)}There are: {', '.join(names) or 'none'}."
    raise UsageError(f"no {kind} is named {name!r}.", hint=hint)

"""Arguments that several commands take."""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from ..interpreter.errors import InputError, MissingDependencyError


class UsageError(InputError):
    """The command line asks for something that is not there."""

    code = "usage"


def add_model(parser: argparse.ArgumentParser) -> None:
    """Declare the positional argument MODEL."""
    parser.add_argument("model", metavar="MODEL", help="path of a .tflite file")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Declare `--device`."""
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "gpu"),
        default="auto",
        help="auto: the GPU where there is one (default); cpu: NumPy only; gpu: an error where there is none",
    )


def existing(path: str) -> Path:
    """`path`, if a file is there. Raises UsageError."""
    if not Path(path).is_file():
        raise UsageError(f"no such file: {path}")
    return Path(path)


def writable(path: str) -> Path:
    """`path`, if its folder is there. Raises UsageError."""
    if not Path(path).parent.is_dir():
        raise UsageError(f"no such folder: {Path(path).parent}")
    return Path(path)


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
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    raise UsageError(f"no {kind} is named {name!r}.", hint=f"{hint}There are: {', '.join(names) or 'none'}.")

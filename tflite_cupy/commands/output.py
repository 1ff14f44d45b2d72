"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..interpreter.words import aligned, plain, printable
from .arguments import UsageError, write_text

SCHEMA_VERSION = 1
"""Version of the JSON that `--json` prints; raised when a key changes its meaning or goes away."""


STDOUT = "-"


def add_json(parser: argparse.ArgumentParser) -> None:
    """Declare `--json`."""
    parser.add_argument(
        "--json",
        nargs="?",
        const=STDOUT,
        metavar="PATH",
        help="one JSON object on stdout and nothing else there, or in a file beside what is printed",
    )


def result(arguments: argparse.Namespace, show: Callable[[], None], /, **fields: Any) -> None:
    """Give a result: `show()` prints it for people; `--json` takes the schema version, the command and `fields`
    as one object, on stdout in place of that or in a file beside it."""
    if arguments.json is not None:
        emit_json(arguments, **fields)
    if arguments.json != STDOUT:
        show()


def emit_json(arguments: argparse.Namespace, /, **fields: Any) -> None:
    """The JSON part of `result`. Raises UsageError for a file that can't be written."""
    entire = {"schema_version": SCHEMA_VERSION, "command": arguments.command, **fields}
    text = json.dumps(entire, allow_nan=False)
    if arguments.json == STDOUT:
        print(text)
        return
    if Path(arguments.json).suffix == ".tflite":
        raise UsageError(f"--json {arguments.json} would write over a model.", hint="Put MODEL before --json.")
    write_text(arguments.json, f"{text}\n")


def say(text: str) -> None:
    """Print lines for people, in which names of a model can't steer the terminal."""
    print(plain(text))


def note(text: str) -> None:
    """Tell the user something that is not a result."""
    print(plain(text), file=sys.stderr)


@contextmanager
def progress(text: str) -> Iterator[Callable[[int, int], None]]:
    """Show on stderr that work goes on: a bar, once the function that this gives was told (done, total).

    A total of 0 is not known. Nothing is shown where rich is not installed or stderr is no terminal.
    """
    bar = _rich_progress() if sys.stderr.isatty() else None
    if bar is None:
        yield lambda done, total: None
        return
    with bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def _rich_progress() -> Any:
    """A progress bar that clears itself away; None without rich."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    except ModuleNotFoundError:
        return None
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    return Progress(*columns, console=Console(stderr=True), transient=True)


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """Print rows under headers, with rich where that is installed and stdout is a terminal."""
    title, cells = printable(title), [[printable(str(cell)) for cell in row] for row in rows]
    if not (sys.stdout.isatty() and _rich_table(headers, cells, title)):
        if title:
            print(title)
        for line in aligned([headers, *cells], left=range(len(headers))):
            print(f"  {line}".rstrip())


def _rich_table(headers: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> bool:
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ModuleNotFoundError:
        return False
    grid = Table(*headers, title=Text(title) if title else None, title_justify="left", box=box.SIMPLE_HEAD)
    for row in rows:
        grid.add_row(*map(Text, row))
    Console().print(grid)
    return True


def json_value(array: Any) -> Any:
    """An array as nested lists; bytes as text (other bytes as \\xNN), NaN and infinities as strings."""
    if isinstance(array, Mapping):
        return {str(key): json_value(value) for key, value in array.items()}
    return _plain(np.asarray(array).tolist())


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, complex):
        return [_plain(value.real), _plain(value.imag)]
    if isinstance(value, float) and not np.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return value

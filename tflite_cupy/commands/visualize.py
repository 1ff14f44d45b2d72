"""`tflite-cupy visualize MODEL`: a page that shows which node runs where, and why not elsewhere.

One file that runs no script and loads nothing, to be opened in a browser, sent or kept.
"""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path
from typing import Any

from ..interpreter.report import is_page
from .arguments import UsageError, add_model, existing, writable, write_text
from .output import note, result
from .report import add_plan, page_of, report_of


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "visualize", help="a page that shows which node runs where", description=__doc__
    )
    add_model(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE.html", help="default: the model's name with .html, in the current folder"
    )
    add_plan(parser)
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument("--force", action="store_true", help="write over a file that is no such page")
    return parser


def main(arguments: argparse.Namespace) -> int:
    """Write the page and print its path; 0."""
    model = existing(arguments.model)
    target = writable(arguments.output or f"{model.stem}.html")
    _check(target, arguments.force)
    page = page_of(report_of(arguments), arguments)
    write_text(str(target), page)
    result(arguments, lambda: print(target), page=str(target), bytes=len(page.encode()))
    if arguments.open and not webbrowser.open(target.resolve().as_uri()):
        note("no browser could be opened.")
    return 0


def _check(target: Path, is_forced: bool) -> None:
    """Raise UsageError for a file that `visualize` has not made, unless told to write over it; for models always."""
    if target.suffix == ".tflite":
        raise UsageError(f"-o {target} would write over a model.")
    if not target.exists() or is_forced:
        return
    if not target.is_file() or not is_page(target.read_bytes()[:4096]):
        raise UsageError(f"{target} is there and is no page of this command.", hint="Write over it: --force")

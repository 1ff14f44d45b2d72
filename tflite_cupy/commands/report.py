"""`tflite-cupy report MODEL`: which node runs where, and why not elsewhere.

As a table, as Markdown for a comment or summary on GitHub, as JSON, as a page with a picture (`visualize` makes that,
too), or as node data for Model Explorer.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..interpreter.report import DelegationReport
from .arguments import UsageError, add_device, add_model, existing, known, write_text
from .entry import open_interpreter
from .gates import add_gates, failed
from .output import note, result

_SUFFIXES = {".md": "markdown", ".json": "json", ".html": "html", ".htm": "html", ".txt": "table"}
_WIDTHS = 80, 120
"""Of tables, in characters; in between the terminal's."""


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "report", help="which node runs where, and why", description=__doc__
    )
    add_model(parser)
    parser.add_argument(
        "--format",
        choices=("table", "markdown", "json", "html", "explorer"),
        help="default: what the end of FILE says (.md, .json, .html), else table; explorer: data for Model Explorer",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file (default: stdout)")
    add_plan(parser)
    add_gates(parser)
    return parser


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Declare what `report_of` looks at: `--signature`, `--device`, `--assume-gpu`."""
    parser.add_argument("--signature", metavar="KEY", help="only this one (default: all)")
    add_device(parser)
    parser.add_argument(
        "--assume-gpu", action="store_true", help="plan as on a machine with a GPU, whether there is one or not"
    )


def main(arguments: argparse.Namespace) -> int:
    """Print or write the delegation report; 0, or 1 where a condition on it is not met."""
    form = _format(arguments)
    report = report_of(arguments)
    text = _FORMS[form](report, arguments)
    if arguments.output is not None:
        write_text(arguments.output, f"{text.rstrip()}\n")
        note(f"report written to {arguments.output}")
    result(arguments, lambda: None if arguments.output else _show(text, form), report=report.to_json())
    return 1 if failed(report, arguments, arguments.signature) else 0


def report_of(arguments: argparse.Namespace) -> DelegationReport:
    """The report that a command line asks for. Raises UsageError for a signature that is not there."""
    report = open_interpreter(arguments).delegation_report()
    key = arguments.signature
    return report if key is None else report.only(known("signature", key, report.signatures))


def page_of(report: DelegationReport, arguments: argparse.Namespace) -> str:
    """The report as a page that names the model."""
    from ..version import __version__

    model = existing(arguments.model)
    plan = "planned for a GPU that need not be here" if arguments.assume_gpu else "as planned on this machine"
    return report.to_html(model.name, f"{model.stat().st_size:,} bytes, {plan}, tflite-cupy {__version__}")


def _format(arguments: argparse.Namespace) -> str:
    if arguments.output is None:
        return arguments.format or "table"
    suffix = Path(arguments.output).suffix.lower()
    if suffix == ".tflite":
        raise UsageError(f"-o {arguments.output} would write over a model.")
    return arguments.format or _SUFFIXES.get(suffix, "table")


def _show(text: str, form: str) -> None:
    """Print a report, a table in colours where rich is installed and stdout is a terminal."""
    if form == "table" and sys.stdout.isatty():
        with suppress(ModuleNotFoundError):
            from rich.console import Console

            Console().print(coloured(text), soft_wrap=True)
            return
    print(text)


def coloured(table: str) -> Any:
    """A table as text of rich. Raises ModuleNotFoundError without rich."""
    from rich.text import Text

    text = Text(table)
    for pattern, style in _STYLES:
        text.highlight_regex(pattern, style)
    return text


def _table(report: DelegationReport, arguments: argparse.Namespace) -> str:
    least, most = _WIDTHS
    columns = shutil.get_terminal_size((100, 24)).columns if arguments.output is None else 100
    return report.to_text(min(max(columns, least), most))


_STYLES = (
    (r"(?m)^(signature|subgraphs of no signature).*$", "bold"),
    (r"(?m)^  delegate .*$", "dim"),
    (r"(?m)^  ( *)?subgraph \d+.*$", "bold"),
    (r"(?m)^  gpu .*%.*$|(?<= on )gpu(?=:)|(?<= to )gpu(?=:)|(?<=copy from )gpu\b", "green"),
    (r"(?m)^  cpu .*%.*$|(?<= on )cpu(?=:)|(?<= to )cpu(?=:)|(?<=copy from )cpu\b", "cyan"),
    (r"(?m)^  flex .*%.*$|(?<= on )flex(?=:)|(?<= to )flex(?=:)|(?<=copy from )flex\b", "yellow"),
    (r"(?m)^ +nobody runs .*$|^  unsupported .*$", "red"),
)
"""(what, style) of a table in a terminal."""

_FORMS: dict[str, Callable[[DelegationReport, argparse.Namespace], str]] = {
    "table": _table,
    "markdown": lambda report, arguments: report.to_markdown(existing(arguments.model).name),
    "json": lambda report, _: json.dumps(report.to_json(), allow_nan=False),
    "html": page_of,
    "explorer": lambda report, _: json.dumps(report.to_model_explorer()),
}

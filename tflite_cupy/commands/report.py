"""`tflite-cupy report MODEL`: which node runs where, and why not elsewhere."""

from __future__ import annotations

import argparse
from typing import Any

from .arguments import add_device, add_model
from .entry import open_interpreter
from .gates import add_gates, failed
from .output import result


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "report", help="which node runs where, and why", description=__doc__
    )
    add_model(parser)
    add_device(parser)
    parser.add_argument(
        "--assume-gpu", action="store_true", help="plan as on a machine with a GPU, whether there is one or not"
    )
    add_gates(parser)
    return parser


def main(arguments: argparse.Namespace) -> int:
    """Print the delegation report; 0, or 1 where a condition on it is not met."""
    report = open_interpreter(arguments).delegation_report()
    result(arguments, lambda: print(report), report=report.to_json())
    return 1 if failed(report, arguments) else 0

"""`tflite-cupy report MODEL`: which node runs where, and why not elsewhere."""

from __future__ import annotations

import argparse
from typing import Any

from .. import Interpreter
from .arguments import add_device, add_model, existing
from .output import emit_json


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "report", help="which node runs where, and why", description=__doc__
    )
    add_model(parser)
    add_device(parser)
    return parser


def main(arguments: argparse.Namespace) -> int:
    """Print the delegation report; 0."""
    interpreter = Interpreter(model_path=str(existing(arguments.model)), device=arguments.device)
    report = interpreter.delegation_report()
    if arguments.json:
        emit_json("report", report=report.to_json())
    else:
        print(report)
    return 0

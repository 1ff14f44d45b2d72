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
    parser.add_argument(
        "--assume-gpu", action="store_true", help="plan as on a machine with a GPU, whether there is one or not"
    )
    return parser


def main(arguments: argparse.Namespace) -> int:
    """Print the delegation report; 0."""
    model = str(existing(arguments.model))
    if arguments.assume_gpu:
        interpreter = Interpreter(model_path=model, device="gpu", dry_run=True)
    else:
        interpreter = Interpreter(model_path=model, device=arguments.device)
    report = interpreter.delegation_report()
    if arguments.json:
        emit_json("report", report=report.to_json())
    else:
        print(report)
    return 0

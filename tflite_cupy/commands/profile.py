"""`tflite-cupy profile MODEL`: what share of a call each operator and node takes.

Inputs that are not given are made up. Nodes that are computed as one are listed under the first of them, with the
number of the others. The rows of operators, with those below them, add up to what a call takes.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from . import inputs
from .arguments import add_device, add_model, add_signature, add_threads, positive, writable, write_text
from .entry import entry_of, open_interpreter
from .output import note, result


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "profile", help="what share of a call each operator takes", description=f"{__doc__}\n\n{inputs.__doc__}"
    )
    add_model(parser)
    add_signature(parser)
    inputs.add_inputs(parser)
    parser.add_argument("--runs", type=positive, default=10, metavar="N", help="calls that are measured (default: 10)")
    parser.add_argument(
        "--warmup", type=_count, default=1, metavar="N", help="calls before (default: 1); 0 shows planning, too"
    )
    add_device(parser)
    add_threads(parser)
    parser.add_argument("--by", choices=("operator", "node", "both"), default="both", help="tables (default: both)")
    parser.add_argument("--top", type=positive, default=15, metavar="N", help="rows of each table (default: 15)")
    parser.add_argument(
        "--chrome-trace", metavar="FILE.json", help="also write what happened when, for chrome://tracing or Perfetto"
    )
    return parser


def main(arguments: argparse.Namespace) -> int:
    """Call the signature, print what takes the time; 0."""
    trace = None if arguments.chrome_trace is None else str(writable(arguments.chrome_trace))
    interpreter = open_interpreter(arguments)
    entry = entry_of(interpreter, arguments.signature)
    values = inputs.read_inputs(arguments, entry, fill=True)
    for _ in range(arguments.warmup):
        entry.call(values)
    with interpreter.profile() as profile:
        for _ in range(arguments.runs):
            entry.call(values)
    if trace is not None:
        write_text(trace, json.dumps(profile.chrome_trace(), allow_nan=False))
        note(f"trace written to {trace}")
    given = {"signature": entry.key, "warmup": arguments.warmup}
    shown = profile.table(arguments.by, arguments.top)
    result(arguments, lambda: print(shown), **given, profile=profile.to_json())
    return 0


def _count(text: str) -> int:
    """0, or what `positive` takes."""
    return 0 if text == "0" else positive(text)

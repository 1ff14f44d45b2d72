"""`tflite-cupy benchmark MODEL`: times of runs, memory and loading, beside other runtimes if asked.

Inputs are made up unless they are given. Runtimes take turns, and their outputs are compared first: where these differ
the exit code is 1. Options of LiteRT's benchmark_model are known too, with `=` or a space before the value.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import Interpreter, runtimes
from ..benchmark import Effort
from ..benchmark import benchmark as measured
from ..benchmark.statistics import PERCENTILES
from ..interpreter.profile import Profile
from . import gates, inputs
from .arguments import UsageError, add_device, add_model, add_signature, add_threads, existing, known, positive
from .entry import Entry, entry_of, open_interpreter
from .output import note, progress, result

_PROFILED = 10
"""Runs of a profile."""


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "benchmark", help="time a model, alone or against other runtimes", description=__doc__
    )
    add_model(parser)
    add_signature(parser)
    inputs.add_inputs(parser)
    add_device(parser)
    add_threads(parser)
    _add_what(parser)
    _add_effort(parser)
    _add_foreign(parser)
    gates.add_gates(parser)
    return parser


def _add_what(parser: argparse.ArgumentParser) -> None:
    flag = parser.add_argument
    flag("--batch", type=_list(positive), default=[], metavar="1,8,32", help="sizes of the leading dimension")
    flag("--precision", choices=("auto", "strict", "tf32", "fp16"), default="auto", help="of float32 products on a GPU")
    flag("--against", type=_list(str), default=[], metavar="NAME,...",
         help=f"runtimes to compare with: {', '.join(runtimes.NAMES)}")  # fmt: skip
    flag("--tolerance", type=_number, metavar="R", help="how far outputs may differ, as a part of them")
    flag("--percentiles", type=_list(_percent), default=list(PERCENTILES), metavar="50,99", help="default: 10,50,90,99")
    flag("--no-loading", action="store_true", help="without what loading takes, which runs in processes of its own")
    flag("--profile", action="store_true", help="also where the time goes, by operator and node")
    flag("--markdown", action="store_true", help="print tables of Markdown")


def _add_effort(parser: argparse.ArgumentParser) -> None:
    flag = parser.add_argument
    flag("--runs", "--num-runs", "--num_runs", type=positive, metavar="N", help="timed runs of each (default: 50)")
    flag("--seconds", type=_number, metavar="S", help="time for the runs of a batch size, in place of a number")
    flag("--min-secs", "--min_secs", type=_number, metavar="S", help="go on for so long at least (default: 1)")
    flag("--max-secs", "--max_secs", type=_number, metavar="S",
         help="stop after so long (default: 20; none with --runs)")  # fmt: skip
    flag("--warmup", "--warmup-runs", "--warmup_runs", type=positive, metavar="N",
         help="runs before the first timed one (default: until they get no faster)")  # fmt: skip
    flag("--warmup-min-secs", "--warmup_min_secs", type=_number, default=0.0, metavar="S", help="and for so long")


def _add_foreign(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("as in benchmark_model")
    group.add_argument("--use_gpu", type=_boolean, metavar="true|false", help="--device gpu, or cpu")
    group.add_argument("--input_layer", metavar="A,B", help="inputs whose shapes follow")
    group.add_argument("--input_layer_shape", metavar="1,224,224,3:1,10", help="their shapes")
    group.add_argument("--enable_op_profiling", type=_boolean, metavar="true|false", help="--profile")
    group.add_argument(
        "--report_peak_memory_footprint", type=_boolean, metavar="true|false", help="always done, unless --no-loading"
    )


def main(arguments: argparse.Namespace) -> int:
    """Measure and print; 1 where outputs differ from another runtime's, where that has crashed, or where a gate is
    not met, else 0."""
    path = existing(arguments.model)
    _translate(arguments)
    against = [known("runtime", name, runtimes.NAMES) for name in arguments.against]
    with open_interpreter(arguments) as interpreter:
        entry = entry_of(interpreter, arguments.signature)
        values = inputs.read_inputs(arguments, entry, fill=True)
        with progress(f"{path.name}: timing") as update:
            found = measured(
                path,
                values,
                signature=entry.key,
                runtime=arguments.device,
                against=against,
                batches=arguments.batch,
                threads=arguments.num_threads,
                effort=effort(arguments),
                percentiles=arguments.percentiles,
                tolerance=arguments.tolerance,
                with_loading=not arguments.no_loading,
                options={"precision": arguments.precision},
                progress=update,
            )
        profile = _profile(interpreter, entry, values) if arguments.profile else None
        is_gated = gates.failed(interpreter.delegation_report(), arguments, entry.key)

    def show() -> None:
        print(found.markdown() if arguments.markdown else found.text())
        if profile is not None:
            print(f"\n{profile}")

    fields = {"benchmark": found.to_json()} | ({"profile": profile.to_json()} if profile is not None else {})
    result(arguments, show, **fields)
    if not found.agrees:
        note("failed: outputs differ from another runtime's by more than is allowed")
    for failure in found.failures:
        note(f"failed: {failure}")
    return 1 if is_gated or found.failures or not found.agrees else 0


def effort(arguments: argparse.Namespace) -> Effort:
    """How long to measure. A number of runs has no limit of time, and a time no least number of runs."""
    runs, seconds, usual = arguments.runs, arguments.seconds, Effort()
    limit, least = arguments.max_secs, arguments.min_secs
    if seconds is not None:
        limit = seconds if limit is None else min(limit, seconds)
        least = seconds
    elif limit is None:
        limit = usual.limit if runs is None else math.inf
    if least is None:
        least = usual.seconds if runs is None else 0.0
    if runs is None:
        runs = usual.runs if seconds is None else 1
    return Effort(runs, least, limit, arguments.warmup, arguments.warmup_min_secs)


def _profile(interpreter: Interpreter, entry: Entry, values: dict[str, np.ndarray]) -> Profile:
    """Where the time of some calls goes, after one that plans and compiles."""
    entry.call(values)
    with interpreter.profile() as profile:
        for _ in range(_PROFILED):
            entry.call(values)
    return profile


def _translate(arguments: argparse.Namespace) -> None:
    """benchmark_model's options as ours."""
    if arguments.use_gpu is not None:
        arguments.device = "gpu" if arguments.use_gpu else "cpu"
    arguments.profile |= bool(arguments.enable_op_profiling)
    if arguments.input_layer is not None or arguments.input_layer_shape is not None:
        names = (arguments.input_layer or "").split(",")
        shapes = (arguments.input_layer_shape or "").split(":")
        if len(names) != len(shapes) or not all(names):
            got = f"{arguments.input_layer!r} and {arguments.input_layer_shape!r}"
            hint = "Names with commas, a shape for each with colons: --input_layer=a,b --input_layer_shape=1,8:1,4"
            raise UsageError(f"--input_layer and --input_layer_shape do not fit: {got}.", hint=hint)
        arguments.input_shape += [f"{name}={shape}" for name, shape in zip(names, shapes, strict=True)]


def _list(of: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """Values with commas between them, as a type of argparse."""
    return lambda text: [of(part.strip()) for part in text.split(",")]


def _number(text: str) -> float:
    """A number of 0 or more, as a type of argparse."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of 0 or more, got {text!r}")
    return number


def _percent(text: str) -> float:
    number = _number(text)
    if number > 100:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 100, got {text!r}")
    return number


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}")
    return text.lower() in ("true", "1")

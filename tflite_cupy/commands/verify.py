"""`tflite-cupy verify MODEL --against NAME|FILE.npz`: the same calls on two runtimes, a verdict for each output."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..interpreter.details import tensor_details
from ..interpreter.format.model import load_model
from ..interpreter.graph import Model
from ..runtimes import NAMES, entry
from ..verify import compare_runtimes
from ..verify.choose import default_reference
from ..verify.saved import keys_of, read_archive
from . import inputs
from .arguments import UsageError, add_model, add_threads, existing, known, positive
from .entry import Entry
from .output import note, progress, result, say, table

DETAILS = """
Runtimes are this package (auto, gpu, cpu; numpy and onednn: the CPU with these kernels), LiteRT (litert: with XNNPACK;
litert-builtin; litert-reference), and tensorflow. Without --against the candidate is held against the cpu if it runs on
a GPU, else against litert if that is installed, else onednn against numpy. A file is what `run --save-outputs` writes:
arrays called `output`, or `signature/output`; give the same inputs, or the same --seed, as then.

Verdicts: PASS and FAIL; random: the reference does not agree with itself, so that only types and shapes count;
rounding, which passes: each node alone, given the reference's operands, is as near as it must be; small differences
add up to what the output is off by. It is a FAIL where --tolerance or --steps say how far the output may be off.
LiteRT and TensorFlow run in a process of their own: a call that ends it is a failure that says so.
"""


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "verify", help="hold a model against another runtime, or saved outputs", description=f"{__doc__}\n{DETAILS}"
    )
    add_model(parser)
    parser.add_argument(
        *("--runtime", "--device"),
        choices=NAMES,
        default="auto",
        metavar="NAME",
        help="the runtime to verify (default: auto)",
    )
    parser.add_argument("--against", metavar="NAME|FILE.npz", help="a runtime, or saved outputs")
    parser.add_argument(
        "--signature", metavar="KEY", action="append", help="once for each signature (default: all of them)"
    )
    inputs.add_inputs(parser)
    parser.add_argument("--inputs", metavar="FILE.npz", help="arrays called `input`, or `signature/input`")
    parser.add_argument("--samples", type=positive, default=3, metavar="N", help="calls of a signature (default: 3)")
    parser.add_argument(
        "--tolerance", type=_not_negative, metavar="X", help="of floats, in parts of the largest element"
    )
    parser.add_argument("--steps", type=_whole, metavar="N", help="of quantised integers")
    parser.add_argument(
        "--precision",
        choices=("strict", "tf32", "fp16", "auto"),
        default="strict",
        help="of float32 products on a GPU (default: strict)",
    )
    add_threads(parser)
    return parser


def main(arguments: argparse.Namespace) -> int:
    """Compare, and print; 0, or 1 where an output fails."""
    path = existing(arguments.model)
    model = load_model(str(path))
    keys: Sequence[str | None] = [
        known("signature", key, map(str, keys_of(model))) for key in arguments.signature or ()
    ] or keys_of(model)
    against = _against(arguments, model)
    is_saved = against not in NAMES
    if is_saved:
        saved = read_archive(against, model, "outputs", arguments.signature)
        keys = [key for key in keys if key in saved]
    entries = [_entry(model, key) for key in keys]
    with progress("comparing") as shown:
        comparison = compare_runtimes(
            str(path),
            arguments.runtime,
            against,
            signatures=[key for key in keys if key is not None] or None,
            inputs=_given(arguments, entries, fill=is_saved),
            input_shapes=_shapes(arguments, entries),
            samples=arguments.samples,
            seed=arguments.seed,
            tolerance=arguments.tolerance,
            steps=arguments.steps,
            precision=arguments.precision,
            threads=arguments.num_threads,
            progress=shown,
        )

    def show() -> None:
        headers, *rows = comparison.cells()
        table(headers, rows, f"{comparison.candidate} against {comparison.reference}")
        say("\n".join([*comparison.explanations(), "PASS" if comparison.passed else "FAIL"]))

    result(arguments, show, **comparison.to_json())
    return 0 if comparison.passed else 1


def _against(arguments: argparse.Namespace, model: Model) -> str:
    if arguments.against is None:
        chosen = default_reference(arguments.runtime, model)
        note(f"against {chosen}; --against names another runtime")
        return chosen
    if Path(arguments.against).suffix == ".npz":
        return str(existing(arguments.against))
    return known("runtime", arguments.against, NAMES)


def _entry(model: Model, key: str | None) -> Entry:
    """A signature as inputs are read for it."""
    signature = entry(model, key)
    tensors = model.graphs[signature.graph].tensors

    def details(slots: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        return {name: tensor_details(tensors[index], index, tensors[index].shape) for name, index in slots.items()}

    return Entry(key, details(signature.inputs), details(signature.outputs), lambda values: {})


def _given(
    arguments: argparse.Namespace, entries: Sequence[Entry], *, fill: bool
) -> str | Mapping[str | None, Mapping[str, np.ndarray]]:
    """The inputs that are given; fill: all, made up as `run` does where they are not."""
    if arguments.inputs is not None:
        if arguments.input or arguments.input_shape:
            raise UsageError("--inputs gives the inputs, and --input and --input-shape do, too.")
        return str(existing(arguments.inputs))
    _check_names(arguments.input + arguments.input_shape, entries)
    return {each.key: _values(arguments, each, fill=fill) for each in entries}


def _values(arguments: argparse.Namespace, each: Entry, *, fill: bool) -> dict[str, np.ndarray]:
    details = each.inputs if fill else {n: d for n, d in each.inputs.items() if _naming(arguments.input, n)}
    chosen = {"input": _of(arguments.input, details), "input_shape": _of(arguments.input_shape, details)}
    asked = argparse.Namespace(**(vars(arguments) | chosen))
    return inputs.read_inputs(asked, each._replace(inputs=details), fill=fill)


def _shapes(arguments: argparse.Namespace, entries: Sequence[Entry]) -> dict[str, tuple[int, ...]]:
    details = {name: detail for each in entries for name, detail in each.inputs.items()}
    return inputs.read_shapes(arguments, details)


def _check_names(texts: Sequence[str], entries: Sequence[Entry]) -> None:
    """Raises UsageError for a `name=value` whose name no signature has."""
    names = list(dict.fromkeys(name for each in entries for name in each.inputs))
    for text in texts:
        if not _of([text], names):
            known("input", text.partition("=")[0], names)


def _of(texts: Sequence[str], names: Any) -> list[str]:
    """The `name=value` of these names."""
    return [text for text in texts if any(_naming([text], name) for name in names)]


def _naming(texts: Sequence[str], name: str) -> list[str]:
    return [text for text in texts if text.startswith(f"{name}=")]


def _not_negative(text: str) -> float:
    number = _number(text, float)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number from 0 on, got {text!r}")
    return float(number)


def _whole(text: str) -> int:
    number = _number(text, int)
    if number < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, got {text!r}")
    return int(number)


def _number(text: str, kind: Any) -> Any:
    try:
        return kind(text)
    except ValueError:
        return -1

"""`tflite-cupy run MODEL --input name=value ...`: one call of one signature."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import gates, inputs
from .arguments import UsageError, add_device, add_model, add_signature, add_threads, writable
from .entry import entry_of, open_interpreter
from .output import json_value, note, result, say


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "run", help="call a signature of a model", description=f"{__doc__}\n\n{inputs.__doc__}"
    )
    add_model(parser)
    add_signature(parser)
    inputs.add_inputs(parser)
    parser.add_argument("--save-outputs", metavar="FILE.npz", help="also write the outputs to a file for np.load")
    add_device(parser)
    add_threads(parser)
    gates.add_gates(parser)
    return parser


def main(arguments: argparse.Namespace) -> int:
    """Call the signature and print its outputs; 0, or 1 where the nodes run elsewhere than asked for."""
    interpreter = open_interpreter(arguments)
    entry = entry_of(interpreter, arguments.signature)
    values = inputs.read_inputs(arguments, entry)
    outputs = {name: np.asarray(value) for name, value in entry.call(values).items()}
    if arguments.save_outputs:
        _save(writable(arguments.save_outputs), outputs)
    given = {n: {"dtype": _dtype(a), "shape": list(a.shape)} for n, a in values.items()}
    results = {n: {"dtype": _dtype(a), "shape": list(a.shape), "values": json_value(a)} for n, a in outputs.items()}

    def show() -> None:
        for name, array in outputs.items():
            say(f"{name}: {_dtype(array)} {list(array.shape)}")
            print(np.array2string(array, threshold=100, max_line_width=110))

    result(arguments, show, signature=entry.key, seed=arguments.seed, inputs=given, outputs=results)
    return 1 if gates.failed(interpreter.delegation_report(), arguments, entry.key) else 0


def _dtype(array: np.ndarray) -> str:
    return "string" if array.dtype.kind in "OSU" else array.dtype.name


def _save(path: Path, outputs: Mapping[str, np.ndarray]) -> None:
    """Write a .npz; np.savez itself can't take every name. Strings become fixed-width bytes, so no pickle is needed."""
    try:
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in outputs.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, array.astype(bytes) if array.dtype.kind == "O" else array)
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error}") from error
    note(f"outputs written to {path}")

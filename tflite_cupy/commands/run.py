"""`tflite-cupy run MODEL --input name=value ...`: one call of one signature."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import Interpreter
from . import inputs
from .arguments import UsageError, add_device, add_model, existing, known, writable
from .output import emit_json, json_value, note


class Entry(NamedTuple):
    """What a call needs of a signature, or of the primary subgraph of a model without signatures."""

    key: str | None
    inputs: Mapping[str, Mapping[str, Any]]
    call: Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]]


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "run", help="call a signature of a model", description=f"{__doc__}\n\n{inputs.__doc__}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_model(parser)
    parser.add_argument("--signature", metavar="KEY", help="default: the only one, or serving_default")
    parser.add_argument("--input", metavar="NAME=VALUE", action="append", default=[], help="once for each input")
    parser.add_argument("--seed", type=int, default=0, help="of made-up data (default: 0)")
    parser.add_argument("--save-outputs", metavar="FILE.npz", help="also write the outputs to a file for np.load")
    add_device(parser)
    return parser


def main(arguments: argparse.Namespace) -> int:
    """Call the signature and print its outputs; 0."""
    interpreter = Interpreter(model_path=str(existing(arguments.model)), device=arguments.device)
    entry = _entry(interpreter, arguments.signature)
    values = inputs.read_inputs(arguments.input, entry.inputs, arguments.seed)
    outputs = {name: np.asarray(value) for name, value in entry.call(values).items()}
    if arguments.save_outputs:
        _save(writable(arguments.save_outputs), outputs)
    if arguments.json:
        results = {n: {"dtype": _dtype(a), "shape": list(a.shape), "values": json_value(a)} for n, a in outputs.items()}
        given = {n: {"dtype": _dtype(a), "shape": list(a.shape)} for n, a in values.items()}
        emit_json("run", signature=entry.key, seed=arguments.seed, inputs=given, outputs=results)
        return 0
    for name, array in outputs.items():
        print(f"{name}: {_dtype(array)} {list(array.shape)}")
        print(np.array2string(array, threshold=100, max_line_width=110))
    return 0


def _entry(interpreter: Interpreter, key: str | None) -> Entry:
    keys = list(interpreter.get_signature_list())
    if key is None and len(keys) > 1 and "serving_default" not in keys:
        raise UsageError(f"the model has several signatures: {', '.join(keys)}.", hint="Name one: --signature KEY")
    if key is None and keys:
        key = keys[0] if len(keys) == 1 else "serving_default"
    if key is None:
        return _primary(interpreter)
    runner = interpreter.get_signature_runner(known("signature", key, keys))
    return Entry(key, runner.get_input_details(), lambda values: runner(**values))


def _primary(interpreter: Interpreter) -> Entry:
    """The primary subgraph through the classic API; tensors without a name of their own are called by position."""
    ends = _by_name("input", interpreter.get_input_details())

    def call(values: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
        for name, value in values.items():
            interpreter.resize_tensor_input(ends[name]["index"], value.shape)
        interpreter.allocate_tensors()
        for name, value in values.items():
            interpreter.set_tensor(ends[name]["index"], value)
        interpreter.invoke()
        outputs = _by_name("output", interpreter.get_output_details())
        return {name: interpreter.get_tensor(detail["index"]) for name, detail in outputs.items()}

    note("the model has no signatures; its primary subgraph runs")
    return Entry(None, ends, call)


def _by_name(way: str, details: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    names = [detail["name"] for detail in details]
    unique = [n if n and names.count(n) == 1 else f"{way}_{i}" for i, n in enumerate(names)]
    return dict(zip(unique, details, strict=True))


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

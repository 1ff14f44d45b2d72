"""The model of a command line as something to call: one of its signatures, or its primary subgraph."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import Interpreter
from .arguments import UsageError, existing, known
from .output import note

Details = Mapping[str, Mapping[str, Any]]


class Entry(NamedTuple):
    """What a call needs of a signature, or of the primary subgraph of a model without signatures (key None)."""

    key: str | None
    inputs: Details
    outputs: Details
    call: Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]]


def open_interpreter(arguments: argparse.Namespace, **options: Any) -> Interpreter:
    """The interpreter that `MODEL`, `--device`, `--num-threads`, `--precision` and `--assume-gpu` ask for, where the
    command has declared these. Further `options` are the interpreter's."""
    asked = vars(arguments)
    if asked.get("assume_gpu"):
        options |= {"device": "gpu", "dry_run": True}
    else:
        options = {name: asked[name] for name in ("device", "num_threads", "precision") if name in asked} | options
    return Interpreter(model_path=str(existing(arguments.model)), **options)


def entry_of(interpreter: Interpreter, key: str | None) -> Entry:
    """The signature `key`; without one the only signature, `serving_default`, or the primary subgraph where there is no
    signature. Raises UsageError, which lists the signatures."""
    keys = list(interpreter.get_signature_list())
    if key is None and len(keys) > 1 and "serving_default" not in keys:
        raise UsageError(f"the model has several signatures: {', '.join(keys)}.", hint="Name one: --signature KEY")
    if key is None and keys:
        key = keys[0] if len(keys) == 1 else "serving_default"
    if key is None:
        return _primary(interpreter)
    runner = interpreter.get_signature_runner(known("signature", key, keys))
    return Entry(key, runner.get_input_details(), runner.get_output_details(), lambda values: runner(**values))


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
    return Entry(None, ends, _by_name("output", interpreter.get_output_details()), call)


def _by_name(way: str, details: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    names = [detail["name"] for detail in details]
    unique = [n if n and names.count(n) == 1 else f"{way}_{i}" for i, n in enumerate(names)]
    return dict(zip(unique, details, strict=True))

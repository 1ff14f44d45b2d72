"""Calibration data is a .npz file with an array for each input, called `signature/input`, or `input` alone where there
is one signature (`main` in a file without any). The leading axis counts samples: an array of one axis more than the
input holds one input after the other, another one is cut along its first axis.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from .. import Interpreter
from .arguments import UsageError, known

Samples: TypeAlias = dict[str, list[dict[str, np.ndarray]]]
"""Calls by signature key, each a dict by input name."""


def read(path: Path, interpreter: Interpreter) -> Samples:
    """The samples in a file. Raises UsageError.

    Signatures without data are left out; one that has some has it for each of its inputs.
    """
    arrays = _load(path)
    inputs = {
        key: interpreter.get_signature_runner(key).get_input_details() for key in interpreter.get_signature_list()
    }
    only = next(iter(inputs)) if len(inputs) == 1 else None
    names = {f"{key}/{name}": (key, name) for key in inputs for name in inputs[key]}
    names |= {name: (only, name) for name in inputs[only]} if only is not None else {}
    given: dict[str, dict[str, np.ndarray]] = {}
    for label, array in arrays.items():
        key, name = names[known("input", label, names)]
        given.setdefault(key, {})[name] = array
    return {key: list(_samples(key, given[key], inputs[key])) for key in inputs if key in given}


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (TypeError, ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} is no .npz file of plain arrays: {error}") from error


def _samples(
    key: str, arrays: Mapping[str, np.ndarray], details: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, np.ndarray]]:
    missing = [name for name in details if name not in arrays]
    if missing:
        raise UsageError(f"the calibration data of signature {key!r} lacks {', '.join(map(repr, missing))}.")
    cut = {name: _cut(f"{key}/{name}", array, details[name]) for name, array in arrays.items()}
    counts = {name: len(parts) for name, parts in cut.items()}
    if len(set(counts.values())) > 1:
        text = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise UsageError(f"the inputs of signature {key!r} have different numbers of samples: {text}.")
    for values in zip(*cut.values(), strict=True):
        yield dict(zip(cut, values, strict=True))


def _cut(label: str, array: np.ndarray, detail: Mapping[str, Any]) -> list[np.ndarray]:
    """The samples in an array."""
    dims, dtype = detail["shape_signature"], np.dtype(detail["dtype"])
    if dtype.kind != "S" and array.dtype != dtype:
        raise UsageError(f"{label} is {array.dtype.name} in the calibration data, the model takes {dtype.name}.")
    if array.ndim == len(dims) + 1:
        return list(array)
    if array.ndim != len(dims) or not array.ndim:
        text = f"{label} has shape {list(array.shape)} in the calibration data"
        raise UsageError(
            f"{text}; the input's is {[int(n) if n >= 0 else None for n in dims]}, after the samples' axis."
        )
    size = max(1, int(dims[0]))
    return [array[i : i + size] for i in range(0, len(array) - size + 1, size)]

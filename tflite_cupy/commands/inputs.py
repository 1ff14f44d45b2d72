"""Values of `--input name=value`: a file (`@x.npy`), made-up data (`random`, `random:2,3`), or a literal.

A literal is JSON (``[[1, 2], [3, 4]]``, ``0.5``, ``true``, ``["a", "b"]``); for a string input, other text stands for
itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .arguments import UsageError, existing, known
from .output import note

_KINDS = {"b": 0, "i": 1, "u": 1, "f": 2, "V": 2, "c": 3}  # a literal may become a kind at or above its own


def read_inputs(given: list[str], details: Mapping[str, Mapping[str, Any]], seed: int) -> dict[str, np.ndarray]:
    """Arrays by input name from `--input` arguments; made-up data is announced on stderr.

    Raises UsageError for names that `details` does not have, names given twice or not at all, and unreadable values.
    """
    values: dict[str, np.ndarray] = {}
    generator = np.random.default_rng(seed)
    for argument in given:
        if "=" not in argument:
            raise UsageError(f"--input {argument}: expected name=value.")
        named = [name for name in details if argument.startswith(f"{name}=")]  # a name may hold "="
        name = max(named, key=len, default=argument.partition("=")[0])
        if known("input", name, details) in values:
            raise UsageError(f"input {name!r} is given twice.")
        values[name] = _read(name, argument[len(name) + 1 :], details[name], generator, seed)
    missing = [name for name in details if name not in values]
    if missing:
        example = " ".join(f"--input {name}=random" for name in missing)
        raise UsageError(
            f"no value for {', '.join(map(repr, missing))}; the inputs are: {', '.join(details)}.",
            hint=f"Give it, or have data made up: {example}",
        )
    return values


def _read(name: str, text: str, detail: Mapping[str, Any], generator: np.random.Generator, seed: int) -> np.ndarray:
    if text.startswith("@"):
        return _load(text[1:])
    made_up = re.fullmatch(r"random(?::(\d+(?:,\d+)*))?", text)
    if made_up is None:
        return _literal(name, text, np.dtype(detail["dtype"]))
    shape = tuple(map(int, made_up[1].split(","))) if made_up[1] else tuple(int(n) for n in detail["shape"])
    try:
        array = _random(generator, shape, np.dtype(detail["dtype"]))
    except (MemoryError, ValueError, OverflowError) as error:
        raise UsageError(f"input {name!r}: no data of shape {list(shape)} can be made up: {error}") from error
    note(f"{name}: made-up data, {np.dtype(detail['dtype']).name} {list(shape)}, seed {seed}")
    return array


def _load(path: str) -> np.ndarray:
    file = existing(path)
    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise UsageError(f"{path} is no .npy file: {error}") from error
    if not isinstance(array, np.ndarray):
        raise UsageError(f"{path} holds several arrays; expected a .npy file.")
    return array


def _literal(name: str, text: str, dtype: np.dtype[Any]) -> np.ndarray:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if dtype.kind == "S":
            return np.array(text.encode(), dtype=object)
        raise UsageError(f"input {name!r}: {text!r} is no JSON literal, @file.npy or random: {error}") from error
    if dtype.kind == "S":
        return _strings(name, value)
    try:
        kind = np.array(value).dtype
        array = np.array(value, dtype=dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(f"input {name!r} takes {dtype.name}: {error}") from error
    if _KINDS.get(kind.kind, 9) > _KINDS.get(dtype.kind, -1) and array.size:
        raise UsageError(f"input {name!r} takes {dtype.name}, {text} is {kind.name}.")
    return array


def _strings(name: str, value: Any) -> np.ndarray:
    """Through an object array: NumPy's own string types drop NULs at the end."""
    texts = np.array(value, dtype=object)
    if not all(isinstance(text, str) for text in texts.flat):
        raise UsageError(f"input {name!r} takes strings: text, or a JSON list of them of one length each.")
    return _map(str.encode, texts)


def _map(function: Callable[[Any], bytes], array: np.ndarray) -> np.ndarray:
    """An object array of the same shape."""
    result = np.empty(array.shape, object)
    result.reshape(-1)[:] = [function(item) for item in array.flat]
    return result


def _random(generator: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Uniform in [0, 1) for real and complex types, in [0, 10) for integers, digits as text for strings."""
    if dtype.kind in "iu":
        return generator.integers(0, 10, shape).astype(dtype)
    if dtype.kind == "b":
        return generator.integers(0, 2, shape).astype(dtype)
    if dtype.kind == "S":
        return _map(lambda digit: b"%d" % digit, generator.integers(0, 10, shape))
    return generator.random(shape).astype(dtype)

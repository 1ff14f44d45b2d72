"""Values of `--input name=value`: a file, made-up data, or a literal.

A file is `@x.npy`, `@all.npz[x]`, or a picture such as `@cat.png`, which is resized to the input. Made-up data is
`random` or `zeros`, with a shape if need be (`random:2,3`, or `--input-shape name=2,3`). A literal is JSON
(``[[1, 2], [3, 4]]``, ``0.5``, ``true``, ``["a", "b"]``); for a string input, other text stands for itself.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from .arguments import UsageError, existing, known
from .entry import Entry
from .images import SUFFIXES, load_image
from .output import note

_KINDS = {"b": 0, "i": 1, "u": 1, "f": 2, "V": 2, "c": 3}  # a literal may become a kind at or above its own
_MEMBER = re.compile(r"(.+)\[(.+)\]")
_MADE_UP = re.compile(r"(random|zeros)(?::(\d+(?:,\d+)*))?")


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Declare `--input`, `--input-shape` and `--seed`."""
    parser.add_argument("--input", metavar="NAME=VALUE", action="append", default=[], help="once for each input")
    parser.add_argument(
        "--input-shape", metavar="NAME=2,3", action="append", default=[], help="shape of a made-up input"
    )
    parser.add_argument("--seed", type=int, default=0, help="of made-up data (default: 0)")


def read_inputs(arguments: argparse.Namespace, entry: Entry, *, fill: bool = False) -> dict[str, np.ndarray]:
    """Arrays by input name, as `add_inputs` declared them; made-up data is announced on stderr.

    fill: inputs that are not named are made up; else that is an error. Raises UsageError for names that the entry does
    not have, names given twice or not at all, and unreadable values.
    """
    details = entry.inputs
    given = dict(_named("--input", arguments.input, details))
    shapes = read_shapes(arguments, details)
    missing = [name for name in details if name not in given and name not in shapes]
    if missing and not fill:
        example = " ".join(f"--input {name}=random" for name in missing)
        raise UsageError(
            f"no value for {', '.join(map(repr, missing))}; the inputs are: {', '.join(details)}.",
            hint=f"Give it, or have data made up: {example}",
        )
    maker = _Maker(arguments.seed, shapes)
    ordered = [*given, *(name for name in details if name not in given)]
    values = {name: maker.read(name, given.get(name, "random"), details[name]) for name in ordered}
    return {name: values[name] for name in details}


def read_shapes(arguments: argparse.Namespace, details: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes by input name, as `--input-shape` gives them. Raises UsageError."""
    return {name: _shape(name, text) for name, text in _named("--input-shape", arguments.input_shape, details)}


def _named(option: str, arguments: Sequence[str], details: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(input name, text) of each `name=text`."""
    seen = set()
    for argument in arguments:
        if "=" not in argument:
            raise UsageError(f"{option} {argument}: expected name=value.")
        names = [name for name in details if argument.startswith(f"{name}=")]  # a name may hold "="
        name = max(names, key=len, default=argument.partition("=")[0])
        if known("input", name, details) in seen:
            raise UsageError(f"{option}: input {name!r} is given twice.")
        seen.add(name)
        yield name, argument[len(name) + 1 :]


def _shape(name: str, text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"(\d+(,\d+)*)?", text):
        raise UsageError(f"--input-shape {name}={text}: expected numbers with commas, as in {name}=4,64.")
    return tuple(map(int, text.split(","))) if text else ()


class _Maker:
    """Reads values, and makes up those that are asked for."""

    def __init__(self, seed: int, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._generator, self._seed, self._shapes = np.random.default_rng(seed), seed, shapes

    def read(self, name: str, text: str, detail: Mapping[str, Any]) -> np.ndarray:
        """The value of an input."""
        made_up = _MADE_UP.fullmatch(text)
        if made_up is not None:
            kind, shape = made_up.groups()
            return self._made_up(name, kind, _shape(name, shape) if shape else None, detail)
        if name in self._shapes:
            raise UsageError(f"--input-shape {name}=... is for made-up data, and {name}={text} is given.")
        if text.startswith("@"):
            return _load(text[1:], name, detail)
        return _literal(name, text, np.dtype(detail["dtype"]))

    def _made_up(self, name: str, kind: str, shape: tuple[int, ...] | None, detail: Mapping[str, Any]) -> np.ndarray:
        if shape is None:
            shape = self._shapes.get(name, tuple(int(n) for n in detail["shape"]))
        dtype = np.dtype(detail["dtype"])
        try:
            array = _zeros(shape, dtype) if kind == "zeros" else _random(self._generator, shape, dtype)
        except (MemoryError, ValueError, OverflowError) as error:
            raise UsageError(f"input {name!r}: no data of shape {list(shape)} can be made up: {error}") from error
        what = "zeros" if kind == "zeros" else f"seed {self._seed}"
        note(f"{name}: made-up data, {'string' if dtype.kind == 'S' else dtype.name} {list(shape)}, {what}")
        return array


def _load(path: str, name: str, detail: Mapping[str, Any]) -> np.ndarray:
    if Path(path).suffix.lower() in SUFFIXES:
        return load_image(existing(path), name, detail)
    member = None if Path(path).is_file() else _MEMBER.fullmatch(path)
    file = existing(member[1] if member else path)
    try:
        loaded = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError, BadZipFile) as error:
        raise UsageError(f"{file} is no .npy or .npz file: {error}") from error
    if isinstance(loaded, np.ndarray):
        if member:
            raise UsageError(f"{file} holds one array; leave [{member[2]}] out.")
        return loaded
    with loaded:
        if member is None and len(loaded.files) != 1:
            hint = f"Name one: @{file}[{loaded.files[0]}]" if loaded.files else ""
            raise UsageError(f"{file} holds the arrays {', '.join(loaded.files) or 'none'}.", hint=hint)
        key = known(f"array of {file}", member[2], loaded.files) if member else loaded.files[0]
        try:
            array: np.ndarray = loaded[key]
        except (ValueError, EOFError, OSError, MemoryError, BadZipFile) as error:
            raise UsageError(f"{file}[{key}] can't be read: {error}") from error
    return array


def _literal(name: str, text: str, dtype: np.dtype[Any]) -> np.ndarray:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if dtype.kind == "S":
            return np.array(text.encode(), dtype=object)
        raise UsageError(f"input {name!r}: {text!r} is no JSON literal, @file, random or zeros: {error}") from error
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


def _zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Zeros, or empty strings."""
    return np.full(shape, b"", object) if dtype.kind == "S" else np.zeros(shape, dtype)


def _random(generator: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Uniform in [0, 1) for real and complex types, in [0, 10) for integers, digits as text for strings."""
    if dtype.kind in "iu":
        return generator.integers(0, 10, shape).astype(dtype)
    if dtype.kind == "b":
        return generator.integers(0, 2, shape).astype(dtype)
    if dtype.kind == "S":
        return _map(lambda digit: b"%d" % digit, generator.integers(0, 10, shape))
    return generator.random(shape).astype(dtype)

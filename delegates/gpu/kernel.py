"""CUDA C text and its entry points.

Texts live in `cuda/`; a file is included by name, each at most once, and may need macros or functions that the caller
generates. The same text is compiled for a GPU, and by a host compiler in tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

FOLDER = Path(__file__).parent / "cuda"

CTYPES: Mapping[np.dtype, str] = {
    np.dtype(np.float32): "float",
    np.dtype(np.float64): "double",
    np.dtype(np.float16): "half_t",
    np.dtype(np.int8): "signed char",
    np.dtype(np.uint8): "unsigned char",
    np.dtype(np.int16): "short",
    np.dtype(np.uint16): "unsigned short",
    np.dtype(np.int32): "int",
    np.dtype(np.uint32): "unsigned",
    np.dtype(np.int64): "long long",
    np.dtype(np.uint64): "unsigned long long",
    np.dtype(np.bool_): "bool",
}
"""Element types that kernels have, as they name them; half_t is a struct of `prims.cuh`."""

SCALARS: Mapping[str, type[np.generic]] = {
    "int": np.int32,
    "unsigned": np.uint32,
    "long long": np.int64,
    "float": np.float32,
    "double": np.float64,
}
"""Types of parameters that are passed by value."""


class Parameter(NamedTuple):
    """One parameter of an entry point."""

    type: str  # without const, * and __restrict__
    is_pointer: bool
    is_const: bool
    name: str


@dataclass(frozen=True)
class Kernel:
    """An entry point of a translation unit. Equal texts are compiled once."""

    entry: str
    text: str

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Read from the text, with the one-line macros in it expanded."""
        return _parameters(self.entry, self.text)


@cache
def _parameters(entry: str, text: str) -> tuple[Parameter, ...]:
    found = re.search(rf"__global__[^;{{]*?\b{entry}\s*\(", text)
    assert found, f"no __global__ function {entry}"
    listed = text[found.end() : _closing(text, found.end())]
    macros = dict(re.findall(r"^#define[ ]+(\w+)(?:[ ]+(.*))?$", text, re.M))
    while (expanded := re.sub(r"\w+", lambda m: macros.get(m[0], m[0]), listed)) != listed:
        listed = expanded
    return tuple(_parameter(text) for text in re.sub(r"//.*", "", listed).split(",") if text.strip())


def _closing(text: str, start: int) -> int:
    depth, position = 1, start
    while depth:
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        position += 1
    return position - 1


def _parameter(text: str) -> Parameter:
    words = [w for w in text.replace("*", " * ").split() if w != "__restrict__"]
    kind = [w for w in words[:-1] if w not in ("const", "*")]
    return Parameter(" ".join(kind), "*" in words, "const" in words, words[-1])


def kernel(entry: str, *files: str, defines: Mapping[str, object] | None = None, code: str = "") -> Kernel:
    """The entry point of a unit: `prims.cuh`, the macros, the generated `code`, then the files of `cuda/`.

    The code may include files, too.
    """
    macros = tuple((name, str(value)) for name, value in (defines or {}).items())
    return Kernel(entry, _unit(files, macros, code))


@cache
def _unit(files: Sequence[str], macros: Sequence[tuple[str, str]], code: str) -> str:
    seen: set[str] = set()
    parts = [_included("prims.cuh", seen)]
    parts += [f"#define {name} {value}\n" for name, value in macros]
    parts += [_expanded(code, seen)]
    parts += [_included(name, seen) for name in files]
    return "".join(parts)


def _included(name: str, seen: set[str]) -> str:
    if name in seen:
        return ""
    seen.add(name)
    return _expanded((FOLDER / name).read_text(encoding="utf-8"), seen)


def _expanded(text: str, seen: set[str]) -> str:
    """The text with the files that it includes, each at most once."""
    return re.sub(r'^#include "([\w.]+)"\n', lambda m: _included(m[1], seen), text, flags=re.M)

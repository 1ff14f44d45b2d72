"""Inputs to try signatures with: the user's, or made up by recipes that suit dtypes and shapes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..interpreter.errors import ConversionError
from ..interpreter.graph import TensorType
from .inline import Spec
from .load import Entry
from .oracle import Call, Oracle
from .tfapi import TYPES, tensorflow

Samples: TypeAlias = "Mapping[str, Any] | Callable[[str], Any] | None"
"""Inputs by signature key, or a function of the key: a dict by input name, or several of them. None: made up."""

WORDS = (b"the", b"quick", b"brown", b"fox", b"jumps over", b"the lazy", b"dog", "\u00fcber".encode(), b"")
NUMBERS = (b"3", b"-1.5", b"0.25", b"12", b"7")

TRIES = 6
"""How many inputs that TensorFlow takes are tried before NaN, infinities or nothing at all are taken for an answer."""

SIZES = ((2, 32), (2, 8), (1, 1), (2, 2), (1, 224))
LIMITS = (1000, 100, 10, 2, 1)
RANKS = (2, 1, 0, 3, 4)


def calls_of(entry: Entry, samples: Samples, oracle: Oracle) -> list[Call]:
    """Calls of a signature with the user's inputs, or one with inputs that are made up. Raises ConversionError."""
    given = samples(entry.key) if callable(samples) else (samples or {}).get(entry.key)
    if given is None:
        return [_made_up(entry, oracle)]
    several = [given] if isinstance(given, Mapping) else list(given)
    if not several:
        raise ConversionError("there are no inputs to verify with", where=f"signature {entry.key!r}")
    return [_call(entry, sample) for sample in several]


def _call(entry: Entry, sample: Mapping[str, Any]) -> Call:
    where = f"signature {entry.key!r}"
    if set(sample) != set(entry.inputs):
        text = f"inputs {', '.join(map(repr, sample)) or 'none'} are given"
        raise ConversionError(f"{text}, {', '.join(map(repr, entry.inputs)) or 'none'} expected", where=where)
    try:
        arrays = [_array(sample[name], spec) for name, spec in zip(entry.inputs, entry.specs, strict=True)]
    except (TypeError, ValueError) as error:
        raise ConversionError(f"the inputs can't be used: {error}", where=where) from error
    return Call(entry, arrays)


def _array(value: Any, spec: Spec) -> np.ndarray:
    array = np.asarray(value, TYPES[spec.data_type].dtype)
    if array.dtype != object:
        return array
    texts = np.empty(array.shape, object)
    texts.reshape(-1)[:] = [t.encode() if isinstance(t, str) else t for t in array.reshape(-1).tolist()]
    return texts


def _made_up(entry: Entry, oracle: Oracle) -> Call:
    """With the first inputs that TensorFlow takes, if possible those that give plain numbers."""
    specs, reason = entry.specs, ""
    taken: list[Call] = []
    for recipe in recipes(specs):
        generator = np.random.default_rng(0)
        call = Call(entry, [example(spec, recipe, generator) for spec in specs])
        try:
            (results,) = oracle.run([call])
        except tensorflow().errors.OpError as error:
            reason = reason or error.message
            continue
        if all(map(_tells, results)):
            return call
        taken.append(call)
        if len(taken) == TRIES:
            break
    if taken:
        return taken[0]
    hint = f"Give some: verify={{{entry.key!r}: {{name: array}}}}."
    text = f"no inputs to verify with could be made up; TensorFlow says: {reason}"
    raise ConversionError(text, where=f"signature {entry.key!r}", hint=hint)


def _tells(result: np.ndarray) -> bool:
    return result.size > 0 and (result.dtype.kind not in "fc" or bool(np.isfinite(result).all()))


class Recipe(NamedTuple):
    """How to make up what a signature leaves open."""

    size: tuple[int, int]  # an unknown first dimension, other unknown ones
    rank: int  # of a tensor of unknown rank
    words: bool  # strings: words, or numbers as text
    limit: int  # integers of 16 bits and more are below it, and not negative: ids of a vocabulary, classes, sizes
    signed: bool  # floats: normally distributed, or uniform in [0, 1)


def recipes(specs: Sequence[Spec]) -> Iterator[Recipe]:
    """All recipes that make a difference for these inputs."""
    types = [TYPES.get(spec.data_type) for spec in specs]
    is_open = any(spec.dims is None or None in spec.dims for spec in specs)
    integers = any(t is not None and t.dtype.kind in "iu" and t.dtype.itemsize > 1 for t in types)
    floats = any(t is not None and t.dtype.kind in "fcV" for t in types)
    yield from itertools.starmap(
        Recipe,
        itertools.product(
            SIZES if is_open else SIZES[:1],
            RANKS if any(spec.dims is None for spec in specs) else RANKS[:1],
            (True, False) if TensorType.STRING in types else (True,),
            LIMITS if integers else LIMITS[:1],
            (True, False) if floats else (True,),
        ),
    )


def example(spec: Spec, recipe: Recipe, generator: np.random.Generator) -> np.ndarray:
    """One input by a recipe: floats as it says, integers of 8 bits over their whole range."""
    dtype = TYPES[spec.data_type].dtype
    dims = (None,) * recipe.rank if spec.dims is None else spec.dims
    shape = tuple(n if n is not None else recipe.size[i > 0] for i, n in enumerate(dims))
    if dtype.kind == "O":
        texts = WORDS if recipe.words else NUMBERS
        result = np.empty(shape, object)
        result.reshape(-1)[:] = [texts[i % len(texts)] for i in range(result.size)]
        return result
    if dtype.kind == "b":
        return generator.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        whole = dtype.itemsize == 1
        low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max + 1) if whole else (0, recipe.limit)
        return generator.integers(low, high, shape).astype(dtype)
    values = generator.normal(size=shape) if recipe.signed else generator.random(shape)
    return np.asarray(values + 1j * generator.normal(size=shape) if dtype.kind == "c" else values, dtype)

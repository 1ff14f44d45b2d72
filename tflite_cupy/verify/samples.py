"""Inputs for comparisons: what is given, and the rest made up from a seed."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..interpreter.errors import InputError
from ..interpreter.graph import Model, Signature, Tensor, TensorType
from .measure import is_stored

Arrays = Mapping[str, np.ndarray]

WORDS = (b"the", b"quick", b"brown", b"fox", b"jumps over", b"\xc3\xbcber", b"")
NUMBERS = (b"3", b"-1.5", b"0.25", b"12", b"7")


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call of a signature; `key` as in `runtimes.entry`."""

    key: str | None
    inputs: Arrays


class Recipe(NamedTuple):
    """How to make up what a signature leaves open."""

    sizes: tuple[int, int]  # an unknown first dimension, other unknown ones
    range: tuple[int, int]  # plain integers are from the first to below the second: indices, classes, sizes
    words: bool  # strings: words, or numbers as text
    positive: bool  # nothing is below 0


SIZES = ((2, 32), (1, 1), (2, 2), (1, 224))
RANGES = ((0, 10), (1, 10), (0, 2), (0, 1))


def recipes(model: Model, signature: Signature) -> list[Recipe]:
    """All recipes that make a difference for a signature, in the order in which they are tried."""
    tensors = [model.graphs[signature.graph].tensors[index] for index in signature.inputs.values()]
    is_open = any(t.dims is None or None in t.dims for t in tensors)
    integers = any(t.type.dtype.kind in "iu" and not _spans(t) for t in tensors)
    signed = any(t.type.dtype.kind in "fcV" or is_stored(t) for t in tensors)
    strings = any(t.type is TensorType.STRING for t in tensors)
    chosen = itertools.product(
        SIZES if is_open else SIZES[:1],
        RANGES if integers else RANGES[:1],
        (True, False) if strings else (True,),
        (False, True) if signed else (False,),
    )
    return list(itertools.starmap(Recipe, chosen))


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the inputs of calls.

    given: arrays by signature key and input name. shapes: of made-up inputs, by input name.
    """

    model: Model
    seed: int
    given: Mapping[str | None, Arrays]
    shapes: Mapping[str, Sequence[int]]

    def inputs(self, key: str | None, signature: Signature, sample: int, recipe: Recipe) -> dict[str, np.ndarray]:
        """The inputs of the call number `sample` of a signature. Raises InputError for names that it does not have."""
        given = self.given.get(key, {})
        if unknown := [name for name in given if name not in signature.inputs]:
            raise InputError(
                f"there is no input {unknown[0]!r}",
                where=f"signature {signature.key!r}",
                hint=f"Its inputs: {', '.join(signature.inputs) or 'none'}.",
            )
        generator = np.random.default_rng((self.seed, sample))
        tensors = self.model.graphs[signature.graph].tensors
        made = {
            name: _made_up(tensors[index], self.shapes.get(name), recipe, generator, normal=bool(sample % 2))
            for name, index in signature.inputs.items()
        }
        return made | dict(given)


def _spans(tensor: Tensor) -> bool:
    """Whether an integer input takes all values of its type: pixels, and what stands for numbers."""
    return is_stored(tensor) or tensor.type in (TensorType.INT8, TensorType.UINT8)


def _made_up(
    tensor: Tensor, shape: Sequence[int] | None, recipe: Recipe, generator: np.random.Generator, *, normal: bool
) -> np.ndarray:
    """Floats uniform in [0, 1), or normally distributed unless they must not be negative; integers as `_range` says."""
    dtype = tensor.type.dtype
    if shape is None:
        dims = tensor.dims if tensor.dims is not None else (None,)
        shape = [recipe.sizes[place > 0] if n is None else n for place, n in enumerate(dims)]
    if tensor.type.is_object:
        texts = WORDS if recipe.words else NUMBERS
        result = np.empty(tuple(shape), object)
        result.reshape(-1)[:] = [texts[i] for i in generator.integers(0, len(texts), result.size)]
        return result
    if dtype.kind == "b":
        return generator.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        return generator.integers(*_range(tensor, recipe), shape).astype(dtype)
    values = generator.normal(size=tuple(shape)) if normal and not recipe.positive else generator.random(tuple(shape))
    return np.asarray(values + 1j * generator.random(tuple(shape)) if dtype.kind == "c" else values).astype(dtype)


def _range(tensor: Tensor, recipe: Recipe) -> tuple[int, int]:
    """The least integer, and the one past the largest."""
    if not _spans(tensor):
        return recipe.range
    bits, is_signed = tensor.type.bits, tensor.type.dtype.kind == "i"
    low, end = (-(1 << bits - 1), 1 << bits - 1) if is_signed else (0, 1 << bits)
    if recipe.positive and tensor.quantization is not None:
        low = min(int(np.max(tensor.quantization.zero_points)) + 1, end - 1)
    return low, end

"""What a node needs to become a primitive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from ....interpreter.graph import TensorSpec
from .binding import Arg, Library
from .primitive import Attributes, Layout, PostOp, Primitive

Operands: TypeAlias = dict[int, int]
"""Tensors, by the argument of a primitive that they are."""

Constants: TypeAlias = Mapping[int, np.ndarray]
"""Known values, by tensor."""


@dataclass(frozen=True, eq=False)
class Constant:
    """Numbers that a primitive reads; `packed`: in the layout that it likes best."""

    array: np.ndarray
    layout: Layout
    packed: bool = False
    place: int = 0  # among the weights of the primitive


@dataclass(frozen=True, eq=False)
class Derived:
    """Operands that are worked out in each call."""

    tensor: int
    layouts: Mapping[int, Layout]
    work_out: Callable[[np.ndarray], Mapping[int, np.ndarray]]  # value of the tensor -> arguments


@dataclass(frozen=True, eq=False)
class Recipe:
    """One node as a primitive."""

    build: Callable[[Library, Attributes], Primitive]
    operands: Operands
    result: int
    order: tuple[int, ...] | None  # oneDNN's order of the dimensions of the result; None: rows of the last one
    post_ops: tuple[PostOp, ...] = ()
    constants: Mapping[int, Constant] = field(default_factory=dict)
    scales: Mapping[Arg, int] = field(default_factory=dict)
    zero_points: Mapping[Arg, int] = field(default_factory=dict)
    derived: Derived | None = None
    chains: bool = True  # whether operations can follow
    parts: int = 1  # how often it runs: once for each part of the first dimension of all operands and the result
    is_stored: bool = False  # whether the result is quantised integers, made so that operations on these can follow
    abreast: int = 1  # where there is no order: how many rows of the last dimension the primitive takes for one

    def attributes(self, further: tuple[PostOp, ...] = ()) -> Attributes:
        """What stands around it, with operations of nodes after it."""
        return Attributes((*self.post_ops, *further), self.scales, self.zero_points)


def vector(values: np.ndarray, shape: tuple[int, ...] | None = None) -> Constant:
    """Few numbers, as they are."""
    return Constant(values, Layout.of(shape or values.shape, values.dtype))


@lru_cache(maxsize=512)
def offset_vector(value: int) -> Constant:
    """A zero point; equal ones are one constant."""
    return vector(np.array([value], np.int32))


def post_operand(index: int, name: Arg = Arg.SRC_1) -> int:
    """The argument that the operation number `index` after a primitive reads."""
    return Arg.POST_OP * (index + 1) | name


@dataclass(frozen=True, eq=False)
class Padding:
    """Zeros around an image that a node before a convolution adds: rows and columns before and after it."""

    tensor: int  # the image
    spec: TensorSpec
    before: tuple[int, int]
    after: tuple[int, int]

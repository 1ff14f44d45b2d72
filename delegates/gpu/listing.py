"""What a GPU partition does, as plain data: blocks of memory, and steps over them. Made without a device.

block      a piece of device memory: an input, a constant, a part of the arena, or the result of an array step
operand    a tensor in a block: an offset and a shape. Reshaping makes another operand of the same block
step       Launch: one kernel with its arguments.   ArrayStep: a node that runs as CuPy array code
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...interpreter.graph import Node
from ...interpreter.ops.base import StatefulOp
from ...interpreter.runtime.delegate import BoundNode
from .kernel import CTYPES, SCALARS, Kernel, Parameter


class Storage(Enum):
    """Who owns a block."""

    INPUT = "input"  # the caller: its address differs between calls
    CONSTANT = "constant"  # the program: uploaded once
    ARENA = "arena"  # the lane: an offset in its arena
    ARRAY = "array"  # an array step: a new array in each call
    FAULT = "fault"  # the lane: one word, 0 unless a kernel has found a fault


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Block:
    """A piece of device memory. Two blocks are equal if they are the same object."""

    storage: Storage
    nbytes: int
    name: str = ""  # for people
    data: np.ndarray | None = None  # of a constant


@dataclass(frozen=True, slots=True, eq=False)
class Operand:
    """A dense, row-major tensor in a block."""

    block: Block
    shape: tuple[int, ...] | None  # None: the whole of what an array step or the caller gives, known in the call only
    dtype: np.dtype[Any]
    offset: int = 0  # bytes

    @property
    def known_shape(self) -> tuple[int, ...]:
        """The shape, of an operand that a kernel may have."""
        assert self.shape is not None
        return self.shape

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.known_shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def reshaped(self, shape: Sequence[int], *, skip: int = 0) -> Operand:
        """The elements from number `skip` on, in another shape."""
        return replace(self, shape=tuple(shape), offset=self.offset + skip * self.dtype.itemsize)


def constant(values: np.ndarray) -> Operand:
    """Numbers that the launches of one plan read, uploaded once."""
    data = np.ascontiguousarray(values)
    return Operand(Block(Storage.CONSTANT, data.nbytes, "numbers", data), data.shape, data.dtype)


FAULT = Operand(Block(Storage.FAULT, 8, "fault"), (), np.dtype(np.int64))
"""Where kernels report bad indices: the number of the fault in the upper 16 bits, the index in the others."""


class Fault(NamedTuple):
    """What a kernel may find wrong."""

    node: Node
    message: str  # with {} for the index


Argument: TypeAlias = "Operand | np.generic"
Dim: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Launch:
    """One launch of a kernel. Raises TypeError where the arguments do not match its parameters."""

    kernel: Kernel
    grid: Dim
    block: Dim
    arguments: tuple[Argument, ...]
    shared: int = 0  # bytes of dynamic shared memory
    nodes: tuple[int, ...] = ()  # which nodes it computes, or is a part of

    def __post_init__(self) -> None:
        expected, got = self.kernel.parameters, self.arguments
        fits = len(expected) == len(got) and all(map(_matches, expected, got))
        if not fits:
            raise TypeError(f"{self.kernel.entry} takes {[*map(_shown, expected)]}, got {[*map(_kind, got)]}")

    @cached_property
    def reads(self) -> tuple[Block, ...]:
        return tuple(a.block for a in self.arguments if isinstance(a, Operand))

    @cached_property
    def writes(self) -> tuple[Block, ...]:
        pairs = zip(self.kernel.parameters, self.arguments, strict=True)
        return tuple(a.block for p, a in pairs if isinstance(a, Operand) and not p.is_const)


def _matches(parameter: Parameter, argument: Argument) -> bool:
    if isinstance(argument, Operand):
        return parameter.is_pointer and parameter.type in (CTYPES.get(argument.dtype), "void")
    return not parameter.is_pointer and SCALARS.get(parameter.type) is type(argument)


def _shown(parameter: Parameter) -> str:
    return f"{parameter.type}{'*' if parameter.is_pointer else ''} {parameter.name}"


def _kind(argument: Argument) -> str:
    return f"{argument.dtype}{argument.shape if isinstance(argument, Operand) else ''}"


@dataclass(frozen=True, slots=True, eq=False)
class ArrayStep:
    """A node that runs as array code, between launches."""

    bound: BoundNode
    inputs: tuple[Operand | None, ...]
    outputs: tuple[Operand, ...]
    constants: Mapping[int, np.ndarray] = field(default_factory=dict)  # by position among the inputs
    reason: str = ""  # why it has no kernel
    exclusive: bool = False  # reads or assigns a variable that is updated in place

    @property
    def is_stateful(self) -> bool:
        """Whether it works on resources."""
        return isinstance(self.bound.op, StatefulOp)

    @property
    def nodes(self) -> tuple[int, ...]:
        return (self.bound.node.index,)

    @property
    def reads(self) -> tuple[Block, ...]:
        return tuple(operand.block for operand in self.inputs if operand is not None)

    @property
    def writes(self) -> tuple[Block, ...]:
        return tuple(operand.block for operand in self.outputs)


Step: TypeAlias = Launch | ArrayStep


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """All steps of a partition."""

    inputs: tuple[Block, ...]
    outputs: tuple[Operand, ...]
    steps: tuple[Step, ...]
    views: tuple[int, ...] = ()  # nodes that cost nothing
    faults: tuple[Fault, ...] = ()  # by number, from 1 on

    @property
    def launches(self) -> int:
        """How many kernels one call launches; array steps launch more."""
        return sum(isinstance(step, Launch) for step in self.steps)

    @property
    def array_steps(self) -> tuple[ArrayStep, ...]:
        return tuple(step for step in self.steps if isinstance(step, ArrayStep))

    @property
    def segments(self) -> tuple[tuple[Step, ...], ...]:
        """Runs of launches, each of which becomes one graph, and single array steps between them."""
        return tuple(_segments(self.steps))

    @property
    def constants(self) -> tuple[Block, ...]:
        return tuple(self.blocks(Storage.CONSTANT))

    def blocks(self, storage: Storage) -> Iterable[Block]:
        """Blocks of that kind that the steps use or that leave the partition, each once."""
        used = (b for step in self.steps for b in (*step.reads, *step.writes))
        left = (operand.block for operand in self.outputs)
        return dict.fromkeys(b for b in (*used, *left) if b.storage is storage)


def _segments(steps: Sequence[Step]) -> Iterator[tuple[Step, ...]]:
    run: list[Step] = []
    for step in steps:
        if isinstance(step, Launch):
            run.append(step)
            continue
        if run:
            yield tuple(run)
            run = []
        yield (step,)
    if run:
        yield tuple(run)

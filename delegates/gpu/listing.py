"""What a GPU partition does, as plain data: blocks of memory, and steps over them. Made without a device.

block      a piece of device memory: an input, a constant, a part of the arena, or the result of an array step
operand    a tensor in a block: an offset and a shape. Reshaping makes another operand of the same block
step       Launch: one kernel with its arguments.   Gemm: a matrix product that a library computes
           ArrayStep: a node that runs as CuPy array code
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
from .gemm import ALIGNMENT, Problem
from .kernel import CTYPES, SCALARS, Kernel, Parameter
from .tiling import MOST_TILES


class Storage(Enum):
    """Who owns a block."""

    INPUT = "input"  # the caller: its address differs between calls
    CONSTANT = "constant"  # the program: uploaded once
    ARENA = "arena"  # the lane: an offset in its arena
    ARRAY = "array"  # an array step: a new array in each call
    FAULT = "fault"  # the lane: one word, 0 unless a kernel has found a fault
    COUNTS = "counts"  # the lane: zeros, which kernels leave as they found them


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


UNREAD = constant(np.zeros(1, np.float32))
"""In the place of an operand that there is not, a bias say."""

FAULT = Operand(Block(Storage.FAULT, 8, "fault"), (), np.dtype(np.int64))
"""Where kernels report bad indices: the number of the fault in the upper 16 bits, the index in the others."""


ARRIVED = Operand(Block(Storage.COUNTS, 4 * MOST_TILES, "arrived"), (MOST_TILES,), np.dtype(np.int32))
"""Where blocks that share a tile count who has come, tile by tile."""


class Work(NamedTuple):
    """What a launch computes: additions and multiplications, on which unit (`ceilings.UNITS`), and in how many seconds
    its blocks should be through, where a model has chosen them."""

    operations: int = 0
    unit: str = "strict"
    seconds: float = 0.0


NO_WORK = Work()


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
    work: Work = NO_WORK

    def __post_init__(self) -> None:
        expected, got = self.kernel.parameters, self.arguments
        fits = len(expected) == len(got) and all(map(_matches, expected, got))
        if not fits:
            raise TypeError(f"{self.kernel.entry} takes {[*map(_shown, expected)]}, got {[*map(_kind, got)]}")

    @property
    def name(self) -> str:
        return self.kernel.entry

    @cached_property
    def operands(self) -> tuple[Operand, ...]:
        return tuple(a for a in self.arguments if isinstance(a, Operand))

    @cached_property
    def reads(self) -> tuple[Block, ...]:
        return tuple(operand.block for operand in self.operands)

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


@dataclass(frozen=True, eq=False)
class Gemm:
    """One product by a library. Raises TypeError where the operands' blocks are not as the problem says."""

    problem: Problem
    a: Operand
    b: Operand
    out: Operand
    c: Operand | None = None
    bias: Operand | None = None
    nodes: tuple[int, ...] = ()  # which nodes it computes, or is a part of

    name = "gemm of a library"

    def __post_init__(self) -> None:
        p = self.problem
        sides = (
            (self.a, p.dtype, p.reach(p.a, p.rows, p.depth)),
            (self.b, p.dtype, p.reach(p.b, p.depth, p.columns)),
            (self.out, p.out_dtype, p.reach(p.out, p.rows, p.columns)),
            (self.c if p.has_c else None, p.out_dtype, p.reach(p.out, p.rows, p.columns)),
            (self.bias if p.has_bias else None, p.out_dtype, p.columns),
        )
        for operand, dtype, reach in sides:
            if operand is None:
                continue
            end = operand.offset + reach * dtype.itemsize
            if operand.dtype != dtype or end > operand.block.nbytes or operand.offset % ALIGNMENT:
                raise TypeError(f"a product of {p} takes {reach} elements of {dtype}, got {_kind(operand)}")
        if (p.has_c, p.has_bias) != (self.c is not None, self.bias is not None):
            raise TypeError(f"a product of {p} has c: {p.has_c}, bias: {p.has_bias}, got {self.c}, {self.bias}")

    @property
    def operands(self) -> tuple[Operand, ...]:
        return tuple(o for o in (self.a, self.b, self.out, self.c, self.bias) if o is not None)

    @property
    def reads(self) -> tuple[Block, ...]:
        return tuple(operand.block for operand in self.operands)

    @property
    def writes(self) -> tuple[Block, ...]:
        return (self.out.block,)


@dataclass(frozen=True, slots=True, eq=False)
class ArrayStep:
    """A node that runs as array code, between launches."""

    bound: BoundNode
    inputs: tuple[Operand | None, ...]
    outputs: tuple[Operand, ...]
    constants: Mapping[int, np.ndarray] = field(default_factory=dict)  # by position among the inputs
    reason: str = ""  # why it has no kernel
    exclusive: bool = False  # reads or assigns a variable that is updated in place

    name = "array code"

    @property
    def is_stateful(self) -> bool:
        """Whether it works on resources."""
        return isinstance(self.bound.op, StatefulOp)

    @property
    def nodes(self) -> tuple[int, ...]:
        return (self.bound.node.index,)

    @property
    def operands(self) -> tuple[Operand, ...]:
        return tuple(operand for operand in (*self.inputs, *self.outputs) if operand is not None)

    @property
    def reads(self) -> tuple[Block, ...]:
        return tuple(operand.block for operand in self.inputs if operand is not None)

    @property
    def writes(self) -> tuple[Block, ...]:
        return tuple(operand.block for operand in self.outputs)


Queued: TypeAlias = Launch | Gemm
"""A step that a graph can hold."""

Step: TypeAlias = Launch | Gemm | ArrayStep


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
        """How many kernels and products one call launches; array steps launch more."""
        return sum(not isinstance(step, ArrayStep) for step in self.steps)

    @property
    def gemms(self) -> tuple[Gemm, ...]:
        return tuple(step for step in self.steps if isinstance(step, Gemm))

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
        if not isinstance(step, ArrayStep):
            run.append(step)
            continue
        if run:
            yield tuple(run)
            run = []
        yield (step,)
    if run:
        yield tuple(run)

"""What a partition does, as data: primitives with what they read, views, and nodes that run as NumPy code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from ....interpreter.graph import TensorSpec
from ....interpreter.ops.base import Activation, StatefulOp
from ....interpreter.ops.base import Padding as PaddingKind
from ....interpreter.ops.conv import Conv2D, DepthwiseConv2D
from ....interpreter.ops.layout import Concatenation
from ....interpreter.ops.shape import ExpandDims, Reshape, Squeeze
from ....interpreter.ops.shared.products import WeightedOp
from ....interpreter.runtime.delegate import BoundNode, Partition
from ....interpreter.sharing import own
from ...arrays import Kernel
from .binding import Arg, Handle, Library, Query, Unimplemented
from .effort import is_light
from .epilogue import Chains, Link
from .normalization import layer_norm
from .primitive import Binary, Prelu, Primitive, address, make_layout
from .recipe import Constant, Derived, Recipe, post_operand
from .recipes import batch_matmul, padding_of, recipe
from .turned import turned
from .unsigned import without_sign
from .weights import Slab, Weights


@dataclass(frozen=True, eq=False)
class Execution:
    """A primitive, with what it reads: constants, and tensors by argument."""

    nodes: tuple[BoundNode, ...]
    primitive: Primitive
    constants: Mapping[int, Handle]
    kept: tuple[np.ndarray, ...]  # the memory of the constants
    operands: Mapping[int, tuple[int, Any]]  # argument -> tensor and layout
    result: tuple[int, Any]
    threads: int  # that it was made for
    derived: Derived | None = None
    parts: int = 1  # see `Recipe`

    @cached_property
    def reads(self) -> tuple[int, ...]:
        derived = () if self.derived is None else (self.derived.tensor,)
        return (*(tensor for tensor, _ in self.operands.values()), *derived)

    @property
    def writes(self) -> tuple[int, ...]:
        return (self.result[0],)


@dataclass(frozen=True, eq=False)
class NodeStep:
    """A step that is one node."""

    nodes: tuple[BoundNode]

    @property
    def reads(self) -> tuple[int, ...]:
        return self.nodes[0].node.inputs

    @property
    def writes(self) -> tuple[int, ...]:
        return self.nodes[0].node.outputs


class View(NodeStep):
    """A node that gives the elements of its first operand in another shape."""

    @property
    def reads(self) -> tuple[int, ...]:
        return super().reads[:1]


@dataclass(frozen=True, eq=False)
class Join(NodeStep):
    """CONCATENATION of values of one scale: copies into the arena."""

    axis: int


@dataclass(frozen=True, eq=False)
class ArrayStep(NodeStep):
    """A node that runs as NumPy code."""

    kernel: Kernel

    @property
    def is_stateful(self) -> bool:
        return isinstance(self.nodes[0].op, StatefulOp)


Step: TypeAlias = Execution | View | Join | ArrayStep


def steps_of(
    library: Library, partition: Partition, kernel: Callable[[BoundNode], Kernel], weights: Weights, threads: int
) -> list[Step]:
    """All steps of a partition, in an order in which they can run. `kernel`: the NumPy code of a node."""
    changed, tensors = without_sign(partition)
    steps = _Planner(library, changed, kernel, weights, threads).steps()
    if all(isinstance(step, Execution) or tensors.isdisjoint((*step.reads, *step.writes)) for step in steps):
        return steps
    return _Planner(library, partition, kernel, weights, threads).steps()


class _Planner:
    def __init__(
        self, library: Library, partition: Partition, kernel: Callable[[BoundNode], Kernel], weights: Weights,
        threads: int,
    ) -> None:  # fmt: skip
        self._library, self._partition, self._kernel, self._weights = library, partition, kernel, weights
        self._threads = threads
        self._chains = Chains(partition.nodes, set(partition.outputs), partition.constants.keys())
        self._slab = Slab(sum(_weights_nbytes(bound, partition) for bound in partition.nodes))
        self._memories: dict[Constant, tuple[np.ndarray, Handle]] = {}
        self._placed: dict[int, Step] = {}  # by the position at which they run
        self._taken: set[int] = set()

    def steps(self) -> list[Step]:
        for position, bound in enumerate(self._partition.nodes):
            if position not in self._taken:
                self._place(position, bound)
        return [self._placed[position] for position in sorted(self._placed)]

    def _place(self, position: int, bound: BoundNode) -> None:
        group = layer_norm(self._partition.nodes, self._chains, position, self._partition.constants)
        if group is not None and self._taken.isdisjoint(group[0]) and self._build(group[1], group[0], ()):
            return
        others, head = turned(self._partition.nodes, self._chains, position, self._partition.constants, self._taken)
        product = batch_matmul(bound, self._partition.constants, others) if others else None
        if product is not None and self._execute(product, head):
            return
        for before in self._paddings(bound):
            head = (position,) if before is None else (position, before)
            padding = None if before is None else padding_of(self._partition.nodes[before], self._partition.constants)
            made = recipe(bound, self._partition.constants, padding) if before is None or padding else None
            if made is not None and self._execute(made, head):
                if before is not None:
                    del self._placed[before]
                return
        self._placed[position] = _moving(bound) or ArrayStep((bound,), self._kernel(bound))

    def _paddings(self, bound: BoundNode) -> Iterator[int | None]:
        """Positions of nodes that pad what a convolution reads and that it could do without; None: of no node."""
        if isinstance(bound.op, Conv2D | DepthwiseConv2D) and bound.op.padding is PaddingKind.VALID:
            before = self._chains.only_maker(bound.node.inputs[0])
            if before in self._placed:
                yield before
        yield None

    def _execute(self, made: Recipe, head: tuple[int, ...]) -> bool:
        """Place a node with as many of those after it as one primitive takes; whether there is a primitive. The other
        nodes of the head are those that it does without."""
        links = self._chains.links(head[0], made, self._taken) if made.chains else []
        return any(self._build(made, head, links[:count]) for count in range(len(links), -1, -1))

    def _build(self, made: Recipe, head: tuple[int, ...], chain: Sequence[Link]) -> bool:
        """Place the nodes at `head` with a chain after them; whether there is such a primitive."""
        post_ops = tuple(post for link in chain for post in link.post_ops)
        positions = (*head, *(p for link in chain for p in link.nodes))
        threads = 1 if is_light([self._partition.nodes[p] for p in positions], made.parts) else self._threads
        self._library.use_threads(threads)
        try:
            primitive = made.build(self._library, made.attributes(post_ops))
        except Unimplemented:
            return False
        self._placed[max(positions)] = self._bind(primitive, made, chain, positions, threads)
        self._taken.update(positions)
        return True

    def _bind(
        self, primitive: Primitive, made: Recipe, chain: Sequence[Link], positions: tuple[int, ...], threads: int
    ) -> Execution:
        operands: dict[int, tuple[int, Any]] = {}
        fixed = {argument: self._constant(each, primitive) for argument, each in made.constants.items()}
        for argument, (tensor, layout) in _operands(self._library, primitive, made, chain).items():
            value = self._partition.constants.get(tensor)
            if value is None:
                operands[argument] = tensor, layout
            else:
                abreast = self._library.nbytes(layout) // value.nbytes
                value = own(value) if abreast == 1 else np.tile(value.reshape(-1), abreast)
                value = np.ascontiguousarray(value)
                fixed[argument] = value, self._library.memory(layout, address(value))
        nodes = tuple(self._partition.nodes[p] for p in positions)
        result = chain[-1].result if chain else made.result
        layout = self._library.query(primitive.description, Query.DST)
        constants = {argument: memory for argument, (_, memory) in fixed.items()}
        kept = tuple(array for array, _ in fixed.values())
        return Execution(
            nodes, primitive, constants, kept, operands, (result, layout), threads, made.derived, made.parts
        )

    def _constant(self, constant: Constant, primitive: Primitive) -> tuple[np.ndarray, Handle]:
        """Memory that holds a constant."""
        found = self._memories.get(constant)
        if found is None:
            array, layout = self._weights.stored(constant, primitive, self._slab)
            found = self._memories[constant] = array, self._library.memory(layout, address(array))
        return found


def _weights_nbytes(bound: BoundNode, partition: Partition) -> int:
    """Of constant weights."""
    if not isinstance(bound.op, WeightedOp):
        return 0
    weights = partition.constants.get(bound.node.inputs[bound.op.positions[1]])
    return 0 if weights is None else weights.nbytes


def _moving(bound: BoundNode) -> View | Join | None:
    """A node of known shape that computes nothing."""
    op, result = bound.op, bound.outs[0] if bound.outs else None
    if result is None or not result.shape or 0 in result.shape:
        return None
    if isinstance(op, ExpandDims | Reshape | Squeeze):
        return View((bound,))
    if not isinstance(op, Concatenation) or op.fused_activation_function is not Activation.NONE:
        return None
    if result.dtype == object or any(spec is None or not same_scale(spec, result) for spec in bound.ins):
        return None
    return Join((bound,), op.axis)


def same_scale(spec: TensorSpec, other: TensorSpec) -> bool:
    """Whether stored integers of both mean the same."""
    a, b = spec.quantization, other.quantization
    if a is None or b is None:
        return a is b
    return np.array_equal(a.scales, b.scales) and np.array_equal(a.zero_points, b.zero_points)


_QUERIES = {Arg.SRC: (Query.SRC, 0), Arg.SRC_1: (Query.SRC, 1), Arg.WEIGHTS: (Query.WEIGHTS, 0)}


def _operands(
    library: Library, primitive: Primitive, made: Recipe, chain: Sequence[Link]
) -> dict[int, tuple[int, Any]]:
    """Tensors that a primitive and the operations after it read, with their layouts."""
    found = {a: (tensor, _layout(library, primitive, made, a)) for a, tensor in made.operands.items()}
    index = len(made.post_ops)
    for link in chain:
        if link.operand is not None:
            place, post = next((i, post) for i, post in enumerate(link.post_ops) if isinstance(post, Binary | Prelu))
            argument = post_operand(index + place, Arg.SRC_1 if isinstance(post, Binary) else Arg.WEIGHTS)
            found[argument] = link.operand, make_layout(library, post.layout)
        index += len(link.post_ops)
    return found


def _layout(library: Library, primitive: Primitive, made: Recipe, argument: int) -> Any:
    """Of an operand of a primitive, or of one of the operations after it."""
    if argument < Arg.POST_OP:
        return library.query(primitive.description, *_QUERIES[Arg(argument)])
    post = made.post_ops[argument // Arg.POST_OP - 1]
    assert isinstance(post, Binary)
    return make_layout(library, post.layout)

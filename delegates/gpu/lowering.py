"""From nodes to launches: pure planning, which needs no device.

@lowers(Softmax)                                        # in kernels/<family>.py
def softmax(site: Site) -> str | None:
    x = site.ins[0]
    if x.dtype != np.float32:
        return "its type has no kernel."
    rows, depth = x.size // x.shape[-1], x.shape[-1]
    site.launch(kernel("softmax", "softmax.cu"), rows, 256, x, site.out, np.int32(depth), np.float32(site.op.beta))
    return None
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from ...interpreter.graph import ABSENT, Graph, TensorSpec
from ...interpreter.runtime.delegate import BoundNode, Partition
from .ceilings import Ceilings, ceilings_of
from .gemm import Problem
from .groups import Group, group
from .kernel import CTYPES, Kernel, kernel
from .listing import (
    NO_WORK,
    Argument,
    ArrayStep,
    Block,
    Dim,
    Fault,
    Gemm,
    Launch,
    Listing,
    Operand,
    Queued,
    Step,
    Storage,
    Work,
)
from .storage import halved, kept_in_half
from .tail import Tail, readers, write_tail
from .tuning import Picker
from .updates import updated_in_place
from .views import views_of

FLOAT16_ARCH, TF32_ARCH = 75, 80
"""Compute capabilities, times ten, from which on tensor cores multiply these types."""

THREADS = 256
"""Threads of a block where nothing asks for another number."""

MAX_ELEMENTS = 1 << 31
"""Kernels count the elements of a tensor in 32 bits."""

Pack = Callable[[np.ndarray], np.ndarray]


class Constants(Protocol):
    """Blocks of constants, kept for as long as their graph lives, so that plans for other shapes use them too."""

    def block(self, graph: Graph, tensor: int, value: np.ndarray, tag: str = "", pack: Pack | None = None) -> Block:
        """The block of a constant as it is, or, for each `tag`, as `pack` makes it."""


@dataclass(frozen=True, slots=True)
class Options:
    """What planning has to know of the device and of the caller's wishes."""

    arch: int = 90  # compute capability times ten
    precision: str = "auto"  # "auto", "strict", "tf32", "fp16"
    library: Callable[[Problem], bool] | None = None  # whether it takes a product; None: there is no library
    tuner: Picker | None = None  # picks among ways to compute the same; None: the model of the device does

    @property
    def ceilings(self) -> Ceilings:
        """Of the device that the plan is for."""
        return ceilings_of(self.arch)

    @property
    def products(self) -> str:
        """The precision that products of float32 really have: "strict", "tf32" or "fp16"."""
        if self.precision == "fp16" and self.arch >= FLOAT16_ARCH:
            return "fp16"
        return "tf32" if self.precision in ("auto", "tf32") and self.arch >= TF32_ARCH else "strict"


@dataclass(slots=True, eq=False)
class Site:
    """One head to be lowered: its operands, its tail, and where launches go."""

    nodes: tuple[BoundNode, ...]
    tail: Tail
    outs: tuple[Operand, ...]  # of the head; with a tail one, the tail's result in the head's shape
    options: Options
    _lowerer: _Lowerer
    steps: list[Queued] = field(default_factory=list)

    @property
    def op(self) -> Any:
        """The operator of the head's first node."""
        return self.nodes[0].op

    @property
    def out(self) -> Operand:
        return self.outs[0]

    @property
    def ins(self) -> tuple[Operand, ...]:
        """Operands of the first node; None for an absent one."""
        return self.operands(self.nodes[0])

    def operands(self, bound: BoundNode) -> tuple[Any, ...]:
        """Operands of one of the nodes; None for an absent one, and for what another node of the head makes."""
        made = {ABSENT, *(t for other in self.nodes for t in other.node.outputs)}
        return tuple(None if t in made else self._lowerer.operand(t) for t in bound.node.inputs)

    def tensor(self, index: int) -> Operand:
        """A tensor that the head reads from memory."""
        return self._lowerer.operand(index)

    def in_half(self, operand: Operand) -> Operand:
        """A constant of float32 in float16, where products have that; other operands as they are."""
        return self._lowerer.in_half(operand) if self.options.products == "fp16" else operand

    def value(self, position: int, bound: BoundNode | None = None) -> np.ndarray | None:
        """The value of an operand that is known before the call, on the host."""
        spec = (bound or self.nodes[0]).ins[position]
        return None if spec is None else spec.value

    def packed(self, position: int, tag: str, pack: Pack, bound: BoundNode | None = None) -> Operand:
        """A constant operand in another layout: `pack` runs once for each tag, which names all it depends on."""
        chosen = bound or self.nodes[0]
        value = self.value(position, chosen)
        assert value is not None
        return self._lowerer.packed(chosen.node.inputs[position], value, tag, pack)

    def overwrite(self, position: int) -> bool:
        """Make an operand of the first node the place of the result, if nobody else needs its value any more."""
        tensor, shape = self.nodes[0].node.inputs[position], self.out.shape
        operand = self._lowerer.spent(tensor, self.nodes[0])
        if operand is None or operand.shape != shape or operand.dtype != self.out.dtype:
            return False
        self.outs = (operand,)
        self._lowerer.sums.pop(operand.block, None)
        return True

    def readers(self) -> list[BoundNode]:
        """The nodes that read what leaves the site."""
        return self._lowerer.readers((*self.nodes, *self.tail.nodes)[-1].node.outputs[0])

    def keep_sums(self, sums: Operand) -> None:
        """Sums of the result, an image of float32, over parts of its pixels, [images, parts, channels], that the
        launches make besides."""
        self._lowerer.sums[self.out.block] = self.out, sums

    def sums_of(self, operand: Operand) -> Operand | None:
        """Such sums of an operand, where there are any."""
        image, sums = self._lowerer.sums.get(operand.block, (None, None))
        is_whole = image is not None and (image.shape, image.offset) == (operand.shape, operand.offset)
        return sums if is_whole else None

    def scratch(self, shape: Sequence[int], dtype: Any) -> Operand:
        """Memory for the launches of this site."""
        return _new(Storage.ARENA, shape, np.dtype(dtype), "scratch")

    def fault(self, message: str) -> np.int32:
        """The number of a fault that the launches may report at `FAULT`; `message` has {} for the bad index."""
        return self._lowerer.fault(self.nodes[0], message)

    def kernel(self, entry: str, *files: str, **defines: object) -> Kernel:
        """A kernel that knows the tail: `OUT`, `VALUE`, `TAIL_PARAMETERS` and `FINISH(out, index, value)`."""
        return kernel(entry, *files, defines=defines, code=self.tail.code)

    def launch(
        self,
        what: Kernel,
        grid: int | Sequence[int],
        block: int | Sequence[int],
        *arguments: Argument,
        shared: int = 0,
        work: Work = NO_WORK,
    ) -> None:
        """Emit a launch; a kernel that has `TAIL_PARAMETERS` needs `*site.tail.arguments` at their place."""
        self.steps.append(Launch(what, _dim(grid), _dim(block), arguments, shared, self._indices(), work))

    def either(self, key: str, ways: Mapping[str, Callable[[Site], object]]) -> None:
        """Emit by the first of these ways, the best by the model, or by the one that a tuner picks.

        key: what tells the problem from others that have ways of the same names.
        """
        chosen = next(iter(ways))
        if self.options.tuner is not None and len(ways) > 1:
            steps: dict[str, Sequence[Queued]] = {}
            for name, emit in ways.items():
                trial = replace(self, steps=[])
                emit(trial)
                steps[name] = trial.steps
            chosen = self.options.tuner.pick(key, steps)
        ways[chosen](self)

    def multiply(
        self, problem: Problem, a: Operand, b: Operand, out: Operand, c: Operand | None, bias: Operand | None
    ) -> None:
        """Emit a product for the library."""
        self.steps.append(Gemm(problem, a, b, out, c, bias, self._indices()))

    def _indices(self) -> tuple[int, ...]:
        return tuple(bound.node.index for bound in (*self.nodes, *self.tail.nodes))


def _dim(value: int | Sequence[int]) -> Dim:
    x, y, z, *_ = (*(value if isinstance(value, Sequence) else (value,)), 1, 1)
    return int(x), int(y), int(z)


def _new(storage: Storage, shape: Sequence[int] | None, dtype: np.dtype[Any], name: str) -> Operand:
    nbytes = 0 if shape is None else math.prod(shape) * dtype.itemsize
    return Operand(Block(storage, nbytes, name), None if shape is None else tuple(shape), dtype)


def lower(partition: Partition, constants: Constants, options: Options) -> Listing:
    """The steps of a partition."""
    groups = group(partition.nodes, set(partition.outputs), options)
    half = kept_in_half(groups, partition.outputs) if options.products == "fp16" else frozenset()
    while True:
        lowerer = _Lowerer(partition, constants, options, half)
        listing = lowerer.listing(groups)
        if not (refused := lowerer.refused(listing)):
            return listing
        half -= refused


class _Lowerer:
    """half: tensors of float32 that are float16 in memory."""

    def __init__(
        self, partition: Partition, constants: Constants, options: Options, half: frozenset[int] = frozenset()
    ) -> None:
        self._partition, self._constants, self._options, self._half = partition, constants, options, half
        self._steps: list[Step] = []
        self._views: list[int] = []
        self._faults: list[Fault] = []
        self.sums: dict[Block, tuple[Operand, Operand]] = {}  # images, and sums over parts of their pixels
        self._done: set[int] = set()  # indices of nodes that are lowered
        self._readers = readers(partition.nodes)
        self._exclusive = updated_in_place(partition)
        self._taken = {t for b in partition.nodes if b.node.index in self._exclusive for t in b.node.outputs}
        specs = _input_specs(partition)
        tensors = partition.graph.tensors
        self._tensors: dict[int, Operand] = {
            t: _new(Storage.INPUT, specs[t].shape, specs[t].dtype, tensors[t].name) for t in partition.inputs
        }
        self._inputs = tuple(self._tensors[t].block for t in partition.inputs)
        self._given: dict[Block, int] = {}  # tensors of constants
        self._unable: set[int] = set()  # tensors around heads that would have had a kernel for float32

    def listing(self, groups: Sequence[Group]) -> Listing:
        for made in groups:
            self._lower(made)
        outputs = tuple(self.operand(t) for t in self._partition.outputs)
        return Listing(self._inputs, outputs, tuple(self._steps), tuple(self._views), tuple(self._faults))

    def operand(self, tensor: int) -> Operand:
        """A tensor that an earlier step makes, an input, or a constant."""
        if tensor not in self._tensors:
            value = self._partition.constants[tensor]
            block = self._constants.block(self._partition.graph, tensor, value)
            self._tensors[tensor] = Operand(block, value.shape, value.dtype)
            self._given[block] = tensor
        return self._tensors[tensor]

    def in_half(self, operand: Operand) -> Operand:
        tensor = self._given.get(operand.block)
        if tensor is None or operand.dtype != np.float32:
            return operand
        made = self.packed(tensor, self._partition.constants[tensor], "float16", halved)
        return made.reshaped(operand.known_shape, skip=operand.offset // operand.dtype.itemsize)

    def refused(self, listing: Listing) -> frozenset[int]:
        """Tensors in float16 that stand in the way: of array steps, and of kernels that do not take it."""
        blocks = {operand.block for step in listing.array_steps for operand in step.operands}
        blocks.update(self._tensors[t].block for t in self._unable if t in self._tensors)
        return frozenset(t for t in self._half if t in self._tensors and self._tensors[t].block in blocks)

    def _made(self, tensor: int, spec: TensorSpec) -> Operand:
        """Memory for a result."""
        dtype = np.dtype(np.float16) if tensor in self._half else spec.dtype
        return _new(Storage.ARENA, spec.shape, dtype, spec.name)

    def readers(self, tensor: int) -> list[BoundNode]:
        """The nodes that read a tensor."""
        return [self._partition.nodes[p] for p in self._readers.get(tensor, ())]

    def spent(self, tensor: int, bound: BoundNode) -> Operand | None:
        """A tensor that fills memory of this call's own, or memory that the caller gave up, and that nobody reads any
        more but `bound`; None if it is no such tensor."""
        operand = self.operand(tensor)
        block = operand.block
        aliases = [t for t, other in self._tensors.items() if other.block is block]
        is_donated = not self._partition.donated.isdisjoint(aliases)  # also once it was overwritten
        is_ours = block.storage is Storage.ARENA or is_donated or tensor in self._taken
        if not is_ours or operand.shape is None or operand.nbytes != block.nbytes:
            return None
        users = (self._partition.nodes[p].node.index for t in aliases for p in self._readers.get(t, ()))
        is_needed = not {bound.node.index, *self._done}.issuperset(users)
        return None if is_needed or not set(aliases).isdisjoint(self._partition.outputs) else operand

    def packed(self, tensor: int, value: np.ndarray, tag: str, pack: Pack) -> Operand:
        block = self._constants.block(self._partition.graph, tensor, value, tag, pack)
        assert block.data is not None
        return Operand(block, block.data.shape, block.data.dtype)

    def fault(self, bound: BoundNode, message: str) -> np.int32:
        self._faults.append(Fault(bound.node, message))
        return np.int32(len(self._faults))

    def _lower(self, made: Group) -> None:
        if not made.head:
            self._elementwise(made.tail)
        elif len(made.nodes) == 1 and self._viewed(made.head[0]):
            self._views.append(made.head[0].node.index)
        elif (reason := self._lowered(made)) is not None:
            self._fall_back(made, reason)
        self._done.update(bound.node.index for bound in made.nodes)

    def _viewed(self, bound: BoundNode) -> bool:
        """Whether a node only gives its operand, or adjacent elements of it, other shapes."""
        views = views_of(bound)
        sources = [self.operand(bound.node.inputs[view.position]) for view in views or ()]
        if views is None or any(source.shape is None for source in sources):
            return False
        for tensor, spec, view, source in zip(bound.node.outputs, bound.outs, views, sources, strict=True):
            self._tensors[tensor] = source.reshaped(spec.shape or (), skip=view.skip)
        return True

    def _lowered(self, made: Group) -> str | None:
        """None once the launches are there; else why there are none."""
        reason = _unfit(made)
        if reason is not None or not made.lowerings:
            return reason or "it has no kernel."
        heads = made.head if made.is_joint else made.head[-1:]
        results = [(t, s) for bound in made.ends for t, s in zip(bound.node.outputs, bound.outs, strict=True)]
        made_outs = (self._made(t, s) for t, s in results)
        head_specs = [s for bound in heads for s in bound.outs]
        outs = tuple(o.reshaped(s.shape or ()) for o, s in zip(made_outs, head_specs, strict=True))
        head = (heads[-1].node.outputs[0], heads[-1].outs[0])
        tail = write_tail(made.tail, outs[0], self.operand, head)
        reasons: list[str] = []
        is_half = self._is_in_half(made)
        for lowering in made.lowerings:
            if made.tail and not lowering.tail:
                continue
            if is_half and not lowering.half:
                reasons.append("it has no kernel for float32 that is kept in float16.")
                continue
            site = Site(made.head, tail, outs, self._options, self)
            reason = lowering.lower(site)
            if reason is None:
                self._steps += site.steps
                for (tensor, spec), out in zip(results, site.outs, strict=True):
                    self._tensors[tensor] = out.reshaped(spec.shape or ())
                return None
            reasons.append(reason)
        if is_half and not all(lowering.half for lowering in made.lowerings):
            self._unable.update(t for bound in made.nodes for t in (*bound.node.inputs, *bound.node.outputs))
        return " ".join(dict.fromkeys(reasons))

    def _is_in_half(self, made: Group) -> bool:
        """Whether a tensor of float32 around a head is float16 in memory."""
        read = [(t, s) for bound in made.head for t, s in zip(bound.node.inputs, bound.ins, strict=True)]
        is_read = any(t in self._tensors and s is not None and self._tensors[t].dtype != s.dtype for t, s in read)
        return is_read or any(t in self._half for bound in made.ends for t in bound.node.outputs)

    def _elementwise(self, nodes: Sequence[BoundNode]) -> None:
        last = nodes[-1]
        out = self._made(last.node.outputs[0], last.outs[0])
        tail = write_tail(nodes, out, self.operand, None)
        site = Site((), tail, (out,), self._options, self)
        what, count = site.kernel("elementwise", "elementwise.cu"), out.size // tail.width
        site.launch(what, -(-count // THREADS), THREADS, out, np.uint32(count), *tail.arguments)
        self._steps += site.steps
        self._tensors[last.node.outputs[0]] = out

    def _fall_back(self, made: Group, reason: str) -> None:
        """Lower the nodes one by one; a node that has no kernel even alone becomes an array step."""
        if len(made.nodes) > 1:
            for bound in made.head:
                self._lower(group([bound], set(bound.node.outputs))[0])
            for rest in group(made.tail, set(made.nodes[-1].node.outputs)):
                self._lower(rest)
            return
        (bound,) = made.head
        outs = tuple(_new(Storage.ARRAY, s.shape, s.dtype, s.name) for s in bound.outs)
        ins = tuple(None if t == ABSENT else self.operand(t) for t in bound.node.inputs)
        constants = {
            p: self._partition.constants[t] for p, t in enumerate(bound.node.inputs) if t in self._partition.constants
        }
        exclusive = bound.node.index in self._exclusive
        self._steps.append(ArrayStep(bound, ins, outs, constants, reason, exclusive))
        self._tensors.update(zip(bound.node.outputs, outs, strict=True))


def _unfit(made: Group) -> str | None:
    """Why no kernel can take these nodes, whatever they compute."""
    specs = [s for bound in made.nodes for s in (*bound.ins, *bound.outs) if s is not None]
    if any(s.shape is None for s in specs):
        return "its shapes are known in the call only."
    if odd := [s for s in specs if s.dtype not in CTYPES]:
        return f"kernels have no element type {odd[0].type.name.lower()}."
    if any((s.size or 0) >= MAX_ELEMENTS for s in specs):
        return "a tensor has too many elements for a kernel."
    if any(s.size == 0 for bound in made.nodes for s in bound.outs):
        return "its result has no elements."
    return None


def _input_specs(partition: Partition) -> dict[int, TensorSpec]:
    """Specs of the partition's inputs, as the nodes that read them know them."""
    return {
        t: spec
        for bound in partition.nodes
        for t, spec in zip(bound.node.inputs, bound.ins, strict=True)
        if spec is not None
    }

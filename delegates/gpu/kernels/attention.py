"""Attention as one launch: BATCH_MATMUL, elementwise nodes on the scores, SOFTMAX, BATCH_MATMUL, and what moves their
operands to heads and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ....interpreter.ops.matmul import BatchMatMul
from ....interpreter.ops.softmax import Softmax
from ....interpreter.runtime.delegate import BoundNode
from ..groups import Lowering, Matcher, pattern
from ..kernel import CTYPES, kernel
from ..listing import Work
from ..lowering import Options, Site
from ..tail import WIDTH, Writer, is_expressible, write_nodes
from ..views import views_of
from ..walk import Walk, walks_of
from .products import ALONG, MAX_PAIRS, PIPELINE_ARCH, QUADWISE, Matrix, Strides
from .stacks import Layer, operand_at, stacked
from .strided import MAX_CHAIN, Reach, reach, spread
from .tiles import PRECISIONS

WIDTHS = (32, 64, 128)
"""Sizes of heads that have a kernel; smaller ones are filled up."""

KEYS = {(32, 32): 64, (32, 16): 64, (64, 32): 32, (64, 16): 64, (128, 16): 32}
"""Keys that a block of attention.cu looks at together, by size of heads and rows: as many as shared memory holds."""


TENSOR_KEYS = 64
"""Keys that a block of attention_tensor.cu looks at together; twice as many lie in shared memory, with their values."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What leads from the first product to the softmax."""

    product: int  # position of the BATCH_MATMUL
    nodes: tuple[int, ...]  # positions after it, in order: elementwise nodes and views


@pattern
def attention(matcher: Matcher, position: int) -> tuple[Sequence[int], Lowering] | None:
    """All that makes attention of queries, keys and values, from the first node that only moves one of them on."""
    softmax = _softmax_ahead(matcher, position)
    scores = None if softmax is None else _scores(matcher, matcher.nodes[softmax].node.inputs[0], position)
    mixing = None if softmax is None else _mixing(matcher, softmax)
    if softmax is None or scores is None or mixing is None:
        return None
    between, mix = mixing
    first, last = matcher.nodes[scores.product], matcher.nodes[mix]
    if first.outs[0].dtype != np.float32 or max(_sizes(first, last)[2:]) > WIDTHS[-1]:
        return None
    reaches = [
        reach(matcher, bound.node.inputs[p], _shape(bound, p), position, scaled=scaled)
        for bound, p, scaled in ((first, 0, True), (first, 1, True), (last, 1, False))
    ]
    after, out = spread(matcher, mix)
    looked_through = {p for r in reaches for p in r.positions}
    members = {scores.product, *scores.nodes, softmax, *between, mix, *looked_through, *after}
    if min(members) != position or not matcher.stays(members) or not members.isdisjoint(matcher.taken):
        return None
    plan = _Plan(first, last, matcher.nodes[softmax], [matcher.nodes[p] for p in scores.nodes], reaches, out)
    return sorted(members), Lowering(plan.lower, tail=True, half=True)


def _softmax_ahead(matcher: Matcher, position: int) -> int | None:
    """The position of the softmax that a node's result goes to on its way through attention."""
    for _ in range(2 * MAX_CHAIN):
        bound = matcher.nodes[position]
        if isinstance(bound.op, Softmax):
            return position
        if isinstance(bound.op, BatchMatMul):
            weights = _maker_past_views(matcher, bound.node.inputs[0])
            if weights is not None and isinstance(matcher.nodes[weights].op, Softmax):
                return weights
        elif len(bound.outs) != 1 or (walks_of(bound) is None and not is_expressible(bound)):
            return None
        following = matcher.reader(bound.node.outputs[0])
        if following is None:
            return None
        position = following
    return None


def _maker_past_views(matcher: Matcher, tensor: int) -> int | None:
    position = matcher.makers.get(tensor)
    while position is not None and views_of(matcher.nodes[position]) is not None:
        position = matcher.makers.get(matcher.nodes[position].node.inputs[0])
    return position


def _scores(matcher: Matcher, tensor: int, first: int, depth: int = 0) -> Scores | None:
    """The way back from a softmax's operand to the product that it comes from; None if there is none."""
    position = matcher.makers.get(tensor)
    if position is None or position < first or depth > MAX_CHAIN or matcher.reader(tensor) is None:
        return None
    bound = matcher.nodes[position]
    if isinstance(bound.op, BatchMatMul):
        return Scores(position, ())
    if views_of(bound) is not None:
        inputs: Sequence[int] = bound.node.inputs[:1]
    elif is_expressible(bound):
        inputs = bound.node.inputs
    else:
        return None
    for operand, spec in zip(inputs, bound.ins, strict=False):
        if spec is not None and spec.size == bound.outs[0].size:
            found = _scores(matcher, operand, first, depth + 1)
            if found is not None:
                return Scores(found.product, (*found.nodes, position))
    return None


def _mixing(matcher: Matcher, softmax: int) -> tuple[tuple[int, ...], int] | None:
    """Positions of the views after a softmax, and of the product with the values; None if there is no such product."""
    views: tuple[int, ...] = ()
    following = matcher.reader(matcher.nodes[softmax].node.outputs[0])
    while following is not None and views_of(matcher.nodes[following]) is not None:
        views = (*views, following)
        following = matcher.reader(matcher.nodes[following].node.outputs[0])
    if following is None:
        return None
    bound = matcher.nodes[following]
    weights = matcher.nodes[views[-1] if views else softmax].node.outputs[0]
    is_product = isinstance(bound.op, BatchMatMul) and bound.node.inputs[0] == weights and not bound.op.adj_x
    same_rows = is_product and _shape(bound, 0)[-2:] == (matcher.nodes[softmax].outs[0].shape or ())[-2:]
    return (views, following) if same_rows and bound.outs[0].dtype == np.float32 else None


def _sizes(first: BoundNode, last: BoundNode) -> tuple[int, int, int, int]:
    """Queries, keys, and the sizes of heads: of queries and keys, and of values."""
    assert isinstance(first.op, BatchMatMul)
    *_, queries, keys = first.outs[0].shape or (0, 0)
    return queries, keys, _shape(first, 0)[-2 if first.op.adj_x else -1], (last.outs[0].shape or (0,))[-1]


def _shape(bound: BoundNode, position: int) -> tuple[int, ...]:
    spec = bound.ins[position]
    assert spec is not None
    assert spec.shape is not None
    return spec.shape


class Shape(NamedTuple):
    """A kernel of attention: what computes, the rows that a block makes, and what it needs besides."""

    entry: str
    unit: str
    lines: int
    defines: dict[str, object]
    shared: int = 0  # bytes of dynamic shared memory


def _shaped(options: Options, padded: int, queries: int, pairs: int, matrices: Sequence[tuple[Matrix, int]]) -> Shape:
    """The kernel for heads that are filled up to `padded` elements: on tensor cores if they may be used.

    matrices: queries, keys and values, with elements of a head.
    """
    ceilings, unit = options.ceilings, options.products
    is_aligned = {matrix.mode(n) for matrix, n in matrices} == {QUADWISE}
    is_even = all(matrix.is_even(n) for matrix, n in matrices) and len({m.operand.dtype for m, _ in matrices}) == 1
    itemsize = matrices[1][0].operand.dtype.itemsize
    stages = 4 * TENSOR_KEYS * (padded * itemsize + 16)
    if unit != "strict" and options.arch >= PIPELINE_ARCH and is_even and stages <= ceilings.shared_bytes:
        groups = 1 if -(-queries // 64) * pairs >= ceilings.multiprocessors else 4
        tile = {"KEYS": TENSOR_KEYS, "GROUPS": groups, "WIDTH": padded}
        return Shape(
            "attention_tensor",
            unit,
            64 // groups,
            {"PRECISION": PRECISIONS.index(unit), "SUM": "float", **tile},
            stages,
        )
    lines = 32 if (padded, 32) in KEYS and -(-queries // 32) * pairs >= ceilings.multiprocessors else 16
    mode = QUADWISE if is_aligned else ALONG
    tile = {"WIDTH": padded, "LINES": lines, "KEYS": KEYS[padded, lines], "MODE": mode}
    return Shape("attention", "strict", lines, {**tile})


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    first: BoundNode
    last: BoundNode
    softmax: BoundNode
    between: Sequence[BoundNode]  # on the scores
    reaches: Sequence[Reach]  # of queries, keys, values
    out: Walk  # of the second product's result

    def lower(self, site: Site) -> str | None:
        """Emit the launch; a sentence where it has no kernel."""
        stack = stacked(self._layers())
        if stack is None:
            return "heads do not lie evenly in its operands."
        if stack.pairs > MAX_PAIRS:
            return f"it has more than {MAX_PAIRS} heads."
        queries, keys, depth, width = _sizes(self.first, self.last)
        operands = [operand_at(site.tensor(r.tensor), r.walk) for r in self.reaches]
        types = {name: CTYPES[o.dtype] for name, o in zip(("Q_TYPE", "K_TYPE", "V_TYPE"), operands, strict=True)}
        if max(stack.pairs * queries * keys, site.out.size, *(o.size for o in operands)) >= 1 << 31:
            return "its operands have 2**31 elements or more."
        matrices = [(Matrix(o, s), n) for o, s, n in zip(operands, stack.strides, (depth, depth, width), strict=False)]
        shape = _shaped(site.options, next(n for n in WIDTHS if n >= max(depth, width)), queries, stack.pairs, matrices)
        writer = Writer((), "score_")
        code = site.tail.code + self._score_code(site, writer)
        defines = {**shape.defines, **types, "STEP": _step(site, width, stack.strides[3])}
        work = Work(2 * stack.pairs * queries * keys * (depth + width), shape.unit)
        site.launch(
            kernel(shape.entry, f"{shape.entry}.cu", defines=defines, code=code),
            (-(-queries // shape.lines), stack.pairs), 128, site.out, *operands,
            *map(np.int32, (queries, keys, depth, width, stack.inner)),
            *(np.int32(n) for s in stack.strides for n in (s.outer, s.inner, s.row, s.column)),
            np.float32(self.reaches[0].factor * self.reaches[1].factor),
            np.float32(self.softmax.op.beta),  # type: ignore[attr-defined]
            *writer.arguments, *site.tail.arguments, shared=shape.shared, work=work,
        )  # fmt: skip
        return None

    def _layers(self) -> list[Layer]:
        first, last = self.first.op, self.last.op
        assert isinstance(first, BatchMatMul)
        assert isinstance(last, BatchMatMul)
        q, k, v = (r.walk for r in self.reaches)
        scored, mixed = ((bound.outs[0].shape or ())[:-2] for bound in (self.first, self.last))
        queries, keys = Layer(q, scored, first.adj_x), Layer(k, scored, not first.adj_y)
        return [queries, keys, Layer(v, mixed, last.adj_y), Layer(self.out, mixed)]

    def _score_code(self, site: Site, writer: Writer) -> str:
        names = {self.first.node.outputs[0]: "value"}
        for bound in self.between:
            if views_of(bound) is None:
                write_nodes(writer, [bound], names, site.tensor)
            else:
                names[bound.node.outputs[0]] = names[bound.node.inputs[0]]
        last = names[self.between[-1].node.outputs[0]] if self.between else "value"
        return writer.function("score", "float", last)


def _step(site: Site, width: int, out: Strides) -> int:
    """How many results in a row a thread may store at once."""
    row, column, outer, inner = out
    aligned = column == 1 and not any(n % WIDTH for n in (width, row, outer, inner))
    return WIDTH if aligned and site.tail.width == WIDTH else 1

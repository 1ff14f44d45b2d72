"""Recognises normalisation of rows among elementwise nodes and means, however a converter has arranged them.

Each tensor that depends on the rows `x` is written as a polynomial in `x`, their mean `m`, the reciprocal root `r` of
their variance plus epsilon, and other operands:

    mean(x) = m      mean((x - m) ** 2) = v      rsqrt(v + epsilon) = r      x * r * gain - m * r * gain + offset

What comes out as the last one, or without `m` where q = mean(x ** 2) stands for v, is a normalisation.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from ....interpreter.ops.base import Activation
from ....interpreter.ops.shared.host import integers, normalize_axes
from ....interpreter.runtime.delegate import BoundNode
from ..groups import Matcher

REACH = 32
"""How many nodes after its first one a normalisation may end."""

Poly: TypeAlias = "dict[tuple[str, ...], float]"
"""Coefficients of products of names, which are sorted."""

_MEANS: dict[str, Poly] = {
    "m": {("x",): 1.0},
    "v": {("x", "x"): 1.0, ("m", "x"): -2.0, ("m", "m"): 1.0},
    "q": {("x", "x"): 1.0},
}
"""What the names of a row's numbers are means of; `v` is the variance, `q` the mean square."""

_ROOTS = {"RSQRT": "r", "SQRT": "s"}
_RESHAPES = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE")


@dataclass(frozen=True, slots=True)
class Norm:
    """One normalisation: positions of its nodes, and the tensors that they read from outside."""

    positions: tuple[int, ...]
    x: int
    depth: int  # elements of a row
    epsilon: float
    is_centered: bool
    gain: int | None
    offset: int | None

    @property
    def reads(self) -> frozenset[int | None]:
        return frozenset((self.x, self.gain, self.offset))


def find_norm(matcher: Matcher, position: int) -> Norm | None:
    """The normalisation that starts with the node at `position`."""
    first = matcher.nodes[position]
    is_start = first.op.name in ("MEAN", "SUM", "SQUARE") or (
        first.op.name == "MUL" and len(set(first.node.inputs)) == 1
    )
    spec = first.ins[0] if is_start else None
    if spec is None or spec.dtype.kind != "f" or not spec.shape:
        return None
    search = _Search(first.node.inputs[0], spec.shape)
    for at in range(position, min(position + REACH, len(matcher.nodes))):
        bound = matcher.nodes[at]
        if search.read(bound, at) and (found := search.norm(bound, at)) is not None:
            members = set(found.positions)
            if position in members and matcher.stays(members):
                return found
    return None


@dataclass(slots=True)
class _Search:
    """What is known of the tensors that depend on `x`."""

    x: int
    shape: tuple[int, ...]
    polys: dict[int, Poly] = field(default_factory=dict)
    made: dict[int, tuple[int, tuple[int, ...]]] = field(default_factory=dict)  # where, from which
    depth: int = 0  # 0 until a mean tells
    root: tuple[float, bool] | None = None  # what `r` is: with which epsilon, of the variance or the mean square

    def __post_init__(self) -> None:
        self.polys[self.x] = _MEANS["m"]

    def read(self, bound: BoundNode, position: int) -> bool:
        """Write down a node's result; False if it has no polynomial."""
        if len(bound.outs) != 1 or not any(t in self.polys for t in bound.node.inputs):
            return False
        poly = self._result(bound)
        if poly is None or bound.outs[0].size != self._size(poly):
            return False
        self.polys[bound.node.outputs[0]] = poly
        self.made[bound.node.outputs[0]] = position, tuple(t for t in bound.node.inputs if t in self.polys)
        return True

    def norm(self, bound: BoundNode, position: int) -> Norm | None:
        """The normalisation that a node's result is."""
        poly = self.polys[bound.node.outputs[0]]
        scaled = [product for product in poly if {"x", "r"} <= set(product)]
        if bound.outs[0].shape != self.shape or len(scaled) != 1 or self.root is None:
            return None
        epsilon, is_centered = self.root
        gain = [name for name in scaled[0] if name.isdigit()]
        offset = [product[0] for product in poly if len(product) == 1 and product[0].isdigit()]
        wanted: Poly = {_sorted("x", "r", *gain): 1.0} | dict.fromkeys(((name,) for name in offset), 1.0)
        if is_centered:
            wanted[_sorted("m", "r", *gain)] = -1.0
        if len(gain) > 1 or len(offset) > 1 or not _close(poly, wanted):
            return None
        positions = tuple(sorted(self._members(bound.node.outputs[0])))
        tensors = (int(names[0]) if names else None for names in (gain, offset))
        return Norm(positions, self.x, self.depth, epsilon, is_centered, *tensors)

    def _members(self, tensor: int) -> set[int]:
        if tensor not in self.made:
            return set()
        position, sources = self.made[tensor]
        return {position}.union(*(self._members(source) for source in sources))

    def _result(self, bound: BoundNode) -> Poly | None:
        if getattr(bound.op, "fused_activation_function", Activation.NONE) is not Activation.NONE:
            return None
        if bound.op.name in ("MEAN", "SUM"):
            return self._mean(bound)
        first = self.polys.get(bound.node.inputs[0])
        if bound.op.name in _RESHAPES:
            return first if first is not None and self._is_statistic(first) else None
        if bound.op.name in _ROOTS:
            return None if first is None else self._root(first, _ROOTS[bound.op.name])
        combine = _ARITHMETIC.get(bound.op.name)
        if combine is None:
            return None
        polys = [self._operand(bound, i) for i in range(len(bound.ins))]
        return None if any(p is None for p in polys) else combine(*polys)

    def _operand(self, bound: BoundNode, position: int) -> Poly | None:
        """The polynomial of an operand, if its elements stand for those of the rows that they should."""
        tensor, spec = bound.node.inputs[position], bound.ins[position]
        if spec is None or spec.shape is None:
            return None
        poly = self.polys.get(tensor)
        if poly is not None:
            is_spread = self._is_statistic(poly) and bound.outs[0].size == math.prod(self.shape)
            return poly if not is_spread or self._lies(spec.shape, along_row=False) else None
        if spec.size == 1 and spec.value is not None:
            value = float(np.asarray(spec.value).item())
            return {(): value} if value else {}
        return {(str(tensor),): 1.0} if self.depth and self._lies(spec.shape, along_row=True) else None

    def _lies(self, shape: tuple[int, ...], *, along_row: bool) -> bool:
        """Whether a shape has the dimensions of a row, or those that tell rows apart, each at its place."""
        padded, split = (1,) * (len(self.shape) - len(shape)) + shape, len(self.shape)
        while math.prod(self.shape[split:]) < self.depth:
            split -= 1
        outer, row = self.shape[:split], self.shape[split:]
        return padded == ((1,) * len(outer) + row if along_row else outer + (1,) * len(row))

    def _size(self, poly: Poly) -> int:
        """How many elements a tensor has that a polynomial stands for."""
        return math.prod(self.shape) // (max(self.depth, 1) if self._is_statistic(poly) else 1)

    def _is_statistic(self, poly: Poly) -> bool:
        """Whether it has one value for each row."""
        return all(name in "mvqrs" for product in poly for name in product)

    def _mean(self, bound: BoundNode) -> Poly | None:
        """Means of what rows are made of; a sum is as many means as it has elements."""
        poly, axes, spec = self.polys.get(bound.node.inputs[0]), bound.ins[1], bound.ins[0]
        if poly is None or axes is None or axes.value is None or spec is None or spec.shape != self.shape:
            return None
        depth = _trailing(self.shape, normalize_axes(integers(axes.value), len(self.shape)))
        if not depth or self.depth not in (0, depth):
            return None
        factor = 1.0 if bound.op.name == "MEAN" else float(depth)
        name = next((name for name, what in _MEANS.items() if _close(poly, what)), None)
        if name is None:
            return None
        self.depth = depth
        return {(name,): factor}

    def _root(self, poly: Poly, name: str) -> Poly | None:
        variance = next((n for n in "vq" if _close(poly | {(): 0.0}, {(n,): 1.0, (): 0.0})), None)
        root = poly.get((), 0.0), variance == "v"
        if variance is None or self.root not in (None, root):
            return None
        self.root = root
        return {(name,): 1.0}


def _trailing(shape: tuple[int, ...], axes: Iterable[int]) -> int:
    """How many elements the reduced dimensions have if they are the last ones, but for those of one element; else 0."""
    reduced = {axis for axis in axes if shape[axis] != 1}
    kept = [axis for axis, n in enumerate(shape) if n != 1 and axis not in reduced]
    return 0 if not reduced or (kept and max(kept) > min(reduced)) else math.prod(shape[axis] for axis in reduced)


def _sorted(*names: str) -> tuple[str, ...]:
    return tuple(sorted(names))


def _close(a: Poly, b: Poly) -> bool:
    return a.keys() == b.keys() and all(math.isclose(a[k], b[k], rel_tol=1e-5) for k in a)


def _sum(a: Poly, b: Poly, sign: float = 1.0) -> Poly:
    total = defaultdict(float, a)
    for product, factor in b.items():
        total[product] += sign * factor
    return {product: factor for product, factor in total.items() if factor}


def _product(a: Poly, b: Poly) -> Poly:
    total: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for left, p in a.items():
        for right, q in b.items():
            total[_sorted(*left, *right)] += p * q
    return dict(total)


def _difference(a: Poly, b: Poly) -> Poly:
    return _sum(a, b, -1.0)


def _quotient(a: Poly, b: Poly) -> Poly | None:
    if b == {("s",): 1.0}:
        return _product(a, {("r",): 1.0})
    return _product(a, {(): 1 / b[()]}) if b.keys() == {()} else None


_ARITHMETIC: dict[str, Callable[..., Poly | None]] = {
    "ADD": _sum,
    "SUB": _difference,
    "MUL": _product,
    "DIV": _quotient,
    "NEG": lambda a: _product(a, {(): -1.0}),
    "SQUARE": lambda a: _product(a, a),
    "SQUARED_DIFFERENCE": lambda a, b: _product(_difference(a, b), _difference(a, b)),
}

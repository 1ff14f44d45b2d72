"""Which tensors of float32 are kept in float16 between launches, and constants on their way to it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from ...interpreter.graph import TensorSpec
from ...interpreter.runtime.delegate import BoundNode
from .groups import Group
from .views import views_of

LARGEST = float(np.finfo(np.float16).max)
"""What is larger becomes infinite."""


def kept_in_half(groups: Sequence[Group], leaving: Iterable[int]) -> frozenset[int]:
    """The results of float32 that kernels which take float16 for it make for such kernels alone.

    groups: of a partition, in the order in which they run. leaving: tensors that others read; they keep their type.
    """
    made: set[int] = set()
    exact: set[int] = set()
    whole: dict[int, int] = {}  # by views, what they show elements of

    def wholes(tensors: Iterable[int]) -> Iterable[int]:
        return (whole.get(tensor, tensor) for tensor in tensors)

    for some in groups:
        views = views_of(some.head[0]) if len(some.nodes) == 1 and some.head else None
        if views is not None:
            (bound,) = some.head
            sources = wholes(bound.node.inputs[view.position] for view in views)
            whole.update(zip(bound.node.outputs, sources, strict=True))
            continue
        is_able = not some.head or any(lowering.half for lowering in some.lowerings)
        is_exact = any(map(_is_exact, some.tail))
        for bound in some.nodes:
            made.update(t for t, s in zip(bound.node.outputs, bound.outs, strict=True) if s.dtype == np.float32)
            if not is_able or (is_exact and bound in some.tail):
                exact.update(wholes((*bound.node.inputs, *bound.node.outputs)))
    return frozenset(made.difference(exact, wholes(leaving)))


def _is_exact(bound: BoundNode) -> bool:
    """Whether an elementwise node works with numbers that float16 may not have: whole ones, and large constants."""
    specs = [spec for spec in (*bound.ins, *bound.outs) if spec is not None]
    numbers = [spec.value for spec in specs if spec.value is not None and spec.size == 1]
    return any(spec.dtype.kind in "iu" for spec in specs) or any(LARGEST < abs(n.item()) < math.inf for n in numbers)


def are_single(*specs: TensorSpec | None) -> bool:
    """Whether those tensors that are there are of float32, which may be float16 in memory."""
    return all(spec is None or spec.dtype == np.float32 for spec in specs)


def halved(values: np.ndarray) -> np.ndarray:
    """Rounded to float16; what is too large for it becomes infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16)

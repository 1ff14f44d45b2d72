"""The rule by which operands of different shapes meet: dimensions align at the right, and 1 stretches."""

from __future__ import annotations

from ...errors import KernelError
from ...graph import Shape, TensorSpec


def broadcast_shapes(*specs: TensorSpec) -> Shape:
    """Shape that operands of known shape stretch to. Raises KernelError where two of them do not fit."""
    shapes = [spec.shape for spec in specs if spec.shape is not None]
    result = shapes[0]
    for shape in shapes[1:]:
        result = result if shape == result else _meet(result, shape)
    return result


def _meet(a: Shape, b: Shape) -> Shape:
    rank = max(len(a), len(b))
    pairs = list(zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b, strict=True))
    if any(m != n and 1 not in (m, n) for m, n in pairs):
        raise KernelError(f"Given shapes, {_text(a)} and {_text(b)}, are not broadcastable.")
    return tuple(n if m == 1 else m for m, n in pairs)


def _text(shape: Shape) -> str:
    return "[" + ",".join(map(str, shape)) + "]"

"""Index-like operands (axes, shapes, sizes) on the host, whatever array module holds them, and checks they share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec
from ..base import BOOL, COMPLEX, FLOAT8, NUMBER, PACKED, STRING

VALUES = NUMBER | FLOAT8 | BOOL | COMPLEX | PACKED | STRING
"""Element types that can be moved about without looking at them: all but resources and variants."""

FIXED_WIDTH = VALUES - STRING
"""Those of them whose elements all take the same number of bytes."""

MAX_DIMENSION = 2**31 - 1


def host(array: Array) -> np.ndarray:
    """`array` as a NumPy array: itself if it is one, a copy through `.get()` if it lives on a device."""
    return np.asarray(array.get() if hasattr(array, "get") else array)


def known(spec: TensorSpec | None, array: Array) -> np.ndarray:
    """The constant value of an operand's spec, which costs no transfer; without one, `array` on the host."""
    return host(array) if spec is None or spec.value is None else np.asarray(spec.value)


def shape_of(spec: TensorSpec) -> tuple[int, ...]:
    """The shape of a spec that `infer` was given, where it is always known."""
    assert spec.shape is not None
    return spec.shape


def integers(array: Array) -> tuple[int, ...]:
    """The elements of an index-like host array as Python integers, in order."""
    return tuple(np.asarray(array).ravel().tolist())


def scalar(array: Array, what: str) -> Any:
    """The only element of a host array as a Python number. Raises KernelError unless there is exactly one."""
    elements = np.asarray(array).ravel()
    if elements.size != 1:
        raise KernelError(f"{what} has {elements.size} elements, expected 1.")
    return elements[0].item()


def dimensions(sizes: Iterable[int], what: str) -> tuple[int, ...]:
    """`sizes` as a shape. Raises KernelError for one that is negative or exceeds 2**31 - 1."""
    shape = tuple(sizes)
    for position, size in enumerate(shape):
        if not 0 <= size <= MAX_DIMENSION:
            raise KernelError(f"{what} has {size} as dimension {position}, expected 0 to {MAX_DIMENSION}.")
    return shape


def normalize_axis(axis: int, rank: int, what: str = "axis") -> int:
    """`axis` in [0, rank), where a negative one counts from the end. Raises KernelError if there is no such axis."""
    if not -rank <= axis < rank:
        expected = f"expected {-rank} to {rank - 1}" if rank else "a scalar has no axes"
        raise KernelError(f"{what} {axis} is out of range for rank {rank}: {expected}.")
    return axis % rank


def normalize_axes(axes: Iterable[int], rank: int, what: str = "axis") -> tuple[int, ...]:
    """Each of `axes` as `normalize_axis` gives it, in the given order; repeated axes stay."""
    return tuple(normalize_axis(axis, rank, what) for axis in axes)


def require_rank(spec: TensorSpec, ranks: Sequence[int], what: str) -> None:
    """Raise KernelError unless the rank of `spec` is one of `ranks`."""
    if spec.rank not in ranks:
        raise KernelError(f"{what} has rank {spec.rank}, expected {' or '.join(map(str, ranks))}.")


def require_indices(
    xp: Any, spec: TensorSpec | None, indices: Array, size: int, message: str, *, least: int = 0
) -> None:
    """Raise KernelError(`message`...) unless all `indices` are in [least, size).

    A constant, known from `spec`, is looked at on the host; for others this waits for the device.
    """
    constant = spec is not None and spec.value is not None
    module, array = (np, known(spec, indices)) if constant else (xp, indices)
    if array.size and host(module.any((array < least) | (array >= size))):
        values = host(array)
        first = int(values[(values < least) | (values >= size)][0])
        raise KernelError(f"{message}: got {first}, expected {max(least, 0)} to {size - 1}.")

"""Element kinds: what a tensor's elements may be, quantised or not, and values and scales to try them with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from tflite_cupy.interpreter.graph import Quantization, TensorType


class Scheme(Enum):
    """How stored integers stand for real numbers."""

    NONE = ""
    TENSOR = "q"  # one scale
    CHANNEL = "qc"  # one scale per channel


@dataclass(frozen=True)
class Kind:
    """An element type and the way it is quantised."""

    type: TensorType
    scheme: Scheme = Scheme.NONE

    def __str__(self) -> str:
        return _short(self.type) + self.scheme.value

    @property
    def bounds(self) -> tuple[int, int]:
        """Least and greatest stored integer."""
        name = self.type.name
        if self.type is TensorType.BOOL:
            return 0, 1
        bits = int(name.removeprefix("U").removeprefix("INT"))
        return (0, 2**bits - 1) if name.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    @property
    def has_negative(self) -> bool:
        """Whether some element stands for -1."""
        plain_unsigned = self.type.name.startswith("U") and self.scheme is Scheme.NONE
        return not (plain_unsigned or self.type in (TensorType.BOOL, TensorType.STRING))

    @property
    def is_integer(self) -> bool:
        return "INT" in self.type.name


def _short(type: TensorType) -> str:
    name = type.name.lower()
    for long, short in (("bfloat", "bf"), ("float", "f"), ("uint", "u"), ("int", "i"), ("complex", "c")):
        if name.startswith(long):
            return name.replace(long, short, 1)
    return name


_QUANTIZED = [getattr(TensorType, n) for n in ["INT8", "UINT8", "INT16", "INT32", "INT64", "INT4", "INT2", "UINT4"]]
_PER_CHANNEL = [getattr(TensorType, n) for n in ["INT8", "INT4", "INT2", "INT16", "INT32", "INT64"]]
_HELD = {TensorType.RESOURCE, TensorType.VARIANT}  # values that only operators make

PLAIN = tuple(Kind(t) for t in TensorType if t not in _HELD)
PER_TENSOR = tuple(Kind(t, Scheme.TENSOR) for t in _QUANTIZED)
PER_CHANNEL = tuple(Kind(t, Scheme.CHANNEL) for t in _PER_CHANNEL)
KINDS: tuple[Kind, ...] = PLAIN + PER_TENSOR
BY_NAME = {str(k): k for k in KINDS + PER_CHANNEL}


@dataclass(frozen=True)
class Range:
    """Real numbers that a tensor's values span, ends included."""

    low: float
    high: float


def quantization(
    kind: Kind, reach: Range, channels: int, axis: int, wobble: np.random.Generator
) -> Quantization | None:
    """Scales under which the type's integers span `reach`; those of channels differ from each other."""
    if kind.scheme is Scheme.NONE:
        return None
    low, high = kind.bounds
    symmetric = kind.type not in (TensorType.INT8, TensorType.UINT8) or kind.scheme is Scheme.CHANNEL
    if symmetric:
        scale = max(abs(reach.low), abs(reach.high)) * 2 / min(high - low, 2**16 - 1)
        return _per_channel(kind, scale * wobble.uniform(0.6, 1.0, channels), axis)
    scale = (max(reach.high, 0.0) - min(reach.low, 0.0)) / (high - low)
    return Quantization(np.float32([scale]), np.int64([round(low - min(reach.low, 0.0) / scale)]))


def coarse_quantization(
    kind: Kind, reach: Range, channels: int, axis: int, wobble: np.random.Generator
) -> Quantization | None:
    """Scales under which 0 and 1 are exact, and no integer stands for much more than `reach`."""
    if kind.scheme is Scheme.NONE:
        return None
    span = max(abs(reach.low), abs(reach.high), 1.0)
    steps = 2.0 ** np.floor(np.log2(max(min(kind.bounds[1], 2**15) / span / (2 if kind.bounds[0] == 0 else 1), 1.0)))
    return _per_channel(kind, np.full(channels, 1 / steps), axis)


def _per_channel(kind: Kind, scales: np.ndarray, axis: int) -> Quantization:
    if kind.scheme is not Scheme.CHANNEL:
        scales = scales[:1]
    zero = 0 if kind.bounds[0] < 0 else (kind.bounds[1] + 1) // 2
    return Quantization(scales.astype(np.float32), np.full(len(scales), zero, np.int64), axis)


def stored(kind: Kind, real: np.ndarray, q: Quantization | None) -> Any:
    """Small integers as elements of a kind."""
    if kind.type is TensorType.STRING:
        return np.array([str(n).encode() for n in real.ravel()], object).reshape(real.shape)
    if q is not None:
        shape = [1] * real.ndim
        if real.ndim:
            shape[q.axis if len(q.scales) > 1 else 0] = -1
        real = np.rint(real / q.scales.reshape(shape)) + q.zero_points.reshape(shape)
        real = np.clip(real, *kind.bounds)
    return real.astype(kind.type.dtype)


def real_values(kind: Kind, q: Quantization | None, array: np.ndarray) -> np.ndarray:
    """The real (or complex) numbers that a tensor with one scale stands for."""
    if array.dtype != kind.type.dtype and array.dtype.itemsize == kind.type.dtype.itemsize:
        array = array.view(kind.type.dtype)
    with np.errstate(invalid="ignore"):  # signalling NaN among misread bytes
        wide = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    return wide if q is None else (wide - float(q.zero_points[0])) * float(q.scales[0])


_WORDS = (b"", b"a", b"tensor", b"b\x00c", "\u00fc".encode())


def values(kind: Kind, shape: tuple[int, ...], reach: Range, q: Quantization | None, rng: np.random.Generator) -> Any:
    """Random values within `reach`: stored integers for quantised kinds."""
    dtype = kind.type.dtype
    if kind.type is TensorType.STRING:
        picked = rng.integers(len(_WORDS), size=shape)
        words = np.empty(len(_WORDS), object)
        words[:] = _WORDS
        return np.asarray(words[picked], object).reshape(shape)
    if kind.type is TensorType.BOOL:
        return rng.integers(0, 2, shape).astype(bool)
    real = rng.uniform(reach.low, reach.high, shape)
    if kind.is_integer:
        low, high = kind.bounds
        whole = np.rint(real * 3) if q is None else np.rint(real / float(q.scales.max())) + float(q.zero_points[0])
        if q is None:
            whole = whole if kind.has_negative else np.abs(whole)
            low, high = max(low, int(np.ceil(reach.low))), min(high, int(reach.high * 3))
        return np.clip(whole, low, high).astype(dtype)
    if np.issubdtype(dtype, np.complexfloating):
        return (real + 1j * rng.uniform(reach.low, reach.high, shape)).astype(dtype)
    return real.astype(np.float32).astype(dtype) if dtype.itemsize < 8 else real.astype(dtype)


def names(kinds: tuple[Kind | None, ...]) -> Iterator[str]:
    """Short names, `-` for an absent operand."""
    return (str(k) if k is not None else "-" for k in kinds)

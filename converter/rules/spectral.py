"""Complex numbers and Fourier transforms.

A tensor of complex64 [...] and one of float32 [..., 2] have the same bytes, so BITCAST makes one of the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..draft import DraftTensor
from ..lower import Lowering, NotBuiltin, lowers
from .steps import alike, concat, dims_of, move, number, pairs, slice_of, vector
from .types import C64, F32, I32


@lowers("Complex")
def complex_(op: Lowering) -> DraftTensor:
    op.require(op.output_type() is C64, "complex numbers of 128 bits have no builtin form")
    dims = op.output().dims
    if dims is None:
        raise NotBuiltin("the rank of the result is not known")
    return op.emit("BITCAST", move(op, "PACK", *alike(op), dims=(*dims, 2), values_count=2, axis=len(dims)))


@lowers("Conj")
def conj(op: Lowering) -> DraftTensor:
    x = op.input(0)
    op.require(x.type is C64, f"Conj of {x.type.name.lower()} has no builtin form")
    return op.emit("BITCAST", move(op, "MUL", pairs(op, x), np.array([1, -1], np.float32), dims=(*op.dims(0), 2)))


@lowers("RFFT", "RFFT2D")
def rfft(op: Lowering) -> DraftTensor:
    """RFFT2D also stands for one of one dimension, with a height of 1."""
    op.require(op.output_type() is C64, "the Fourier transform of doubles has no builtin operator")
    lengths = _lengths(op, 2 if op.node.op == "RFFT2D" else 1)
    x, dims = op.input(0), op.dims(0)
    if len(lengths) == 2:
        return op.emit("RFFT2D", x, vector(lengths))
    return _half_spectrum(op, x, dims, lengths[0])


def _lengths(op: Lowering, count: int) -> list[int]:
    """Lengths of a transform, which must be powers of two."""
    lengths = [int(n) for n in op.const(1, "the length of the Fourier transform")]
    op.require(len(lengths) == count, "the length of the Fourier transform is not of its rank")
    _require_power(op, lengths)
    return lengths


def _require_power(op: Lowering, lengths: Sequence[int]) -> None:
    powers = all(n > 1 and n & n - 1 == 0 for n in lengths)
    op.require(powers, f"Fourier transforms are builtin for powers of two only, not for {lengths}")


def _half_spectrum(op: Lowering, x: DraftTensor, dims: tuple[int | None, ...], length: int) -> DraftTensor:
    """The transform along the last dimension: [..., n] -> complex64 [..., n // 2 + 1]."""
    lines = move(op, "EXPAND_DIMS", x, number(-2, I32), dims=(*dims[:-1], 1, dims[-1]))
    bins = length // 2 + 1
    found = move(op, "RFFT2D", lines, vector([1, length]), dims=(*dims[:-1], 1, bins), type=C64)
    return move(op, "SQUEEZE", found, dims=(*dims[:-1], bins), squeeze_dims=(len(dims) - 1,))


@lowers("IRFFT")
def irfft(op: Lowering) -> DraftTensor:
    """By forward transforms of the even extension of the real and the odd one of the imaginary part.

    The former's is real and even, the latter's imaginary and odd, so half of the samples tell the other half.
    """
    (length,) = _lengths(op, 1)
    op.require(op.type(0) is C64, "the Fourier transform of doubles has no builtin operator")
    bins = length // 2 + 1
    x, dims = op.input(0), op.dims(0)
    if dims[-1] is None or dims[-1] < bins:
        raise NotBuiltin(f"the spectrum has fewer than {bins} frequencies")
    if dims[-1] > bins:
        x = slice_of(op, x, -1, 0, bins)
    half = (*dims[:-1], bins)
    real, imag = (move(op, name, x, dims=half, type=F32) for name in ("REAL", "IMAG"))
    even = _transformed(op, concat(op, [real, _turned(op, real)], -1), length, "REAL")
    zero = move(op, "MUL", slice_of(op, imag, -1, 0, 1), number(0), dims=(*dims[:-1], 1))
    inner = slice_of(op, imag, -1, 1, bins - 1)
    minus = move(op, "NEG", _turned(op, imag), dims=inner.dims)
    odd = _transformed(op, concat(op, [zero, inner, zero, minus], -1), length, "IMAG")
    first = move(op, "ADD", even, odd, dims=half)
    rest = _turned(op, move(op, "SUB", even, odd, dims=half))
    return op.emit("MUL", concat(op, [first, rest], -1), number(1 / length))


@lowers("FFT", "IFFT")
def fft(op: Lowering) -> DraftTensor:
    """The transforms of the real part and of i times the imaginary part, summed.

    Their halves also tell the negative frequencies, which the inverse transform has first.
    """
    x, dims = op.input(0), op.dims(0)
    length = dims[-1] or 0
    op.require(x.type is C64, "the Fourier transform of doubles has no builtin operator")
    _require_power(op, [length])
    half = (*dims[:-1], length // 2 + 1)
    parts = []
    for name in ("REAL", "IMAG"):
        spectrum = _half_spectrum(op, move(op, name, x, dims=dims, type=F32), dims, length)
        parts += [move(op, part, spectrum, dims=half, type=F32) for part in ("REAL", "IMAG")]
    a, b, c, d = parts
    first = move(op, "SUB", a, d, dims=half), move(op, "ADD", b, c, dims=half)
    rest = move(op, "ADD", a, d, dims=half), move(op, "SUB", c, b, dims=half)
    if op.node.op == "IFFT":
        first, rest = rest, first
    whole = [concat(op, [start, _turned(op, end)], -1) for start, end in zip(first, rest, strict=True)]
    both = move(op, "PACK", *whole, dims=(*dims, 2), values_count=2, axis=len(dims))
    if op.node.op == "IFFT":
        both = move(op, "MUL", both, number(1 / length), dims=both.dims)
    return op.emit("BITCAST", both)


def _turned(op: Lowering, x: DraftTensor) -> DraftTensor:
    """The inner elements of the last dimension, backwards."""
    bins = dims_of(x)[-1] or 0
    inner = slice_of(op, x, -1, 1, bins - 1)
    return move(op, "REVERSE_V2", inner, vector([len(dims_of(x)) - 1]), dims=inner.dims)


def _transformed(op: Lowering, signal: DraftTensor, length: int, part: str) -> DraftTensor:
    """The real or imaginary part of a transform, for the samples up to the middle; that of the inverse has its sign."""
    spectrum = _half_spectrum(op, signal, dims_of(signal), length)
    return move(op, part, spectrum, dims=spectrum.dims, type=F32)

"""Fourier transforms of 16- and 32-bit integers, bit for bit as KISS FFT computes them in fixed point.

Complex numbers are arrays [2, ...] of real and imaginary parts. Numbers are fractions of 2**15 or 2**31, so a product
is rounded back to their width. A stage of radix p first divides by p, so the transform is that of the input over its
length; sums wrap around as the integers do.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ...graph import Array


def real_spectrum(xp: Any, signal: Array) -> Array:
    """[..., n] -> [..., n + 2]: real and imaginary parts of frequencies 0 to n / 2 in turn, over n; n is even."""
    size = signal.shape[-1] // 2
    fft = FixedFft(xp, signal.dtype, size, inverse=False)
    packed = fft.transform(xp.stack([signal[..., 0::2], signal[..., 1::2]]))
    ends = fft.scaled(packed[..., :1], fft.one // 2)
    nothing = xp.zeros_like(ends[0])
    first, last = xp.stack([ends[0] + ends[1], nothing]), xp.stack([ends[0] - ends[1], nothing])
    even, odd = fft.halves(packed[..., 1 : size // 2 + 1], packed[..., size - size // 2 :][..., ::-1])
    low, difference = even.astype(np.int32) + odd, even.astype(np.int32) - odd
    high = xp.stack([difference[0], -difference[1]])[..., ::-1]
    middle = xp.concatenate([low[..., : (size - 1) // 2], high], axis=-1) >> 1
    return _interleaved(xp, xp.concatenate([first, middle.astype(signal.dtype), last], axis=-1))


def real_signal(xp: Any, spectrum: Array) -> Array:
    """[..., n + 2] -> [..., n], the inverse of an undivided spectrum; the ends count as real."""
    size = spectrum.shape[-1] // 2 - 1
    fft = FixedFft(xp, spectrum.dtype, size, inverse=True)
    pairs = xp.stack([spectrum[..., 0::2], spectrum[..., 1::2]])
    first, last = pairs[0, ..., :1], pairs[0, ..., size:]
    start = fft.scaled(xp.stack([first + last, first - last]), fft.one // 2)
    even, odd = fft.halves(pairs[..., 1 : size // 2 + 1], pairs[..., size - size // 2 : size][..., ::-1])
    low, high = even + odd, _conjugate(xp, even - odd)[..., ::-1]
    packed = xp.concatenate([start, low[..., : (size - 1) // 2], high], axis=-1)
    return _interleaved(xp, fft.transform(packed))


class FixedFft:
    """Transforms of `size` complex numbers of `dtype` (int16 or int32)."""

    def __init__(self, xp: Any, dtype: np.dtype[Any], size: int, inverse: bool) -> None:
        self._xp, self._dtype, self._size, self._inverse = xp, dtype, size, inverse
        self._wide = np.dtype(np.int32 if dtype == np.int16 else np.int64)
        self._bits = dtype.itemsize * 8 - 1
        self.one = (1 << self._bits) - 1  # the fraction that stands for 1
        self._roots, self._between = _roots(size, self.one, inverse), _between(size, self.one, inverse)

    def transform(self, z: Array) -> Array:
        """[2, ..., size] -> the same shape."""
        return self._stages(z, _radices(self._size), 1)

    def halves(self, low: Array, mirrored: Array) -> tuple[Array, Array]:
        """Spectra of even and of odd samples, the latter turned by its place, from a packed spectrum and its mirror."""
        low, mirrored = self.scaled(low, self.one // 2), self.scaled(_conjugate(self._xp, mirrored), self.one // 2)
        between = self._xp.asarray(self._between.astype(self._wide))
        return low + mirrored, self._product(low - mirrored, between)

    def scaled(self, z: Array, factor: int) -> Array:
        """z times a fraction."""
        return self._rounded(z.astype(self._wide) * factor)

    def _rounded(self, wide: Array) -> Array:
        return ((wide + (1 << (self._bits - 1))) >> self._bits).astype(self._dtype)

    def _product(self, a: Array, b: Array) -> Array:
        a = a.astype(self._wide)
        return self._rounded(self._xp.stack([a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]))

    def _stages(self, z: Array, radices: tuple[int, ...], stride: int) -> Array:
        if not radices:
            return z
        radix, length = radices[0], z.shape[-1] // radices[0]
        parts = z.reshape(*z.shape[:-1], length, radix).swapaxes(-1, -2)
        parts = self.scaled(self._stages(parts, radices[1:], stride * radix), self.one // radix)
        turns = np.outer(np.arange(1, radix), np.arange(length)) * stride
        roots = self._xp.asarray(self._roots[:, turns % self._size].astype(self._wide))
        turned = self._product(parts[..., 1:, :], roots)
        given = [parts[..., 0, :], *(turned[..., q, :] for q in range(radix - 1))]
        return self._xp.stack(_BUTTERFLIES[radix](self, given), axis=-2).reshape(z.shape)

    def _quarter_turn(self, z: Array) -> Array:
        return self._xp.stack([-z[1], z[0]])

    def _radix2(self, z: list[Array]) -> list[Array]:
        return [z[0] + z[1], z[0] - z[1]]

    def _radix3(self, z: list[Array]) -> list[Array]:
        total, difference = z[1] + z[2], z[1] - z[2]
        middle = z[0] - (total >> 1)
        side = self._quarter_turn(self.scaled(difference, self._unit_root(1, 3)[1]))
        return [z[0] + total, middle + side, middle - side]

    def _radix4(self, z: list[Array]) -> list[Array]:
        even, odd, total = z[0] + z[2], z[0] - z[2], z[1] + z[3]
        side = self._quarter_turn(z[1] - z[3])
        ahead, behind = odd + side, odd - side
        return [even + total, *((ahead, even - total, behind) if self._inverse else (behind, even - total, ahead))]

    def _radix5(self, z: list[Array]) -> list[Array]:
        (near_re, near_im), (far_re, far_im) = self._unit_root(1, 5), self._unit_root(2, 5)
        outer, inner, outside, inside = z[1] + z[4], z[2] + z[3], z[1] - z[4], z[2] - z[3]
        near = z[0] + self.scaled(outer, near_re) + self.scaled(inner, far_re)
        far = z[0] + self.scaled(outer, far_re) + self.scaled(inner, near_re)
        near_side = self._quarter_turn(self.scaled(outside, near_im) + self.scaled(inside, far_im))
        far_side = self._quarter_turn(self.scaled(outside, far_im) - self.scaled(inside, near_im))
        return [z[0] + outer + inner, near + near_side, far + far_side, far - far_side, near - near_side]

    def _unit_root(self, turns: int, radix: int) -> tuple[int, int]:
        re, im = self._roots[:, self._size * turns // radix].tolist()
        return re, im


_BUTTERFLIES = {2: FixedFft._radix2, 3: FixedFft._radix3, 4: FixedFft._radix4, 5: FixedFft._radix5}


def is_supported(length: int) -> bool:
    """Whether `length` real integers can be transformed: half of it, 2 or more, has no factors but 2, 3 and 5."""
    rest = length // 2
    for prime in (2, 3, 5):
        while rest and rest % prime == 0:
            rest //= prime
    return length % 2 == 0 and length > 2 and rest == 1


@lru_cache(maxsize=64)
def _radices(size: int) -> tuple[int, ...]:
    """Factors of `size` in the order in which KISS FFT splits it: fours, a two, then threes and fives."""
    radices = []
    for radix in (4, 2, 3, 5):
        while size % radix == 0:
            radices.append(radix)
            size //= radix
    return tuple(radices)


@lru_cache(maxsize=64)
def _roots(size: int, one: int, inverse: bool) -> np.ndarray:
    """int64 [2, size]: the roots of unity of a transform of `size` numbers."""
    return _unit_circle([-2 * math.pi * k / size for k in range(size)], one, inverse)


@lru_cache(maxsize=64)
def _between(size: int, one: int, inverse: bool) -> np.ndarray:
    """int64 [2, size // 2]: what turns the spectrum of odd samples, over i."""
    return _unit_circle([-math.pi * ((k + 1) / size + 0.5) for k in range(size // 2)], one, inverse)


def _unit_circle(phases: list[float], one: int, inverse: bool) -> np.ndarray:
    """Cosines and sines as fractions of `one`, rounded; 1/2 is a tie, so the last bit of these formulas counts."""
    sign = -1 if inverse else 1
    values = [[math.floor(0.5 + one * f(sign * phase)) for phase in phases] for f in (math.cos, math.sin)]
    return np.array(values, np.int64)


def _conjugate(xp: Any, z: Array) -> Array:
    return xp.stack([z[0], -z[1]])


def _interleaved(xp: Any, z: Array) -> Array:
    return xp.stack([z[0], z[1]], axis=-1).reshape(*z.shape[1:-1], -1)

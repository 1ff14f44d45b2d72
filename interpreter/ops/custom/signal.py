"""TensorFlow Lite Micro's audio front end, up to the spectrum: window, scaling, Fourier transforms, energy.

Bit for bit in integers. Attributes are named as in the operators' options; `T` there repeats the element type.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec, TensorType
from ..base import FLOAT, INT16, INT32, Op, op
from ..shared.gemmlowp import bit_length
from ..shared.host import dimensions, require_rank, shape_of
from .fixed_fft import is_supported, real_signal, real_spectrum
from .integer_math import loudest


@op("SignalWindow", INT16, INT16)
class SignalWindow(Op):
    """input * weights / 2**shift, rounded down and cut to int16, for each run of as many samples as `weights` [n]."""

    shift: int = 0

    def infer(self, input: TensorSpec, weights: TensorSpec) -> TensorSpec:
        require_rank(weights, (1,), f"{self.name}: weights")
        (size,) = shape_of(weights)
        if input.rank == 0 or not size or prod(shape_of(input)) % size:
            raise KernelError(f"{self.name} got {input} and {weights}, expected a multiple of as many samples.")
        if not 0 <= self.shift < 32:
            raise KernelError(f"{self.name}: shift is {self.shift}, expected 0 to 31.")
        return TensorSpec(input.type, input.shape)

    def run(self, xp: Any, input: Array, weights: Array) -> Array:
        raw = (input.reshape(-1, weights.size).astype(np.int32) * weights.astype(np.int32)) >> self.shift
        return xp.clip(raw, -(2**15), 2**15 - 1).astype(np.int16).reshape(input.shape)


@op("SignalFftAutoScale", INT16)
class SignalFftAutoScale(Op):
    """[n] -> the samples shifted left as far as 16 bits allow for the loudest one, and by how many bits."""

    def infer(self, input: TensorSpec) -> tuple[TensorSpec, ...]:
        require_rank(input, (1,), f"{self.name}: input")
        if shape_of(input) == (0,):
            raise KernelError(f"{self.name} got no samples.")
        return TensorSpec(input.type, input.shape), TensorSpec(TensorType.INT32, ())

    def run(self, xp: Any, input: Array) -> tuple[Array, ...]:
        peak = loudest(xp, input)
        bits = xp.where(peak > 0, 15 - bit_length(xp, peak), 0).astype(np.int32)
        return (input.astype(np.int32) << bits).astype(np.int16), bits


@op("SignalRfft", FLOAT | INT16 | INT32)
class SignalRfft(Op):
    """[..., n] -> [..., fft_length + 2]: real and imaginary parts in turn, after zeros at the end of the signal.

    Integers are fractions of their range, and so is their spectrum over fft_length.
    """

    fft_length: int = 0

    def infer(self, input: TensorSpec) -> TensorSpec:
        _require_length(self.name, input, self.fft_length)
        if input.rank == 0 or shape_of(input)[-1] > self.fft_length:
            raise KernelError(f"{self.name} got {input}, expected at most fft_length {self.fft_length} samples.")
        shape = (*shape_of(input)[:-1], self.fft_length + 2)
        return TensorSpec(input.type, dimensions(shape, f"{self.name}: the result"))

    def run(self, xp: Any, input: Array) -> Array:
        if input.dtype == np.float32:
            spectrum = xp.fft.rfft(input, self.fft_length)
            parts = xp.stack([spectrum.real, spectrum.imag], axis=-1).astype(np.float32)
            return parts.reshape(*input.shape[:-1], self.fft_length + 2)
        missing = xp.zeros((*input.shape[:-1], self.fft_length - input.shape[-1]), input.dtype)
        return real_spectrum(xp, xp.concatenate([input, missing], axis=-1))


@op("SignalIrfft", FLOAT | INT16 | INT32)
class SignalIrfft(Op):
    """[..., fft_length + 2] -> [..., fft_length]: the inverse of SignalRfft; what the input holds beyond that is left.

    The ends count as real. The float transform divides by fft_length; for integers SignalRfft has done so.
    """

    fft_length: int = 0

    def infer(self, input: TensorSpec) -> TensorSpec:
        _require_length(self.name, input, self.fft_length)
        if input.rank == 0 or shape_of(input)[-1] < self.fft_length + 2:
            raise KernelError(
                f"{self.name} got {input}, expected rows of fft_length + 2 = {self.fft_length + 2} numbers."
            )
        return TensorSpec(input.type, (*shape_of(input)[:-1], self.fft_length))

    def run(self, xp: Any, input: Array) -> Array:
        spectrum = input[..., : self.fft_length + 2]
        if input.dtype != np.float32:
            return real_signal(xp, spectrum)
        between = xp.arange(self.fft_length // 2 + 1) % (self.fft_length // 2) > 0
        imaginary = xp.where(between, spectrum[..., 1::2], np.float32(0))
        return xp.fft.irfft(spectrum[..., 0::2] + 1j * imaginary, self.fft_length).astype(np.float32)


@op("SignalEnergy", INT16)
class SignalEnergy(Op):
    """[2n] -> uint32 [n]: squared magnitudes of frequencies start_index to end_index - 1, 0 for others.

    The reference leaves the others as they are in its memory.
    """

    start_index: int = 0
    end_index: int = 0

    def infer(self, input: TensorSpec) -> TensorSpec:
        require_rank(input, (1,), f"{self.name}: input")
        count = shape_of(input)[0] // 2
        if self.start_index < 0 or self.end_index > count:
            asked = f"start_index {self.start_index} and end_index {self.end_index}"
            raise KernelError(f"{self.name} got {asked}, expected 0 to {count} for {input}.")
        return TensorSpec(TensorType.UINT32, (count,))

    def run(self, xp: Any, input: Array) -> Array:
        wide = input[: input.size // 2 * 2].astype(np.int64)
        energy = (wide[0::2] ** 2 + wide[1::2] ** 2).astype(np.uint32)
        place = xp.arange(energy.size)
        return xp.where((place >= self.start_index) & (place < self.end_index), energy, np.uint32(0))


def _require_length(name: str, input: TensorSpec, fft_length: int) -> None:
    if fft_length < 2 or fft_length % 2:
        raise KernelError(f"{name}: fft_length is {fft_length}, expected an even number.")
    if input.type != TensorType.FLOAT32 and not is_supported(fft_length):
        raise KernelError(f"{name}: fft_length is {fft_length}, expected a product of 2, 3 and 5 for integers.")

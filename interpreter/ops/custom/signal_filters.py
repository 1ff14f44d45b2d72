"""TensorFlow Lite Micro's audio front end, after the spectrum: filter bank, root, noise, gain and logarithm.

Bit for bit. Attributes are named as in the operators' options.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec, TensorType
from ..base import INT16, INT32, UINT32, UINT64, Op, StatefulOp, op
from ..shared.host import known, require_rank, shape_of
from ..shared.resources import Memories
from .integer_math import natural_log, shrink, square_root, wide_dynamic

GAIN_TABLE_SIZE = 125
"""What the gain of 32-bit numbers takes: one number each for 0 to 2, then four for every power of two."""


@op("SignalFilterBank", UINT32, INT16)
class SignalFilterBank(Op):
    """Energies [n] -> uint64 [num_channels]: triangular filters, of which neighbours share frequencies.

    Channel c sums `channel_widths[c + 1]` energies from `channel_frequency_starts[c + 1]` on times `weights` from
    `channel_weight_starts[c + 1]` on, and the energies of entry c of these tables times `unweights`.
    """

    num_channels: int = 0

    def infer(self, input: TensorSpec, weights: TensorSpec, unweights: TensorSpec, *tables: TensorSpec) -> TensorSpec:
        for spec in (input, weights, unweights, *tables):
            require_rank(spec, (1,), f"{self.name}: an operand")
        if self.num_channels < 1 or any(shape_of(t)[0] <= self.num_channels for t in tables):
            got = ", ".join(map(str, tables))
            raise KernelError(
                f"{self.name} got tables {got}, expected num_channels + 1 = {self.num_channels + 1} entries."
            )
        return TensorSpec(TensorType.UINT64, (self.num_channels,))

    def run(
        self,
        xp: Any,
        input: Array,
        weights: Array,
        unweights: Array,
        channel_frequency_starts: Array,
        channel_weight_starts: Array,
        channel_widths: Array,
    ) -> Array:
        tables = zip(self.ins[3:], (channel_frequency_starts, channel_weight_starts, channel_widths), strict=True)
        columns = [known(spec, table)[: self.num_channels + 1].astype(np.int64) for spec, table in tables]
        frequency_starts, weight_starts, widths = columns[0], columns[1], np.maximum(columns[2], 0)
        ends = np.concatenate([[0], np.cumsum(widths)])
        steps = np.arange(ends[-1]) - np.repeat(ends[:-1], widths)
        frequencies = np.repeat(frequency_starts, widths) + steps
        places = np.repeat(weight_starts, widths) + steps
        self._require_inside("channel_frequency_starts", frequencies, input.size)
        self._require_inside("channel_weight_starts", places, min(weights.size, unweights.size))
        energy, places, ends = input[xp.asarray(frequencies)].astype(np.uint64), xp.asarray(places), xp.asarray(ends)
        rising, falling = (_sums(xp, energy * w[places].astype(np.uint64), ends) for w in (weights, unweights))
        return rising[1:] + falling[:-1]

    def _require_inside(self, table: str, places: np.ndarray, size: int) -> None:
        if places.size and not 0 <= places.min() <= places.max() < size:
            reach = f"{places.min()} to {places.max()}"
            raise KernelError(f"{self.name}: {table} and channel_widths reach {reach}, expected 0 to {size - 1}.")


def _sums(xp: Any, products: Array, ends: Array) -> Array:
    """Sums of the products between `ends`, modulo 2**64."""
    totals = xp.concatenate([xp.zeros(1, np.uint64), xp.cumsum(products, dtype=np.uint64)])[ends]
    return totals[1:] - totals[:-1]


@op("SignalFilterBankSquareRoot", UINT64, INT32)
class SignalFilterBankSquareRoot(Op):
    """uint32: the nearest root of each channel, shifted right by `scale_bits`, which undoes SignalFftAutoScale."""

    def infer(self, input: TensorSpec, scale_bits: TensorSpec) -> TensorSpec:
        require_rank(input, (1,), f"{self.name}: input")
        require_rank(scale_bits, (0,), f"{self.name}: scale_bits")
        return TensorSpec(TensorType.UINT32, input.shape)

    def run(self, xp: Any, input: Array, scale_bits: Array) -> Array:
        return square_root(xp, input) >> scale_bits.astype(np.uint32)


@op("SignalFilterBankSpectralSubtraction", UINT32)
class SignalFilterBankSpectralSubtraction(StatefulOp):
    """Channels less their noise, and the noise with `smoothing_bits` fractional bits, smoothed over the calls.

    Weights of the smoothing filter and `min_signal_remaining` have `spectral_subtraction_bits` fractional bits; odd
    channels have the alternate ones. With `clamping` the noise never exceeds the signal.
    """

    alternate_one_minus_smoothing: int = 0
    alternate_smoothing: int = 0
    clamping: bool = False
    min_signal_remaining: int = 0
    num_channels: int = 0
    one_minus_smoothing: int = 0
    smoothing: int = 0
    smoothing_bits: int = 0
    spectral_subtraction_bits: int = 0

    def infer(self, input: TensorSpec) -> tuple[TensorSpec, ...]:
        if input.shape != (self.num_channels,):
            raise KernelError(f"{self.name} got {input}, expected num_channels {self.num_channels} numbers.")
        for what in ("smoothing_bits", "spectral_subtraction_bits"):
            if not 0 <= getattr(self, what) < 32:
                raise KernelError(f"{self.name}: {what} is {getattr(self, what)}, expected 0 to 31.")
        return TensorSpec(TensorType.UINT32, input.shape), TensorSpec(TensorType.UINT32, input.shape)

    def run_with(self, state: Memories, input: np.ndarray) -> tuple[np.ndarray, ...]:
        memory = state.memory(self.place, np.zeros_like(input))
        bits = np.uint64(self.spectral_subtraction_bits)
        signal = input << np.uint32(self.smoothing_bits)
        fresh = self._by_channel(self.smoothing, self.alternate_smoothing)
        kept = self._by_channel(self.one_minus_smoothing, self.alternate_one_minus_smoothing)
        noise = ((signal * fresh + memory.read() * kept) >> bits).astype(np.uint32)
        estimate = np.minimum(noise, signal)
        if self.clamping:
            noise = estimate
        memory.assign(noise)
        least = ((input * _unsigned(self.min_signal_remaining)) >> bits).astype(np.uint32)
        return np.maximum((signal - estimate) >> np.uint32(self.smoothing_bits), least), noise

    def _by_channel(self, even: int, odd: int) -> np.ndarray:
        return np.where(np.arange(self.num_channels) % 2, _unsigned(odd), _unsigned(even))


def _unsigned(value: int) -> np.uint64:
    return np.uint64(value & 0xFFFFFFFF)


@op("SignalPCAN", UINT32, UINT32, INT16)
class SignalPCAN(Op):
    """Channels times a gain that falls with their noise, compressed (per-channel amplitude normalisation).

    The gain is a function of the noise that `gain_lut` [125] holds as parabolas between powers of two.
    """

    snr_shift: int = 0

    def infer(self, input: TensorSpec, noise_estimate: TensorSpec, gain_lut: TensorSpec) -> TensorSpec:
        require_rank(input, (1,), f"{self.name}: input")
        require_rank(gain_lut, (1,), f"{self.name}: gain_lut")
        if noise_estimate.shape != input.shape or shape_of(gain_lut)[0] < GAIN_TABLE_SIZE:
            got = f"{input}, {noise_estimate} and {gain_lut}"
            raise KernelError(f"{self.name} got {got}, expected [n], [n] and [{GAIN_TABLE_SIZE}].")
        if not 0 <= self.snr_shift < 64:
            raise KernelError(f"{self.name}: snr_shift is {self.snr_shift}, expected 0 to 63.")
        return TensorSpec(TensorType.UINT32, input.shape)

    def run(self, xp: Any, input: Array, noise_estimate: Array, gain_lut: Array) -> Array:
        gain = wide_dynamic(xp, noise_estimate, gain_lut).astype(np.uint32).astype(np.uint64)
        return shrink(xp, ((input * gain) >> np.uint64(self.snr_shift)).astype(np.uint32))


@op("SignalFilterBankLog", UINT32)
class SignalFilterBankLog(Op):
    """int16: output_scale times the natural logarithm of input * 2**input_correction_bits, 0 for 0 and 1."""

    input_correction_bits: int = 0
    output_scale: int = 0

    def infer(self, input: TensorSpec) -> TensorSpec:
        require_rank(input, (1,), f"{self.name}: input")
        if not 0 <= self.input_correction_bits < 32:
            bits = self.input_correction_bits
            raise KernelError(f"{self.name}: input_correction_bits is {bits}, expected 0 to 31.")
        return TensorSpec(TensorType.INT16, input.shape)

    def run(self, xp: Any, input: Array) -> Array:
        scaled = input << np.uint32(self.input_correction_bits)
        log = xp.minimum(natural_log(xp, scaled, self.output_scale), np.uint32(2**15 - 1))
        return xp.where(scaled > 1, log, np.uint32(0)).astype(np.int16)

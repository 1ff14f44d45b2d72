"""Spectrograms and mel-frequency cepstra, as TensorFlow's audio operators are converted. Computed in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec
from ..base import FLOAT, INT32, Op, op
from ..shared.host import dimensions, known, require_rank, scalar, shape_of

LOWEST_ENERGY = 1e-12
"""What a mel channel counts as at least before its logarithm is taken."""


@op("AudioSpectrogram", FLOAT)
class AudioSpectrogram(Op):
    """Samples [n, channels] -> magnitudes [channels, frames, frequencies] of Hann windows, every `stride` samples.

    A window is filled with zeros to a power of two of p samples, which gives p / 2 + 1 frequencies. Reference kernel:
    audio_spectrogram.
    """

    window_size: int = 0
    stride: int = 0
    magnitude_squared: bool = False

    def infer(self, input: TensorSpec) -> TensorSpec:
        require_rank(input, (2,), f"{self.name}: input")
        if self.window_size < 2 or self.stride < 1:
            asked = f"window_size {self.window_size} and stride {self.stride}"
            raise KernelError(f"{self.name} got {asked}, expected at least 2 and 1.")
        samples, channels = shape_of(input)
        shape = (channels, self._frames(samples), self._length // 2 + 1)
        return TensorSpec(input.type, dimensions(shape, f"{self.name}: the result"))

    @property
    def _length(self) -> int:
        """Samples of a transform."""
        return 1 << (self.window_size - 1).bit_length()

    def _frames(self, samples: int) -> int:
        return max(0, (samples - self.window_size) // self.stride + 1)

    def run(self, xp: Any, input: Array) -> Array:
        frames, bins = self._frames(input.shape[0]), self._length // 2 + 1
        if not frames:
            return xp.zeros((input.shape[1], 0, bins), np.float32)
        places = xp.arange(frames)[:, None] * self.stride + xp.arange(self.window_size)
        window = 0.5 - 0.5 * xp.cos(2 * np.pi * xp.arange(self.window_size) / self.window_size)
        spectrum = xp.fft.rfft(input.T[:, places].astype(np.float64) * window, self._length)
        energy = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        return energy if self.magnitude_squared else xp.sqrt(energy)


@op("Mfcc", FLOAT, INT32)
class Mfcc(Op):
    """Squared magnitudes [channels, frames, frequencies] -> the first cepstral coefficients of each frame.

    Magnitudes are weighted by triangles that overlap by half, at equal steps on the mel scale between the limits (Hz);
    their logarithms go through a cosine transform. Where the spectrum ends below the upper limit, all coefficients are
    zero, as in the reference kernel (mfcc).
    """

    upper_frequency_limit: int = 0
    lower_frequency_limit: int = 0
    filterbank_channel_count: int = 0
    dct_coefficient_count: int = 0

    def infer(self, spectrogram: TensorSpec, sample_rate: TensorSpec) -> TensorSpec:
        require_rank(spectrogram, (3,), f"{self.name}: spectrogram")
        channels, frames, frequencies = shape_of(spectrogram)
        if sample_rate.size != 1 or frequencies < 2:
            raise KernelError(f"{self.name} got {spectrogram} and {sample_rate}, expected 2 frequencies and one rate.")
        if not 0 <= self.lower_frequency_limit < self.upper_frequency_limit:
            limits = f"{self.lower_frequency_limit} to {self.upper_frequency_limit}"
            raise KernelError(f"{self.name}: the limits are {limits} Hz, expected 0 or more and more than that.")
        if not 1 <= self.dct_coefficient_count <= self.filterbank_channel_count:
            counts = f"{self.dct_coefficient_count} coefficients of {self.filterbank_channel_count} channels"
            raise KernelError(f"{self.name} got {counts}, expected one of each or more, and no fewer channels.")
        dimensions([self.filterbank_channel_count], f"{self.name}: filterbank_channel_count")
        return TensorSpec(spectrogram.type, (channels, frames, self.dct_coefficient_count))

    def run(self, xp: Any, spectrogram: Array, sample_rate: Array) -> Array:
        rate = scalar(known(self.ins[1], sample_rate), f"{self.name}: sample_rate")
        if rate <= 0:
            raise KernelError(f"{self.name}: sample_rate is {rate}, expected a positive number.")
        size = spectrogram.shape[-1]
        step = 0.5 * rate / (size - 1)  # Hz from one frequency to the next
        first, last = int(1.5 + self.lower_frequency_limit / step), int(self.upper_frequency_limit / step)
        if last >= size:
            return xp.zeros((*spectrogram.shape[:2], self.dct_coefficient_count), np.float32)
        triangles = self._triangles(np.arange(first, last + 1) * step)
        magnitudes = xp.sqrt(spectrogram[..., first : last + 1].astype(np.float64))
        channels = xp.log(xp.maximum(xp.matmul(magnitudes, xp.asarray(triangles)), LOWEST_ENERGY))
        return xp.matmul(channels, xp.asarray(self._cosines())).astype(np.float32)

    def _triangles(self, frequencies: np.ndarray) -> np.ndarray:
        """Weights [frequencies, channels] of the filter bank."""
        count = self.filterbank_channel_count
        lowest, highest = mel(np.array([self.lower_frequency_limit, self.upper_frequency_limit], np.float64))
        centres = lowest + (highest - lowest) / (count + 1) * np.arange(count + 2)
        place = mel(frequencies)
        above = np.searchsorted(centres[1 : count + 1], place)  # 0: below the first centre
        falling = (centres[above + 1] - place) / (centres[above + 1] - centres[above])
        weights = np.zeros((len(frequencies), count + 2))
        rows = np.arange(len(frequencies))
        weights[rows, above], weights[rows, above + 1] = falling, 1 - falling
        return weights[:, 1 : count + 1]

    def _cosines(self) -> np.ndarray:
        """The cosine transform [channels, coefficients]."""
        count = self.filterbank_channel_count
        turns = np.outer(np.arange(count) + 0.5, np.arange(self.dct_coefficient_count))
        cosines: np.ndarray = np.sqrt(2 / count) * np.cos(np.pi / count * turns)
        return cosines


def mel(frequencies: Array) -> Array:
    """Places of frequencies (Hz) on the mel scale."""
    return 1127.0 * np.log1p(frequencies / 700.0)

"""Cases of TensorFlow Lite Micro's signal operators, whose results on its own runtime are in signal_golden.npz.

That runtime does not live in our environment. To make the file anew:

    python tests/ops/custom/make_signal_golden.py /path/to/python-with-tflite_micro
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.ops.harness import Case, const
from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer
from tflite_cupy.interpreter.graph import TensorType

I16, I32, U32, U64 = TensorType.INT16, TensorType.INT32, TensorType.UINT32, TensorType.UINT64
F32, BOOL = TensorType.FLOAT32, TensorType.BOOL
LENGTHS = (4, 6, 8, 10, 16, 18, 20, 60, 64, 250)
FRONT_END = {
    "alternate_one_minus_smoothing": 15401,
    "alternate_smoothing": 983,
    "min_signal_remaining": 819,
    "one_minus_smoothing": 15975,
    "smoothing": 409,
    "smoothing_bits": 10,
    "spectral_subtraction_bits": 14,
}


@dataclass(frozen=True, eq=False)
class Stream:
    """An operator with a memory: its case, the inputs of its calls, and the call before which it is reset."""

    case: Case
    calls: Sequence[np.ndarray]
    reset: int


def signal(name: str, inputs: Sequence[Any], outputs: Sequence[TensorType], label: str = "", **options: Any) -> Case:
    """A case of the operator Signal<name>."""
    packed = write_flexbuffer(options) if options else b""
    why = "ai_edge_litert does not have it"
    return Case(f"Signal{name}", inputs, custom=True, custom_options=packed, outputs=outputs, label=label,
                unreferenced=why, rtol=1e-5, atol=5e-6)  # fmt: skip


def noise(seed: int, *shape: int) -> np.ndarray:
    """Random uint64, the same with every version of NumPy (SplitMix64)."""
    count, step = int(np.prod(shape)), np.uint64(0x9E3779B97F4A7C15)
    z = (np.arange(1, count + 1, dtype=np.uint64) + np.uint64(seed << 32)) * step
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = z ^ (z >> np.uint64(31))
    return mixed.reshape(shape)


def samples(seed: int, *shape: int, quiet: int = 0) -> np.ndarray:
    """int16 of `quiet` bits less than 16."""
    return (noise(seed, *shape) >> np.uint64(48)).astype(np.int16) >> quiet


def spread(seed: int, size: int, bits: int) -> np.ndarray:
    """Integers of 1 to `bits` bits, as uint64."""
    numbers: np.ndarray = noise(seed, size) >> (np.uint64(64 - bits) + noise(seed + 1, size) % np.uint64(bits))
    return numbers


def of_type(kind: TensorType, seed: int, *shape: int) -> np.ndarray:
    """Random numbers of a type that Fourier transforms take."""
    if kind is F32:
        return samples(seed, *shape).astype(np.float32) / np.float32(2**15)
    return (noise(seed, *shape) >> np.uint64(64 - kind.bits)).astype(kind.dtype)


def _scaled() -> list[Case]:
    full = np.int16(-(2**15))
    clipped = samples(4, 40, quiet=5)
    clipped[7] = full
    rising = np.int16([9, full, -500, -400, -7])
    turning = np.int16([full, -5000, -400, -500, 12])
    given = {
        "loud": samples(1, 40),
        "quiet": samples(2, 40, quiet=9),
        "silent": np.zeros(40, np.int16),
        "clipped": clipped,
        "clipped at the end": np.append(samples(3, 39, quiet=5), full),
        "rising after a clip": rising,
        "turning after a clip": turning,
    }
    return [signal("FftAutoScale", [x], [I16, I32], label) for label, x in given.items()]


def _transforms() -> list[Case]:
    cases = []
    for kind in (I16, I32, F32):
        for length in LENGTHS:
            label, options = f"{kind.name.lower()}-{length}", {"T": int(kind), "fft_length": length}
            short, spectrum = of_type(kind, length, 2, length - length // 5), of_type(kind, length + 1, 2, length + 2)
            cases += [signal("Rfft", [short], [kind], label, **options),
                      signal("Irfft", [spectrum], [kind], label, **options)]  # fmt: skip
        least = -1 if kind is F32 else np.iinfo(kind.dtype).min
        extreme, options = np.full((1, 18), least, kind.dtype), {"T": int(kind), "fft_length": 16}
        cases += [signal("Rfft", [extreme[:, :16]], [kind], f"{kind.name.lower()}-extreme", **options),
                  signal("Irfft", [extreme], [kind], f"{kind.name.lower()}-extreme", **options)]  # fmt: skip
    return cases


def _filter_bank(label: str, weights: np.ndarray, unweights: np.ndarray) -> Case:
    widths = np.int16([3, 0, 5, 4, 7, 2, 6])
    weight_starts = np.cumsum([0, *widths[:-1]]).astype(np.int16)
    frequency_starts = np.int16([2, 5, 5, 10, 14, 21, 24])
    tables = [const(t) for t in (weights, unweights, frequency_starts, weight_starts, widths)]
    return signal("FilterBank", [spread(30, 30, 32).astype(np.uint32), *tables], [U64], label, num_channels=6)


def _roots() -> np.ndarray:
    """Numbers around squares, around the halves between them, and around the ends."""
    root = spread(40, 60, 32) | np.uint64(1)
    near = [root * root, root * root - np.uint64(1), root * root + root, root * root + root + np.uint64(1)]
    ends = np.array([0, 1, 2, 3, 2**32 - 1, 2**32, (2**32 - 1) ** 2, 2**64 - 2**32 + 1, 2**64 - 1], np.uint64)
    return np.concatenate([ends, *near, spread(42, 60, 64)])


RISING = (noise(20, 27) >> np.uint64(52)).astype(np.int16)
CHANNELS = np.concatenate([np.arange(20), spread(50, 80, 32), [2**16, 2**31 - 1, 2**32 - 1]]).astype(np.uint32)
NOISE = np.concatenate([np.arange(20)[::-1], spread(52, 80, 32), [2**32 - 1, 2**16, 0]]).astype(np.uint32)

STATELESS = [
    signal("Window", [samples(6, 2, 48), const(samples(7, 48))], [I16], "12", shift=12),
    signal("Window", [samples(8, 3, 2, 5), const(samples(9, 5))], [I16], "no shift", shift=0),
    *_scaled(),
    *_transforms(),
    signal("Energy", [samples(10, 34)], [U32], "all", start_index=0, end_index=17),
    signal("Energy", [np.full(6, -(2**15), np.int16)], [U32], "greatest", start_index=0, end_index=3),
    _filter_bank("triangles", RISING, np.int16(4096) - RISING),
    _filter_bank("negative", samples(21, 27), samples(22, 27)),
    *(signal("FilterBankSquareRoot", [_roots(), np.array(bits, np.int32)], [U32], str(bits)) for bits in (0, 7)),
    *(signal("FilterBankLog", [CHANNELS], [I16], f"{bits}-{scale}", input_correction_bits=bits, output_scale=scale)
      for bits, scale in ((3, 64), (0, 1600), (5, 2**15))),
    *(signal("PCAN", [CHANNELS, NOISE, const(samples(60, 125, quiet=quiet))], [U32], f"shift {shift}", snr_shift=shift)
      for shift, quiet in ((6, 5), (0, 0), (20, 0))),
]  # fmt: skip


def _stream(name: str, shape: Sequence[int], outputs: Sequence[TensorType], label: str = "", **options: Any) -> Stream:
    """Seven calls on int16, or on float32 if that is the first output, with a reset before the last two."""
    kind = outputs[0] if outputs[0] is F32 else I16
    calls = [of_type(kind, 100 + call, *shape) for call in range(7)]
    return Stream(signal(name, [calls[0]], outputs, label, **options), calls, 5)


def _subtraction(clamping: bool) -> Stream:
    options = {**FRONT_END, "clamping": clamping, "num_channels": 20}
    calls = [spread(70 + call, 20, 32 if call % 2 else 20).astype(np.uint32) for call in range(7)]
    case = signal("FilterBankSpectralSubtraction", [calls[0]], [U32, U32], "clamping" if clamping else "", **options)
    return Stream(case, calls, 5)


STREAMS = [
    _subtraction(False),
    _subtraction(True),
    _stream("Framer", (1, 12), [I16, BOOL], "overlap", frame_size=9, frame_step=4, prefill=False),
    _stream("Framer", (2, 2, 8), [I16, BOOL], "prefill", frame_size=9, frame_step=4, prefill=True),
    _stream("Framer", (1, 4), [I16, BOOL], "slow", frame_size=10, frame_step=4, prefill=False),
    _stream("Framer", (9,), [I16, BOOL], "gaps", frame_size=2, frame_step=3, prefill=False),
    _stream("Delay", (1, 10), [I16], "short", delay_length=3),
    _stream("Delay", (2, 3, 5), [I16], "long", delay_length=12),
    _stream("Delay", (4,), [I16], "none", delay_length=0),
    _stream("OverlapAdd", (3, 8), [I16], "int16", T=int(I16), frame_step=3),
    _stream("OverlapAdd", (2, 2, 8), [F32], "float32", T=int(F32), frame_step=2),
    _stream("OverlapAdd", (2, 1, 5), [I16], "apart", T=int(I16), frame_step=5),
    *(_stream("Stacker", (3,), [I16, BOOL], f"{left}-{right}-{step}", num_channels=3, stacker_left_context=left,
              stacker_right_context=right, stacker_step=step)
      for left, right, step in ((2, 1, 1), (0, 0, 1), (1, 2, 2), (0, 3, 4))),
]  # fmt: skip

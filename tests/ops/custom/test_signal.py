"""TensorFlow Lite Micro's signal operators, against results of its own runtime (see signal_cases.py)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.engines import call, engine_of
from tests.ops.custom.signal_cases import (
    BOOL,
    F32,
    I16,
    I32,
    STATELESS,
    STREAMS,
    U32,
    U64,
    Stream,
    noise,
    samples,
    signal,
)
from tests.ops.harness import Case, check, compare, const, matrix, one_op, one_op_model
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.checks import infer_outputs
from tflite_cupy.interpreter.ops.custom.integer_math import natural_log, square_root

GOLDEN = Path(__file__).with_name("signal_golden.npz")


@cache
def stored() -> dict[str, bytes]:
    with np.load(GOLDEN) as file:
        return {name: file[name].tobytes() for name in file.files}


def golden(case: Case) -> Iterator[list[np.ndarray]]:
    """What the micro runtime gives for a case, call by call."""
    op = one_op(case)
    specs, data, start = infer_outputs(op, op.ins), stored()[str(case)], 0
    while start < len(data):
        outputs = []
        for spec in specs:
            assert spec.shape is not None
            count = int(np.prod(spec.shape))
            outputs.append(np.frombuffer(data, spec.dtype, count, start).reshape(spec.shape))
            start += count * spec.dtype.itemsize
        yield outputs


BYTES, WORDS = np.zeros(8, np.int8), np.zeros(8, np.int16)
FRAMES, ENERGIES = np.zeros((2, 8), np.int16), np.zeros(8, np.uint32)
TABLE = const(np.zeros(4, np.int16))
FLOATS = samples(1, 14).astype(np.float32) / 2**15
REFUSED = [
    signal("Window", [BYTES, const(WORDS)], [I16], "refused"),
    signal("Rfft", [BYTES], [I16], "refused"),
    signal("OverlapAdd", [np.zeros((2, 2), np.int32)], [I32], "refused"),
    signal("PCAN", [WORDS, WORDS, WORDS], [U32], "refused"),
]
FAILING = {
    "multiple of as many samples": signal("Window", [samples(1, 7), const(WORDS)], [I16]),
    "shift is 32": signal("Window", [WORDS, const(WORDS)], [I16], shift=32),
    "no samples": signal("FftAutoScale", [np.zeros(0, np.int16)], [I16, I32]),
    "fft_length is 0": signal("Rfft", [WORDS], [I16]),
    "fft_length is 9, expected an even": signal("Rfft", [WORDS], [I16], fft_length=9),
    "fft_length is 14, expected a product": signal("Rfft", [WORDS], [I16], fft_length=14),
    "at most fft_length 6": signal("Rfft", [WORDS], [I16], fft_length=6),
    "rows of fft_length \\+ 2 = 10": signal("Irfft", [WORDS], [I16], fft_length=8),
    "end_index 5, expected 0 to 4": signal("Energy", [WORDS], [U32], end_index=5),
    "num_channels \\+ 1 = 5": signal("FilterBank", [ENERGIES, *[TABLE] * 5], [U64], num_channels=4),
    "scale_bits has rank 1": signal("FilterBankSquareRoot", [noise(1, 3), np.int32([1])], [U32]),
    "num_channels 7": signal("FilterBankSpectralSubtraction", [ENERGIES], [U32, U32], num_channels=7),
    "\\[125\\]": signal("PCAN", [ENERGIES, ENERGIES, const(np.zeros(124, np.int16))], [U32]),
    "input_correction_bits is -1": signal("FilterBankLog", [ENERGIES], [I16], input_correction_bits=-1),
    "multiple of frame_step 3": signal("Framer", [WORDS], [I16, BOOL], frame_size=3, frame_step=3),
    "frame_size is 2 and frame_step 4": signal(
        "Framer", [WORDS], [I16, BOOL], frame_size=2, frame_step=4, prefill=True
    ),
    "delay_length -1": signal("Delay", [WORDS], [I16], delay_length=-1),
    "frame_step 9 samples or more": signal("OverlapAdd", [FRAMES], [I16], frame_step=9),
    "an attribute is out of range": signal("Stacker", [WORDS], [I16, BOOL], num_channels=8, stacker_step=2),
    "num_channels 9": signal("Stacker", [WORDS], [I16, BOOL], num_channels=9, stacker_step=1),
}
CASES = [
    *(replace(case, expect=next(golden(case))) for case in STATELESS),
    *(replace(case, refused="not supported with") for case in REFUSED),
    *(replace(case, raises=words, label=words) for words, case in FAILING.items()),
    replace(
        signal("Rfft", [FLOATS], [F32], "any even length", fft_length=14),
        expect=[np.fft.rfft(FLOATS.astype(np.float64)).view(np.float64)],
    ),
]
OPERATORS = tuple({stream.case.operator for stream in STREAMS})


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: str(stream.case))
def test_stream_goes_on_from_call_to_call(stream: Stream) -> None:
    engine = engine_of(one_op_model(stream.case))
    for index, (fed, expected) in enumerate(zip(stream.calls, golden(stream.case), strict=True)):
        if index == stream.reset:
            engine.state.reset_variable_tensors()
        results = call(engine, fed)
        for got, want in zip(results, expected, strict=True):
            if expected[-1].dtype != np.bool_ or expected[-1]:  # the micro runtime leaves what is not valid unset
                compare(stream.case, got, want)
        assert expected[-1].dtype != np.bool_ or results[-1] == expected[-1]


def framer(stream: np.ndarray, step: int, size: int, prefill: bool) -> Case:
    outputs = [TensorType.INT16, TensorType.BOOL]
    return signal("Framer", [stream[None, :step]], outputs, frame_size=size, frame_step=step, prefill=prefill)


@pytest.mark.parametrize("prefill", [False, True])
@pytest.mark.parametrize(("step", "size"), [(4, 4), (4, 9), (3, 12), (5, 6)])
def test_frames_are_windows_of_the_stream(step: int, size: int, prefill: bool) -> None:
    stream = samples(5, 10 * step)
    engine = engine_of(one_op_model(framer(stream, step, size, prefill)))
    results = [call(engine, part[None]) for part in np.split(stream, 10)]
    frames = np.concatenate([frame[0] for frame, valid in results if valid])
    whole = np.concatenate([np.zeros(size - step if prefill else 0, np.int16), stream])
    np.testing.assert_array_equal(frames, np.lib.stride_tricks.sliding_window_view(whole, size)[::step])
    assert [bool(valid) for _, valid in results] == [False] * (10 - len(frames)) + [True] * len(frames)
    assert not any(frame.any() for frame, valid in results if not valid)


def test_frames_that_lack_samples_are_zeros_beside_those_that_do_not() -> None:
    stream = samples(5, 12)
    case = framer(stream, 12, 9, False)
    case = signal("Framer", case.inputs, case.outputs, frame_size=9, frame_step=4, prefill=False)
    frames, valid = call(engine_of(one_op_model(case)), stream[None])
    assert not valid
    assert not frames[0, :2].any()
    np.testing.assert_array_equal(frames[0, 2], stream[:9])


def test_one_long_call_is_many_short_ones() -> None:
    frames = samples(11, 1, 6, 8, quiet=2)
    short = engine_of(one_op_model(signal("OverlapAdd", [frames[:, :2]], [I16], frame_step=3)))
    long = engine_of(one_op_model(signal("OverlapAdd", [frames], [I16], frame_step=3)))
    parts = [call(short, frames[:, i : i + 2])[0] for i in (0, 2, 4)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=-1), call(long, frames)[0])


def test_streams_belong_to_one_interpreter_and_to_one_shape() -> None:
    model = one_op_model(signal("Delay", [samples(1, 1, 4)], [I16], delay_length=2))
    first, second = engine_of(model), engine_of(model)
    fed = samples(12, 1, 4)
    assert call(first, fed)[0].tolist() == [[0, 0, *fed[0, :2]]]
    assert call(first, fed)[0].tolist() == [[*fed[0, 2:], *fed[0, :2]]]
    assert call(second, fed)[0].tolist() == [[0, 0, *fed[0, :2]]]
    assert call(first, np.repeat(fed, 2, axis=0))[0].tolist() == [[0, 0, *fed[0, :2]]] * 2


@pytest.mark.parametrize("length", [12, 64, 480])
@pytest.mark.parametrize("kind", [np.int16, np.int32])
def test_integer_transforms_are_close_to_real_ones(kind: type[np.signedinteger], length: int) -> None:
    width = np.iinfo(kind).bits
    fed = (noise(13, length) >> np.uint64(64 - width)).astype(kind) // 2
    outputs = [TensorType.of(kind)]
    (spectrum,) = call(engine_of(one_op_model(signal("Rfft", [fed], outputs, fft_length=length))), fed)
    exact = np.fft.rfft(fed.astype(np.float64)) / length
    assert np.abs(spectrum[0::2] + 1j * spectrum[1::2] - exact).max() < 6
    inverse = signal("Irfft", [spectrum], outputs, fft_length=length)
    (back,) = call(engine_of(one_op_model(inverse)), spectrum)
    assert np.abs(back.astype(np.float64) * length - fed).max() < 8 * length


def test_square_root_is_the_nearest() -> None:
    x = noise(14, 500) | np.uint64(1 << 40)
    roots = square_root(np, x).astype(object)
    assert all((r - 1) * r < n <= (r + 1) * r for r, n in zip(roots.tolist(), x.tolist(), strict=True))


def test_logarithm_is_close_to_the_real_one() -> None:
    x = (noise(15, 500) >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
    np.testing.assert_allclose(natural_log(np, x, 1600), 1600 * np.log(x.astype(np.float64)), rtol=2e-4, atol=2)


def test_filters_that_reach_beyond_the_spectrum_are_an_error() -> None:
    tables = [const(np.int16(t)) for t in ([0, 5], [0, 2], [2, 4])]
    weights = const(np.zeros(6, np.int16))
    case = signal("FilterBank", [ENERGIES, weights, weights, *tables], [U64], num_channels=1)
    check(replace(case, raises="reach 0 to 8, expected 0 to 7"))

"""TensorFlow Text's operators that its TensorFlow Lite kernels run, as far as they need no model of a vocabulary.

Strings are object arrays of bytes in UTF-8; offsets count bytes. Ragged results are values and row splits.
"""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec, TensorType
from ..base import BOOL, INDEX, INT32, INT64, NUMBER, STRING, Op, op
from ..shared.host import dimensions, require_rank, scalar, shape_of
from .ragged import places_in_rows, row_lengths


def splits_of(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """Row splits of rows with these lengths."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


@lru_cache(maxsize=16)
def _whitespace(config: bytes) -> re.Pattern[bytes]:
    """One character of those whose code points are set in the bits of `config`."""
    bits = np.unpackbits(np.frombuffer(config, np.uint8), bitorder="little")[: sys.maxunicode + 1]
    spaces = [chr(point).encode(errors="ignore") for point in np.flatnonzero(bits).tolist()]  # surrogates are none
    return re.compile(b"|".join(re.escape(space) for space in spaces if space) or b"(?!)")


def words_between(text: bytes, space: re.Pattern[bytes]) -> list[tuple[int, int]]:
    """Begins and ends of the words of a text.

    As in TensorFlow Text, a word ends one byte before the end of the white space behind it, so it takes all but the
    last byte of a wide one.
    """
    found, begin = [], 0
    for match in space.finditer(text):
        if begin < match.start():
            found.append((begin, match.end() - 1))
        begin = match.end()
    return [*found, (begin, len(text))] if begin < len(text) else found


@op("TFText>WhitespaceTokenizeWithOffsetsV2", STRING, STRING)
class WhitespaceTokenize(Op):
    """Words of each of `input_values` [n]: the words, row splits [n + 1], and where each begins and ends.

    `input_config` holds a bit for each code point, set for those that are white space.
    """

    host_only = True

    def infer(self, input_values: TensorSpec, input_config: TensorSpec) -> tuple[TensorSpec, ...]:
        require_rank(input_values, (1,), f"{self.name}: input_values")
        if input_config.size != 1:
            raise KernelError(f"{self.name} got a configuration of {input_config.size} strings, expected 1.")
        rows = shape_of(input_values)[0]
        offsets = TensorSpec(TensorType.INT32, None)
        return TensorSpec(TensorType.STRING, None), TensorSpec(TensorType.INT64, (rows + 1,)), offsets, offsets

    def run(self, xp: Any, input_values: Array, input_config: Array) -> tuple[Array, ...]:
        space = _whitespace(input_config.item())
        rows = [words_between(text, space) for text in input_values]
        words = [text[begin:end] for text, row in zip(input_values, rows, strict=True) for begin, end in row]
        spans = np.array([span for row in rows for span in row], np.int32).reshape(-1, 2)
        return np.array(words, object), splits_of([len(row) for row in rows]), spans[:, 0], spans[:, 1]


@op("TFText>ByteSplitWithOffsets", STRING)
class ByteSplit(Op):
    """Bytes of each of `input_values` [n]: the bytes as uint8, row splits [n + 1], and where each begins and ends."""

    host_only = True

    def infer(self, input_values: TensorSpec) -> tuple[TensorSpec, ...]:
        require_rank(input_values, (1,), f"{self.name}: input_values")
        offsets = TensorSpec(TensorType.INT32, None)
        splits = TensorSpec(TensorType.INT64, (shape_of(input_values)[0] + 1,))
        return TensorSpec(TensorType.UINT8, None), splits, offsets, offsets

    def run(self, xp: Any, input_values: Array) -> tuple[Array, ...]:
        lengths = np.array([len(text) for text in input_values], np.int64)
        begins = places_in_rows(lengths).astype(np.int32)
        return np.frombuffer(b"".join(input_values), np.uint8), splits_of(lengths), begins, begins + np.int32(1)


@op("TFText>ByteSplitByOffsets", STRING, INT32, INT32, INT64)
class ByteSplitByOffsets(Op):
    """Parts of each of `input_values` [n] from byte `input_starts` to `input_ends`, which fall into n rows."""

    host_only = True

    def infer(self, input_values: TensorSpec, input_starts: TensorSpec, input_ends: TensorSpec,
              input_row_splits: TensorSpec) -> tuple[TensorSpec, ...]:  # fmt: skip
        require_rank(input_values, (1,), f"{self.name}: input_values")
        rows, parts = shape_of(input_values)[0], shape_of(input_starts)
        if len(parts) != 1 or input_ends.shape != parts or input_row_splits.shape != (rows + 1,):
            got = f"{input_values}, {input_starts}, {input_ends} and {input_row_splits}"
            raise KernelError(f"{self.name} got {got}, expected [n], [m], [m] and [n+1].")
        return TensorSpec(TensorType.STRING, parts), TensorSpec(TensorType.INT64, (rows + 1,))

    def run(self, xp: Any, input_values: Array, input_starts: Array, input_ends: Array,
            input_row_splits: Array) -> tuple[Array, Array]:  # fmt: skip
        lengths = row_lengths(input_row_splits, self.name, len(input_starts))
        texts = np.repeat(input_values, lengths)
        spans = list(zip(texts, input_starts.tolist(), input_ends.tolist(), strict=True))
        for text, begin, end in spans:
            if not 0 <= begin <= end <= len(text):
                raise KernelError(f"{self.name} got a part from {begin} to {end} of a string of {len(text)} bytes.")
        return np.array([text[begin:end] for text, begin, end in spans], object), input_row_splits


@op("TFText>NgramsStringJoin", STRING, INT64)
class NgramsStringJoin(Op):
    """Each `width` strings that follow each other in the last dimension, joined with `string_separator` between them.

    Of a tensor, or of a ragged one: its values and the row splits of its dimensions, outer ones first.
    """

    host_only = True

    width: int = 0
    axis: int = -1
    string_separator: bytes = b""

    def refuses(self, input_values: TensorSpec, *input_row_splits: TensorSpec) -> str | None:
        if self.axis != -1 or self.width < 1:
            return f"operator {self.name} is not supported with axis {self.axis} and width {self.width}."
        return None

    def infer(self, input_values: TensorSpec, *input_row_splits: TensorSpec) -> tuple[TensorSpec, ...]:
        shape = shape_of(input_values)
        if not shape or (input_row_splits and len(shape) != 1):
            raise KernelError(f"{self.name} got {input_values}, expected {'[n]' if input_row_splits else '[...,n]'}.")
        if not input_row_splits:
            return (TensorSpec(TensorType.STRING, self._dense_shape(shape)),)
        for splits in input_row_splits:
            require_rank(splits, (1,), f"{self.name}: input_row_splits")
        return TensorSpec(TensorType.STRING, None), *(TensorSpec(TensorType.INT64, s.shape) for s in input_row_splits)

    def run(self, xp: Any, input_values: Array, *input_row_splits: Array) -> tuple[Array, ...]:
        if not input_row_splits:
            rows = input_values.reshape(-1, input_values.shape[-1]) if input_values.size else []
            grams = np.array([gram for row in rows for gram in self._grams(row)], object)
            return (grams.reshape(self._dense_shape(input_values.shape)),)
        *outer, inner = input_row_splits
        row_lengths(inner, self.name, len(input_values))
        parts = [self._grams(row) for row in np.split(input_values, inner[1:-1])[: len(inner) - 1]]
        joined = np.array([gram for row in parts for gram in row], object)
        return joined, *outer, splits_of([len(row) for row in parts])

    def string_bytes(self, input_values: Array, *input_row_splits: Array) -> int:
        return self.width * sum(len(text) + len(self.string_separator) for text in input_values.reshape(-1))

    def _dense_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:-1], max(0, shape[-1] - self.width + 1))

    def _grams(self, row: Array) -> list[bytes]:
        return [self.string_separator.join(row[i : i + self.width]) for i in range(len(row) - self.width + 1)]


_MALFORMED = "\ud800"  # valid UTF-8 never decodes to this
codecs.register_error("tflite_cupy.malformed", lambda error: (_MALFORMED, getattr(error, "end", 0)))


@op("TFText>Utf8Binarize", STRING)
class Utf8Binarize(Op):
    """The `bits_per_char` lowest bits of the first `word_length` characters' code points, lowest first, then zeros.

    Of each string of [n], as float32 [n, word_length * bits_per_char]; `replacement_char` stands for malformed bytes.
    """

    host_only = True

    word_length: int = 0
    bits_per_char: int = 0
    replacement_char: int = 65533

    def refuses(self, input: TensorSpec) -> str | None:
        if self.word_length < 0 or not 0 <= self.bits_per_char <= 32:
            return (
                f"operator {self.name} is not supported with words of {self.word_length} x {self.bits_per_char} bits."
            )
        return None

    def infer(self, input: TensorSpec) -> TensorSpec:
        require_rank(input, (1,), f"{self.name}: input")
        columns = self.word_length * self.bits_per_char
        return TensorSpec(TensorType.FLOAT32, dimensions((shape_of(input)[0], columns), self.name))

    def run(self, xp: Any, input: Array) -> Array:
        points = np.zeros((len(input), self.word_length), np.int64)
        for row, text in zip(points, input, strict=True):
            characters = text[: 4 * self.word_length].decode(errors="tflite_cupy.malformed")[: self.word_length]
            row[: len(characters)] = [self.replacement_char if c == _MALFORMED else ord(c) for c in characters]
        bits = points[..., None] >> np.arange(self.bits_per_char) & 1
        return bits.astype(np.float32).reshape(len(input), -1)


class _RoundRobin(Op):
    """What the trimmers share: operands are a length, then the values and then the row splits of each segment."""

    host_only = True

    def refuses(self, max_sequence_length: TensorSpec, *segments: TensorSpec) -> str | None:
        if not segments or len(segments) % 2:
            return (
                f"operator {self.name} got {len(segments)} operands beside the length, expected values and row splits."
            )
        if any(splits.type not in INDEX for splits in segments[len(segments) // 2 :]):
            return f"operator {self.name} is only supported with row splits of int32 or int64."
        return None

    def infer(self, max_sequence_length: TensorSpec, *segments: TensorSpec) -> tuple[TensorSpec, ...]:
        for spec in segments:
            require_rank(spec, (1,), f"{self.name}: values and row splits")
        values, splits = segments[: len(segments) // 2], segments[len(segments) // 2 :]
        if max_sequence_length.size != 1 or len({spec.shape for spec in splits}) > 1:
            raise KernelError(f"{self.name} got {max_sequence_length} and row splits {splits}, expected [] and [n+1].")
        return self.results(values, splits)

    def results(self, values: Sequence[TensorSpec], splits: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
        """Specs of the outputs."""
        raise NotImplementedError(type(self).__name__)

    def masks(self, max_sequence_length: Array, segments: Sequence[Array]) -> list[np.ndarray]:
        """Which values of each segment stay: turn by turn one more of each, until a row has `max_sequence_length`."""
        room = max(0, int(scalar(max_sequence_length, self.name)))
        values, splits = segments[: len(segments) // 2], segments[len(segments) // 2 :]
        lengths = np.stack([row_lengths(s, self.name, len(v)) for v, s in zip(values, splits, strict=True)])
        kept = np.array([shares(row, room) for row in lengths.T]).reshape(-1, len(values)).T
        return [places_in_rows(n) < np.repeat(k, n) for n, k in zip(lengths, kept, strict=True)]


def shares(sizes: np.ndarray, room: int) -> np.ndarray:
    """How much of `room` each gets that asks for `sizes`, shared out evenly, what is left to the first ones."""
    given, waiting = np.zeros_like(sizes), list(np.argsort(sizes, kind="stable"))
    while waiting and sizes[waiting[0]] * len(waiting) <= room:
        index = waiting.pop(0)
        given[index] = sizes[index]
        room -= int(sizes[index])
    if waiting:
        given[waiting] = room // len(waiting)
        given[sorted(waiting)[: room % len(waiting)]] += 1
    return given


@op("TFText>RoundRobinTrim", INT32, NUMBER | BOOL | STRING)
class RoundRobinTrim(_RoundRobin):
    """Values and row splits of each segment, cut so that a row of all of them holds `max_sequence_length` at most."""

    def results(self, values: Sequence[TensorSpec], splits: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
        return *(TensorSpec(v.type, None) for v in values), *(TensorSpec(s.type, s.shape) for s in splits)

    def run(self, xp: Any, max_sequence_length: Array, *segments: Array) -> tuple[Array, ...]:
        masks, half = self.masks(max_sequence_length, segments), len(segments) // 2
        cut = [values[mask] for values, mask in zip(segments[:half], masks, strict=True)]
        counts = (splits_of(mask.astype(np.int64)) for mask in masks)
        return *cut, *(n[splits].astype(splits.dtype) for n, splits in zip(counts, segments[half:], strict=True))


@op("TFText>RoundRobinGenerateMasks", INT32, NUMBER | BOOL | STRING)
class RoundRobinGenerateMasks(_RoundRobin):
    """Whether RoundRobinTrim keeps each value, for each segment."""

    def results(self, values: Sequence[TensorSpec], splits: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(TensorType.BOOL, v.shape) for v in values)

    def run(self, xp: Any, max_sequence_length: Array, *segments: Array) -> tuple[Array, ...]:
        return tuple(self.masks(max_sequence_length, segments))

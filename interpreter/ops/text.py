"""Operators on words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec, TensorType
from .base import STRING, Op, op


@op("SKIP_GRAM", STRING)
class SkipGram(Op):
    """The n-grams of the words of a string, of which each may skip up to `max_skip_size` words after a word.

    Of several strings the first counts. The words are parted by white space and, in the n-grams, joined by blanks. An
    n-gram has `ngram_size` words; with `include_all_ngrams` it may have fewer, then it follows those that it begins.
    A text of fewer words has none at all. A vector; source: skip_gram.cc.
    """

    host_only = True

    ngram_size: int = 0
    max_skip_size: int = 0
    include_all_ngrams: bool = False

    def infer(self, text: TensorSpec) -> TensorSpec:
        if not text.size:
            raise KernelError(f"SKIP_GRAM got {text}, expected a string.")
        return TensorSpec(TensorType.STRING, None)

    def string_bytes(self, text: Array) -> int:
        lengths = [len(word) for word in _words(text.reshape(-1)[0])]
        if len(lengths) < self.ngram_size:
            return 0
        total, reach = 0, self.max_skip_size + 1
        paths = [(1, length) for length in lengths]  # n-grams of one size that begin at each word: number, bytes
        for size in range(1, self.ngram_size + 1):
            if self.include_all_ngrams or size == self.ngram_size:
                total += sum(nbytes for _, nbytes in paths)
            further = (paths[i + 1 : i + 1 + reach] for i in range(len(lengths)))
            sums = [(sum(n for n, _ in ends), sum(b for _, b in ends)) for ends in further]
            paths = [(n, n * (length + 1) + b) for length, (n, b) in zip(lengths, sums, strict=True)]
        return total

    def run(self, xp: Any, text: Array) -> Array:
        words = _words(text.reshape(-1)[0])
        return np.array([b" ".join(words[i] for i in path) for path in self._paths(len(words))], object)

    def _paths(self, count: int) -> Iterator[list[int]]:
        """Positions of the words of each n-gram, depth first."""
        if count < self.ngram_size:
            return
        path: list[int] = []
        following = [iter(range(count))] if self.ngram_size > 0 else []
        while following:
            position = next(following[-1], None)
            if position is not None:
                path.append(position)
                end = min(position + self.max_skip_size + 2, count) if len(path) < self.ngram_size else 0
                following.append(iter(range(position + 1, end)))
                continue
            following.pop()
            if path:
                if self.include_all_ngrams or len(path) == self.ngram_size:
                    yield path
                path.pop()


def _words(text: bytes) -> list[bytes]:
    """What lies between white space. A blank at the very start parts nothing: a word with it counts only at the end."""
    first, *others = re.split(rb"\s", text[1:])
    *inner, last = (text[:1] + first, *others)
    return [word for word in inner if word and not word[:1].isspace()] + ([last] if last else [])

"""Memory of the arena holds NaN until a step writes to it, in each call, and nobody writes around what is theirs.

Both are launches in the listing, of kernels that are Python functions: they are captured and replayed with the rest.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tflite_cupy.delegates.gpu.arena import ALIGNMENT
from tflite_cupy.delegates.gpu.kernel import Kernel
from tflite_cupy.delegates.gpu.listing import ArrayStep, Block, Dim, Launch, Listing, Operand, Step, Storage

from .compiler import IS_SANITIZED, KernelFault

POISON = 0xFF


@dataclass(frozen=True)
class Helper(Kernel):
    """One of these kernels; `about` is the kernel that it looks after."""

    about: str = ""
    static_bytes = 0

    @property
    def kernel(self) -> Kernel:
        return self

    def __call__(
        self, grid: Dim, block: Dim, shared: int, arguments: Sequence[Any], schedule: str = "", seed: int = 0
    ) -> None:
        """Run it, as a `HostKernel` is run."""
        address, nbytes = int(arguments[0]), int(arguments[1])
        if self.entry == "poison":
            ctypes.memset(address, POISON, nbytes)
        elif IS_SANITIZED:
            _fence(address - ALIGNMENT, ALIGNMENT)
            _fence(address + nbytes, -nbytes % ALIGNMENT)
        else:
            self._check(address, nbytes)

    def _check(self, address: int, nbytes: int) -> None:
        before, after = ALIGNMENT, -nbytes % ALIGNMENT + ALIGNMENT
        for start, size in ((-before, before), (nbytes, after)):
            (wrong,) = np.nonzero(np.frombuffer(ctypes.string_at(address + start, size), np.uint8) != POISON)
            if wrong.size:
                raise KernelFault(f"{self.about} wrote byte {start + wrong[0]} of a result of {nbytes} bytes")


_TEXT = "__global__ void {}(void* block, const long long nbytes)"


def with_poison(listing: Listing, *, fenced: bool) -> Listing:
    """The listing with what fills each block just before its first writer runs.

    fenced: blocks have bytes of their own with a gap before them, which is checked after each launch.
    """
    return replace(listing, steps=tuple(_poisoned(listing, fenced)))


def _poisoned(listing: Listing, fenced: bool) -> Iterator[Step]:
    seen: set[Block] = set()
    for step in listing.steps:
        if isinstance(step, ArrayStep):
            yield step
            continue
        written = [b for b in dict.fromkeys(step.writes) if b.storage is Storage.ARENA]
        fences = [_launch("fence", b, step.name) for b in written if fenced]
        yield from (_launch("poison", b) for b in written if b not in seen)
        yield from fences if IS_SANITIZED else ()
        yield step
        yield from () if IS_SANITIZED else fences
        seen.update(written)


def _launch(entry: str, block: Block, about: str = "") -> Launch:
    whole = Operand(block, (block.nbytes,), np.dtype(np.uint8))
    kernel = Helper(entry, _TEXT.format(entry), about)
    return Launch(kernel, (1, 1, 1), (1, 1, 1), (whole, np.int64(block.nbytes)))


def _fence(address: int, nbytes: int) -> None:
    ctypes.CDLL(None).__asan_poison_memory_region(ctypes.c_void_p(address), ctypes.c_size_t(nbytes))

"""What launches that move elements share: how much one thread moves, and lists of numbers as parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..kernel import CTYPES, Kernel, kernel
from ..listing import Argument, Operand
from ..lowering import THREADS, Site

WORDS = {1: "unsigned char", 2: "unsigned short", 4: "unsigned", 8: "uint2", 16: "uint4"}
"""Types by size of what a thread moves where no tail works on it."""


def elements_at_once(site: Site, operands: Iterable[Operand], *sizes: int) -> int:
    """How many elements one thread can move: they divide all `sizes` and stay aligned in all operands; 1 for a tail."""
    if site.tail.nodes:
        return 1
    itemsize = site.outs[0].dtype.itemsize
    count = max(16 // itemsize, 1)
    while any(size % count for size in sizes) or any(o.offset % (count * itemsize) for o in operands):
        count //= 2
    return count


def mover(site: Site, entry: str, file: str, elements: int, defines: Mapping[str, object]) -> Kernel:
    """A kernel that moves so many elements at once, and knows the tail where there is one."""
    if site.tail.nodes:
        dtype = site.nodes[-1].outs[0].dtype
        convert = "half_to_float" if dtype == np.float16 else ""
        return site.kernel(entry, file, WORD=CTYPES[dtype], AS_VALUE=convert, **defines)
    word = WORDS[elements * site.outs[0].dtype.itemsize]
    return kernel(entry, file, defines={"MOVES_WORDS": "", "WORD": word, "TAIL_PARAMETERS": "", **defines})


class Lists(NamedTuple):
    """Lists of numbers as parameters: macros by their names for initialisers, and GEOMETRY for the parameters."""

    defines: dict[str, object]
    arguments: tuple[np.int32, ...]


def lists(**named: Sequence[int]) -> Lists:
    names = {name: [f"{name}{i}" for i in range(len(numbers))] for name, numbers in named.items()}
    parameters = "".join(f", const int {one}" for every in names.values() for one in every)
    defines: dict[str, object] = {name.upper(): f"{{{', '.join(every)}}}" for name, every in names.items()}
    return Lists({**defines, "GEOMETRY": parameters}, tuple(np.int32(n) for numbers in named.values() for n in numbers))


def launch(site: Site, what: Kernel, count: int, *arguments: Argument) -> None:
    """One thread for each of `count` words; the tail's arguments come last."""
    tail = site.tail.arguments if site.tail.nodes else ()
    site.launch(what, -(-count // THREADS), THREADS, *arguments, *tail)

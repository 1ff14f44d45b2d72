"""What launches that move elements share: how much one thread moves, and lists of numbers as parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..kernel import CTYPES, Kernel, kernel
from ..listing import Argument, Operand
from ..lowering import THREADS, Site

WORDS = {1: "unsigned char", 2: "unsigned short", 4: "unsigned", 8: "uint2", 16: "uint4"}
"""Types by size of what a thread moves where no tail works on it."""


def is_moved(site: Site, source: Operand) -> bool:
    """Whether elements are moved as they are: no tail works on them, and the result has their type."""
    return not site.tail.nodes and source.dtype == site.outs[0].dtype


def elements_at_once(site: Site, operands: Sequence[Operand], *sizes: int) -> int:
    """How many elements one thread can move: they divide all `sizes` and stay aligned in all operands; 1 where they do
    not stay as they are."""
    if not all(is_moved(site, operand) for operand in operands):
        return 1
    itemsize = site.outs[0].dtype.itemsize
    count = max(16 // itemsize, 1)
    while any(size % count for size in sizes) or any(o.offset % (count * itemsize) for o in operands):
        count //= 2
    return count


def mover(site: Site, entry: str, file: str, source: Operand, elements: int, defines: Mapping[str, object]) -> Kernel:
    """A kernel that moves so many elements of `source` at once, and knows the tail where there is one."""
    if not is_moved(site, source):
        convert = "half_to_float" if source.dtype == np.float16 else ""
        return site.kernel(entry, file, WORD=CTYPES[source.dtype], AS_VALUE=convert, **defines)
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

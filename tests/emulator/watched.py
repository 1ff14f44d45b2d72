"""Kernels that are watched while they run: which accesses race, and what those to memory would cost a GPU.

    watch = Watch()
    ...  # run models by EmulatedGpuDelegate(HostDevice(build=watch))
    watch.races(), watch.traffic()

`python -m tests.emulator.watched tests/delegates/gpu` runs these tests so that races fail them.

Races between accesses that a run did not make are not seen; nor is what a compiler for GPUs would do otherwise than the
host's, which decides how wide the accesses are. Lanes that take different ways are held against each other by how often
each has been at a place since its last barrier.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any, NamedTuple

from tflite_cupy.delegates.gpu.kernel import FOLDER as TEXTS
from tflite_cupy.delegates.gpu.kernel import Kernel
from tflite_cupy.delegates.gpu.listing import Dim

from .compiler import COMMON, FOLDER, HEADERS, HostKernel, KernelFault, made, unit

PLAIN = ("-x", "c++", "-std=c++17", "-shared", "-fPIC", "-w", "-O2")
OPTIONS = (
    *(*COMMON, "-fno-sanitize=alignment,integer-divide-by-zero", "-DEMULATOR_WATCH", "-g1", "-O1"),
    *("-fsanitize=thread", "-nodefaultlibs"),  # what it calls is in watch.cpp
    *("--param", "tsan-distinguish-volatile=1"),
    *("-fno-tree-sra", "-fno-ipa-sra"),  # a load of 16 bytes stays one
)
LIBRARIES = ("-lm", "-lc", "-lgcc")
CARRIERS = ("math.cuh", "pipe.cuh", "prims.cuh")
"""Files whose functions load and store for others: it is their callers that a reader wants to know."""
STRICTLY = "TFLITE_CUPY_EMULATOR_WATCH"
"""The variable of the environment by which all kernels of a process are watched."""

_LOCK = Lock()


class Line(NamedTuple):
    """A line of a kernel's text."""

    file: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.number}: {self.text}"


class Access(NamedTuple):
    """One half of a race; kind: read, write, atomic, or copy, which is one that was not waited for."""

    kind: str
    line: Line
    block: int
    thread: int

    def __str__(self) -> str:
        return f"{self.kind} by thread {self.thread} of block {self.block} at {self.line}"


class Race(NamedTuple):
    """Two accesses to the same bytes that nothing orders."""

    kernel: str
    space: str
    first: Access
    second: Access

    def __str__(self) -> str:
        return f"{self.kernel}, {self.space} memory: {self.first}; {self.second}"


@dataclass
class Traffic:
    """Requests of warps to one space by one line of a kernel: units are wavefronts of shared memory, sectors of global.

    ideal: units that would do for the bytes that were asked for; worst: units of one request.
    """

    kernel: str
    space: str
    kind: str
    line: Line
    requests: int = 0
    units: int = 0
    ideal: int = 0
    worst: int = 0

    @property
    def factor(self) -> float:
        return self.units / self.ideal


class WatchedKernel(HostKernel):
    """A kernel, and what was seen of it."""

    def __init__(self, kernel: Kernel, watch: Watch) -> None:
        self._watch, self._library = watch, _library()
        self._path = made(unit(kernel, fibers=True), OPTIONS, HEADERS, LIBRARIES)
        super().__init__(kernel, self._path)
        self.races: list[Race] = []
        self.traffic: dict[tuple[str, str, Line], Traffic] = {}
        self._lines: dict[str, Line | None] = {}

    def __call__(
        self, grid: Dim, block: Dim, shared: int, arguments: Sequence[Any], schedule: str = "greedy", seed: int = 0
    ) -> None:
        before = len(self.races)
        with _LOCK:
            self._library.watch_options(ctypes.c_uint64(self._watch.blocks), self._watch.with_races)
            super().__call__(grid, block, shared, arguments, schedule, seed)
            told = [line.split() for line in self._library.watch_told().decode().splitlines()]
        self._find_lines({place for what, *words in told for place in (words[1::4] if what == "race" else words[:1])})
        for what, *words in told:
            self._add_race(words) if what == "race" else self._add_traffic(words)
        if self._watch.strict and len(self.races) > before:
            raise KernelFault(str(self.races[before]))

    def _add_race(self, words: Sequence[str]) -> None:
        space, *halves = words
        first, second = self._access(*halves[:4]), self._access(*halves[4:])
        known = {(race.space, race.first.line, race.second.line) for race in self.races}
        if first and second and (space, first.line, second.line) not in known:
            self.races.append(Race(self.kernel.entry, space, first, second))

    def _access(self, at: str, kind: str, block: str, thread: str) -> Access | None:
        line = self._lines[at]
        return line and Access(kind, line, int(block), int(thread))

    def _add_traffic(self, words: Sequence[str]) -> None:
        at, space, kind, *counts = words
        if (line := self._lines[at]) is None:
            return
        key = space, kind, line
        entry = self.traffic.setdefault(key, Traffic(self.kernel.entry, *key))
        requests, units, ideal, worst = map(int, counts)
        entry.requests += requests
        entry.units += units
        entry.ideal += ideal
        entry.worst = max(entry.worst, worst)

    def _find_lines(self, places: set[str]) -> None:
        new = sorted(places - self._lines.keys())
        if not new:
            return
        asked = [f"{int(place, 16) - 1:#x}" for place in new]  # calls return behind themselves
        command = ["addr2line", "-a", "-i", "-e", str(self._path), *asked]
        done = subprocess.run(command, text=True, capture_output=True, check=True).stdout
        for place, frames in zip(new, done.split("0x")[1:], strict=True):
            self._lines[place] = _line(self.kernel, frames.splitlines()[1:])


class Watch:
    """Makes a device's kernels, and keeps what is seen of them: `HostDevice(build=Watch())`.

    blocks: how many of a launch are run at most; the rest of what it makes is then missing.
    with_races: whether to look for them, too, which takes longer.
    strict: whether a race ends its kernel with a `KernelFault`.
    """

    def __init__(self, *, blocks: int = 1 << 62, with_races: bool = True, strict: bool = False) -> None:
        self.blocks, self.with_races, self.strict = blocks, with_races, strict
        self.kernels: dict[Kernel, WatchedKernel] = {}

    def __call__(self, kernel: Kernel) -> WatchedKernel:
        if kernel not in self.kernels:
            self.kernels[kernel] = WatchedKernel(kernel, self)
        return self.kernels[kernel]

    def races(self) -> list[Race]:
        """All that were found so far."""
        return [race for kernel in self.kernels.values() for race in kernel.races]

    def traffic(self) -> list[Traffic]:
        """All that was counted so far."""
        return [entry for kernel in self.kernels.values() for entry in kernel.traffic.values()]


@cache
def _library() -> ctypes.CDLL:
    """What the instrumented kernels call, for all of them."""
    text = (FOLDER / "watch.cpp").read_text()
    library = ctypes.CDLL(str(made(text, PLAIN, ("races.h", "traffic.h"))), ctypes.RTLD_GLOBAL)
    library.watch_told.restype = ctypes.c_char_p
    return library


def _line(kernel: Kernel, frames: Sequence[str]) -> Line | None:
    """The innermost of a place's frames that the kernel's text has, but for those of `CARRIERS` if another calls them;
    None if it has none: the place is the emulator's."""
    lines = kernel.text.splitlines()
    found = (re.match(rf"(?:.*/)?{kernel.entry}:(\d+)", frame) for frame in frames)
    places = [_place(kernel, lines, int(f[1])) for f in found if f and int(f[1]) <= len(lines)]
    return next((line for line in places if line.file not in CARRIERS), places[0] if places else None)


def _place(kernel: Kernel, lines: Sequence[str], at: int) -> Line:
    for name, (first, count) in _files(kernel).items():
        if first <= at < first + count:
            whole = (TEXTS / name).read_text(encoding="utf-8").count("\n")
            return Line(name, at - first + whole - count + 1, lines[at - 1].strip())
    return Line(kernel.entry, at, lines[at - 1].strip())


@cache
def _files(kernel: Kernel) -> dict[str, tuple[int, int]]:
    """First line and number of lines of what files of `cuda/` have after what they include."""
    found = {}
    for path in sorted(TEXTS.iterdir()):
        text = path.read_text(encoding="utf-8")
        body = text[text.rfind('\n#include "') + 1 :].partition("\n")[2] if '\n#include "' in text else text
        at = kernel.text.find(body)
        if body.strip() and at >= 0:
            found[path.name] = kernel.text.count("\n", 0, at) + 1, body.count("\n")
    return found


@cache
def strict() -> Watch:
    """What watches all kernels of a process."""
    return Watch(strict=True)


if __name__ == "__main__":
    os.environ[STRICTLY] = "1"
    os.execve(sys.executable, [sys.executable, "-m", "pytest", *sys.argv[1:]], dict(os.environ))

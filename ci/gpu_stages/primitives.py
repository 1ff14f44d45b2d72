"""Device functions of delegates/gpu/cuda over many numbers: on the device, and as g++ builds the same text."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tflite_cupy.delegates.gpu.kernel import FOLDER, Kernel, kernel
from tflite_cupy.delegates.gpu.space import DeviceSpace

from .primitive_cases import CASES, DOMAINS, Case
from .progress import Progress
from .target import Target

THREADS = 128
SUMMED = {"tf32": 8, "fp16": 16, "int8": 32}  # columns of the left operand of one product of fragments
PRECISION = {"tf32": 1, "fp16": 2, "int8": 3}  # as mma.cuh numbers them
PIPES_ARCH, FP16_ARCH = 80, 75  # compute capabilities, times ten, from which on there are such copies, and fragments

PROBE = """#include "{header}"
extern "C" __global__ void probe(const long long* as, const long long* bs, const long long* cs, const short* table,
                                 long long* out, const int which) {{
    __shared__ float parts[32];
    parts[threadIdx.x % 32] = 0;
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    switch (which) {{
{cases}
    }}
}}
"""

FRAGMENTS = """#include "mma.cuh"
extern "C" __global__ void probe(const ELEMENT* as, const ELEMENT* bs, SUM* out) {
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const int tile = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    const ELEMENT* a = as + tile * 16 * SUMMED;
    const ELEMENT* b = bs + tile * 8 * SUMMED;
    SUM c[4] = {};
    const unsigned left[4] = {WORD(a, g, t), WORD(a, g + 8, t), WORD(a, g, t + 4), WORD(a, g + 8, t + 4)};
    const unsigned right[2] = {WORD(b, g, t), WORD(b, g, t + 4)};
    multiply_fragments(c, left, right);
    for (int n = 0; n < 4; ++n) out[tile * 128 + (g + n / 2 * 8) * 8 + 2 * t + n % 2] = c[n];
}
"""
WORDS = {
    "tf32": "tf32_word(p[(row) * SUMMED + (k)])",
    "fp16": "half_pair(p[(row) * SUMMED + 2 * (k)], p[(row) * SUMMED + 2 * (k) + 1])",
    "int8": "*(const unsigned*)(p + (row) * SUMMED + 4 * (k))",
}

COPIES = """#include "pipe.cuh"
extern "C" __global__ void probe(const int* as, int* out) {
    __shared__ __align__(16) int memory[2][4 * 128];
    const int* mine = as + (blockIdx.x * 128 + threadIdx.x) * 8;
    fetch_bytes<16>(memory[0] + 4 * threadIdx.x, mine);
    close_group();
    fetch_bytes<8>(memory[1] + 4 * threadIdx.x, mine + 4);
    fetch_bytes<4>(memory[1] + 4 * threadIdx.x + 2, mine + 6);
    fetch_bytes<4>(memory[1] + 4 * threadIdx.x + 3, threadIdx.x % 2 ? mine + 7 : nullptr, 5);
    close_group();
    int* to = out + (blockIdx.x * 128 + threadIdx.x) * 8;
    await_groups<1>();
    for (int i = 0; i < 4; ++i) to[i] = memory[0][4 * threadIdx.x + i];
    await_groups<0>();
    __syncthreads();
    const int4 last = *(const int4*)(memory[1] + 4 * ((threadIdx.x + 32) % 128));
    to[4] = last.x, to[5] = last.y, to[6] = last.z, to[7] = last.w;
}
"""


def run(target: Target, progress: Progress) -> None:
    if shutil.which("g++") is None:
        progress.skip("g++, which builds the kernels for the host, is not installed")
        return
    from tests.emulator.device import HostDevice

    spaces = target.space, DeviceSpace(HostDevice())
    count = 1 << 16 if target.is_real else 1 << 10
    calls = [{"file": header, "call": case.call} for header, cases in CASES.items() for case in cases]
    missing = progress.missing("functions", calls)
    for header, cases in CASES.items():
        if not (FOLDER / header).exists():
            progress.row("functions", file=header, skipped="there is no such file")
            continue
        unit = kernel(
            "probe", code=PROBE.format(header=header, cases="\n".join(map(_branch, range(len(cases)), cases)))
        )
        for number, case in enumerate(cases):
            if {"file": header, "call": case.call} not in missing:
                continue
            with progress.attempt("functions", file=header, call=case.call) as row:
                operands = _operands(case, count)
                there, here = (_computed(space, unit, case, operands, number) for space in spaces)
                row |= _judged(there, here, case.tolerance)
    for precision in SUMMED:
        if target.device.arch < (FP16_ARCH if precision == "fp16" else PIPES_ARCH):
            continue
        with progress.attempt("functions", file="mma.cuh", call=f"multiply_fragments of {precision}") as row:
            there, here = (_product(space, precision, 64 if target.is_real else 2) for space in spaces)
            row |= _judged(there / np.abs(here).max(), here / np.abs(here).max(), 0.0, absolute=1e-6)
    if target.device.arch >= PIPES_ARCH:
        with progress.attempt("functions", file="pipe.cuh", call="fetch_bytes") as row:
            there, here = (_copied(space, count // THREADS) for space in spaces)
            row |= _judged(there, here, 0.0)
    progress.finish(untried=_untried())


def _branch(number: int, case: Case) -> str:
    names = zip("abc", case.domains, strict=False)
    operands = "".join(f"const {t} {n} = *(const {t}*)({n}s + i); " for n, d in names for t in [DOMAINS[d].type])
    return f"    case {number}: {{ {operands}*({case.result}*)(out + i) = {case.call}; break; }}"


def _operands(case: Case, count: int) -> list[np.ndarray]:
    """In 8 bytes each, of which narrower types use the lower ones."""
    rng = np.random.default_rng(1)
    made = []
    for name in (*case.domains, "int", "int", "int")[:3]:
        values = DOMAINS[name].make(rng, count)
        if DOMAINS[name].type == "int":
            values = values.astype(np.int32)
        cells = np.zeros((count, 8 // values.itemsize), values.dtype)
        cells[:, 0] = values
        made.append(cells.view(np.int64).reshape(count))
    return made


def _computed(space: DeviceSpace, unit: Kernel, case: Case, operands: Sequence[np.ndarray], number: int) -> np.ndarray:
    count = len(operands[0])
    table = (np.sin(np.arange(513) / 40) * 30000).astype(np.int16)
    out = np.zeros(count, np.int64)
    result = _launched(space, unit, count // THREADS, [*operands, table, out], np.int32(number))
    kind: Any = {"int": np.int32, "float": np.float32, "double": np.float64}[case.result]
    return np.ascontiguousarray(result.view(kind).reshape(count, -1)[:, 0])


def _product(space: DeviceSpace, precision: str, tiles: int) -> np.ndarray:
    """Products of 16 x K and K x 8 matrices, four in each block."""
    summed, rng = SUMMED[precision], np.random.default_rng(2)
    types = ("signed char", "int") if precision == "int8" else ("float", "float")
    defines = {"PRECISION": PRECISION[precision], "SUMMED": summed, "WORD(p, row, k)": WORDS[precision]}
    defines |= dict(zip(("ELEMENT", "SUM"), types, strict=True))
    shapes = [(4 * tiles, rows, summed) for rows in (16, 8)]
    if precision == "int8":
        operands: list[Any] = [rng.integers(-128, 128, shape).astype(np.int8) for shape in shapes]
    else:
        operands = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    out = np.zeros((4 * tiles, 16, 8), np.int32 if precision == "int8" else np.float32)
    return _launched(space, kernel("probe", defines=defines, code=FRAGMENTS), tiles, [*operands, out])


def _copied(space: DeviceSpace, blocks: int) -> np.ndarray:
    """Words that went through shared memory, some of them to other threads."""
    values = np.random.default_rng(3).integers(-(2**31), 2**31, (blocks, THREADS, 8)).astype(np.int32)
    return _launched(space, kernel("probe", code=COPIES), blocks, [values, np.zeros_like(values)])


def _launched(
    space: DeviceSpace, unit: Kernel, blocks: int, arrays: Sequence[np.ndarray], *further: np.generic
) -> np.ndarray:
    """The last of the arrays after the launch."""
    device = space.device
    there = [space.put(array) for array in arrays]
    arguments: list[Any] = [*(device.address(array) for array in there), *further]
    device.launch(device.load([unit])[0], (blocks, 1, 1), (THREADS, 1, 1), 0, arguments)
    return space.get(there[-1:])[0]


def _judged(there: np.ndarray, here: np.ndarray, tolerance: float, absolute: float = 1e-30) -> dict[str, Any]:
    """How many numbers there are, and how far those that are furthest off."""
    same = there == here
    if there.dtype.kind == "f":
        same |= np.isnan(there) & np.isnan(here)
        with np.errstate(all="ignore"):
            off = np.abs(there - here)
            same |= off <= np.maximum(tolerance * np.abs(here), absolute if tolerance or absolute > 1e-30 else -1.0)
    places = np.flatnonzero(~same)[:3]
    wrong = [[str(there.flat[p]), str(here.flat[p])] for p in places]
    return {"count": there.size, "wrong": int((~same).sum()), "examples": wrong, "passed": bool(same.all())}


def _untried() -> list[str]:
    """Functions of these files that no case calls."""
    tried = " ".join(case.call for cases in CASES.values() for case in cases)
    found = (name for header in CASES for name in _functions(FOLDER / header))
    return sorted({name for name in found if not re.search(rf"\b{name}\b", tried)})


def _functions(path: Path) -> list[str]:
    if not path.exists():
        return []
    return re.findall(r"__device__ __forceinline__ [\w ]+?[ *&](\w+)\(", path.read_text())

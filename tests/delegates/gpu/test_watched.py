"""Watched kernels: what is planted is found, and the kernels of the delegate do not race."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.delegates.gpu.test_emulator import COPY, REVERSE, kernel
from tests.emulator.compiler import COMPILER, KernelFault
from tests.emulator.watched import STRICTLY, Traffic, Watch, WatchedKernel
from tflite_cupy.delegates.gpu.kernel import Kernel
from tflite_cupy.delegates.gpu.kernel import kernel as unit

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no g++ to build kernels for the host")
FOLDER = Path(__file__).parent


def ran(made: Kernel, *, blocks: int = 1, threads: int = 64, **options: Any) -> WatchedKernel:
    """A kernel that has run on two arrays of 2,112 elements, y being zeros that begin a sector."""
    x, y = (np.zeros(2200, np.float32) for _ in range(2))
    watched = Watch(**options)(made)
    addresses = [a.ctypes.data + -a.ctypes.data % 128 for a in (x, y)]
    watched((blocks, 1, 1), (threads, 1, 1), 0, addresses, "greedy", 1)
    return watched


def races(body: str, **options: Any) -> list[str]:
    """Of a kernel of this body, what the two accesses are."""
    return [f"{r.space} {r.first.kind} {r.second.kind}" for r in ran(kernel("planted", body), **options).races]


def reversed_by(barrier: str, source: str) -> list[str]:
    return races(REVERSE.format(barrier=barrier, source=source))


# --- races ------------------------------------------------------------------------------------------------------------


def test_barriers_order_what_threads_do() -> None:
    assert reversed_by("__syncthreads();", "63 - i") == []
    assert reversed_by("__syncwarp();", "i ^ 31") == []


def test_a_missing_barrier_of_the_block() -> None:
    assert "shared write read" in reversed_by("", "63 - i")
    assert "shared write read" in reversed_by("__syncwarp();", "63 - i")


def test_a_missing_barrier_of_the_warp() -> None:
    assert "shared write read" in reversed_by("", "i ^ 31")


def test_an_exchange_of_values_is_no_barrier() -> None:
    assert "shared write read" in reversed_by("__shfl_sync(0xffffffffu, i, 0);", "i ^ 31")


def test_a_write_after_reads_of_others() -> None:
    again = "y[i] = tile[i ^ 32]; {} tile[i] = 1;"
    body = "__shared__ float tile[64]; const int i = threadIdx.x; tile[i] = x[i]; __syncthreads();"
    assert races(body + again.format("__syncthreads();")) == []
    assert races(body + again.format("")) == ["shared read write"]


def test_bytes_beside_each_other_are_apart() -> None:
    assert races("((char*)y)[threadIdx.x] = 1;") == []
    assert races("((char*)y)[threadIdx.x / 2] = 1;") == ["global write write"]


def test_a_race_has_a_place_and_threads() -> None:
    made = kernel("planted", "y[threadIdx.x % 40] = 1;")
    (race,) = ran(made).races
    place = "at planted:2: y[threadIdx.x % 40] = 1;"
    assert (
        str(race)
        == f"planted, global memory: write by thread 0 of block 0 {place}; write by thread 40 of block 0 {place}"
    )
    with pytest.raises(KernelFault, match="planted, global memory: write by thread 0"):
        ran(made, strict=True)


def test_a_copy_that_is_not_waited_for() -> None:
    def copied(left: int, half: int) -> list[str]:
        text = COPY.format(left=left, half=half, barrier="__syncthreads();", end="await_groups<0>();")
        made = Kernel("copy", unit("copy", "pipe.cuh").text + kernel("copy", text).text)
        return [f"{race.first.kind} {race.second.kind}" for race in ran(made).races]

    assert copied(1, 0) == copied(0, 1) == []
    assert "copy read" in copied(1, 1)


TICKET = """__shared__ int is_last;
    y[blockIdx.x * 64 + threadIdx.x] = x[threadIdx.x];
    {release}
    __syncthreads();
    if (threadIdx.x == 0) {{
        is_last = atomicAdd((int*)y + 2000, 1) == gridDim.x - 1;
        if (is_last) y[2000] = 0;
    }}
    __syncthreads();
    if (!is_last) return;
    {acquire}
    float sum = 0;
    for (int i = 0; i < gridDim.x; ++i) sum += y[i * 64 + threadIdx.x];
    y[1000 + threadIdx.x] = sum;"""


@pytest.mark.parametrize(
    ("release", "acquire", "found"),
    [
        ("__threadfence();", "__threadfence();", []),
        ("", "__threadfence();", ["global write read"]),
        ("__threadfence();", "", ["global write read"]),
        ("__threadfence();", "__threadfence(); y[0] = 1; __syncthreads();", ["global write write"]),
    ],
)
def test_tickets_order_blocks(release: str, acquire: str, found: list[str]) -> None:
    assert races(TICKET.format(release=release, acquire=acquire), blocks=4) == found


def test_a_missing_ticket() -> None:
    body = TICKET.format(release="__threadfence();", acquire="__threadfence();")
    counted = body.replace("atomicAdd((int*)y + 2000, 1) == gridDim.x - 1", "blockIdx.x == gridDim.x - 1")
    assert races(counted, blocks=4) == ["global write read"]


def test_blocks_that_write_to_the_same_place() -> None:
    assert races("y[threadIdx.x] = 1;", blocks=2) == ["global write write"]
    assert races("if (threadIdx.x == 0) atomicAdd(y, 1.f);", blocks=2) == []


def test_volatile_accesses_are_whole_but_order_nothing() -> None:
    assert races("*(volatile float*)y = threadIdx.x;", blocks=2) == []
    assert races("*(volatile float*)y = 1; if (threadIdx.x == 9) *y = 2;") == ["global write atomic"]
    body = TICKET.format(release="__threadfence();", acquire="__threadfence();")
    flagged = body.replace("atomicAdd((int*)y + 2000, 1)", "(*((volatile int*)y + 2000) = blockIdx.x)")
    assert "global write read" in races(flagged, blocks=4)


# --- traffic ----------------------------------------------------------------------------------------------------------


def traffic(body: str, space: str, kind: str) -> Traffic:
    """What one warp does."""
    seen = ran(kernel("planted", body), threads=32).traffic.values()
    (found,) = (entry for entry in seen if (entry.space, entry.kind) == (space, kind))
    return found


@pytest.mark.parametrize(
    ("place", "wavefronts"),
    [("i", 1), ("i * 2", 2), ("i * 32", 32), ("i * 33", 1), ("i / 2", 1), ("0", 1), ("i % 8 * 32 + i / 8", 8)],
)
def test_wavefronts(place: str, wavefronts: int) -> None:
    body = f"__shared__ float tile[1056]; const int i = threadIdx.x; y[i] = tile[{place}];"
    assert traffic(body, "shared", "read").units == wavefronts


@pytest.mark.parametrize(("pitch", "wavefronts"), [(4, 4), (8, 8), (36, 4), (32, 32)])
def test_wavefronts_of_16_bytes(pitch: int, wavefronts: int) -> None:
    body = f"""__shared__ __align__(16) float tile[1152];
    *(float4*)(tile + threadIdx.x * {pitch}) = make_float4(1, 1, 1, 1);"""
    found = traffic(body, "shared", "write")
    assert (found.units, found.ideal) == (wavefronts, 4)


@pytest.mark.parametrize(("place", "sectors", "ideal"), [("i", 4, 4), ("i * 32", 32, 4), ("0", 1, 1), ("i + 4", 5, 4)])
def test_sectors(place: str, sectors: int, ideal: int) -> None:
    found = traffic(f"const int i = threadIdx.x; y[i] = x[{place}];", "global", "read")
    assert (found.requests, found.units, found.ideal) == (1, sectors, ideal)


def test_a_line_is_that_of_who_loads_and_stores() -> None:
    body = "store_vector(y + 4 * threadIdx.x, load_vector<4>(x + 4 * threadIdx.x));"
    made = Kernel("planted", unit("planted", "math.cuh").text + kernel("planted", body).text)
    found = ran(made, threads=32).traffic.values()
    assert sorted(entry.kind for entry in found) == ["read", "write"]
    assert {entry.line.text.rstrip(" }") for entry in found} == {body}


# --- the kernels ------------------------------------------------------------------------------------------------------

TESTS = (
    "test_attention.py::test_rows_of_which_all_keys_are_left_out",
    "test_indexing.py::test_bad_indices_raise_what_the_body_raises_and_the_next_call_works",
    "test_softmax.py",
    "test_squeeze_excite.py",
)
SLOW = (
    "test_attention.py",
    "test_matmul.py",
    "test_norm.py",
    "test_quantized_tensor.py",
    "test_reduction.py",
    "test_scan.py",
)


@pytest.mark.parametrize("name", [*TESTS, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_kernels_do_not_race(name: str) -> None:
    """Tests of kernels whose threads or blocks work together."""
    options = "-q", "-n0", "-p", "no:cacheprovider", "-m", "not slow"
    command = [sys.executable, "-m", "pytest", *options, str(FOLDER / name)]
    done = subprocess.run(
        command, cwd=FOLDER.parents[2], env={**os.environ, STRICTLY: "1"}, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stdout[-4000:]

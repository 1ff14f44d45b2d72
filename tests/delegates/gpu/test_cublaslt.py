"""The binding of cuBLASLt, against a library over host memory that takes its place; see tests/emulator/cublaslt.cpp."""

from __future__ import annotations

import ctypes
import gc
import subprocess
from contextlib import nullcontext, suppress
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.delegates.gpu.checks import call, compare, interpreter_of, noise
from tests.emulator import cublaslt as fake
from tests.emulator.compiler import compiler
from tests.emulator.device import EmulatedGpuDelegate, HostDevice, HostMemory
from tests.emulator.gemms import NumpyGemms
from tests.ops.harness import Case, Operand, one_op_model
from tests.threads import side_by_side
from tflite_cupy.commands import doctor
from tflite_cupy.delegates.gpu import cublaslt, cupy_device
from tflite_cupy.delegates.gpu.cublaslt import CublasLt
from tflite_cupy.delegates.gpu.cupy_device import CupyDevice
from tflite_cupy.delegates.gpu.gemm import WORKSPACE_BYTES, Pointers, Problem, Stored
from tflite_cupy.delegates.gpu.kernels import library as choice

PLAIN = Problem(12, 20, 16, Stored(16), Stored(16, transposed=True), Stored(20))
PROBLEMS = {
    "plain": PLAIN,
    "b as it is": replace(PLAIN, b=Stored(20)),
    "a transposed": replace(PLAIN, a=Stored(12, transposed=True)),
    "a transposed, b as it is": replace(PLAIN, a=Stored(12, transposed=True), b=Stored(20)),
    "rows far apart": replace(PLAIN, a=Stored(24), b=Stored(32, transposed=True), out=Stored(28)),
    "bias": replace(PLAIN, has_bias=True),
    "relu": replace(PLAIN, relu=True),
    "gelu": replace(PLAIN, gelu=True),
    "bias and gelu": replace(PLAIN, has_bias=True, gelu=True),
    "bias and relu": replace(PLAIN, has_bias=True, relu=True),
    "c": replace(PLAIN, has_c=True),
    "all": replace(PLAIN, has_c=True, has_bias=True, relu=True),
    "batch": replace(PLAIN, batch=3, a=Stored(16, step=192), b=Stored(16, True, 320), out=Stored(20, step=240)),
    "batch, one a, all": Problem(
        *(12, 20, 16, Stored(12, True), Stored(20, step=320), Stored(20, step=240), 3),
        has_c=True,
        has_bias=True,
        relu=True,
    ),
    "batch between rows": replace(PLAIN, batch=2, a=Stored(32, step=16), b=Stored(16, True), out=Stored(40, step=20)),
    "one row": replace(PLAIN, rows=1, has_bias=True),
    "tf32": replace(PLAIN, precision="tf32", has_bias=True),
    "fp16": replace(PLAIN, precision="fp16"),
    "halves": replace(PLAIN, dtype=np.dtype(np.float16), out_dtype=np.dtype(np.float16), has_bias=True, has_c=True),
    "halves to floats": replace(PLAIN, dtype=np.dtype(np.float16), precision="fp16", has_bias=True),
}
COMPUTE = {"strict": 68, "tf32": 77, "fp16": 74}


class Arrays:
    """Operands of a problem in memory, aligned and poisoned as on the device."""

    def __init__(self, p: Problem) -> None:
        sides = (
            (p.reach(p.a, p.rows, p.depth), p.dtype),
            (p.reach(p.b, p.depth, p.columns), p.dtype),
            *[(p.reach(p.out, p.rows, p.columns), p.out_dtype)] * 2,
            (p.columns, p.out_dtype),
        )
        self.memories = [HostMemory(size * dtype.itemsize) for size, dtype in sides]
        self.workspace = HostMemory(WORKSPACE_BYTES)
        a, b, self.out, c, bias = (
            memory.bytes.view(dtype) for memory, (_, dtype) in zip(self.memories, sides, strict=True)
        )
        for seed, array in enumerate((a, b, c, bias)):
            array[:] = noise(array.size, seed=seed)

    def pointers(self, p: Problem) -> Pointers:
        a, b, out, c, bias = (memory.address for memory in self.memories)
        return Pointers(a, b, out, c if p.has_c else 0, bias if p.has_bias else 0)

    def computed(self, gemms: Any, p: Problem) -> np.ndarray:
        """What a library makes of them, all of the result's memory."""
        self.memories[2].bytes[:] = 0xFF
        plan = gemms.plan(p, WORKSPACE_BYTES)
        assert plan is not None
        gemms.run(plan, self.pointers(p), self.workspace.address, 77)
        return self.out.copy()


@pytest.fixture
def gemms() -> CublasLt:
    return CublasLt(fake.library())


@pytest.mark.parametrize("name", PROBLEMS)
def test_products_are_those_of_numpy(gemms: CublasLt, name: str) -> None:
    problem = PROBLEMS[name]
    arrays = Arrays(problem)
    got, wanted = (arrays.computed(library, problem) for library in (gemms, NumpyGemms()))
    assert np.isfinite(wanted).sum() == problem.batch * problem.rows * problem.columns
    np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))  # nothing is written between rows
    compare(got, wanted, 1e-6, 1e-6)
    noted = fake.noted()
    assert noted.compute == (COMPUTE[problem.precision] if problem.dtype == np.float32 else 68)
    assert noted.epilogue == (
        (4 if problem.has_bias else 0) + (2 if problem.relu else 0) + (32 if problem.gelu else 0) or 1
    )
    assert (noted.stream, noted.workspace) == (77, 4096)


def test_plans_are_made_once(gemms: CublasLt, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = gemms.plan(PLAIN, 1 << 20)
    assert gemms.plan(replace(PLAIN), 1 << 20) is plan
    assert plan is not None
    assert plan.workspace == 4096
    smaller = gemms.plan(PLAIN, 1024)
    assert smaller is not None
    assert smaller.workspace == 1024
    assert gemms.plan(replace(PLAIN, relu=True), 1 << 20) is not plan
    monkeypatch.setattr(cublaslt, "MOST_PLANS", 3)
    gemms.plan(replace(PLAIN, rows=4), 1 << 20)
    assert gemms.plan(PLAIN, 1 << 20) is not plan


def test_handles_are_given_back() -> None:
    gc.collect()
    before = fake.noted().live
    gemms = CublasLt(fake.library())
    arrays = Arrays(PLAIN)
    arrays.computed(gemms, PLAIN)
    gc.collect()
    assert fake.noted().live == before + 4  # the library's own, three layouts of the plan that is kept
    with fake.fault("execution"), pytest.raises(lite.KernelError):
        arrays.computed(gemms, PLAIN)
    with fake.fault("unsupported"):
        assert gemms.plan(replace(PLAIN, rows=4), WORKSPACE_BYTES) is None
    gc.collect()
    assert fake.noted().live == before + 4
    del gemms
    gc.collect()
    assert fake.noted().live == before


@pytest.mark.parametrize("fault", ["unsupported", "other device", "nothing found", "bad state"])
def test_what_the_library_can_t_do_has_no_plan(gemms: CublasLt, fault: str) -> None:
    with fake.fault(fault):
        assert gemms.plan(PLAIN, WORKSPACE_BYTES) is None
    assert gemms.plan(PLAIN, WORKSPACE_BYTES) is None  # it is not asked again
    assert gemms.plan(replace(PLAIN, relu=True), WORKSPACE_BYTES) is not None


def test_statuses_are_errors_of_ours(gemms: CublasLt) -> None:
    with (
        fake.fault("no device"),
        pytest.raises(
            lite.MissingDependencyError, match="cublasLtCreate of cuBLASLt failed: CUBLAS_STATUS_NOT_INITIALIZED"
        ),
    ):
        CublasLt(fake.library())
    with fake.fault("no memory"), pytest.raises(lite.LimitError, match="CUBLAS_STATUS_ALLOC_FAILED"):
        gemms.plan(PLAIN, WORKSPACE_BYTES)
    with pytest.raises(lite.KernelError, match="MatrixLayoutCreate of cuBLASLt failed: CUBLAS_STATUS_INVALID_VALUE"):
        gemms.plan(replace(PLAIN, out=Stored(19)), WORKSPACE_BYTES)
    with fake.fault("execution"), pytest.raises(lite.KernelError, match=r"cublasLtMatmul .*_EXECUTION_FAILED"):
        Arrays(PLAIN).computed(gemms, PLAIN)
    with pytest.raises(lite.KernelError, match="failed: status 99"):
        cublaslt._check("cublasLtMatmul", 99)


@pytest.mark.parametrize("wrong", ["a", "bias", "workspace"])
def test_misaligned_operands_are_refused(gemms: CublasLt, wrong: str) -> None:
    """By the library that takes the place of the real one, which might not notice."""
    problem = replace(PLAIN, has_bias=True)
    arrays, plan = Arrays(problem), gemms.plan(problem, WORKSPACE_BYTES)
    assert plan is not None
    pointers, workspace = arrays.pointers(problem), arrays.workspace.address
    if wrong == "workspace":
        workspace += 128
    else:
        pointers = pointers._replace(**{wrong: getattr(pointers, wrong) + 8})
    with pytest.raises(lite.KernelError, match="INVALID_VALUE"):
        gemms.run(plan, pointers, workspace, 0)


def test_threads_share_it(gemms: CublasLt) -> None:
    problem = replace(PLAIN, has_bias=True, relu=True)  # each thread has a bias of its own
    wanted = [Arrays(problem) for _ in range(4)]
    for number, arrays in enumerate(wanted):
        arrays.memories[4].bytes.view(np.float32)[:] = number

    def work(number: int) -> None:
        arrays = wanted[number]
        right = arrays.computed(NumpyGemms(), problem)
        for rows in range(4, 12):
            gemms.plan(replace(problem, rows=rows), WORKSPACE_BYTES)
            compare(arrays.computed(gemms, problem), right, 1e-6, 1e-6)

    side_by_side(4, work)


@pytest.mark.parametrize("precision", ["strict", "tf32", "fp16"])
def test_models_run_by_way_of_it(precision: str, gemms: CublasLt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "LEAST_WORK", 1)
    tolerance = {"strict": 1e-5, "tf32": 1e-3, "fp16": 1e-2}[precision]
    weights = [Operand(data=noise(*shape, seed=1), constant=True) for shape in ((20, 16), (20,))]
    cases = [
        Case("FULLY_CONNECTED", [noise(12, 16), *weights], {"fused_activation_function": 1}),
        Case("BATCH_MATMUL", [noise(3, 12, 16), noise(3, 16, 20, seed=1)]),
        Case("BATCH_MATMUL", [noise(16, 12), noise(4, 20, 16, seed=1)], {"adj_x": True, "adj_y": True}),
    ]
    for case in cases:
        feeds = [o for o in case.inputs if isinstance(o, np.ndarray)]
        content = lite.write_model(one_op_model(case))
        delegate = EmulatedGpuDelegate(HostDevice(gemms=gemms), precision=precision)
        (wanted,) = call(interpreter_of(content, feeds), feeds)
        interpreter = interpreter_of(content, feeds, delegate)
        for _ in range(3):
            compare(call(interpreter, feeds)[0], wanted, tolerance, tolerance)
        assert (delegate.device.products, delegate.device.launches, delegate.device.replays) == (3, 3, 2)


def test_a_product_that_fails_names_its_nodes(gemms: CublasLt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "LEAST_WORK", 1)

    class Faulty(HostDevice):
        """The library reports errors at once, not in the order of the stream."""

        is_broken = True

        def gemm(self, plan: Any, pointers: Pointers, workspace: int) -> None:
            if self.is_broken:
                with fake.fault("execution"):
                    self.gemms.run(plan, pointers, workspace, 0)
            super().gemm(plan, pointers, workspace)

    case = Case("FULLY_CONNECTED", [noise(12, 16), Operand(data=noise(20, 16, seed=1), constant=True), None])
    content, feeds = lite.write_model(one_op_model(case)), [case.inputs[0]]
    device = Faulty(gemms=gemms)
    interpreter = interpreter_of(content, feeds, EmulatedGpuDelegate(device))
    with pytest.raises(lite.KernelError, match=r"refused to run FULLY_CONNECTED.*EXECUTION_F.* \[at subgraphs\[0\]"):
        call(interpreter, feeds)
    device.is_broken = False
    (wanted,) = call(interpreter_of(content, feeds), feeds)
    for _ in range(3):
        compare(call(interpreter, feeds)[0], wanted, 1e-5, 1e-6)


# --- finding the library ----------------------------------------------------------------------------------------------


def test_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cublaslt, "_names", lambda: iter(["libcublasLt.so.nowhere"]))
    with pytest.raises(lite.MissingDependencyError, match=r"cuBLASLt can't be loaded.* Install tflite-cupy\[cuda12\]"):
        cublaslt.load()


def test_where_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cublaslt, "_names", lambda: iter(["libcublasLt.so.nowhere", fake.library()._name]))
    assert cublaslt.version(cublaslt.load()) == "12.9.1"
    monkeypatch.undo()
    assert list(cublaslt._names())[-2:] == ["libcublasLt.so.13", "libcublasLt.so.12"]


@pytest.mark.parametrize(("fault", "loads"), [("no device", 1), ("no memory", 2), ("none", 1)])
def test_what_a_cuda_device_makes_of_it(fault: str, loads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that can't work there counts as missing, and is not tried again; memory may be there the next time."""
    device: Any = object.__new__(CupyDevice)
    device._device, device._lock, device._library, device._has_library = nullcontext(), Lock(), None, None
    tried: list[Any] = []

    def load() -> Any:
        tried.append(fake.library())
        return tried[-1]

    monkeypatch.setattr(cupy_device, "load", load)
    with fake.fault(fault), suppress(lite.LimitError):
        assert (device.gemm_plan(PLAIN) is None) == (fault != "none")
    assert (device.gemm_plan(PLAIN) is None) == (fault == "no device")
    assert len(tried) == loads


def test_what_doctor_says_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cublaslt, "_names", lambda: iter([fake.library()._name]))
    assert doctor.products()[1:3] == (True, "12.9.1")
    with fake.fault("no device"):
        missing = doctor.products()
    assert not missing.ready
    assert "NOT_INITIALIZED" in missing.found
    assert missing.install
    monkeypatch.setattr(cublaslt, "_names", lambda: iter([]))
    assert doctor.products().found.startswith("cuBLASLt can't be loaded")


# --- against NVIDIA's own ---------------------------------------------------------------------------------------------


def test_names_and_signatures_are_those_of_the_header() -> None:
    plain = of_headers("#include <cublasLt.h>")
    if plain.returncode != 0:
        said = next(line for line in plain.stderr.splitlines() if "error" in line)
        pytest.skip(f"cublasLt.h, or one that it includes, is in none of the installed packages: {said}")
    numbers = {n: v for n, v in vars(cublaslt).items() if n.startswith(("CUBLAS", "CUDA_R_")) and isinstance(v, int)}
    assert len(numbers) > 30
    sizes = {"cublasLtMatmulAlgo_t": cublaslt.Algorithm, "cublasLtMatmulHeuristicResult_t": cublaslt.Heuristic}
    offset = cublaslt.Heuristic.state.offset
    asserts = [f"static_assert((int){name} == {value});" for name, value in numbers.items()]
    asserts += [f"static_assert(sizeof({name}) == {ctypes.sizeof(kind)});" for name, kind in sizes.items()]
    asserts += [f"static_assert(offsetof(cublasLtMatmulHeuristicResult_t, state) == {offset});"]
    done = of_headers("\n".join(["#define HAVE_CUBLASLT_H", fake.SOURCE.read_text(), *asserts]))
    assert done.returncode == 0, done.stderr[:4000]


def of_headers(text: str) -> subprocess.CompletedProcess[str]:
    """What the host compiler makes of a text that includes headers of CUDA; skips the test where there is none."""
    folders = [f"-I{folder}" for folder in fake.header_folders()]
    command = [compiler(), "-x", "c++", "-std=c++17", "-fsyntax-only", *folders, "-"]
    return subprocess.run(command, input=text, text=True, capture_output=True)


def test_the_real_library_takes_all_attributes() -> None:
    """Descriptions are made on the host: this needs the library, and no GPU."""
    try:
        library = cublaslt.load()
    except lite.MissingDependencyError as error:
        pytest.skip(str(error))
    gemms = object.__new__(CublasLt)
    gemms._library = library
    for p in PROBLEMS.values():
        gemms._operation(p, 256)
        gemms._layout(p, p.a, p.rows, p.depth, p.dtype)
    gemms._preference(WORKSPACE_BYTES)

"""Every kernel that planning yields builds for the GPUs that it is planned for, without spills; no GPU is needed.

The kernels are those of the cases in tests/ops and of the corpus. There are many, most of which differ in types and
elementwise tails only: each is built for one architecture, and the longest of each entry point for all of them.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from networks import bert, efficientnet_b0, mobilenet_v2, resnet50

import tflite_cupy as lite
from tests.build import model
from tests.delegates.gpu.test_storage import MOVES, moved
from tests.delegates.gpu.test_storage import NETWORKS as SMALL
from tests.ops.harness import Case, one_op_model
from tflite_cupy.delegates.gpu import PlannedGpuDelegate
from tflite_cupy.delegates.gpu.binaries import COMPILER_OPTIONS
from tflite_cupy.delegates.gpu.cupy_device import import_cupy
from tflite_cupy.delegates.gpu.kernel import Kernel
from tflite_cupy.delegates.gpu.listing import Launch
from tflite_cupy.interpreter.errors import TfliteError
from tflite_cupy.interpreter.runtime.delegate import Executable, Partition

ARCHS = (75, 80, 86, 89, 90, 100, 120)
LONGEST = 2
"""Kernels of each entry point that are built for all architectures."""
PRODUCTS = ("test_conv", "test_matmul")
PLANS = ((75, "strict"), (75, "fp16"), (80, "tf32"), (86, "auto"), (90, "auto"), (90, "fp16"), (90, "strict"))
"""Architectures and precisions to plan for; all models for the first, else those of `PRODUCTS`, and networks."""
NETWORKS = (
    mobilenet_v2,
    resnet50,
    efficientnet_b0,
    partial(bert, layers=1, words=1000),
    partial(mobilenet_v2, quantized=True),
)
BATCHES = (1, 64)
ROOT = Path(__file__).parents[3]
SPILLS = re.compile(r"[1-9]\d* bytes spill")
FRAME = re.compile(r"[1-9]\d* bytes stack frame")
ANGLES = re.compile(r"\b(sin|cos|tan)f?\(")  # of large angles: these take a few words of memory by themselves


class Collector(PlannedGpuDelegate):
    """Plans, and keeps the kernels."""

    def __init__(self, arch: int, precision: str) -> None:
        super().__init__(arch=arch, precision=precision)
        self.kernels: set[Kernel] = set()

    def compile(self, partition: Partition) -> Executable:
        planned = super().compile(partition)
        steps = planned.listing.steps  # type: ignore[attr-defined]
        self.kernels.update(step.kernel for step in steps if isinstance(step, Launch))
        return planned


@cache
def kernels(corpus: Path) -> dict[Kernel, int]:
    """All distinct kernels, and the least architecture that each is planned for."""
    least: dict[Kernel, int] = {}
    files = [file.read_bytes() for file in sorted((corpus / "models").glob("*/*.tflite"))]
    for arch, precision in PLANS:
        is_first = (arch, precision) == PLANS[0]
        delegate = Collector(arch, precision)
        for content in chain(case_models("" if is_first else PRODUCTS), files if is_first else network_models()):
            try:
                interpreter = lite.Interpreter(model_content=content, device="cpu", delegates=[delegate], flex="off")
                interpreter.allocate_tensors()
            except TfliteError:  # models that are there to be refused
                continue
        least |= {kernel: arch for kernel in delegate.kernels if kernel not in least}
    return least


def case_models(names: str | tuple[str, ...]) -> Iterator[bytes]:
    """One-operator models of the cases in the modules of tests/ops that have these names, with "" in all."""
    for file in sorted((ROOT / "tests" / "ops").rglob("test_*.py")):
        if file.stem.startswith(names):
            module = import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
            cases = (case for case in getattr(module, "CASES", ()) if isinstance(case, Case))
            yield from (lite.write_model(one_op_model(c)) for c in cases if c.raises is None and c.refused is None)


def network_models() -> Iterator[bytes]:
    """Whole networks, for one image and for many: all kinds of tiles; and small ones of what float16 is kept for."""
    yield from (lite.write_model(make(batch=batch)) for make in NETWORKS for batch in BATCHES)
    yield from (lite.write_model(model(graph)) for graph in (*(g for g, _ in SMALL.values()), *map(moved, MOVES)))


def share(arch: int, corpus: Path) -> list[Kernel]:
    """The kernels to build for an architecture."""
    usable = sorted((k for k, least in kernels(corpus).items() if least <= arch), key=lambda k: (-len(k.text), k.text))
    seen: Counter[str] = Counter()
    chosen = []
    for kernel in usable:
        archs = ARCHS[ARCHS.index(kernels(corpus)[kernel]) :]
        seen[kernel.entry] += 1
        if seen[kernel.entry] <= LONGEST or archs[int(digest(kernel.text), 16) % len(archs)] == arch:
            chosen.append(kernel)
    return chosen


@pytest.mark.parametrize("arch", ARCHS)
def test_kernels_build_without_spills(arch: int, corpus: Path) -> None:
    nvrtc = loaded_nvrtc()
    chosen = share(arch, corpus)
    with ThreadPoolExecutor(2) as pool:
        logs = list(pool.map(lambda kernel: log_of(nvrtc, kernel, arch), chosen))
    faults = [(k, fault) for k, log in zip(chosen, logs, strict=True) if (fault := fault_in(k, log)) is not None]
    told = "\n\n".join(f"{kernel.entry}: {fault}\n{_own(kernel)}" for kernel, fault in faults[:8])
    assert not faults, f"sm_{arch}, {len(faults)} kernels:\n{told}"


def _own(kernel: Kernel) -> str:
    """What sets a kernel's text apart: its macros, and the beginning of its tail."""
    return "\n".join(re.findall(r"^(?:#define [A-Z_]+ .*|    const .*_ = .*)$", kernel.text, re.M)[-12:])


def test_a_spill_and_an_error_are_found() -> None:
    nvrtc = loaded_nvrtc()

    def fault(body: str) -> str | None:
        text = f'extern "C" __global__ void f(float* y, int i) {{ {body} }}'
        kernel = Kernel("f", text)
        return fault_in(kernel, log_of(nvrtc, kernel, 90))

    array = fault(
        "float k[64]; for (int j = 0; j < 64; ++j) k[j] = y[j] + 1; for (; i; --i) y[k[i] > 0] = k[i * 7 % 64];"
    )
    assert "256 bytes stack frame" in (array or "")
    assert "undefined" in (fault("h();") or "")
    assert fault("*y = i;") is None


def loaded_nvrtc() -> Any:
    """CuPy's NVRTC; skips the test where there is none."""
    try:
        nvrtc = import_cupy().cuda.nvrtc
        nvrtc.getVersion()
    except (ImportError, RuntimeError, OSError) as error:
        pytest.skip(f"no NVRTC: {error}")
    return nvrtc


def fault_in(kernel: Kernel, log: str) -> str | None:
    """The first line of a build's log that says what is wrong."""
    may_have_frame = ANGLES.search(kernel.text) is not None
    for line in log.splitlines():
        if "error" in line or SPILLS.search(line) or (FRAME.search(line) and not may_have_frame):
            return line
    return None


def log_of(nvrtc: Any, kernel: Kernel, arch: int) -> str:
    """What NVRTC says of a kernel; kept between runs of the tests."""
    options = (*COMPILER_OPTIONS, f"--gpu-architecture=sm_{arch}", "--ptxas-options=-v")
    name = digest(" ".join((kernel.text, *options, str(nvrtc.getVersion()))))
    path = Path(tempfile.gettempdir()) / f"tflite-cupy-nvrtc-{os.getuid()}" / f"{name}.log"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        made = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        made.write_text(_build(nvrtc, kernel, options))
        made.rename(path)
    return path.read_text()


def _build(nvrtc: Any, kernel: Kernel, options: tuple[str, ...]) -> str:
    program = nvrtc.createProgram(kernel.text, f"{kernel.entry}.cu", (), ())
    try:
        nvrtc.compileProgram(program, options)
    except nvrtc.NVRTCError as error:
        return f"{nvrtc.getProgramLog(program)}\nerror: {error}"
    else:
        return str(nvrtc.getProgramLog(program))
    finally:
        nvrtc.destroyProgram(program)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]

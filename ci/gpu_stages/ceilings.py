"""What no kernel of this device can pass: copies, matrix products, launches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tflite_cupy.delegates.gpu.kernel import kernel

from .clock import Clock, on_host
from .progress import Progress
from .target import Target

NODES = 100
GEMM = 8192
PRODUCTS = ("strict", "tf32", "fp16", "int8")
EMPTY = 'extern "C" __global__ void touch(float* x) { if (threadIdx.x == 1024) *x = 0; }\n'


def ceilings(target: Target, progress: Progress) -> Iterator[tuple[str, float]]:
    """Names and numbers: `copy_gb_per_s` (bytes read and written), `<precision>_tflops` of a product of two 8192 x 8192
    matrices, `launch_us` of a kernel, `node_us` of one in a graph of 100 empty ones, `graph_of_100_us` for it all.

    Products whose library is missing, or can't work here, are notes of the progress instead.
    """
    clock = Clock(target)
    yield from _launches(target, clock)
    if not target.is_real:
        return
    yield "copy_gb_per_s", _bandwidth(clock)
    yield from products(clock, progress)


def products(clock: Clock, progress: Progress) -> Iterator[tuple[str, float]]:
    """By torch, which has all types; by CuPy where torch has no GPU. All work on the default stream."""
    make, names = (_of_torch, PRODUCTS) if _torch_has_gpu() else (_of_cupy, ("strict", "fp16"))
    for name in names:
        try:
            milliseconds = clock.many(make(name), 10)
        except Exception as error:  # whatever a library dies of, the other numbers count
            progress.note(**{f"no_{name}_tflops": f"{type(error).__name__}: {error}"[:300]})
        else:
            yield f"{name}_tflops", round(2 * GEMM**3 / milliseconds / 1e9, 1)


def _bandwidth(clock: Clock) -> float:
    import cupy

    source, copy = cupy.ones(1 << 28, cupy.float32), cupy.empty(1 << 28, cupy.float32)
    milliseconds = clock.many(lambda: cupy.copyto(copy, source), 20)
    return round(2 * float(source.nbytes) / milliseconds / 1e6, 1)


def _launches(target: Target, clock: Clock) -> Iterator[tuple[str, float]]:
    """Through the delegate's own device."""
    device = target.device
    function = device.load([kernel("touch", code=EMPTY)])[0]
    memory = device.memory(256)

    def launch() -> None:
        device.launch(function, (1, 1, 1), (32, 1, 1), 0, [memory.address])

    yield "launch_us", round(1000 * clock.many(launch, 1000 if target.is_real else 10), 3)
    with device.using(device.stream()):
        device.begin_capture()
        for _ in range(NODES):
            launch()
        graph = device.end_capture()
        replays = 100 if target.is_real else 2
        yield "node_us", round(1000 * clock.many(lambda: device.replay(graph), replays) / NODES, 3)

        def alone() -> None:
            device.replay(graph)
            device.synchronize()

        alone()
        yield "graph_of_100_us", round(1000 * min(on_host(alone) for _ in range(10)), 1)


def _torch_has_gpu() -> bool:
    try:
        import torch
    except (ImportError, OSError):
        return False
    return bool(torch.cuda.is_available())


def _of_torch(name: str) -> Callable[[], Any]:
    """A product of one of `PRODUCTS`."""
    import torch

    single = torch.randn(GEMM, GEMM, device="cuda")
    torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
    if name == "int8":
        small = single.to(torch.int8)
        return lambda: torch._int_mm(small, small.t())
    operand = single.half() if name == "fp16" else single
    return lambda: operand @ operand


def _of_cupy(name: str) -> Callable[[], Any]:
    """The same by CuPy, which has "strict" and "fp16"; its random numbers would need one library more."""
    import cupy

    single = np.random.default_rng(0).standard_normal((GEMM, GEMM), np.float32)
    operand = cupy.asarray(single, np.float16 if name == "fp16" else np.float32)
    return lambda: cupy.matmul(operand, operand)

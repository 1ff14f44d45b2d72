"""What no kernel of this device can pass: copies, matrix products, launches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tflite_cupy.delegates.gpu.kernel import kernel

from .clock import Clock, on_host
from .target import Target

NODES = 100
GEMM = 8192
EMPTY = 'extern "C" __global__ void touch(float* x) { if (threadIdx.x == 1024) *x = 0; }\n'


def ceilings(target: Target) -> Iterator[tuple[str, float]]:
    """Names and numbers: `copy_gb_per_s` (bytes read and written), `<precision>_tflops` of a product of two 8192 x 8192
    matrices, `launch_us` of a kernel, `node_us` of one in a graph of 100 empty ones, `graph_of_100_us` for it all."""
    clock = Clock(target)
    yield from _launches(target, clock)
    if target.is_real:
        yield "copy_gb_per_s", _bandwidth(clock)
        yield from _products(clock)


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


def _products(clock: Clock) -> Iterator[tuple[str, float]]:
    """By torch, which has all types; by CuPy where that is missing. Both work on the default stream."""
    flops = 2 * GEMM**3 / 1e9  # of one product; over milliseconds that gives TFLOP/s

    def tflops(product: Callable[[], Any]) -> float:
        return round(flops / clock.many(product, 10), 1)

    try:
        import torch
    except ImportError:
        import cupy

        single = cupy.random.standard_normal((GEMM, GEMM), cupy.float32)
        half = single.astype(cupy.float16)
        yield "strict_tflops", tflops(lambda: cupy.matmul(single, single))
        yield "fp16_tflops", tflops(lambda: cupy.matmul(half, half))
        return
    single = torch.randn(GEMM, GEMM, device="cuda")
    for name, allowed in (("strict", False), ("tf32", True)):
        torch.backends.cuda.matmul.allow_tf32 = allowed
        yield f"{name}_tflops", tflops(lambda: single @ single)
    half, small = single.half(), single.to(torch.int8)
    yield "fp16_tflops", tflops(lambda: half @ half)
    yield "int8_tflops", tflops(lambda: torch._int_mm(small, small.t()))

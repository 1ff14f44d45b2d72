"""Kernels that fail on the device, after which CUDA refuses all work; run by `test_driver.py`, each in a process."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from gpu_stages.target import Target

import tflite_cupy as lite
from tests.driver import stand_in
from tests.driver.check_calls import noise, on, same
from tests.models import add_sub
from tflite_cupy.delegates.gpu.kernel import Kernel
from tflite_cupy.interpreter.errors import KernelError, TfliteError

MISALIGNED = Kernel("misaligned", """extern "C" __global__ void misaligned(float* x) {
    *(float4*)(x + 1) = make_float4(1, 2, 3, 4);
}""")  # fmt: skip


def test_a_kernel_that_fails_later() -> None:
    """The error is told where somebody waits, and again by whatever is asked for after that; nothing hangs."""
    run, host = on("gpu", add_sub()).get_signature_runner("add"), on("cpu", add_sub()).get_signature_runner("add")
    x = noise(5)
    same(run(x=x, y=x), host(x=x, y=x))
    stand_in.order(1)
    target = Target("gpu")
    device = target.device
    assert target.works()
    (kernel,) = device.load([MISALIGNED])
    memory = device.memory(64)
    device.launch(kernel, (1, 1, 1), (1, 1, 1), 0, [memory.address])
    with pytest.raises(KernelError, match="what was queued on cuda:0 has failed: cudaErrorLaunchFailure"):
        device.synchronize()
    for _ in range(3):
        with pytest.raises(TfliteError) as caught:
            run(x=x, y=x)
        assert "cudaErrorLaunchFailure" in str(caught.value)
    with pytest.raises(TfliteError, match=r"cudaErrorLaunchFailure|CUDA_ERROR_LAUNCH_FAILED"):
        lite.Interpreter(model_content=add_sub(), device="gpu").get_signature_runner("sub")(a=x, b=x)
    np.testing.assert_array_equal(host(x=x, y=x)["sum"], x + x)
    assert not target.works()
    del run
    gc.collect()

"""`CupyDevice`, method by method, with CuPy itself; run by `test_driver.py`."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import cupy
import numpy as np
import pytest

from tests.driver import stand_in
from tflite_cupy.delegates.gpu.cupy_device import CupyDevice
from tflite_cupy.delegates.gpu.kernel import Kernel
from tflite_cupy.delegates.gpu.space import DeviceSpace
from tflite_cupy.interpreter.errors import InputError, KernelError

ADD = Kernel("add", """extern "C" __global__ void add(const float* x, float* y, const float by, const int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i] + by;
}""")  # fmt: skip
REVERSED = Kernel("reversed", """#ifdef __CUDACC__
#define DYNAMIC_SHARED(type, name) extern __shared__ type name[]
#endif
extern "C" __global__ void reversed(float* x, const int n) {
    __shared__ float first;
    DYNAMIC_SHARED(float, held);
    for (int i = threadIdx.x; i < n; i += blockDim.x) held[i] = x[i];
    if (threadIdx.x == 0) first = x[0];
    __syncthreads();
    for (int i = threadIdx.x; i < n; i += blockDim.x) x[i] = i == n - 1 ? first : held[n - 1 - i];
}""")  # fmt: skip


@pytest.fixture(params=[None, 1, 2], ids=["at once", "late 1", "late 2"])
def device(request: pytest.FixtureRequest) -> Iterator[CupyDevice]:
    stand_in.order(request.param)
    yield CupyDevice()
    stand_in.order(None)


def add(device: CupyDevice, x: Any, y: Any, by: float) -> None:
    (kernel,) = device.load([ADD])
    arguments = [device.address(x), device.address(y), np.float32(by), np.int32(x.size)]
    device.launch(kernel, (-(-x.size // 64), 1, 1), (64, 1, 1), 0, arguments)


def test_what_it_is(device: CupyDevice) -> None:
    assert (device.name, device.arch, device.xp) == ("cuda:0", 90, cupy)
    runtime = cupy.cuda.runtime
    cuda = runtime.runtimeGetVersion()
    assert device.title == f"Stand-in for an H100, driver {12090 if cuda < 13000 else 13000}, CUDA {cuda}"
    found = runtime.getDeviceProperties(0)
    wanted = {"major": 9, "minor": 0, "multiProcessorCount": 132, "totalGlobalMem": 80 << 30, "l2CacheSize": 50 << 20}
    assert {name: found[name] for name in wanted} == wanted


def test_copies_through_page_locked_memory_are_read_when_they_run(device: CupyDevice) -> None:
    stream = device.stream()
    with device.using(stream):
        assert device.current().ptr == stream.ptr
        memory = device.memory(1000)
        assert memory.nbytes == 1000
        assert memory.address % 256 == 0
        x = device.array(memory, 256, (3, 5), np.dtype(np.float32))
        assert device.address(x) == memory.address + 256
        source, target = (device.pinned(60).view(np.float32).reshape(3, 5) for _ in range(2))
        source[:] = np.arange(15).reshape(3, 5)
        device.copy_in(x, source)
        y = cupy.empty_like(x)
        device.copy(y, x)
        device.copy_out(target, y)
        device.synchronize()
        np.testing.assert_array_equal(target, source)


def test_streams_wait_for_events(device: CupyDevice) -> None:
    device.load([ADD])
    n, streams = 100, [device.stream() for _ in range(3)]
    with device.using(streams[0]):
        x = device.array(device.memory(4 * n), 0, (n,), np.dtype(np.float32))
        device.copy_in(x, np.zeros(n, np.float32))
    for turn in range(30):
        with device.using(streams[turn % 3]):
            event = device.record()
        with device.using(streams[(turn + 1) % 3]):
            device.wait(event)
            add(device, x, x, 1.0)
    device.await_event(event)
    with device.using(streams[0]):
        device.synchronize()
        out = device.pinned(4 * n).view(np.float32)
        device.copy_out(out, x)
        device.synchronize()
    assert set(out) == {30}


def test_time_between_events(device: CupyDevice) -> None:
    with device.using(device.stream()):
        x = cupy.empty(64, np.float32)
        start = device.record(timed=True)
        add(device, x, x, 1.0)
        end = device.record(timed=True)
        device.synchronize()
        assert device.elapsed(start, end) > 0
        with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="cudaErrorInvalidResourceHandle"):
            device.elapsed(start, device.record())


@pytest.mark.parametrize("nbytes", [1024, 49152 - 4, 49152, 232448 - 4])
def test_shared_memory_beyond_what_blocks_have(device: CupyDevice, nbytes: int) -> None:
    """Of which 4 bytes are declared in the text."""
    (kernel,) = device.load([REVERSED])
    n = nbytes // 4
    x = DeviceSpace(device).put(np.arange(n, dtype=np.float32))
    device.launch(kernel, (1, 1, 1), (256, 1, 1), nbytes, [device.address(x), np.int32(n)])
    np.testing.assert_array_equal(x.get(), np.arange(n)[::-1])


def test_more_shared_memory_than_there_is(device: CupyDevice) -> None:
    (kernel,) = device.load([REVERSED])
    with pytest.raises(device.errors, match="INVALID_VALUE"):
        device.launch(kernel, (1, 1, 1), (1, 1, 1), 232448, [0, np.int32(0)])


def test_a_capture_is_replayed_with_what_its_memory_holds_then(device: CupyDevice) -> None:
    space = DeviceSpace(device)
    x, y = space.put(np.arange(8, dtype=np.float32)), space.put(np.zeros(8, np.float32))
    add(device, x, y, 0.0)
    with device.using(device.stream()):
        device.begin_capture()
        add(device, x, y, 10.0)
        add(device, y, y, 100.0)
        graph = device.end_capture()
        for turn in range(3):
            add(device, x, x, 1.0)
            device.replay(graph)
            device.synchronize()
            np.testing.assert_array_equal(y.get(), np.arange(8) + 111 + turn)


def test_captures_broken_off(device: CupyDevice) -> None:
    x = DeviceSpace(device).put(np.zeros(8, np.float32))
    add(device, x, x, 0.0)
    with device.using(device.stream()):
        device.begin_capture()
        add(device, x, x, 1.0)
        with pytest.raises(KernelError, match="cudaErrorStreamCaptureUnsupported"):
            device.synchronize()
        with pytest.raises(device.errors, match="cudaErrorStreamCaptureInvalidated"):
            device.end_capture()
        add(device, x, x, 1.0)
        device.synchronize()
    assert x.get().tolist() == [1.0] * 8


def test_memory_may_come_and_go_during_capture(device: CupyDevice) -> None:
    """What the collector frees meanwhile on this thread, of the arrays of others, and so on."""
    x = DeviceSpace(device).put(np.zeros(8, np.float32))
    add(device, x, x, 0.0)
    with device.using(device.stream()):
        device.begin_capture()
        add(device, x, x, 1.0)
        lost = cupy.empty(1 << 20, np.uint8)
        del lost
        cupy.get_default_memory_pool().free_all_blocks()
        gc.collect()
        graph = device.end_capture()
        device.replay(graph)
        device.synchronize()
    assert x.get().tolist() == [1.0] * 8


class Foreign:
    """An array of another library, by one protocol alone."""

    def __init__(self, array: Any, *protocols: str) -> None:
        self.__dict__.update({name: getattr(array, name) for name in protocols})


class Unwilling:
    """An array of a library that does not give it away."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, **_: Any) -> Any:
        raise BufferError("not now")


def test_arrays_of_others(device: CupyDevice) -> None:
    x = DeviceSpace(device).put(np.arange(6, dtype=np.float32).reshape(2, 3))
    for other in (Foreign(x, "__cuda_array_interface__"), Foreign(x, "__dlpack__", "__dlpack_device__")):
        assert device.owns(other)
        adopted = device.adopt(other)
        assert isinstance(adopted, cupy.ndarray)
        assert (adopted.data.ptr, adopted.shape) == (x.data.ptr, (2, 3))
    assert not device.owns(np.zeros(3))
    host = Foreign(np.zeros(3), "__dlpack__", "__dlpack_device__")
    assert not device.owns(host)
    with pytest.raises(InputError, match="CuPy can't take a Unwilling as it is: not now"):
        device.adopt(Unwilling())


def test_kernels_that_no_compiler_takes(device: CupyDevice) -> None:
    assert cupy.cuda.runtime.getDeviceCount() == 1
    with pytest.raises(cupy.cuda.driver.CUDADriverError, match="CUDA_ERROR_NO_BINARY_FOR_GPU"):
        cupy.cuda.Module().load(b"\x7fELF machine code of a GPU")


def test_events_that_went_before_their_lanes(capfd: pytest.CaptureFixture[str]) -> None:
    """A lane that goes as part of a cycle, along with an event that is older: CuPy destroys that one first."""
    space = DeviceSpace(CupyDevice())
    live = stand_in.counts().events
    event = space.device.record()
    with space.lane():
        pass
    (lane,) = space._idle
    lane.ending.event, lane.cycle = event, lane  # type: ignore[attr-defined]
    del lane, event
    space._idle.clear()
    gc.collect()
    assert stand_in.counts().events == live
    assert capfd.readouterr().err == ""

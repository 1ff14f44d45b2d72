"""The emulated device finds the faults that it is there to find."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, GraphBuilder
from tests.delegates.gpu.checks import SCHEDULES, check, noise
from tests.emulator import sanitized
from tests.emulator.compiler import KernelFault, built
from tests.emulator.device import EmulatedGpuDelegate, HostDevice
from tests.emulator.streams import CaptureFault
from tests.fakes import HostAccessError
from tests.models import add_sub
from tests.ops.harness import Case
from tflite_cupy.delegates.gpu.groups import LOWERINGS, Lowering
from tflite_cupy.delegates.gpu.kernel import Kernel
from tflite_cupy.delegates.gpu.kernel import kernel as unit
from tflite_cupy.delegates.gpu.lowering import Site
from tflite_cupy.interpreter.errors import LimitError
from tflite_cupy.interpreter.ops.scan import Cumsum

ALL_SCHEDULES = (*SCHEDULES, "random")
REVERSE = """__shared__ float tile[64];
    const int i = threadIdx.x;
    tile[i] = x[i];
    {barrier}
    y[i] = tile[{source}];"""


def kernel(name: str, body: str, parameters: str = "const float* x, float* y") -> Kernel:
    return Kernel(name, f'extern "C" __global__ void {name}({parameters}) {{\n    {body}\n}}\n')


def run(made: Kernel, *arguments: Any, block: int = 64, shared: int = 0, schedule: str = "greedy") -> None:
    """Run one block of a kernel on host arrays and scalars."""
    addresses = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments]
    built(made)((1, 1, 1), (block, 1, 1), shared, addresses, schedule, 1)


def reversed_by(barrier: str, source: str, schedule: str) -> np.ndarray:
    """What a kernel makes that reverses 64 elements through shared memory."""
    x, y = noise(64), np.zeros(64, np.float32)
    run(kernel("reverse", REVERSE.format(barrier=barrier, source=source)), x, y, schedule=schedule)
    return y


# --- one kernel -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ALL_SCHEDULES)
def test_barriers_hold(schedule: str) -> None:
    np.testing.assert_array_equal(reversed_by("__syncthreads();", "63 - i", schedule), noise(64)[::-1])
    np.testing.assert_array_equal(reversed_by("__syncwarp();", "i ^ 31", schedule)[:32], noise(64)[31::-1])


@pytest.mark.parametrize("schedule", ["greedy", "reversed"])
def test_a_missing_barrier_shows(schedule: str) -> None:
    assert np.isnan(reversed_by("__syncwarp();", "63 - i", schedule)).sum() == 32
    assert np.isnan(reversed_by("", "i ^ 31", schedule)).sum() == 32


@pytest.mark.parametrize("schedule", ALL_SCHEDULES)
def test_warps_exchange_values(schedule: str) -> None:
    body = """const unsigned all = 0xffffffffu;
    float sum = x[threadIdx.x];
    for (int lanes = 16; lanes; lanes /= 2) sum += __shfl_xor_sync(all, sum, lanes);
    const float next = __shfl_down_sync(all, x[threadIdx.x], 1), last = __shfl_sync(all, x[threadIdx.x], 3, 8);
    const float before = __shfl_up_sync(all, x[threadIdx.x], 2, 16);
    y[threadIdx.x] = sum + next + last + before + __any_sync(all, x[threadIdx.x] > 62);"""
    x, y = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
    run(kernel("exchange", body), x, y, schedule=schedule)
    lane, warp = np.arange(64) % 32, np.arange(64) // 32
    total = x.reshape(2, 32).sum(1)[warp] + np.where(lane < 31, x + 1, x) + (x // 8 * 8 + 3)
    np.testing.assert_array_equal(y, total + np.where(lane % 16 >= 2, x - 2, x) + warp)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("if (threadIdx.x < 40) __syncthreads();", r"barriers diverge .* \(line 2\), thread 40 has ended"),
        ("if (threadIdx.x < 40) __syncthreads();\nelse __syncthreads();", r"line 2\), thread 40 .* \(line 3\)"),
        ("if (threadIdx.x > 2) return;\ny[0] = __shfl_sync(0xffffffffu, x[0], 0);", "diverge"),
        ("if (threadIdx.x < 32) y[0] = __shfl_sync(7, x[0], 0);", "lanes that are not there|diverge"),
        ("if (threadIdx.x < 2) y[0] = __shfl_sync(3, x[0], 7);", "line 2: thread 0 reads lane 7, which takes no part"),
        ("y[0] = ((const float4*)(x + 1))->x;", "misaligned address 0x.* at line 2; block .0, 0, 0., thread .0, 0, 0."),
        ("y[0] = 1 / (int)(blockIdx.x * threadIdx.x);", "division of 1 by zero at line 2"),
    ],
)
def test_faults_have_a_name(body: str, message: str) -> None:
    x, y = np.zeros(64, np.float32), np.zeros(64, np.float32)
    with pytest.raises(KernelFault, match=message):
        run(kernel("faulty", body), x, y)


COPY = """__shared__ __align__(16) float tile[2][64];
    const int i = threadIdx.x;
    if (i < 16) copy_bytes<16>(tile[0] + 4 * i, x + 4 * i);
    close_group();
    if (i < 16) copy_bytes<16>(tile[1] + 4 * i, x + 4 * i);
    close_group();
    await_groups<{left}>();
    {barrier}
    y[i] = tile[{half}][63 - i];
    {end}"""


def copied(left: int, half: int, barrier: str = "__syncthreads();", end: str = "await_groups<0>();") -> np.ndarray:
    """What a kernel makes that reverses 64 elements of which there are two copies in shared memory."""
    x, y = noise(64), np.zeros(64, np.float32)
    made = kernel("copy", COPY.format(left=left, half=half, barrier=barrier, end=end))
    run(Kernel("copy", unit("copy", "pipe.cuh").text + made.text), x, y)
    return y


def test_copies_are_there_once_they_are_waited_for() -> None:
    for left, half in ((0, 0), (0, 1), (1, 0)):
        np.testing.assert_array_equal(copied(left, half), noise(64)[::-1])


def test_copies_that_are_not_waited_for_show() -> None:
    assert np.isnan(copied(1, 1)).any()
    assert np.isnan(copied(2, 0)).any()
    assert np.isnan(copied(0, 0, barrier="")).any()  # others see them after a barrier only


def test_a_thread_that_ends_before_its_copies() -> None:
    with pytest.raises(KernelFault, match="thread 0 ends before 1 of its copies do"):
        copied(1, 0, end="")


def test_shared_memory_starts_with_nan_in_each_block() -> None:
    body = """__shared__ float fixed[4];
    DYNAMIC_SHARED(float, sized);
    y[blockIdx.x * 2] = fixed[3];
    y[blockIdx.x * 2 + 1] = sized[5];
    fixed[3] = sized[5] = 1;"""
    y = np.zeros(6, np.float32)
    built(kernel("fresh", body))((3, 1, 1), (1, 1, 1), 24, [0, y.ctypes.data])
    assert np.isnan(y).all()


def test_more_dynamic_shared_memory_than_there_is() -> None:
    with pytest.raises(KernelFault, match="wrote past its 24 bytes of dynamic shared memory"):
        run(kernel("past", "DYNAMIC_SHARED(float, sized); sized[6] = 1;"), np.zeros(1), np.zeros(1), shared=24)


def test_what_can_t_be_launched() -> None:
    function, device = (
        built(kernel("nothing", "__shared__ double k[4096]; y[0] = k[threadIdx.x];")),
        HostDevice(arch=75),
    )
    for grid, block, shared in (
        ((0, 1, 1), 1, 0),
        ((1, 65536, 1), 1, 0),
        ((1, 1, 1), 1025, 0),
        ((1, 1, 1), 1, 33 << 10),
    ):
        with pytest.raises(KernelFault, match="nothing can't be launched"):
            device.launch(function, grid, (block, 1, 1), shared, [0, 0])


@pytest.mark.parametrize(
    ("body", "kind"),
    [("y[threadIdx.x] = x[threadIdx.x + 1];", "READ"), ("y[threadIdx.x + 1] = x[threadIdx.x];", "WRITE")],
)
def test_sanitizer_names_the_line_of_an_overrun(body: str, kind: str) -> None:
    if sanitized.environment() is None:
        pytest.skip("no libasan beside g++")
    program = f"""
        import numpy as np
        from tests.delegates.gpu.test_emulator import kernel, run
        run(kernel("right", "y[threadIdx.x] = x[threadIdx.x];"), np.ones(64, np.float32), np.ones(64, np.float32))
        print("until here")
        run(kernel("overrun", {body!r}), np.ones(64, np.float32), np.ones(64, np.float32))
        print("and on")
    """
    done = sanitized.run("-c", textwrap.dedent(program))
    assert done.stdout == "until here\n", done.stderr
    assert "heap-buffer-overflow" in done.stderr
    assert f"{kind} of size 4" in done.stderr
    assert "overrun:2" in done.stderr


# --- streams ----------------------------------------------------------------------------------------------------------

ADD_ONE = kernel("add_one", "y[threadIdx.x] = x[threadIdx.x] + 1;")


def chained(seed: int, is_ordered: bool) -> list[float]:
    """Two kernels on two streams, of which the second reads what the first makes."""
    device = HostDevice(seed=seed)
    memory, out = device.memory(12), np.zeros(1, np.float32)
    x, y, z = (device.array(memory, 4 * i, [1], np.dtype(np.float32)) for i in range(3))
    function, first, second = device.load([ADD_ONE])[0], device.stream(), device.stream()
    with device.using(first):
        device.copy_in(x, np.float32([1]))
        device.launch(function, (1, 1, 1), (1, 1, 1), 0, [device.address(x), device.address(y)])
        made = device.record()
    with device.using(second):
        if is_ordered:
            device.wait(made)
        device.launch(function, (1, 1, 1), (1, 1, 1), 0, [device.address(y), device.address(z)])
        device.copy_out(out, z)
        device.synchronize()
    return out.tolist()


def test_a_missing_wait_shows() -> None:
    assert all(chained(seed, True) == [3] for seed in range(20))
    assert 0 < sum(chained(seed, False) == [3] for seed in range(20)) < 20


def test_work_runs_when_somebody_waits() -> None:
    device, out = HostDevice(), np.zeros(2, np.float32)
    memory, source = device.memory(8), np.float32([1, 2])
    x = device.array(memory, 0, [2], np.dtype(np.float32))
    with device.using(device.stream()):
        device.copy_in(x, source)
        source[:] = 5
        device.copy_out(out, x)
        assert out.tolist() == [0, 0]
        device.await_event(device.record())
    assert out.tolist() == [5, 5]
    assert (device.copies_in, device.copies_out) == (1, 1)


def test_array_code_comes_after_what_is_queued() -> None:
    device = HostDevice()
    x: Any = device.array(device.memory(4), 0, [1], np.dtype(np.float32))
    with device.using(device.stream()):
        device.copy_in(x, np.float32([3]))
        doubled = x * 2
        device.copy_in(x, np.float32([4]))
    assert doubled.get() == [6]


def test_host_code_can_t_look_into_arrays() -> None:
    array = HostDevice().xp.empty(3, np.float32)
    for touch in (float, np.asarray, list, bool):
        with pytest.raises(HostAccessError):
            touch(array)
    assert np.isnan(array.get()).all()


@pytest.mark.parametrize(
    "act",
    [
        lambda device, array: device.memory(4),
        lambda device, array: device.pinned(4),
        lambda device, array: device.copy_in(array, np.zeros(1, np.float32)),
        lambda device, array: device.copy_out(np.zeros(1, np.float32), array),
        lambda device, array: device.synchronize(),
        lambda device, array: device.record(),
        lambda device, array: device.load([ADD_ONE]),
        lambda device, array: device.begin_capture(),
        lambda device, array: device.xp.empty(3),
        lambda device, array: device.xp.exp(array),
        lambda device, array: array + 1,
        lambda device, array: array.get(),
    ],
)
def test_what_capture_refuses(act: Callable[[Any, Any], Any]) -> None:
    device = HostDevice()
    array = device.xp.zeros(1, np.float32)
    with device.using(device.stream()):
        device.begin_capture()
        with pytest.raises(CaptureFault):
            act(device, array)
        device.end_capture()
        device.synchronize()


def test_captured_launches_run_when_replayed() -> None:
    device = HostDevice()
    x = device.xp.zeros(1, np.float32)
    function = device.load([ADD_ONE])[0]
    with device.using(device.stream()):
        device.begin_capture()
        device.launch(function, (1, 1, 1), (1, 1, 1), 0, [device.address(x), device.address(x)])
        graph = device.end_capture()
        device.synchronize()
        assert device.launches == 0
        for _ in range(3):
            device.replay(graph)
        assert x.get() == [3]
    assert (device.launches, device.replays) == (3, 3)


def test_memory_is_limited_and_comes_back() -> None:
    device = HostDevice(limit=100)
    kept, dropped = device.memory(60), device.memory(40)
    with pytest.raises(LimitError, match="no 1 bytes left"):
        device.memory(1)
    del dropped
    assert device.memory(40).nbytes + kept.nbytes == 100


# --- whole models -----------------------------------------------------------------------------------------------------


def cumsum_as(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Check a model whose CUMSUM becomes a launch of this kernel; its operand is four times 2."""
    made = kernel("planted", body)

    def lower(site: Site) -> None:
        site.launch(made, 1, 4, site.ins[0], site.out)

    monkeypatch.setitem(LOWERINGS, Cumsum, [Lowering(lower)])
    b = GraphBuilder()
    x = b.input(F32, [4])
    check(b.graph([b.add("CUMSUM", [x, b.constant(np.int32(0))])]), [np.full(4, 2, np.float32)], launches=1)


def test_a_planted_kernel_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    cumsum_as(monkeypatch, "y[threadIdx.x] = (threadIdx.x + 1) * x[threadIdx.x];")
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        cumsum_as(monkeypatch, "y[threadIdx.x] = threadIdx.x * x[threadIdx.x];")


def test_results_that_depend_on_the_order_of_threads_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match=r"reversed: output 0 differs .* at 3 of 4 places"):
        cumsum_as(
            monkeypatch, "__shared__ int turn; if (threadIdx.x == 2) turn = 1; y[threadIdx.x] = turn; __syncthreads();"
        )


def test_a_missing_write_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="nan location mismatch"):
        cumsum_as(monkeypatch, "if (threadIdx.x != 3) y[threadIdx.x] = (threadIdx.x + 1) * x[threadIdx.x];")


@pytest.mark.parametrize(("index", "byte"), [(-1, -4), (4, 16), (67, 268)])
def test_a_write_beside_a_result_shows(index: int, byte: int, monkeypatch: pytest.MonkeyPatch) -> None:
    right = "y[threadIdx.x] = (threadIdx.x + 1) * x[threadIdx.x];"
    with pytest.raises(KernelFault, match=f"planted wrote byte {byte} of a result of 16 bytes"):
        cumsum_as(monkeypatch, f"{right} y[{index}] = 5;")


def test_check_runs_a_graph_and_a_case() -> None:
    b = GraphBuilder()
    x, y = b.input(F32, [2, 3, 4]), b.input(F32, [3, 1])
    total = b.add("ADD", [x, y], [2, 3, 4], fused_activation_function=1)
    check(b.graph([b.add("MUL", [total, total])]), [noise(2, 3, 4), noise(3, 1)], launches=1)
    assert check(Case("SUB", [noise(4), noise(4)]), launches=1).array_steps == ()


def test_calls_of_several_threads() -> None:
    interpreter = lite.Interpreter(model_content=add_sub(), device="cpu", delegates=[EmulatedGpuDelegate()])
    runners = {name: interpreter.get_signature_runner(name) for name in ("add", "sub")}

    def calls(seed: int) -> None:
        for turn in range(12):
            a, b = noise(3 + seed % 2, seed=seed + turn), noise(3 + seed % 2, seed=seed - turn + 50)
            np.testing.assert_array_equal(runners["add"](x=a, y=b)["sum"], a + b)
            np.testing.assert_array_equal(runners["sub"](a=a, b=b)["diff"], a - b)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(calls, range(8)))


def test_check_finds_a_node_without_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(LOWERINGS, Cumsum, raising=False)
    b = GraphBuilder()
    x = b.input(F32, [4])
    graph = b.graph([b.add("CUMSUM", [x, b.constant(np.int32(0))])])
    assert check(graph, [noise(4)], array_steps=1, launches=0).array_steps == ("CUMSUM: it has no kernel.",)
    with pytest.raises(AssertionError, match=r"1 array steps.*CUMSUM"):
        check(graph, [noise(4)])

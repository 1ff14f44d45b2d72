"""Ways that are timed, on the emulated device with a clock that goes by the kernel."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model
from tests.delegates.gpu.checks import call, compare, interpreter_of, noise
from tests.emulator.device import EmulatedGpuDelegate, HostDevice
from tflite_cupy.delegates.gpu import wishes_tuning
from tflite_cupy.delegates.gpu.kernels.tiles import PIPELINED
from tflite_cupy.delegates.gpu.listing import Gemm, Launch
from tflite_cupy.delegates.gpu.tuning import Tuner
from tflite_cupy.interpreter.errors import InputError, KernelError

ROWS, DEPTH, UNITS = 40, 136, 24


class Timed(HostDevice):
    """Takes as long as `seconds` says of the kernel that was launched last, None for a product of a library."""

    def __init__(self, seconds: Callable[[Any], float], **options: Any) -> None:
        super().__init__(**options)
        self.seconds, self.timings = seconds, 0
        self.last: Any = None
        self.elapsed = self._elapsed

    def launch(self, function: Any, *arguments: Any) -> None:
        self.last = function.kernel
        super().launch(function, *arguments)

    def gemm(self, *arguments: Any) -> None:
        self.last = None
        super().gemm(*arguments)

    def _elapsed(self, start: Any, end: Any) -> float:
        self.timings += 1
        return self.seconds(self.last)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("CUPY_CACHE_IN_MEMORY", raising=False)
    monkeypatch.delenv("TFLITE_CUPY_TUNE", raising=False)
    return tmp_path


def rows_of(kernel: Any) -> int:
    """Of the tiles that a kernel makes."""
    found = re.search(r"^#define ROWS (\d+)$", kernel.text, re.M)
    assert found
    return int(found[1])


def planned(device: HostDevice, **options: Any) -> Sequence[Any]:
    """Runs a product on a device, and checks it; what it is made of."""
    b = GraphBuilder()
    y = b.add("FULLY_CONNECTED", [b.input(F32, [ROWS, DEPTH]), b.constant(noise(UNITS, DEPTH)), -1], [ROWS, UNITS])
    content, feeds = lite.write_model(model(b.graph([y]))), [noise(ROWS, DEPTH, seed=1)]
    delegate = EmulatedGpuDelegate(device, tune=True, **options)
    (got,) = call(interpreter_of(content, feeds, delegate), feeds)
    compare(got, call(interpreter_of(content, feeds), feeds)[0], 1e-5, 1e-5)
    (program,) = delegate.programs
    return [step for step in program.listing.steps if "gemm" in step.name]


@pytest.mark.parametrize("fastest", [16, 64])
def test_the_fastest_way_is_taken(fastest: int) -> None:
    (launch,) = planned(Timed(lambda kernel: 1.0 if kernel and rows_of(kernel) == fastest else 2.0))
    assert rows_of(launch.kernel) == fastest


def test_a_library_is_a_way() -> None:
    (product,) = planned(Timed(lambda kernel: 2.0 if kernel else 1.0))
    assert isinstance(product, Gemm)
    (launch,) = planned(Timed(lambda kernel: 2.0 if kernel else 1.0), library=False)
    assert isinstance(launch, Launch)


def test_times_are_kept_for_the_next_process(folder: Path) -> None:
    first, second = (Timed(lambda kernel: 1.0 / rows_of(kernel), gemms=None) for _ in range(2))
    planned(first)
    (path,) = folder.glob("*.tflite-cupy")
    (launch,) = planned(second)
    assert (first.timings, second.timings) == (4 * 6, 0)
    assert rows_of(launch.kernel) == 128
    path.write_bytes(b"damaged")
    third = Timed(lambda kernel: float(rows_of(kernel)), gemms=None)
    (launch,) = planned(third)
    assert third.timings > 0
    assert rows_of(launch.kernel) == 16


def test_a_kernel_that_has_changed_is_timed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    planned(Timed(lambda _: 1.0, gemms=None))
    tiles = PIPELINED["strict"]
    monkeypatch.setitem(PIPELINED, "strict", tiles[:1])
    alone, fewer = Timed(lambda _: 1.0, gemms=None), Timed(lambda _: 1.0, gemms=None)
    planned(alone)
    assert alone.timings == 0  # there is nothing to choose
    monkeypatch.setitem(PIPELINED, "strict", tiles[2:])
    planned(fewer)
    assert fewer.timings == 2 * 6


def test_ways_that_fail_are_left_out() -> None:
    class Broken(Timed):
        def launch(self, function: Any, *arguments: Any) -> None:
            if rows_of(function.kernel) != 32:
                raise KernelError("refused")
            super().launch(function, *arguments)

    device = Broken(lambda _: 1.0, gemms=None)
    b = GraphBuilder()
    y = b.add("FULLY_CONNECTED", [b.input(F32, [ROWS, DEPTH]), b.constant(noise(UNITS, DEPTH)), -1], [ROWS, UNITS])
    content = lite.write_model(model(b.graph([y])))
    delegate = EmulatedGpuDelegate(device, tune=True)
    lite.Interpreter(model_content=content, device="cpu", delegates=[delegate]).allocate_tensors()
    (program,) = delegate.programs
    steps: list[Any] = [step for step in program.listing.steps if step.name == "gemm"]
    assert [rows_of(step.kernel) for step in steps] == [32]


def test_where_no_way_runs_the_first_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> Any:
        raise KernelError("no streams")

    device = HostDevice()
    monkeypatch.setattr(device, "stream", refuse)
    assert Tuner(device).pick("nothing", {"first": [], "second": []}) == "first"


@pytest.mark.parametrize(("said", "asked", "wished"), [
    ("", None, False), ("0", None, False), ("1", None, True), ("1", False, False), ("0", True, True),
])  # fmt: skip
def test_tuning_is_asked_for(said: str, asked: bool | None, wished: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFLITE_CUPY_TUNE", said)
    assert wishes_tuning(asked) is wished


def test_an_unknown_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFLITE_CUPY_TUNE", "yes")
    with pytest.raises(InputError, match="TFLITE_CUPY_TUNE is 'yes', expected 0 or 1"):
        wishes_tuning(None)

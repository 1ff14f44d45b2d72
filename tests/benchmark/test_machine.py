from __future__ import annotations

import mmap

import pytest

from tflite_cupy.benchmark.machine import forget_peak, has_memory, machine, memory, processors, version_of


def test_what_numbers_hold_for() -> None:
    found = machine()
    assert found["processors"] == processors() >= 1
    assert found["numpy"] == version_of("numpy")
    assert version_of("a-package-that-nobody-has-made") is None


def test_the_peak_starts_anew() -> None:
    if not has_memory():
        pytest.skip("this system does not tell a process its memory")
    size = 64 << 20
    with mmap.mmap(-1, size) as held:
        held.write(b"\1" * size)
    assert memory("VmHWM") > memory("VmRSS") + size // 2
    forget_peak()
    assert memory("VmHWM") < memory("VmRSS") + size // 2

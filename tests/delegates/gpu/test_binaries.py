"""Kernels as machine code: for which devices, and what is kept of them on disk. Needs NVRTC and no GPU."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tflite_cupy.delegates.gpu.binaries import machine_code
from tflite_cupy.delegates.gpu.cupy_device import import_cupy
from tflite_cupy.delegates.gpu.kernel import Kernel
from tflite_cupy.interpreter.errors import KernelError

SCALE = Kernel("scale", 'extern "C" __global__ void scale(float* x) { x[threadIdx.x] = x[threadIdx.x] * 0.5f + 1; }')


class Nvrtc:
    """CuPy's, which counts what is built."""

    def __init__(self, nvrtc: Any) -> None:
        self._nvrtc, self.built = nvrtc, 0

    def __getattr__(self, name: str) -> Any:
        self.built += name == "compileProgram"
        return getattr(self._nvrtc, name)


@pytest.fixture
def nvrtc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nvrtc:
    try:
        found = import_cupy().cuda.nvrtc
        found.getVersion()
    except (ImportError, RuntimeError, OSError) as error:
        pytest.skip(f"no NVRTC: {error}")
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("CUPY_CACHE_IN_MEMORY", raising=False)
    return Nvrtc(found)


def test_denormal_numbers_are_numbers_and_nothing_is_contracted(nvrtc: Nvrtc) -> None:
    text = machine_code(nvrtc, SCALE, 9999).decode()  # PTX, for a device that is yet to come
    assert "mul.f32" in text or "mul.rn.f32" in text
    assert "ftz" not in text
    assert "fma" not in text


def test_a_cubin_for_devices_that_nvrtc_knows(nvrtc: Nvrtc) -> None:
    assert machine_code(nvrtc, SCALE, 90).startswith(b"\x7fELF")


def test_what_was_built_is_kept_by_text_and_architecture(nvrtc: Nvrtc, tmp_path: Path) -> None:
    first = machine_code(nvrtc, SCALE, 90)
    assert machine_code(nvrtc, SCALE, 90) == first
    assert nvrtc.built == 1
    machine_code(nvrtc, SCALE, 80)
    machine_code(nvrtc, Kernel("scale", SCALE.text + "\n"), 90)
    assert nvrtc.built == 3
    assert len(list((tmp_path / "cache").iterdir())) == 3


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:10], lambda b: b"", lambda b: b[:-1] + b"?"])
def test_a_damaged_file_is_built_again(nvrtc: Nvrtc, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    first = machine_code(nvrtc, SCALE, 90)
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert machine_code(nvrtc, SCALE, 90) == first
    assert nvrtc.built == 2
    assert machine_code(nvrtc, SCALE, 90) == first
    assert nvrtc.built == 2


def test_nothing_is_kept_where_that_is_not_wanted_or_not_possible(
    nvrtc: Nvrtc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    machine_code(nvrtc, SCALE, 90)
    (tmp_path / "cache").unlink()
    monkeypatch.setenv("CUPY_CACHE_IN_MEMORY", "1")
    machine_code(nvrtc, SCALE, 90)
    assert nvrtc.built == 2
    assert not (tmp_path / "cache").exists()


def test_threads_may_build_the_same_kernels(nvrtc: Nvrtc) -> None:
    with ThreadPoolExecutor(4) as pool:
        codes = set(pool.map(lambda _: machine_code(nvrtc, SCALE, 90), range(8)))
    assert len(codes) == 1


def test_an_error_has_the_compilers_words(nvrtc: Nvrtc) -> None:
    with pytest.raises(KernelError, match=r'kernel f can\'t be built with .*sm_90: (?s:.)*"h" is undefined'):
        machine_code(nvrtc, Kernel("f", 'extern "C" __global__ void f() { h(); }'), 90)

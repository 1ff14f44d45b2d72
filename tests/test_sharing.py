"""Interpreters of one file share what never changes."""

from __future__ import annotations

import errno
import gc
import mmap
import os
from pathlib import Path

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model
from tests.residency import needs_maps, resident_kb
from tflite_cupy.interpreter import sharing
from tflite_cupy.interpreter.format.model import load_model


def half_weights(seed: int = 0) -> bytes:
    """x @ w, with w of 256 KB as half-precision floats."""
    b, rng = GraphBuilder(), np.random.default_rng(seed)
    x = b.input(F32, [1, 256], "x")
    half = b.constant(rng.normal(size=(512, 256)).astype(np.float16))
    (weights,) = b.op("DEQUANTIZE", [half], [b.tensor(F32, [512, 256])])
    return lite.write_model(model(b.graph([b.add("FULLY_CONNECTED", [x, weights, -1], [1, 512])])))


def folded(interpreter: lite.Interpreter) -> np.ndarray:
    """The weights as floats."""
    interpreter.allocate_tensors()
    plan = interpreter._engine.latest_plan(interpreter.model.graphs[0])
    (weights,) = (s.value for s in plan.resolved.specs if s.shape == (512, 256) and s.type is F32)
    assert weights is not None
    value: np.ndarray = weights
    return value


def test_a_file_is_mapped_once(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(half_weights(0))
    first, second = load_model(path), load_model(str(path))
    assert first.keepalive is second.keepalive
    other = tmp_path / "other.tflite"
    other.write_bytes(half_weights(1))
    os.replace(other, path)
    third = load_model(path)
    assert third.keepalive is not first.keepalive
    assert not np.array_equal(third.graphs[0].tensors[1].data, first.graphs[0].tensors[1].data)


def test_folded_constants_are_one_copy_until_nobody_has_them() -> None:
    before = set(sharing._arrays)
    first, second, other = (lite.Interpreter(model_content=half_weights(seed), device="cpu") for seed in (0, 0, 1))
    assert folded(first) is folded(second)
    assert folded(first) is not folded(other)
    assert len(set(sharing._arrays) - before) >= 2
    del first, second, other
    gc.collect()
    assert set(sharing._arrays) <= before


def test_closing_gives_packed_weights_back() -> None:
    before = set(sharing._arrays)
    with lite.Interpreter(model_content=half_weights(), device="cpu") as interpreter:
        interpreter.allocate_tensors()
        interpreter.invoke()
        assert set(sharing._arrays) - before
    gc.collect()
    assert set(sharing._arrays) <= before


@needs_maps
def test_all_pages_of_a_file_go_once_enough_was_released(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(3 * sharing.SOME))
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    content = np.frombuffer(mapped, np.uint8)

    def resident_after(*parts: np.ndarray) -> bool:
        assert not content.any()  # which reads all of it
        for part in parts:
            sharing.release(part)
        return resident_kb(path) > 0

    assert resident_after(content[:4096])
    sharing.settle()
    assert not resident_kb(path)
    assert not resident_after(content[: sharing.SOME])
    half = sharing.SOME // 2
    assert resident_after(content[:half])
    assert not resident_after(content[half : 2 * half])
    assert sharing.own(content[:100]).base is None
    assert sharing.own(content) is content


def test_released_constants_of_a_file_read_the_same(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(half_weights())
    constants = [tensor.data for tensor in load_model(path).graphs[0].tensors if tensor.data is not None]
    before = [array.copy() for array in constants]
    for array in (*constants, constants[0][:0], constants[0][1:], constants[0].T, np.ones(3)):
        sharing.release(array)
    for array, values in zip(constants, before, strict=True):
        np.testing.assert_array_equal(array, values)


@pytest.mark.skipif(not hasattr(mmap, "MAP_PRIVATE"), reason="the system has no private mappings")
def test_what_is_written_to_a_private_mapping_stays(tmp_path: Path) -> None:
    content, path = half_weights(), tmp_path / "model.tflite"
    path.write_bytes(bytes(len(content)))
    with path.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    mapped[:] = content
    with lite.Interpreter(model_content=memoryview(mapped), device="cpu") as interpreter:
        folded(interpreter)
        interpreter.invoke()
    assert mapped[:] == content


def test_pages_that_the_system_keeps_are_no_error(tmp_path: Path) -> None:
    """As where a process has locked all that it maps."""

    class Locked(mmap.mmap):
        def madvise(self, *_: int) -> None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    path = tmp_path / "large"
    path.write_bytes(bytes(2 * sharing.SOME))
    with path.open("rb") as file:
        content = np.frombuffer(Locked(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    sharing.release(content)
    sharing.release(content[:10])
    sharing.settle()
    assert not content.any()

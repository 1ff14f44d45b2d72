"""What a model can be loaded from, and what is and is not copied."""

from __future__ import annotations

import gc
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.build import F32, GraphBuilder
from tests.build import model as built
from tests.format.samples import convolution, difference, strings
from tests.format.surgery import Patient, edited, part
from tflite_cupy.interpreter.errors import InputError, ModelError, TfliteError
from tflite_cupy.interpreter.format import tensors
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Model


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(write_model(convolution()))
    return path


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview, lambda data: memoryview(data + data)[: len(data)]])
def test_bytes(make: Callable[[bytes], Any]) -> None:
    data = write_model(convolution())
    assert difference(load_model(make(data)), load_model(data)) is None


def test_a_view_with_steps() -> None:
    data = write_model(convolution())
    spread = bytearray(2 * len(data))
    spread[::2] = data
    assert difference(load_model(memoryview(spread)[::2]), load_model(data)) is None


def test_a_path(file: Path) -> None:
    data = file.read_bytes()
    for source in (file, str(file)):
        assert difference(load_model(source), load_model(data)) is None


def test_a_file_is_mapped_and_its_constants_are_views(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "SMALL", 0)
    model = load_model(file)
    assert isinstance(model.keepalive, mmap.mmap)
    held = np.frombuffer(model.keepalive, np.uint8)
    shared = {tensor.type.name for tensor in constants(model) if np.shares_memory(tensor.data, held)}
    copied = {tensor.type.name for tensor in constants(model) if not np.shares_memory(tensor.data, held)}
    assert shared == {"INT8", "INT32", "FLOAT16", "FLOAT32"}
    assert copied == {"INT4", "INT32"}  # packed; without elements


def test_small_constants_leave_the_file_alone(tmp_path: Path) -> None:
    b, path = GraphBuilder(), tmp_path / "model.tflite"
    x = b.input(F32, [1, 300], "x")
    small, large = (np.arange(size, dtype=np.float32) for size in (1, 300))
    path.write_bytes(write_model(built(b.graph([b.add("ADD", [b.add("ADD", [x, b.constant(small)], [1, 300]),
                                                              b.constant(large)], [1, 300])]))))  # fmt: skip
    read = load_model(path)
    held = np.frombuffer(read.keepalive, np.uint8)
    assert [np.shares_memory(tensor.data, held) for tensor in constants(read)] == [False, True]
    for tensor, values in zip(constants(read), (small, large), strict=True):
        np.testing.assert_array_equal(tensor.data, values)
        assert not tensor.data.flags.writeable


def constants(model: Model) -> list[Any]:
    return [tensor for graph in model.graphs for tensor in graph.tensors if tensor.data is not None]


@pytest.mark.parametrize("make", [bytes, bytearray])
def test_constants_are_read_only(make: Callable[[bytes], bytes], file: Path) -> None:
    for source in (make(file.read_bytes()), file):
        for tensor in constants(load_model(source)):
            assert not tensor.data.flags.writeable
            with pytest.raises(ValueError, match="read-only"):
                tensor.data[...] = 0


def test_constants_outlive_the_model_and_the_file(file: Path) -> None:
    model = load_model(file)
    data = model.graphs[0].tensors[1].data
    expected = convolution().graphs[0].tensors[1].data
    os.unlink(file)
    del model
    gc.collect()
    assert data is not None
    assert expected is not None
    assert data.tolist() == expected.tolist()


def test_constants_at_any_alignment() -> None:
    """Official files align to 4 bytes; int64 and float64 constants in them are not where NumPy wants them."""
    data = write_model(strings())
    for shift in range(1, 8):
        padded = bytes(shift) + data
        model = load_model(memoryview(padded)[shift:])
        assert all(tensor.data.flags.aligned for tensor in constants(model))
        assert difference(model, load_model(data)) is None


@pytest.mark.parametrize("name", ["missing.tflite", "no/such/folder", "", "nul\0"])
def test_missing_files(name: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(name)
    assert str(caught.value).startswith(f"Could not open '{name}'.")
    assert isinstance(caught.value, ValueError)


def test_folders_and_pipes_are_no_files(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        with pytest.raises(ModelError) as caught:
            load_model(path)
        assert str(caught.value).startswith(f"Could not open '{path}'.")


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.tflite"
    path.touch()
    with pytest.raises(ModelError, match="The model is not a valid Flatbuffer buffer"):
        load_model(path)


@pytest.mark.parametrize("source", [None, 3, 1.5, ["model.tflite"]])
def test_other_sources(source: Any) -> None:
    with pytest.raises(InputError, match="a path or bytes"):
        load_model(source)


def test_constants_past_4_gib(tmp_path: Path) -> None:
    """Positions are 64 bits wide; the file is a hole but for its two ends."""
    patient = Patient(write_model(convolution(), inline_limit=0))
    weights = convolution().graphs[0].tensors[1].data
    assert weights is not None
    far = 5 * 2**30
    path = tmp_path / "large.tflite"
    path.write_bytes(patient.put("<Q", patient.field("Buffer", "offset", 1), far).data)
    with path.open("r+b") as file:
        file.seek(far)
        file.write(weights.tobytes())
    loaded = load_model(path).graphs[0].tensors[1].data
    assert loaded is not None
    assert loaded.tolist() == weights.tolist()


def test_errors_do_not_keep_the_next_model_from_loading() -> None:
    data = write_model(strings())
    for end in (0, 8, 100, len(data) // 2):
        with pytest.raises(TfliteError):
            load_model(data[:end])
    assert difference(load_model(data), load_model(data)) is None


def test_unknown_ranks_and_scalars() -> None:
    """Schema: a shape of [] is a scalar only if has_rank says so."""

    def edit(root: Any) -> None:
        part(root, "subgraphs[0].tensors[0]").update(shape=(), shape_signature=None, has_rank=False)

    tensors = load_model(edited(strings(), edit)).graphs[0].tensors
    assert tensors[0].dims is None
    assert tensors[3].dims == ()
    assert tensors[2].dims == (2, 3)


def test_names_of_operators() -> None:
    model = load_model(write_model(strings()))
    flex, gather = model.graphs[0].nodes
    assert (flex.name, flex.custom, dict(flex.attributes)) == ("FlexStringUpper", True, {})
    assert (gather.name, gather.custom, gather.custom_options) == ("GATHER", False, b"")
    assert dict(gather.attributes) == {"axis": 0, "batch_dims": 0}

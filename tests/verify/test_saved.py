"""Outputs that were saved stand for a runtime."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.build import F32, GraphBuilder, model
from tests.models import add_sub, one_signature, passthrough
from tests.verify.wrong import noise
from tflite_cupy.interpreter.errors import InputError
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.runtimes import open_runtime
from tflite_cupy.verify import compare_runtimes
from tflite_cupy.verify.saved import read_archive

X = np.float32([[1, 2, 3], [4, 5, 6]])


def right() -> dict[str, np.ndarray]:
    return open_runtime("numpy", one_signature()).call(None, {"x": X})


def test_saved_outputs_agree(tmp_path: Path) -> None:
    path = tmp_path / "outputs.npz"
    np.savez(path, **right())
    comparison = compare_runtimes(one_signature(), "numpy", str(path), inputs={"x": X})
    assert comparison.passed
    assert (comparison.reference, comparison.samples) == (str(path), 1)


def test_saved_outputs_that_differ_fail_and_no_node_is_named() -> None:
    wrong = {"serving_default/y": right()["y"] + np.float32(0.1)}
    comparison = compare_runtimes(one_signature(), "numpy", wrong, inputs={"x": X})
    (output,) = comparison.outputs
    assert output.verdict == "FAIL"
    assert output.divergence is None
    assert output.measure.absolute == pytest.approx(0.1, rel=1e-4)
    assert comparison.reference == "saved outputs"


def test_only_signatures_with_saved_outputs_are_called() -> None:
    given = {"add": {"x": np.float32([1]), "y": np.float32([2])}}
    comparison = compare_runtimes(add_sub(), "numpy", {"add/sum": np.array([3], np.float32)}, inputs=given)
    assert [(output.signature, output.verdict) for output in comparison.outputs] == [("add", "PASS")]
    with pytest.raises(InputError, match="holds no outputs of these signatures"):
        compare_runtimes(add_sub(), "numpy", {"add/sum": np.array([3], np.float32)}, signatures=["sub"])


def test_strings_come_back_as_they_were_saved() -> None:
    given = {"strings": {"s": np.array([b"a", b"bc"], object)}}
    saved = {"strings/row": np.array([[b"a", b"bc"]])}
    assert compare_runtimes(passthrough(), "numpy", saved, inputs=given).passed
    saved = {"strings/row": np.array([["a", "bd"]])}
    assert not compare_runtimes(passthrough(), "numpy", saved, inputs=given).passed


def test_an_output_that_is_random_in_the_candidate_is_random() -> None:
    (output,) = compare_runtimes(noise(), "numpy", {"y": np.zeros(8, np.float32)}).outputs
    assert output.verdict == "random"


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"total": np.zeros(1)}, r"'total', which is none of the model's outputs. They are: prod, sub/prod, diff"),
        ({"sub/sum": np.zeros(1)}, r"'sub/sum', which is none"),
    ],
)
def test_names_that_the_model_does_not_have_are_an_error(arrays: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_archive(arrays, load_model(add_sub()), "outputs")


def test_a_name_that_several_signatures_have_needs_one() -> None:
    b = GraphBuilder()
    x = b.input(F32, [2], "x")
    twice = model(b.graph([b.add("NEG", [x])]), signatures={"a": (0, {"x": x}, {"y": 1}), "b": (0, {"x": x}, {"y": 1})})
    with pytest.raises(InputError, match="several signatures have such outputs"):
        read_archive({"y": np.zeros(2, np.float32)}, twice, "outputs")
    assert list(read_archive({"y": np.zeros(2, np.float32)}, twice, "outputs", ["b"])) == ["b"]


def a_text(path: Path) -> None:
    path.write_bytes(b"nothing of the kind")


def one_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def objects(path: Path) -> None:
    np.savez(path, y=np.array([{}], object))


def damaged(path: Path) -> None:
    """A byte of an array is another one."""
    np.savez(path, **right())
    content = bytearray(path.read_bytes())
    content[content.index(right()["y"].tobytes())] ^= 255
    path.write_bytes(content)


def compressed_and_damaged(path: Path) -> None:
    np.savez_compressed(path, y=np.arange(5000.0))
    content = bytearray(path.read_bytes())
    content[100:400] = bytes(300)
    path.write_bytes(content)


def other_files(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("y", "text")


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (a_text, r"can't be read as a \.npz file"),
        (one_array, "can't be read as a .npz file: it holds one array"),
        (objects, r"can't be read as a \.npz file"),
        (damaged, r"can't be read as a \.npz file: Bad CRC-32"),
        (compressed_and_damaged, r"can't be read as a \.npz file"),
        (other_files, "holds 'y', which is no array"),
    ],
)
def test_a_file_that_is_no_archive_is_an_error(write: Callable[[Path], None], says: str, tmp_path: Path) -> None:
    path = tmp_path / "outputs.npz"
    write(path)
    with pytest.raises(InputError, match=says):
        compare_runtimes(one_signature(), "numpy", path)

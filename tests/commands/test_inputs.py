"""`--input`, `--input-shape` and `--seed`: what becomes of them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.build import F32, STRING, GraphBuilder, model
from tests.shell import Run
from tflite_cupy import write_model
from tflite_cupy.commands.arguments import UsageError
from tflite_cupy.commands.entry import Entry
from tflite_cupy.commands.inputs import read_inputs

X = {"dtype": np.float32, "shape": np.array([1, 3]), "shape_signature": np.array([-1, 3])}
N = {"dtype": np.int8, "shape": np.array([2]), "shape_signature": np.array([2])}
TEXT = {"dtype": np.bytes_, "shape": np.array([2]), "shape_signature": np.array([2])}


def read(*given: str, shapes: tuple[str, ...] = (), fill: bool = False, **details: Any) -> dict[str, np.ndarray]:
    arguments = argparse.Namespace(input=list(given), input_shape=list(shapes), seed=0)
    return read_inputs(arguments, Entry("s", details, {}, dict), fill=fill)


def test_made_up_data_has_the_declared_shape_or_the_one_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    values = read("x=random", "n=zeros", x=X, n=N)
    assert values["x"].shape == (1, 3)
    assert values["x"].dtype == np.float32
    assert values["n"].tolist() == [0, 0]
    assert capsys.readouterr().err.splitlines() == [
        "x: made-up data, float32 [1, 3], seed 0",
        "n: made-up data, int8 [2], zeros",
    ]
    assert read("x=zeros:4,3", x=X)["x"].shape == (4, 3)
    assert read("x=zeros", shapes=("x=5,3",), x=X)["x"].shape == (5, 3)
    assert read(shapes=("x=",), x=X)["x"].shape == ()


def test_inputs_that_are_not_named_are_made_up_where_that_is_asked_for() -> None:
    values = read("n=[1, 2]", fill=True, x=X, n=N)
    assert list(values) == ["x", "n"]
    assert values["n"].tolist() == [1, 2]
    with pytest.raises(UsageError, match="no value for 'x'"):
        read("n=[1, 2]", x=X, n=N)


def test_strings_are_made_up_as_digits_or_empty() -> None:
    assert read("t=zeros", t=TEXT)["t"].tolist() == [b"", b""]
    assert all(text.isdigit() for text in read("t=random", t=TEXT)["t"])


def test_arrays_of_npz_files(tmp_path: Path) -> None:
    both, one = tmp_path / "both.npz", tmp_path / "one.npz"
    np.savez(both, a=np.float32([[1, 2, 3]]), b=np.float32([[4, 5, 6]]))
    np.savez(one, a=np.float32([[7, 8, 9]]))
    assert read(f"x=@{both}[b]", x=X)["x"].tolist() == [[4, 5, 6]]
    assert read(f"x=@{one}", x=X)["x"].tolist() == [[7, 8, 9]]
    with pytest.raises(UsageError, match=r"holds the arrays a, b\. Name one: @.*\[a\]"):
        read(f"x=@{both}", x=X)
    with pytest.raises(UsageError, match=r"no array of .* is named 'c'.* There are: a, b"):
        read(f"x=@{both}[c]", x=X)


def test_files_that_are_none(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(UsageError, match=r"holds one array; leave \[a\] out"):
        read(f"x=@{tmp_path}/x.npy[a]", x=X)
    (tmp_path / "bad.npy").write_bytes(b"no array")
    with pytest.raises(UsageError, match=r"is no \.npy or \.npz file"):
        read(f"x=@{tmp_path}/bad.npy", x=X)
    np.savez(tmp_path / "objects.npz", a=np.array([{}], object))
    with pytest.raises(UsageError, match="can't be read"):
        read(f"x=@{tmp_path}/objects.npz", x=X)


@pytest.mark.parametrize(
    ("given", "shapes", "says"),
    [
        (("x=random",), ("x=2,-3",), "expected numbers with commas"),
        (("x=random",), ("y=2",), "no input is named 'y'"),
        (("x=random",), ("x",), "--input-shape x: expected name=value"),
        (("x=random",), ("x=1", "x=2"), "given twice"),
        (("x=[[1, 2, 3]]",), ("x=2,3",), "is for made-up data"),
    ],
)
def test_shapes_that_do_not_fit(given: tuple[str, ...], shapes: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read(*given, shapes=shapes, x=X)


def picture(path: Path, size: tuple[int, int]) -> Path:
    """A picture of which the left half is red, the right half black."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2, 0] = 255
    image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    ("dtype", "red", "black"), [(np.uint8, 255, 0), (np.int8, 127, -128), (np.float32, 1.0, 0.0), (np.int32, 255, 0)]
)
def test_pictures_are_scaled_as_their_type_wants(tmp_path: Path, dtype: Any, red: float, black: float) -> None:
    path = picture(tmp_path / "half.png", (8, 6))
    detail = {"dtype": dtype, "shape": np.array([1, 6, 8, 3]), "shape_signature": np.array([1, 6, 8, 3])}
    value = read(f"x=@{path}", x=detail)["x"]
    assert (value.dtype, value.shape) == (dtype, (1, 6, 8, 3))
    assert (value[0, :, :4, 0] == red).all()
    assert (value[0, :, :4, 1:] == black).all()
    assert (value[0, :, 4:] == black).all()


def test_pictures_are_resized_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = picture(tmp_path / "half.png", (64, 32))
    detail = {"dtype": np.float32, "shape": np.array([4, 8, 1]), "shape_signature": np.array([4, 8, 1])}
    value = read(f"x=@{path}", x=detail)["x"]
    assert value.shape == (4, 8, 1)
    assert value[:, 0, 0] == pytest.approx(0.2980, abs=0.002)  # the luma of red
    assert value[:, -1, 0] == pytest.approx(0)
    assert capsys.readouterr().err == f"x: {path}, 64 x 32 resized to 8 x 4, values 0 to 1\n"


def test_unknown_dimensions_take_the_size_of_the_picture(tmp_path: Path) -> None:
    path = picture(tmp_path / "half.png", (8, 6))
    detail = {"dtype": np.uint8, "shape": np.array([1, 1, 1, 3]), "shape_signature": np.array([-1, -1, -1, 3])}
    assert read(f"x=@{path}", x=detail)["x"].shape == (1, 6, 8, 3)


@pytest.mark.parametrize(
    ("detail", "says"),
    [
        (X, "has shape \\[-1, 3\\], a picture needs"),
        ({"dtype": np.float32, "shape": np.array([2, 4, 4, 3])}, "a picture needs"),
        ({"dtype": np.float32, "shape": np.array([1, 4, 4, 7])}, "a picture needs"),
        ({"dtype": np.bool_, "shape": np.array([1, 4, 4, 3])}, "takes bool, which no picture can be"),
    ],
)
def test_inputs_that_no_picture_fits(tmp_path: Path, detail: Mapping[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read(f"x=@{picture(tmp_path / 'half.png', (8, 6))}", x=detail)


def test_what_is_no_picture(tmp_path: Path) -> None:
    pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match="is no picture that can be read"):
        read(f"x=@{tmp_path}/bad.png", x={"dtype": np.uint8, "shape": np.array([1, 4, 4, 3])})


def test_the_flags_of_benchmark_model_name_the_same(run: Run, tmp_path: Path) -> None:
    b = GraphBuilder()
    x, t = b.input(F32, [2], "x"), b.input(STRING, [1], "t")
    graph = b.graph([b.add("NEG", [x]), t])
    signatures = {key: (0, {"x": x, "t": t}, {"y": 2}) for key in ("one", "two")}
    path = tmp_path / "model.tflite"
    path.write_bytes(write_model(model(graph, signatures=signatures)))
    words = ["--signature_to_run_for=two", "--num_threads=1", "--input", "x=[1, -2]", "--input", "t=zeros"]
    code, out, _ = run("run", f"--graph={path}", *words)
    assert (code, out) == (0, "y: float32 [2]\n[-1.  2.]\n")

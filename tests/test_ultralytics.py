"""A detector's host code, as Ultralytics' AutoBackend calls tf.lite, with nothing changed but the import.

Its exports carry their class names in a zip archive behind the flatbuffer, take pictures as NHWC, and give boxes as
parts of the picture, so that 8-bit outputs have room for the scores.
"""

from __future__ import annotations

import ast
import zipfile
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model
from tflite_cupy.interpreter.ops.base import Padding

SIZE, CLASSES, MASKS = 64, 3, 8
NAMES = {0: "bird", 1: "boat", 2: "book"}
Map: TypeAlias = tuple[int, int, int]


def detect(Interpreter: Any, path: str, picture: np.ndarray) -> tuple[list[np.ndarray], dict[int, str]]:
    """Outputs for a picture [1, SIZE, SIZE, 3] in [0, 1], boxes in pixels; class names."""
    interpreter = Interpreter(model_path=path)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    with zipfile.ZipFile(path) as archive:
        names = ast.literal_eval(archive.read(archive.namelist()[0]).decode())["names"]
    (first,) = inputs
    is_integer = first["dtype"] in (np.int8, np.int16)
    if is_integer:
        scale, zero_point = first["quantization"]
        picture = (picture / scale + zero_point).astype(first["dtype"])
    interpreter.set_tensor(first["index"], picture)
    interpreter.invoke()
    results = []
    for output in outputs:
        result = interpreter.get_tensor(output["index"])
        if is_integer:
            scale, zero_point = output["quantization"]
            result = (result.astype(np.float32) - zero_point) * scale
        if result.ndim == 3:
            result[:, [0, 2]] *= SIZE
            result[:, [1, 3]] *= SIZE
        results.append(result)
    return sorted(results, key=np.ndim), names


class Layers:
    """Layers of a network under construction; pictures and feature maps are (tensor, height, channels)."""

    def __init__(self) -> None:
        self.b, self.rng = GraphBuilder("detect"), np.random.default_rng(5)

    def conv(self, x: Map, channels: int, size: int, stride: int = 1) -> Map:
        tensor, height, depth = x
        weights = self.rng.normal(0, 1.5 * (size * size * depth) ** -0.5, (channels, size, size, depth))
        bias = self.b.constant(self.rng.normal(0, 0.1, channels), np.float32)
        operands = [tensor, self.b.constant(weights, np.float32), bias]
        shape, steps = [1, height // stride, height // stride, channels], {"stride_h": stride, "stride_w": stride}
        return self.b.add("CONV_2D", operands, shape, padding=Padding.SAME, **steps), height // stride, channels

    def block(self, x: Map, channels: int, stride: int) -> Map:
        """A convolution and y * sigmoid(y)."""
        y, height, _ = self.conv(x, channels, 3, stride)
        return self.b.add("MUL", [y, self.b.add("LOGISTIC", [y])]), height, channels

    def join(self, x: Map, y: Map) -> Map:
        height, channels = x[1], x[2] + y[2]
        tensor = self.b.add("CONCATENATION", [x[0], y[0]], [1, height, height, channels], axis=3)
        return tensor, height, channels

    def twice_as_large(self, x: Map) -> Map:
        tensor, height, channels = x
        size = self.b.constant(np.int32([2 * height, 2 * height]))
        shape = [1, 2 * height, 2 * height, channels]
        return self.b.add("RESIZE_NEAREST_NEIGHBOR", [tensor, size], shape), 2 * height, channels

    def rows(self, x: Map) -> int:
        """A sigmoid of each cell's values, as [1, channels, cells]."""
        tensor, height, channels = x
        shape = self.b.constant(np.int32([1, height * height, channels]))
        flat = self.b.add("RESHAPE", [tensor, shape], [1, height * height, channels])
        turned = self.b.add("TRANSPOSE", [flat, self.b.constant(np.int32([0, 2, 1]))], [1, channels, height * height])
        return self.b.add("LOGISTIC", [turned])


@cache
def detector() -> bytes:
    """images float32 [1, SIZE, SIZE, 3] -> found [1, 4 + CLASSES, cells], boxes and scores in [0, 1]; masks."""
    net = Layers()
    images = net.b.input(F32, [1, SIZE, SIZE, 3], "images")
    fine = net.block(net.block((images, SIZE, 3), 8, 2), 16, 2)
    coarse = net.block(fine, 24, 2)
    joined = net.join(fine, net.twice_as_large(coarse))
    near, far = (net.rows(net.conv(floor, 4 + CLASSES, 1)) for floor in (joined, coarse))
    cells = (SIZE // 4) ** 2 + (SIZE // 8) ** 2
    found = net.b.add("CONCATENATION", [near, far], [1, 4 + CLASSES, cells], axis=2)
    masks, _, _ = net.block(joined, MASKS, 1)
    ends = {"images": images}, {"found": found, "masks": masks}
    return lite.write_model(model(net.b.graph([found, masks]), signatures={"serving_default": (0, *ends)}))


def pictures(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(6)
    return [rng.random((1, SIZE, SIZE, 3), np.float32) for _ in range(count)]


@pytest.fixture(params=["float32", "int8", "float16", "dynamic"])
def exported(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A detector as it is exported: weights of some type, names behind the flatbuffer."""
    content, kind = detector(), request.param
    if kind == "int8":
        samples = [{"images": picture} for picture in pictures(4)]
        content = lite.quantize(content, "int8", samples, inputs="int8", outputs="int8")
    elif kind != "float32":
        content = lite.quantize(content, kind)
    path = tmp_path / f"yolo_{kind}.tflite"
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("metadata.json", str({"task": "segment", "stride": 32, "names": NAMES}))
    assert len(path.read_bytes()) > len(content)
    return path


@pytest.mark.reference
def test_the_import_is_all_that_changes(exported: Path) -> None:
    """The boxes, scores, masks and names that LiteRT gives."""
    from ai_edge_litert import interpreter as litert

    path, picture = str(exported), pictures(5)[-1]
    ours, names = detect(lite.Interpreter, path, picture)
    theirs, their_names = detect(litert.Interpreter, path, picture)
    assert names == their_names == NAMES
    assert [a.shape for a in ours] == [a.shape for a in theirs] == [(1, 7, 320), (1, 16, 16, MASKS)]
    assert [a.dtype for a in ours] == [a.dtype for a in theirs] == [np.float32, np.float32]
    assert ours[0][:, :4].max() > 1, "boxes are in pixels"
    for a, b, step in zip(ours, theirs, steps(path), strict=True):
        # LiteRT's kernels for 8 bits are up to three steps from its own reference kernels here
        assert (np.abs(a - b) <= np.maximum(3.01 * step, 1e-3)).all()


@pytest.mark.reference
@pytest.mark.parametrize("exported", ["int8"], indirect=True)
def test_integers_are_those_of_the_reference_kernels(exported: Path) -> None:
    from ai_edge_litert import interpreter as litert

    Reference = partial(litert.Interpreter, experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF)
    path, picture = str(exported), pictures(5)[-1]
    ours, theirs = (detect(kind, path, picture)[0] for kind in (lite.Interpreter, Reference))
    for a, b, step in zip(ours, theirs, steps(path), strict=True):
        assert (np.abs(a - b) <= 1.01 * step).all(), "a convolution may round another way, and no more"
        assert np.mean(a == b) > 0.99


def steps(path: str) -> list[np.ndarray]:
    """What one step of 8 bits is in each output, in pixels for boxes; 0 for floats."""
    outputs = lite.Interpreter(model_path=path).get_output_details()
    found, masks = (np.full([1, 7, 1], detail["quantization"][0]) for detail in outputs)
    found[:, :4] *= SIZE
    return [found, masks[:, :1, :, None]]


@pytest.mark.parametrize(("exported", "kind"), [("int8", np.int8), ("float32", np.float32)], indirect=["exported"])
def test_details_tell_how_a_picture_goes_in(exported: Path, kind: type) -> None:
    interpreter = lite.Interpreter(model_path=str(exported))
    (detail,) = interpreter.get_input_details()
    assert detail["dtype"] is kind
    assert detail["shape"].tolist() == [1, SIZE, SIZE, 3]
    scale, zero_point = detail["quantization"]
    assert (scale, zero_point) == ((pytest.approx(1 / 255, rel=0.01), -128) if kind is np.int8 else (0.0, 0))


def test_bytes_behind_the_flatbuffer_are_no_part_of_the_model(exported: Path) -> None:
    content = exported.read_bytes()
    for source in ({"model_path": str(exported)}, {"model_content": content}):
        assert lite.Interpreter(**source, device="cpu").get_signature_list()["serving_default"]["inputs"] == ["images"]

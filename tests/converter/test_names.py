"""Names, order and structure of what goes into signatures and comes out of them, on both runtimes."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.converter.oracle import BOTH, compare, pytestmark_converter, run
from tflite_cupy.converter.names import unique
from tflite_cupy.interpreter.format.model import load_model

pytestmark = pytestmark_converter
A, B, C = np.float32([1, 2]), np.float32([3, 4]), np.float32([5, 6, 7])

Pair = namedtuple("Pair", "right left")


@dataclasses.dataclass
class Masked:
    """A structure that tells tf.nest what it holds."""

    mask: Any
    value: Any
    label: str = "m"

    def __tf_flatten__(self) -> tuple[Any, Any]:
        return (self.label,), (self.mask, self.value)

    @classmethod
    def __tf_unflatten__(cls, metadata: Any, leaves: Any) -> Masked:
        return cls(*leaves, *metadata)


@dataclass(frozen=True)
class Shape:
    """A function, what TensorFlow calls it with, and the names that the signature must have, in order."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    inputs: str
    outputs: str = "output_0"
    flex: bool = False


SHAPES = {
    "arguments": Shape(lambda tf, x, y: x - y, (A, B), "x y"),
    "defaults": Shape(lambda tf, x, scale=2.0, flag=True: x * scale if flag else x, (A,), "x"),
    "dict": Shape(lambda tf, p: {"sum": p["b"] + p["a"], "b": p["b"]}, ({"b": B, "a": A},), "a b", "b sum"),
    "ordered dict": Shape(lambda tf, p: OrderedDict(z=p["b"], y=p["a"]), (OrderedDict(b=B, a=A),), "a b", "y z"),
    "lists": Shape(lambda tf, xs: [xs[1], [xs[0] + 1]], ([A, C],), "xs_0 xs_1", "output_0 output_1"),
    "tuples": Shape(lambda tf, p, q: (p[0] + q, p[1][0]), ((A, (C,)), B), "p_0 p_1_0 q", "output_0 output_1"),
    "keys in lists": Shape(lambda tf, xs: {"y": [xs[0]["a"], xs[1]["b"]]}, ([{"a": A}, {"b": C}],), "a b", "y_0 y_1"),
    "one key twice": Shape(lambda tf, p, q: {"x": p["x"] - q["x"]}, ({"x": A}, {"x": B}), "p_x q_x", "x"),
    "named tuple": Shape(lambda tf, p: Pair(p.left * 2, p.right), (Pair(A, C),), "right left", "right left"),
    "named tuple inside": Shape(lambda tf, x: {"p": Pair(x, x * 2)}, (A,), "x", "p_right p_left"),
    "data class": Shape(
        lambda tf, m: Masked(m.mask, tf.where(m.mask, m.value, 0.0)),
        (Masked(np.array([True, False]), A),),
        "mask value",
        "mask value",
    ),
    "nothing": Shape(lambda tf: {"one": tf.constant(1.0), "none": None}, (), "", "one"),
    "none": Shape(lambda tf, x, y=None: {"y": [x, None, x + 1]}, (A,), "x", "y_0 y_2"),
    "input as output": Shape(lambda tf, x: {"same": x, "again": tf.identity(x)}, (A,), "x", "again same"),
    "one tensor twice": Shape(lambda tf, x: [tf.add(x, 1, name="y")] * 2, (A,), "x", "output_0 output_1"),
    "unused": Shape(lambda tf, a, b, c: {"y": b}, (A, B, C), "a b c", "y"),
    "scalars": Shape(lambda tf, x, n: {"y": x * 2, "n": n + 1}, (np.float32(2), np.int64(3)), "x n", "n y"),
    "empty": Shape(lambda tf, x: x * 2, (np.zeros((0, 3), np.float32),), "x"),
    "strings": Shape(lambda tf, s: {"s": s}, (np.array([b"a", "ü".encode(), b""], object),), "s", "s"),
    "sums of names": Shape(lambda tf, x: {"a": [x], "a_0": x + 1}, (A,), "x", "a_0 a_0_1"),
}
"""By what is odd about them. Constants reach TensorFlow as tensors of known shape."""


def specs(arguments: Any, unknown: bool) -> Any:
    """The arguments' types and shapes, the shapes known or not."""
    import tensorflow as tf

    def spec(array: np.ndarray) -> Any:
        array = np.asarray(array)
        return tf.TensorSpec([None] * array.ndim if unknown else array.shape, dtype(array))

    return tf.nest.map_structure(spec, arguments)


def dtype(array: np.ndarray) -> Any:
    import tensorflow as tf

    return tf.string if array.dtype == object else array.dtype


def given(names: str, arguments: Any) -> dict[str, np.ndarray]:
    import tensorflow as tf

    return dict(zip(names.split(), tf.nest.flatten(arguments), strict=True))


@pytest.fixture(scope="module", params=SHAPES)
def converted(request: pytest.FixtureRequest) -> tuple[Shape, bytes, dict[str, np.ndarray]]:
    """A shape, its file, and what TensorFlow gives."""
    import tensorflow as tf

    shape = SHAPES[request.param]
    function = tf.function(partial(shape.function, tf), autograph=False)
    traced = function.get_concrete_function(*specs(shape.arguments, unknown=True))
    content = lite.TFLiteConverter.from_concrete_functions({"f": traced}).convert(verify=True)
    tensors = tf.nest.map_structure(lambda a: tf.constant(a, dtype(np.asarray(a))), shape.arguments)
    results = [np.asarray(t) for t in tf.nest.flatten(function(*tensors)) if t is not None]
    return shape, content, dict(zip(shape.outputs.split(), results, strict=True))


def test_names_and_their_order(converted: tuple[Shape, bytes, dict[str, np.ndarray]]) -> None:
    shape, content, _ = converted
    (signature,) = load_model(content).signatures
    assert list(signature.inputs) == shape.inputs.split()
    assert list(signature.outputs) == shape.outputs.split()


@pytest.mark.parametrize("runtime", ["ours", pytest.param("reference", marks=pytest.mark.reference)])
def test_values(converted: tuple[Shape, bytes, dict[str, np.ndarray]], runtime: str) -> None:
    shape, content, expected = converted
    compare(run(content, "f", given(shape.inputs, shape.arguments), runtime), expected)


def ragged(tf: Any) -> Any:
    @tf.function(input_signature=[tf.RaggedTensorSpec([None, None], tf.float32), tf.TensorSpec([])])
    def double(rows: Any, factor: Any) -> Any:
        return {"rows": rows * factor}

    return double


def sparse(tf: Any) -> Any:
    @tf.function(input_signature=[tf.SparseTensorSpec([None, None], tf.float32)])
    def double(matrix: Any) -> Any:
        return {"double": tf.sparse.SparseTensor(matrix.indices, matrix.values * 2.0, matrix.dense_shape)}

    return double


@pytest.mark.parametrize(
    ("build", "inputs", "outputs"),
    [
        (ragged, {"rows": C, "rows_1": np.int64([0, 1, 3]), "factor": np.float32(2)},
         {"rows": 2 * C, "rows_1": np.int64([0, 1, 3])}),
        (sparse, {"matrix": np.int64([[0, 1], [2, 0]]), "matrix_1": A, "matrix_2": np.int64([3, 3])},
         {"double": np.int64([[0, 1], [2, 0]]), "double_1": 2 * A, "double_2": np.int64([3, 3])}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("saved", [False, True])
def test_ragged_and_sparse_tensors_pass_in_parts(
    build: Any, inputs: dict[str, Any], outputs: dict[str, Any], saved: bool, tmp_path: Path
) -> None:
    """The parts have the names that a SavedModel's signature gives them."""
    import tensorflow as tf

    module = tf.Module()
    module.f = build(tf)
    if saved:
        tf.saved_model.save(module, str(tmp_path), signatures={"f": module.f.get_concrete_function()})
        converter = lite.TFLiteConverter.from_saved_model(tmp_path)
    else:
        converter = lite.TFLiteConverter.from_concrete_functions({"f": module.f})
    converter.target_spec.supported_ops = BOTH
    content = converter.convert()
    assert set(load_model(content).signatures[0].inputs) == set(inputs)
    compare(run(content, "f", inputs), {name: np.asarray(value) for name, value in outputs.items()})


@pytest.mark.parametrize("runtime", ["ours", pytest.param("reference", marks=pytest.mark.reference)])
def test_a_tensor_of_unknown_rank(runtime: str) -> None:
    import tensorflow as tf

    function = tf.function(lambda x: {"y": x * 2}, input_signature=[tf.TensorSpec(None)])
    content = lite.TFLiteConverter.from_concrete_functions({"f": function}).convert(verify=True)
    for x in (A, np.ones((2, 3), np.float32)):
        compare(run(content, "f", {"x": x}, runtime), {"y": 2 * x})


def test_a_string_alone() -> None:
    """Not on the reference, which reads a string of rank 0 as a number."""
    import tensorflow as tf

    function = tf.function(lambda s: {"s": s}, input_signature=[tf.TensorSpec([], tf.string)])
    content = lite.TFLiteConverter.from_concrete_functions({"f": function}).convert(verify=True)
    assert run(content, "f", {"s": "ü"})["s"] == "ü".encode()


def test_a_variable_is_no_argument_of_a_signature() -> None:
    import tensorflow as tf

    function = tf.function(lambda v, x: v + x)
    traced = function.get_concrete_function(tf.Variable(A), tf.TensorSpec([2]))
    with pytest.raises(
        lite.ConversionError, match=r"'v' is a resource, which no signature can pass. \[at signature 'f'"
    ):
        lite.TFLiteConverter.from_concrete_functions({"f": traced})


def test_names_are_made_unique() -> None:
    assert unique(["a", "b", "a", "a_1", "a"]) == ("a", "b", "a_1", "a_1_1", "a_2")

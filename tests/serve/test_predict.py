"""TensorFlow Serving's REST, through the application."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.build import F32, STRING, GraphBuilder, model
from tests.models import add_sub, passthrough
from tests.serve.asgi import Reply, ask
from tests.serve.served import service
from tflite_cupy import write_model
from tflite_cupy.serve.service import Service


def batched() -> bytes:
    """serving_default(x float32 [?, 2]) -> y: -x; both(x float32 [?, 2], s string [?]) -> neg: -x, words_bytes: s."""
    b = GraphBuilder("default")
    x = b.input(F32, [None, 2], "x")
    default = b.graph([b.add("NEG", [x])])
    c = GraphBuilder("both")
    x2, s = c.input(F32, [None, 2], "x"), c.input(STRING, [None], "s")
    both = c.graph([c.add("NEG", [x2]), s])
    return write_model(
        model(
            default,
            both,
            signatures={
                "serving_default": (0, {"x": x}, {"y": 1}),
                "both": (1, {"x": x2, "s": s}, {"neg": 2, "words_bytes": s}),
            },
        )
    )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Service:
    models = {"rows": batched(), "sums": add_sub(), "odd": passthrough()}
    return service(tmp_path_factory.mktemp("models"), models)


def predict(served: Service, name: str, **request: Any) -> Reply:
    return ask(served, "POST", f"/v1/models/{name}:predict", request)


@pytest.mark.parametrize("path", ["/v1/models/rows:predict", "/v1/models/rows/versions/1:predict"])
def test_rows_of_the_only_input(served: Service, path: str) -> None:
    reply = ask(served, "POST", path, {"instances": [[1, 2], [3, 4], [5, 6]]})
    assert reply.json == {"predictions": [[-1, -2], [-3, -4], [-5, -6]]}


def test_rows_of_named_inputs(served: Service) -> None:
    assert predict(served, "rows", instances=[{"x": [1, 2]}]).json == {"predictions": [[-1, -2]]}
    rows = [{"x": [1, 2], "s": "a"}, {"s": {"b64": "/w=="}, "x": [3, 4]}]
    assert predict(served, "rows", signature_name="both", instances=rows).json == {
        "predictions": [
            {"neg": [-1, -2], "words_bytes": {"b64": base64.b64encode(b"a").decode()}},
            {"neg": [-3, -4], "words_bytes": {"b64": "/w=="}},
        ]
    }


def test_columns(served: Service) -> None:
    assert predict(served, "rows", inputs=[[1, 2]]).json == {"outputs": [[-1, -2]]}
    assert predict(served, "rows", inputs={"x": [[1, 2]]}).json == {"outputs": [[-1, -2]]}
    reply = predict(served, "sums", signature_name="sub", inputs={"a": [5], "b": [2]})
    assert reply.json == {"outputs": {"prod": [10], "diff": [3]}}
    assert predict(served, "odd", signature_name="scalar", inputs=21).json == {"outputs": 42}


def test_strings_are_text_or_base64(served: Service) -> None:
    """Outputs called *_bytes are base64; others are where they are no UTF-8."""
    reply = predict(served, "odd", signature_name="strings", inputs=["a", "\u00fc", {"b64": "/w=="}])
    assert reply.json == {"outputs": [["a", "\u00fc", {"b64": "/w=="}]]}
    reply = predict(served, "odd", signature_name="strings", inputs={"s": [{"b64": ""}]})
    assert reply.json == {"outputs": [[""]]}


def test_an_input_called_b64_is_an_input(tmp_path: Path) -> None:
    b = GraphBuilder()
    x = b.input(F32, [1], "b64")
    content = write_model(model(b.graph([b.add("NEG", [x])]), signatures={"s": (0, {"b64": x}, {"y": 1})}))
    assert predict(service(tmp_path, {"m": content}), "m", inputs={"b64": [1]}).json == {"outputs": [-1]}


def test_status_and_metadata(served: Service) -> None:
    fine = {"error_code": "OK", "error_message": ""}
    state = {"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": fine}]}
    assert ask(served, "GET", "/v1/models/rows").json == state
    assert ask(served, "GET", "/v1/models/rows/versions/1").json == state
    told = ask(served, "GET", "/v1/models/rows/metadata").json
    assert told["model_spec"] == {"name": "rows", "signature_name": "", "version": "1"}
    signatures = told["metadata"]["signature_def"]["signature_def"]
    assert [*signatures] == ["serving_default", "both"]
    assert signatures["both"]["inputs"]["s"]["dtype"] == "DT_STRING"
    assert signatures["both"]["inputs"]["x"] == {
        "name": "x",
        "dtype": "DT_FLOAT",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}], "unknown_rank": False},
    }
    assert signatures["both"]["method_name"] == "tensorflow/serving/predict"


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "neither form": ("rows", {}, "a request has either 'instances' (rows) or 'inputs' (columns)"),
    "both forms": ("rows", {"instances": [[1, 2]], "inputs": [[1, 2]]}, "a request has either"),
    "no default": ("sums", {"inputs": {"x": [1]}}, 'Invalid signature_key provided: "serving_default".'),
    "no such signature": ("rows", {"signature_name": "no", "inputs": 1}, 'Invalid signature_key provided: "no". The'),
    "several inputs": ("sums", {"signature_name": "add", "inputs": [1]}, "several inputs or none, so name them: x, y"),
    "no instances": ("rows", {"instances": []}, "'instances' is empty"),
    "instances of another kind": ("rows", {"instances": {"x": 1}}, "'instances' has to be a list, got an object"),
    "instances that differ": ("rows", {"instances": [{"x": [1, 2]}, {"y": [1, 2]}]}, "instance 1 does not have the"),
    "another name": ("rows", {"inputs": {"z": [[1, 2]]}}, "Invalid Input name (z) for SignatureDef"),
    "one too few": ("sums", {"signature_name": "add", "inputs": {"x": [1]}}, "Invalid number of inputs provided"),
    "another shape": ("rows", {"instances": [[1, 2, 3]]}, "input 'x' takes shape [-1, 2], got [1, 3]"),
    "ragged": ("rows", {"instances": [[1, 2], [3]]}, "nested lists have to be of one length on each axis"),
    "text for numbers": ("rows", {"instances": [["1", "2"]]}, "input 'x' takes numbers, got a string"),
    "bytes for numbers": ("rows", {"instances": [[{"b64": ""}, 1]]}, "input 'x' takes numbers, got an object"),
    "fractions for integers": (
        "odd",
        {"signature_name": "scalar", "inputs": 1.5},
        "Got value of type FLOAT64 but expected type INT32",
    ),
    "too large": ("odd", {"signature_name": "scalar", "inputs": 2**40}, "Cannot set tensor"),
    "too large for any": ("odd", {"signature_name": "scalar", "inputs": 2**70}, "Cannot set tensor"),
    "no base64": ("odd", {"signature_name": "strings", "inputs": [{"b64": "?"}]}, "input 's': '?' is no base64"),
    "another object": ("odd", {"signature_name": "strings", "inputs": [{"b": "?"}]}, "input 's' takes strings, or"),
    "numbers for strings": ("odd", {"signature_name": "strings", "inputs": [1]}, "expected bytes or str, got int"),
    "outputs without rows": (
        "odd",
        {"signature_name": "strings", "instances": ["a", "b"]},
        "output 'row' is [1, 2] for 2 instances. Send 'inputs' instead.",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_requests_are_400_and_say_why(served: Service, case: str) -> None:
    name, request, says = WRONG[case]
    reply = predict(served, name, **request)
    assert reply.status == 400
    assert says in reply.json["error"]


def test_nesting_is_bounded(served: Service) -> None:
    deep: Any = "a"
    for _ in range(60):
        deep = [deep]
    for name, key in (("odd", "strings"), ("rows", "serving_default")):
        reply = predict(served, name, signature_name=key, inputs=deep)
        assert reply.status == 400
        assert "nested" in reply.json["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("POST", "/v1/models/nope:predict", 404, "no model is named 'nope'."),
        ("GET", "/v1/models/nope", 404, "no model is named 'nope'."),
        ("POST", "/v1/models/rows/versions/3:predict", 404, "there is no version '3'"),
        ("POST", "/v1/models/rows:classify", 405, "Method Not Allowed."),
        ("GET", "/v1/models/rows/labels/stable", 404, "no model is named 'rows/labels/stable'."),
    ],
)
def test_what_is_not_there(served: Service, method: str, path: str, status: int, says: str) -> None:
    reply = ask(served, method, path)
    assert reply.status == status
    assert says in reply.json["error"]


def test_precision_is_kept(served: Service) -> None:
    values = np.float32([0.1, 1 / 3])
    (row,) = predict(served, "rows", instances=[values.tolist()]).json["predictions"]
    np.testing.assert_array_equal(np.float32(row), -values)

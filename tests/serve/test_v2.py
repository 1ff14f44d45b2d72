"""The Open Inference Protocol, through the application."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.build import GraphBuilder, model
from tests.models import add_sub
from tests.serve.asgi import Reply, ask
from tests.serve.served import service, write
from tflite_cupy import InputError, TensorType, write_model
from tflite_cupy.serve.repository import Repository
from tflite_cupy.serve.service import Service, Settings
from tflite_cupy.serve.tensors import datatype_of, to_bytes

ADD = "/v2/models/sums.add/infer"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return service(tmp_path_factory.mktemp("models"))


def tensor(name: str, values: Any, datatype: str = "FP32", shape: Any = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": list(np.shape(values)) if shape is None else shape, "datatype": datatype,
            "data": values, **more}  # fmt: skip


def infer(served: Service, path: str, *inputs: dict[str, Any], **more: Any) -> Reply:
    return ask(served, "POST", path, {"inputs": list(inputs), **more})


def binary(request: dict[str, Any], *chunks: bytes) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a request with binary data."""
    header = json.dumps(request).encode()
    return b"".join([header, *chunks]), {"Inference-Header-Content-Length": str(len(header))}


def test_the_server_and_its_models_describe_themselves(served: Service) -> None:
    assert ask(served, "GET", "/v2").json["name"] == "tflite-cupy"
    assert ask(served, "GET", "/v2/").json["extensions"] == ["binary_tensor_data"]
    assert ask(served, "GET", "/v2/health/live").json == {"live": True}
    assert ask(served, "GET", "/v2/health/ready").json == {"ready": True}
    expected = {
        "name": "sums.sub",
        "versions": ["1"],
        "platform": "tflite",
        "inputs": [
            {"name": "a", "datatype": "FP32", "shape": [-1]},
            {"name": "b", "datatype": "FP32", "shape": [-1]},
        ],
        "outputs": [
            {"name": "prod", "datatype": "FP32", "shape": [-1]},
            {"name": "diff", "datatype": "FP32", "shape": [-1]},
        ],
    }
    assert ask(served, "GET", "/v2/models/sums.sub").json == expected
    assert ask(served, "GET", "/v2/models/sums.sub/versions/1").json == expected
    ready = {"name": "sums.sub", "ready": True}
    assert ask(served, "GET", "/v2/models/sums.sub/ready").json == ready
    assert ask(served, "GET", "/v2/models/sums.sub/versions/1/ready").json == ready
    names = ["sums.sub", "sums.add", "odd.same", "odd.scalar", "odd.strings"]
    listed = [{"name": name, "version": "1", "state": "READY", "reason": ""} for name in names]
    assert ask(served, "POST", "/v2/repository/index", {}).json == listed


@pytest.mark.parametrize("path", [ADD, "/v2/models/sums.add/versions/1/infer"])
def test_json_in_json_out(served: Service, path: str) -> None:
    reply = infer(served, path, tensor("x", [1, 2.5]), tensor("y", [10, 20]), id="q")
    assert reply.headers["content-type"] == "application/json"
    assert reply.json == {
        "model_name": "sums.add",
        "model_version": "1",
        "id": "q",
        "outputs": [{"name": "sum", "datatype": "FP32", "shape": [2], "data": [11, 22.5]}],
    }


def test_outputs_come_as_they_are_asked_for(served: Service) -> None:
    inputs = tensor("a", [5, 7]), tensor("b", [2, 3])
    path = "/v2/models/sums.sub/infer"
    both = infer(served, path, *inputs).json["outputs"]
    assert {o["name"]: o["data"] for o in both} == {"diff": [3, 4], "prod": [10, 21]}
    one = infer(served, path, *inputs, outputs=[{"name": "diff"}]).json["outputs"]
    assert one == [{"name": "diff", "datatype": "FP32", "shape": [2], "data": [3, 4]}]
    wanted = [{"name": "diff", "parameters": {"binary_data": True}}, {"name": "prod"}]
    mixed = infer(served, path, *inputs, outputs=wanted)
    length = int(mixed.headers["inference-header-content-length"])
    assert mixed.headers["content-type"] == "application/octet-stream"
    assert json.loads(mixed.body[:length])["outputs"] == [
        {"name": "diff", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}},
        {"name": "prod", "datatype": "FP32", "shape": [2], "data": [10, 21]},
    ]
    assert mixed.body[length:] == np.float32([3, 4]).tobytes()
    raw = infer(served, path, *inputs, parameters={"binary_data_output": True})
    length = int(raw.headers["inference-header-content-length"])
    assert raw.body[length:] == np.float32([10, 21, 3, 4]).tobytes()


def test_binary_in_binary_out(served: Service) -> None:
    x, y = np.float32([1, 2, 3]), np.float32([10, 20, 30])
    parts = [{"name": n, "shape": [3], "datatype": "FP32", "parameters": {"binary_data_size": 12}} for n in ("y", "x")]
    request = {"inputs": parts, "parameters": {"binary_data_output": True}}
    body, headers = binary(request, y.tobytes(), x.tobytes())
    reply = ask(served, "POST", ADD, body, headers)
    assert reply.body.endswith(np.float32([11, 22, 33]).tobytes())
    mixed = {"inputs": [tensor("x", [1, 2, 3]), parts[0]]}
    body, headers = binary(mixed, y.tobytes())
    assert ask(served, "POST", ADD, body, headers).json["outputs"][0]["data"] == [11, 22, 33]


def test_binary_outputs_without_elements_say_how_much_is_json(served: Service) -> None:
    inputs = tensor("x", [], shape=[0]), tensor("y", [], shape=[0])
    reply = infer(served, ADD, *inputs, parameters={"binary_data_output": True})
    assert reply.json["outputs"] == [
        {"name": "sum", "datatype": "FP32", "shape": [0], "parameters": {"binary_data_size": 0}}
    ]
    assert reply.headers["inference-header-content-length"] == str(len(reply.body))


def test_strings_and_scalars(served: Service) -> None:
    reply = infer(served, "/v2/models/odd.strings/infer", tensor("s", ["a", "\u00fc"], "BYTES"))
    assert reply.json["outputs"] == [{"name": "row", "datatype": "BYTES", "shape": [1, 2], "data": ["a", "\u00fc"]}]
    words = np.array([b"\xff", b""], object)
    part = {"name": "s", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 9}}
    body, headers = binary({"inputs": [part], "parameters": {"binary_data_output": True}}, to_bytes(words))
    assert ask(served, "POST", "/v2/models/odd.strings/infer", body, headers).body.endswith(to_bytes(words))
    body, headers = binary({"inputs": [part]}, to_bytes(words))
    refused = ask(served, "POST", "/v2/models/odd.strings/infer", body, headers)
    assert (refused.status, refused.json["error"]) == (
        400,
        "output 'row' holds bytes that are no UTF-8, which JSON can't. Ask for binary data.",
    )
    scalar = infer(served, "/v2/models/odd.scalar/infer", tensor("n", [21], "INT32", shape=[])).json["outputs"]
    assert scalar == [{"name": "twice", "datatype": "INT32", "shape": [], "data": [42]}]


def test_values_that_are_not_finite_go_through(served: Service) -> None:
    reply = infer(served, ADD, tensor("x", [float("nan"), float("inf")]), tensor("y", [1, 1]))
    assert b'"data":[NaN,Infinity]' in reply.body


KINDS = [kind for kind in TensorType if datatype_of(kind) not in (None, "BYTES")]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_type_travels_both_ways(tmp_path: Path, kind: TensorType) -> None:
    b = GraphBuilder()
    x = b.input(kind, [3], "x")
    content = write_model(model(b.graph([x]), signatures={"s": (0, {"x": x}, {"y": x})}))
    served = Service(Repository.load(write(tmp_path, m=content), device="cpu"), Settings())
    values = [True, False, True] if kind is TensorType.BOOL else [0, 1, 1]
    datatype = datatype_of(kind)
    assert datatype is not None
    reply = infer(served, "/v2/models/m/infer", tensor("x", values, datatype))
    assert reply.json["outputs"] == [{"name": "y", "datatype": datatype, "shape": [3], "data": values}]
    data = to_bytes(np.array(values).astype(kind.dtype))
    part = {"name": "x", "shape": [3], "datatype": datatype, "parameters": {"binary_data_size": len(data)}}
    body, headers = binary({"inputs": [part], "parameters": {"binary_data_output": True}}, data)
    assert ask(served, "POST", "/v2/models/m/infer", body, headers).body.endswith(data)


def test_long_names_make_no_long_answers(served: Service) -> None:
    for name in ("n" * 900, "n" * 100_000):
        for reply in (
            infer(served, ADD, X, {**Y, "name": name}),
            infer(served, ADD, X, {**Y, "name": name, "shape": [7]}),
            infer(served, ADD, X, Y, outputs=[{"name": name}]),
            ask(served, "POST", "/v1/models/sums:predict", {"signature_name": name, "inputs": 1}),
            ask(served, "POST", "/v1/models/sums:predict", {"signature_name": "add", "inputs": {name: 1, "x": [1]}}),
        ):
            assert reply.status == 400
            assert len(reply.body) < 3000


X, Y = tensor("x", [1, 2]), tensor("y", [1, 2])
WRONG: dict[str, tuple[list[Any], str]] = {
    "an input is missing": ([X], "Invalid number of inputs provided for running a SignatureDef, expected 2 vs"),
    "another name": ([X, {**Y, "name": "z"}], "Invalid Input name (z) for SignatureDef"),
    "another dtype": ([X, tensor("y", [1, 2], "FP64")], "Got value of type FLOAT64 but expected type FLOAT32"),
    "strings": ([X, tensor("y", ["1", "2"], "BYTES")], "Got value of type STRING but expected type FLOAT32"),
    "text for numbers": ([X, tensor("y", ["1", 2])], "input 'y' takes numbers, got a string"),
    "null": ([X, tensor("y", [None, 2])], "input 'y' takes numbers, got null"),
    "too large for a float32": ([X, tensor("y", [1e300, 2])], "Cannot set tensor: overflow encountered"),
    "another rank": ([X, tensor("y", [[1, 2]])], "input 'y' takes shape [-1], got [1, 2]. -1 is any size."),
    "shapes that do not go together": ([X, tensor("y", [1, 2, 3])], "ADD"),
    "shape and data": ([X, {**Y, "shape": [3]}], "input 'y': shape [3] does not have 2 elements"),
    "shape and nested data": ([X, tensor("y", [[1], [2]], shape=[2])], "shape is [2], the nested lists are [2, 1]"),
    "a shape that is none": ([X, {**Y, "shape": [-1]}], "input 'y': shape [-1] is none"),
    "no data": ([X, {"name": "y", "shape": [2], "datatype": "FP32"}], "neither 'data' nor 'binary_data_size'"),
    "no datatype": ([X, {"name": "y", "shape": [2], "data": [1, 2]}], "input 'y': datatype '' is unknown"),
    "no name": ([X, {"shape": [2], "datatype": "FP32", "data": [1, 2]}], "input 1 has no name"),
    "twice": ([X, X], "input 'x' is given twice"),
    "no object": ([X, 1], "input 1 has to be an object, got a whole number"),
    "data of another kind": ([X, {**Y, "data": "12"}], "'data' of input 'y' has to be a list, got a string"),
    "shared memory": ([X, {**Y, "parameters": {"shared_memory_region": "r"}}], "shared memory is not supported"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_inputs_are_400_and_say_why(served: Service, case: str) -> None:
    inputs, says = WRONG[case]
    reply = infer(served, ADD, *inputs)
    assert reply.status == 400
    assert says in reply.json["error"]


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"inputs": {}}, "'inputs' of the request has to be a list, got an object"),
        ({"inputs": [X, Y], "id": 5}, "'id' of the request has to be a string"),
        ({"inputs": [X, Y], "parameters": []}, "'parameters' of the request has to be an object"),
        ({"inputs": [X, Y], "outputs": [{"name": "total"}]}, "Invalid Output name (total) for SignatureDef"),
        ({"inputs": [X, Y], "outputs": [{}]}, "output 0 has no name"),
        (
            {"inputs": [X, Y], "outputs": [{"name": "sum", "parameters": {"classification": 3}}]},
            "output 'sum': classification and shared memory are not supported",
        ),
    ],
)
def test_wrong_requests_are_400_and_say_why(served: Service, request_: dict[str, Any], says: str) -> None:
    reply = ask(served, "POST", ADD, request_)
    assert reply.status == 400
    assert says in reply.json["error"]


@pytest.mark.parametrize(
    ("size", "data", "length", "says"),
    [
        (8, b"1234567", None, "binary_data_size is 8, and 7 bytes of binary data are left"),
        (8, b"123456789", None, "the inputs take 8 bytes of binary data, the body holds 9"),
        (4, b"1234", None, "FP32 of shape [2] takes 8 bytes, got 4"),
        (-1, b"", None, "binary_data_size is -1"),
        (8, b"12345678", "99999", "Inference-Header-Content-Length: '99999' is no part of the body's"),
        (8, b"12345678", "-1", "'-1' is no part of the body's"),
        (8, b"12345678", "0", "the request is no JSON"),
    ],
)
def test_wrong_binary_data_is_400(served: Service, size: int, data: bytes, length: str | None, says: str) -> None:
    part = {"name": "y", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": size}}
    body, headers = binary({"inputs": [X, part]}, data)
    if length is not None:
        headers = {"Inference-Header-Content-Length": length}
    reply = ask(served, "POST", ADD, body, headers)
    assert reply.status == 400
    assert says in reply.json["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("POST", "/v2/models/nope/infer", 404, "no model is named 'nope'."),
        ("POST", "/v2/models/sums/infer", 404, "Its signatures are models: sums.sub, sums.add."),
        ("GET", "/v2/models/sums.add/versions/2", 404, "there is no version '2' of a model, only '1'."),
        ("POST", "/v2/models/sums.add/versions/2/infer", 404, "there is no version '2'"),
        ("GET", "/v2/models/sums.add/config", 404, "no model is named 'sums.add/config'."),
        ("POST", "/v2/models/sums.add", 405, "Method Not Allowed."),
        ("GET", "/nowhere", 404, "Not Found."),
        ("GET", "/v2/health/live/", 404, "Not Found."),
    ],
)
def test_what_is_not_there(served: Service, method: str, path: str, status: int, says: str) -> None:
    reply = ask(served, method, path)
    assert reply.status == status
    assert says in reply.json["error"]


def test_a_signature_by_the_name_of_its_model(tmp_path: Path) -> None:
    """The only one, or serving_default; keys with slashes are one name, too."""
    b = GraphBuilder()
    x = b.input(TensorType.FLOAT32, [1], "x")
    graph = b.graph([b.add("NEG", [x])])
    ends = (0, {"x": x}, {"y": 1})
    default = write_model(model(graph, signatures={"serving_default": ends, "a/b": ends}))
    served = Service(Repository.load(write(tmp_path, m=default), device="cpu"), Settings())
    for name in ("m", "m.serving_default", "m.a%2Fb", "m.a/b"):
        reply = infer(served, f"/v2/models/{name}/infer", tensor("x", [3]))
        assert reply.json["model_name"] == name.replace("%2F", "/")
        assert reply.json["outputs"][0]["data"] == [-3]


def test_numbers_of_json_are_of_one_kind(tmp_path: Path) -> None:
    """Whole ones are numbers of floats too, rounded as others are; those of 64 bits are kept to the last."""
    given = {
        "FP32": (TensorType.FLOAT32, [2**24 + 1, 0.5], [2**24, 0.5]),
        "FP16": (TensorType.FLOAT16, [2049, 1], [2048, 1]),
        "BF16": (TensorType.BFLOAT16, [257, 0.5], [256, 0.5]),
        "UINT64": (TensorType.UINT64, [2**64 - 1, 1], [2**64 - 1, 1]),
        "INT64": (TensorType.INT64, [-(2**63), 2**63 - 1], [-(2**63), 2**63 - 1]),
    }
    for datatype, (kind, values, expected) in given.items():
        b = GraphBuilder()
        x = b.input(kind, [2], "x")
        content = write_model(model(b.graph([x]), signatures={"s": (0, {"x": x}, {"y": x})}))
        reply = infer(service(tmp_path, {"m": content}), "/v2/models/m/infer", tensor("x", values, datatype))
        assert reply.json["outputs"][0]["data"] == expected
    wrong = infer(service(tmp_path), ADD, tensor("x", [10**400, 1]), tensor("y", [1, 1]))
    assert (wrong.status, wrong.json["error"]) == (400, "input 'x' takes numbers that a float can hold.")


def test_a_model_without_signatures_has_a_default_one(tmp_path: Path) -> None:
    b = GraphBuilder()
    x = b.input(TensorType.FLOAT32, [1], "x")
    content = write_model(model(b.graph([b.add("NEG", [x])])))
    served = Service(Repository.load(write(tmp_path, bare=content), device="cpu"), Settings())
    assert [*served.repository.signatures] == ["bare.serving_default"]
    assert infer(served, "/v2/models/bare/infer", tensor("x", [3])).json["outputs"][0]["data"] == [-3]


def test_signatures_are_chosen(tmp_path: Path) -> None:
    paths = {**write(tmp_path, sums=(content := add_sub())), **write(tmp_path, more=content)}
    for asked, names in [
        (["add"], ["sums.add", "more.add"]),
        (["sums.add", "sub"], ["sums.sub", "sums.add", "more.sub"]),
    ]:
        chosen = Repository.load(paths, device="cpu", signatures=asked)
        assert [*chosen.signatures] == names
    with pytest.raises(InputError, match=r"no model has a signature 'mul' There are: sums\.add, more\.add\."):
        Repository.load(paths, device="cpu", signatures=["add", "mul"])

"""Requests with something wrong at any place: each is answered, and none by a defect."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models import add_sub, passthrough
from tests.serve.asgi import Client
from tests.serve.served import service
from tflite_cupy.serve.service import Service

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31 - 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30])
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["FP32", "BYTES", "INT8", "BOOL", "x", "y", "s", "sum", "add", "b64"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["x", "y", "b64", "name", "shape", "parameters"]) | st.text(max_size=4), inner
        )
    ),
    max_leaves=12,
)
X: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2.5]}
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("/v2/models/sums.add/infer", {"id": "1", "inputs": [X, {**X, "name": "y"}], "outputs": [{"name": "sum"}]}),
    (
        "/v2/models/odd.strings/infer",
        {"inputs": [{"name": "s", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]}]},
    ),
    ("/v2/models/odd.scalar/infer", {"inputs": [{"name": "n", "datatype": "INT32", "shape": [], "data": [5]}]}),
    ("/v1/models/sums:predict", {"signature_name": "add", "inputs": {"x": [1, 2], "y": [3.5, 4]}}),
    ("/v1/models/sums:predict", {"signature_name": "add", "instances": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]}),
    ("/v1/models/odd:predict", {"signature_name": "strings", "inputs": ["a", {"b64": "YQ=="}]}),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return service(tmp_path_factory.mktemp("models"), {"sums": add_sub(), "odd": passthrough()})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values within `value`, its own first."""
    yield path
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield from places(value[key], (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value at a place."""
    if not path:
        return new
    value = copy.copy(value)
    value[path[0]] = replaced(value[path[0]], path[1:], new)
    return value


def answered(served: Service, path: str, body: bytes, headers: dict[str, str] | None = None) -> None:
    reply = asyncio.run(Client(served).send("POST", path, body, headers))
    assert reply.status in (200, 400, 413)
    if reply.status != 200:
        assert [*reply.json] == ["error"]
    assert (served.workers.running, served.workers.waiting) == (0, 0)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_value_at_any_place(served: Service, data: st.DataObject) -> None:
    path, request = data.draw(st.sampled_from(REQUESTS))
    place = data.draw(st.sampled_from([*places(request)]))
    answered(served, path, json.dumps(replaced(request, place, data.draw(VALUES))).encode())


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_binary_data(served: Service, data: st.DataObject) -> None:
    datatype = data.draw(st.sampled_from(["FP32", "BYTES", "BOOL", "INT64", "FP16"]))
    shape = data.draw(st.lists(st.sampled_from([0, 1, 2, 3, 2**31 - 1]), max_size=3))
    chunk = data.draw(st.binary(max_size=40))
    size = data.draw(st.sampled_from([len(chunk), 0, 4, 8, 2**40]))
    part = {"name": "s", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}
    header = json.dumps({"inputs": [part], "parameters": {"binary_data_output": True}}).encode()
    length = data.draw(st.sampled_from([len(header), len(header) - 1, 0, 10**6]))
    path = data.draw(st.sampled_from(["/v2/models/odd.strings/infer", "/v2/models/sums.add/infer"]))
    answered(served, path, header + chunk, {"Inference-Header-Content-Length": str(length)})


@settings(max_examples=50, deadline=None)
@given(body=st.binary(max_size=60) | st.text('[]{}":,0-eE. ', max_size=60).map(str.encode))
def test_any_body(served: Service, body: bytes) -> None:
    for path, _ in REQUESTS[2:4]:
        answered(served, path, body)

"""Triton's own client against a server process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.models import add_sub, passthrough
from tests.serve.process import Running, server
from tests.serve.served import write
from tests.threads import side_by_side

triton = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
THREADS, CALLS = 8, 200


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("models")
    paths = write(folder, sums=add_sub(), odd=passthrough())
    with server(*paths.values(), "--device", "cpu", folder=folder) as process:
        yield process


@pytest.fixture
def client(running: Running) -> Iterator[Any]:
    with triton.InferenceServerClient(running.address) as client:
        yield client


def given(name: str, array: np.ndarray, datatype: str, *, binary: bool = True) -> Any:
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def test_what_it_asks_of_a_server(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("sums.add")
    assert client.is_model_ready("sums.add", "1")
    assert not client.is_model_ready("sums.nope")
    assert client.get_server_metadata()["name"] == "tflite-cupy"
    assert client.get_model_metadata("odd.strings")["inputs"] == [{"name": "s", "datatype": "BYTES", "shape": [-1]}]
    assert {entry["state"] for entry in client.get_model_repository_index()} == {"READY"}


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
def test_numbers_and_strings(client: Any, binary: bool) -> None:
    a, b = np.float32([1, np.inf, -2]), np.float32([4, 5, 6])
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("diff", "prod")]
    inputs = [given("a", a, "FP32", binary=binary), given("b", b, "FP32", binary=binary)]
    result = client.infer("sums.sub", inputs, outputs=wanted, request_id="7")
    np.testing.assert_array_equal(result.as_numpy("diff"), a - b)
    np.testing.assert_array_equal(result.as_numpy("prod"), a * b)
    assert result.get_response()["id"] == "7"
    words = np.array(["a", "\u00fc", ""], object)
    wanted = [triton.InferRequestedOutput("row", binary_data=binary)]
    result = client.infer("odd.strings", [given("s", words, "BYTES", binary=binary)], outputs=wanted)
    row = result.as_numpy("row")
    assert row.shape == (1, 3)
    texts = [item.decode() if isinstance(item, bytes) else item for item in row.reshape(-1)]
    assert texts == words.tolist()


def test_bytes_that_are_no_text(client: Any) -> None:
    words = np.array([b"\xff\x00", b""], object)
    result = client.infer("odd.strings", [given("s", words, "BYTES")])
    assert result.as_numpy("row").tolist() == [[b"\xff\x00", b""]]


def test_scalars_and_constants(client: Any) -> None:
    result = client.infer("odd.scalar", [given("n", np.array(21, np.int32), "INT32")])
    assert result.as_numpy("twice").shape == ()
    assert result.as_numpy("twice") == 42
    result = client.infer("odd.same", [given("x", np.float32([1, 2]), "FP32")])
    assert result.as_numpy("constant").tolist() == [7, 8]


def test_errors_come_with_their_text(client: Any) -> None:
    x = given("x", np.float32([1]), "FP32")
    with pytest.raises(triton.InferenceServerException, match="Invalid number of inputs provided") as caught:
        client.infer("sums.add", [x])
    assert caught.value.status() == "400"
    with pytest.raises(triton.InferenceServerException, match=r"no model is named 'sums.nope'"):
        client.infer("sums.nope", [x])
    with pytest.raises(triton.InferenceServerException, match=r"no model is named 'sums.add/config'"):
        client.get_model_config("sums.add")
    inputs = [given("x", np.float32([1]), "FP32"), given("y", np.float32([1]), "FP32")]
    with pytest.raises(triton.InferenceServerException, match="not compressed") as caught:
        client.infer("sums.add", inputs, request_compression_algorithm="gzip")
    assert caught.value.status() == "415"


def test_many_threads_get_their_own_answers(running: Running) -> None:
    before = running.metric('requests_total{code="200",model="sums.add"}')

    def work(number: int) -> None:
        generator = np.random.default_rng(number)
        with triton.InferenceServerClient(running.address) as client:
            for call in range(CALLS):
                x, y = generator.normal(size=(2, call % 7 + 1)).astype(np.float32)
                inputs = [given("x", x, "FP32"), given("y", y, "FP32", binary=call % 2 == 0)]
                result = client.infer("sums.add", inputs)
                np.testing.assert_array_equal(result.as_numpy("sum"), x + y)

    side_by_side(THREADS, work)
    assert running.metric('requests_total{code="200",model="sums.add"}') - before == THREADS * CALLS
    assert running.metric("in_flight") == 0


def test_a_large_tensor(client: Any) -> None:
    x = np.arange(1 << 20, dtype=np.float32)
    result = client.infer("sums.add", [given("x", x, "FP32"), given("y", x, "FP32")])
    np.testing.assert_array_equal(result.as_numpy("sum"), 2 * x)

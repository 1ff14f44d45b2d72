"""What happens to requests: room, deadlines, clients that leave, failures, counts."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.gate import Gate, gated
from tests.models import counter, misfit
from tests.serve.asgi import Client, Reply, ask
from tests.serve.served import service
from tflite_cupy.interpreter.graph import Model, Signature
from tflite_cupy.serve.repository import Repository
from tflite_cupy.serve.service import Service, Settings

INFER = "/v2/models/gated/infer"
BODY = json.dumps({"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}]}).encode()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()  # so that no thread stays behind


def gated_service(folder: Path, gate: Gate, nodes: int = 1, **settings: Any) -> Service:
    return service(folder, {"gated": gated(nodes)}, custom_ops=[gate.op], **settings)


def post(served: Service, body: Any = BODY, headers: Any = None) -> asyncio.Task[Reply]:
    return asyncio.ensure_future(Client(served).send("POST", INFER, body, headers))


async def until(condition: Any) -> None:
    """Wait for it, at most 10 s."""
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        await asyncio.sleep(0.001)


def metric(served: Service, line: str) -> float:
    """Value of a line of /metrics, named with its labels."""
    lines = ask(served, "GET", "/metrics").body.decode().splitlines()
    return float(next(text.rpartition(" ")[2] for text in lines if text.startswith(f"tflite_cupy_{line} ")))


def test_a_full_line_is_503_and_the_rest_is_done(tmp_path: Path, gate: Gate) -> None:
    served = gated_service(tmp_path, gate, concurrency=1, max_queue=1)

    async def scene() -> tuple[Reply, Reply, Reply]:
        first = post(served)
        await until(lambda: gate.runs)
        second = post(served)
        await until(lambda: served.workers.waiting == 1)
        third = await Client(served).send("POST", INFER, BODY)
        assert (served.workers.running, served.workers.waiting) == (1, 1)
        gate.opened.set()
        return await first, await second, third

    first, second, third = asyncio.run(scene())
    assert (first.status, second.status, third.status) == (200, 200, 503)
    assert first.json["outputs"][0]["data"] == [1, 2]
    assert third.headers["retry-after"] == "1"
    assert third.json["error"] == "1 requests wait already."
    assert (served.workers.running, served.workers.waiting) == (0, 0)
    assert metric(served, 'requests_total{code="200",model="gated.s"}') == 2
    assert metric(served, 'requests_total{code="503",model="gated.s"}') == 1
    assert metric(served, 'compute_seconds_count{model="gated.s"}') == 2
    assert metric(served, 'queue_seconds_count{model="gated.s"}') == 2
    assert metric(served, 'request_seconds_count{model="gated.s"}') == 3


def test_who_is_refused_for_want_of_room_is_not_read(tmp_path: Path, gate: Gate) -> None:
    served = gated_service(tmp_path, gate, concurrency=1, max_queue=0)

    async def scene() -> Client:
        first, client = post(served), Client(served)
        await until(lambda: gate.runs)
        assert (await client.send("POST", INFER, BODY)).status == 503
        gate.opened.set()
        assert (await first).status == 200
        return client

    assert asyncio.run(scene()).received == 0


def test_calls_run_at_a_time(tmp_path: Path, gate: Gate) -> None:
    served = gated_service(tmp_path, gate, concurrency=3)

    async def scene() -> list[Reply]:
        replies = [post(served) for _ in range(5)]
        await until(lambda: gate.runs == 3 and served.workers.waiting == 2)
        gate.opened.set()
        return await asyncio.gather(*replies)

    assert [reply.status for reply in asyncio.run(scene())] == [200] * 5
    assert gate.runs == 5


def test_a_request_in_line_past_its_deadline_is_504_and_not_run(tmp_path: Path, gate: Gate) -> None:
    served = gated_service(tmp_path, gate, concurrency=1, deadline_ms=1000)

    async def scene() -> tuple[Reply, Reply]:
        first = post(served)
        await until(lambda: gate.runs)
        second = await post(served)
        assert (await first).status == 504
        assert served.workers.running == 1  # answered, and its thread is still in the node
        gate.opened.set()
        await until(lambda: served.workers.running == 0)
        return await first, second

    first, second = asyncio.run(scene())
    assert [first.json, second.json] == [{"error": "the request was not done within its deadline."}] * 2
    assert second.status == 504
    assert gate.runs == 1
    assert metric(served, 'requests_total{code="504",model="gated.s"}') == 2


@pytest.mark.parametrize("timeout_us", [None, 1_000_000], ids=["the server's", "the request's own"])
def test_a_call_past_its_deadline_is_cut_between_nodes(tmp_path: Path, gate: Gate, timeout_us: int | None) -> None:
    served = gated_service(tmp_path, gate, nodes=3, deadline_ms=1000 if timeout_us is None else 30_000)
    body = json.dumps(json.loads(BODY) | {"parameters": {"timeout": timeout_us}}).encode()

    async def scene() -> Reply:
        reply = post(served, body)
        await until(lambda: gate.runs)
        await asyncio.sleep(1.1)
        gate.opened.set()
        await until(lambda: served.workers.running == 0)
        return await reply

    assert asyncio.run(scene()).status == 504
    assert gate.runs == 1


def test_a_request_whose_client_leaves_the_line_is_dropped(tmp_path: Path, gate: Gate) -> None:
    served = gated_service(tmp_path, gate, concurrency=1)

    async def scene() -> tuple[Reply, Reply]:
        first, leaver = post(served), Client(served)
        await until(lambda: gate.runs)
        left = asyncio.ensure_future(leaver.send("POST", INFER, BODY))
        third = post(served)
        await until(lambda: served.workers.waiting == 2)
        leaver.leaves.set()
        await left
        assert served.workers.waiting == 1
        gate.opened.set()
        return await first, await third

    assert [reply.status for reply in asyncio.run(scene())] == [200, 200]
    assert gate.runs == 2
    assert metric(served, 'requests_total{code="499",model="gated.s"}') == 1


def test_a_client_that_leaves_while_it_sends(tmp_path: Path) -> None:
    served = service(tmp_path)

    async def scene() -> Client:
        client = Client(served)
        client.leaves.set()
        await client.send("POST", "/v2/models/sums.add/infer", [])
        return client

    assert asyncio.run(scene()).received == 1
    assert served.workers.waiting == 0
    assert metric(served, 'requests_total{code="499",model="sums.add"}') == 1


@pytest.mark.parametrize("path", ["/v2/models/sums.add/infer", "/v1/models/sums:predict"])
def test_a_body_that_is_too_large_is_413_before_it_is_read(tmp_path: Path, path: str) -> None:
    served = service(tmp_path, max_request_bytes=1000)

    async def scene(body: Any, length: str | None = None) -> tuple[Reply, int]:
        client = Client(served)
        return await client.send("POST", path, body, {"content-length": length} if length else {}), client.received

    refused, received = asyncio.run(scene(b"", "1001"))
    assert (refused.status, received) == (413, 0)
    assert refused.json == {"error": "the body is larger than 1000 bytes."}
    refused, received = asyncio.run(scene([b" " * 400] * 10))
    assert (refused.status, received) == (413, 3)
    assert asyncio.run(scene(b" " * 1000))[0].status == 400  # read, and no JSON
    assert asyncio.run(scene(b"", "9" * 30))[0].status == 413
    assert asyncio.run(scene(b"", "-1"))[0].status == 400


def test_compressed_bodies_are_not_unpacked(tmp_path: Path) -> None:
    reply = ask(service(tmp_path), "POST", "/v2/models/sums.add/infer", b"x", {"content-encoding": "gzip"})
    assert (reply.status, reply.json["error"]) == (415, "bodies are taken as they are, not compressed.")


def test_a_node_that_fails_is_500_without_a_traceback(tmp_path: Path) -> None:
    @lite.custom_op("Gate", register=False)
    def fails(x: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError("no value for this")

    served = service(tmp_path, {"gated": gated()}, custom_ops=[fails])
    reply = ask(served, "POST", INFER, BODY)
    assert reply.status == 500
    assert "Gate" in reply.json["error"]
    assert "ZeroDivisionError: no value for this" in reply.json["error"]
    for word in (b"Traceback", b"File ", b".py", str(tmp_path).encode()):
        assert word not in reply.body
    assert metric(served, 'requests_total{code="500",model="gated.s"}') == 1


def test_shapes_that_nodes_can_not_take_are_400(tmp_path: Path) -> None:
    """The file leaves both sizes open, the product of matrices does not."""
    request = {"inputs": [{"name": "x", "shape": [2, 5], "datatype": "FP32", "data": [0] * 10}]}
    reply = ask(service(tmp_path, {"m": misfit()}), "POST", "/v2/models/m/infer", request)
    assert reply.status == 400
    assert "FULLY_CONNECTED" in reply.json["error"]


def test_sizes_beyond_the_limits_are_400(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(gated())
    ops = [lite.custom_op("Gate", register=False)(lambda x: x.copy())]
    limits = lite.Limits(max_tensor_bytes=4)
    repository = Repository.load({"m": tmp_path / "m.tflite"}, device="cpu", custom_ops=ops, limits=limits)
    reply = ask(Service(repository, Settings()), "POST", "/v2/models/m/infer", BODY)
    assert reply.status == 400
    assert "max_tensor_bytes" in reply.json["error"]


def test_a_defect_is_500_and_the_thread_is_free_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = service(tmp_path, concurrency=1)

    async def scene() -> Reply:
        client = Client(served)
        with pytest.raises(TypeError, match="not iterable"):  # for the ASGI server to log
            await client.send("POST", "/v2/models/sums.add/infer", b"{}")
        assert (client.reply.status, client.reply.json) == (500, {"error": "internal error."})
        return await Client(served).send("POST", "/v2/models/sums.sub/infer", b"{}")

    monkeypatch.setattr(served.repository.signatures["sums.add"], "outputs", None)
    assert asyncio.run(scene()).status == 400
    assert served.workers.running == 0
    assert metric(served, 'requests_total{code="500",model="sums.add"}') == 1


def test_names_that_clients_make_up_are_not_counted_by_name(tmp_path: Path) -> None:
    served = service(tmp_path)
    ask(served, "POST", "/v2/models/made-up/infer", {})
    assert metric(served, 'requests_total{code="404",model=""}') == 1
    assert b"made-up" not in ask(served, "GET", "/metrics").body


def test_metrics_say_what_is_served(tmp_path: Path) -> None:
    served = service(tmp_path)
    reply = ask(served, "GET", "/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=")
    assert metric(served, 'nodes{delegate="cpu",model="sums"}') == 3
    assert metric(served, 'nodes{delegate="flex",model="sums"}') == 0
    assert metric(served, "queue_length") == metric(served, "in_flight") == 0
    assert metric(served, "ready") == 1
    assert f'tflite_cupy_build_info{{numpy="{np.__version__}"' in reply.body.decode()


def test_the_log_has_a_line_for_each_inference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    served = service(tmp_path, access_log=True)
    request = {"signature_name": "sub", "inputs": {"a": [1], "b": [2]}}
    ask(served, "POST", "/v1/models/sums:predict", request)
    ask(served, "POST", "/v2/models/no%22such/infer", request)
    ask(served, "GET", "/v2/health/live")
    good, bad = map(json.loads, capsys.readouterr().err.splitlines())
    assert (good["path"], good["model"], good["code"]) == ("/v1/models/sums:predict", "sums.sub", 200)
    assert good["bytes_in"] == len(json.dumps(request))
    assert good["queue_ms"] >= 0 <= good["compute_ms"] <= good["total_ms"]
    assert (bad["path"], bad["model"], bad["code"]) == ('/v2/models/no"such/infer', "", 404)
    assert bad["compute_ms"] is None


def test_warming_up_comes_before_readiness(tmp_path: Path, gate: Gate) -> None:
    served = gated_service(tmp_path, gate, warm_up=True)
    notes: list[str] = []

    async def scene() -> None:
        warm = asyncio.ensure_future(served.warm_up(notes.append))
        await until(lambda: gate.runs)
        for path, expected in [
            ("/v2/health/ready", {"ready": False}),
            ("/v2/models/gated/ready", {"name": "gated", "ready": False}),
        ]:
            reply = await Client(served).send("GET", path)
            assert (reply.status, reply.json) == (503, expected)
        assert (await Client(served).send("GET", "/v2/health/live")).status == 200
        early = await Client(served).send("POST", INFER, BODY)
        assert (early.status, early.json["error"]) == (503, "the server is starting.")
        assert (await Client(served).send("GET", "/v1/models/gated")).json["model_version_status"][0]["state"] == (
            "LOADING"
        )
        gate.opened.set()
        await warm
        assert (await Client(served).send("GET", "/v2/health/ready")).status == 200

    asyncio.run(scene())
    assert notes == []


def test_a_warm_up_that_fails_is_told_and_those_with_state_are_left_out(tmp_path: Path) -> None:
    count = lite.write_model(_with_signature(counter()))
    served = service(tmp_path, {"m": misfit(), "count": count}, warm_up=True)
    notes: list[str] = []
    asyncio.run(served.warm_up(notes.append))
    assert len(notes) == 1
    assert notes[0].startswith("m.s can't be warmed up: ")
    request = {"inputs": {"x": [1, 1]}}
    assert ask(served, "POST", "/v1/models/count:predict", request).json == {"outputs": [11, 21]}
    assert ask(served, "POST", "/v1/models/count:predict", request).json == {"outputs": [12, 22]}


def test_a_defect_while_warming_up_does_not_keep_the_server_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = service(tmp_path, warm_up=True)
    monkeypatch.setattr(served.repository.signatures["sums.add"], "inputs", None)
    assert not served.is_ready
    with pytest.raises(AttributeError):  # for asyncio to log
        asyncio.run(served.warm_up(print))
    assert served.is_ready


def _with_signature(model: Model) -> Model:
    graph = model.graphs[0]
    return replace(model, signatures=(Signature("increment", {"x": graph.inputs[0]}, {"v": graph.outputs[0]}, 0),))


def test_draining(tmp_path: Path, gate: Gate) -> None:
    served = gated_service(tmp_path, gate, concurrency=1)

    async def scene() -> None:
        first = post(served)
        await until(lambda: gate.runs)
        second = post(served)
        await until(lambda: served.workers.waiting)
        drained = asyncio.ensure_future(served.drain(10))
        await asyncio.sleep(0)
        assert (await Client(served).send("GET", "/v2/health/ready")).status == 503
        assert (await Client(served).send("GET", "/v2/health/live")).status == 200
        late = await Client(served).send("POST", INFER, BODY)
        assert (late.status, late.json["error"]) == (503, "the server is stopping.")
        assert not drained.done()
        gate.opened.set()
        assert [(await reply).status for reply in (first, second)] == [200, 200]
        assert await drained

    asyncio.run(scene())


def test_what_is_not_done_in_time_is_cut(tmp_path: Path, gate: Gate) -> None:
    served = gated_service(tmp_path, gate, concurrency=1)

    async def scene() -> None:
        first = post(served)
        await until(lambda: gate.runs)
        second = post(served)
        await until(lambda: served.workers.waiting)
        assert not await served.drain(0)
        for reply in (await first, await second):
            assert (reply.status, reply.json["error"]) == (503, "the server is stopping.")
        assert served.workers.running == 1
        gate.opened.set()
        await until(lambda: served.workers.running == 0)

    asyncio.run(scene())
    assert gate.runs == 1


def test_draining_what_is_idle(tmp_path: Path) -> None:
    assert asyncio.run(service(tmp_path).drain(0.1))

"""A real server process over loopback: overload, bounds, and how it ends."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.gate import gated
from tests.models import add_sub, passthrough
from tests.serve.process import GATE, Running, server, until
from tests.serve.served import write
from tests.shell import shell

X = {"inputs": {"x": [1.0, 2.0]}}
PREDICT = "/v1/models/gated:predict"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Serves sums (add, sub) and odd (same, scalar, strings); takes bodies of 1 MB."""
    folder = tmp_path_factory.mktemp("models")
    paths = write(folder, sums=add_sub(), odd=passthrough())
    with server(*paths.values(), "--device", "cpu", "--max-request-bytes", 10**6, folder=folder) as process:
        yield process


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_it_says_where_it_listens(running: Running) -> None:
    assert running.url == f"http://127.0.0.1:{running.port}"
    assert running.ask("/v2/health/ready") == (200, {"ready": True})


def test_both_protocols(running: Running) -> None:
    columns = {"signature_name": "sub", "inputs": {"a": [5.0], "b": [2.0]}}
    assert running.ask("/v1/models/sums:predict", columns) == (200, {"outputs": {"prod": [10.0], "diff": [3.0]}})
    rows = {"signature_name": "same", "instances": [1.0, 2.0]}
    told = running.ask("/v1/models/odd:predict", rows)
    assert told == (200, {"predictions": [{"x": 1.0, "constant": 7.0}, {"x": 2.0, "constant": 8.0}]})
    words = [{"name": "s", "shape": [1], "datatype": "BYTES", "data": ["a"]}]
    status, reply = running.ask("/v2/models/odd.strings/infer", {"inputs": words})
    assert (status, reply["outputs"][0]["data"]) == (200, ["a"])
    assert running.ask("/v2/models/nope/ready") == (404, {"error": "no model is named 'nope'."})


def exchange(running: Running, data: bytes) -> bytes:
    """What comes back for these bytes on a connection of their own, until the server closes it or has answered."""
    with socket.create_connection(("127.0.0.1", running.port), 20) as connection:
        connection.sendall(data)
        reply = b""
        while b"\r\n\r\n" not in reply:
            part = connection.recv(65536)
            if not part:
                break
            reply += part
        return reply


def test_a_large_body_is_refused_before_it_comes(running: Running) -> None:
    head = b"POST /v2/models/sums.add/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n"
    assert exchange(running, head).startswith(b"HTTP/1.1 413 ")
    status, reply = running.ask("/v1/models/sums:predict", {"inputs": "x" * 1_000_001})
    assert (status, reply) == (413, {"error": "the body is larger than 1000000 bytes."})


def test_large_heads_and_other_protocols_are_refused(running: Running) -> None:
    large = b"GET /v2 HTTP/1.1\r\nHost: x\r\nX-Large: " + b"x" * 20_000
    for data in (large, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET /v2 SPDY/3\r\n\r\n"):
        assert exchange(running, data).startswith(b"HTTP/1.1 400 ")
    assert running.ask("/v2/health/live") == (200, {"live": True})


def start_gated(folder: Path, *arguments: object, prelude: str = "") -> Any:
    path = write(folder, gated=gated())["gated"]
    prelude += GATE.format(folder=str(folder))
    return server(path, "--device", "cpu", *arguments, prelude=prelude, folder=folder)


def in_flight(running: Running, pool: ThreadPoolExecutor, folder: Path) -> Future[tuple[int, Any]]:
    """A request that has come as far as the operator."""
    assert not (folder / "entered").exists()
    asked = pool.submit(running.ask, PREDICT, X)
    until((folder / "entered").exists)
    return asked


def test_overload_is_503_and_those_who_leave_are_dropped(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    with start_gated(tmp_path, "--concurrency", 1, "--max-queue", 2) as running:
        first = in_flight(running, pool, tmp_path)
        with socket.create_connection(("127.0.0.1", running.port), 20) as leaver:
            body = b'{"inputs": {"x": [1, 2]}}'
            leaver.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (
                PREDICT.encode(), len(body), body
            ))  # fmt: skip
            until(lambda: running.metric("queue_length") == 1)
            second = pool.submit(running.ask, PREDICT, X)
            until(lambda: running.metric("queue_length") == 2)
            assert running.ask(PREDICT, X) == (503, {"error": "2 requests wait already."})
        until(lambda: running.metric("queue_length") == 1)
        assert running.metric("in_flight") == 1
        (tmp_path / "opened").touch()
        assert [first.result(20), second.result(20)] == [(200, {"outputs": [1.0, 2.0]})] * 2
        counted = {code: running.metric(f'requests_total{{code="{code}",model="gated.s"}}') for code in (200, 499)}
        assert counted == {200: 2, 499: 0}  # who left had not said which signature
        assert running.metric('requests_total{code="503",model="gated"}') == 1
        assert running.metric('requests_total{code="499",model="gated"}') == 1
        assert running.metric('compute_seconds_count{model="gated.s"}') == 2


IMPATIENT = "from tflite_cupy.serve import server\nserver.HEAD_SECONDS = 1\n"


def test_connections_without_a_request_are_closed(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    with start_gated(tmp_path, prelude=IMPATIENT) as running:
        first = in_flight(running, pool, tmp_path)
        refused = b"POST /v2/models/nope/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
        for sent, reply in ((b"", b""), (b"GET /v2 HT", b""), (refused, b"HTTP/1.1 404 ")):
            with socket.create_connection(("127.0.0.1", running.port), 20) as connection:
                connection.sendall(sent)
                if reply:
                    assert connection.recv(65536).startswith(reply)
                    connection.sendall(b"{")  # of a body that nobody waits for
                while connection.recv(65536):
                    pass  # the rest of the reply, then the end
        (tmp_path / "opened").touch()
        assert first.result(20) == (200, {"outputs": [1.0, 2.0]})  # a request takes as long as its deadline allows


def test_a_deadline_is_504(tmp_path: Path) -> None:
    with start_gated(tmp_path, "--concurrency", 1, "--deadline-ms", 1000) as running:
        late = (504, {"error": "the request was not done within its deadline."})
        assert running.ask(PREDICT, X) == late
        assert running.ask(PREDICT, X) == late  # in line behind the first, whose thread waits in the operator
        (tmp_path / "opened").touch()
        until(lambda: running.metric("in_flight") == 0)
        assert running.ask(PREDICT, X) == (200, {"outputs": [1.0, 2.0]})


def test_sigterm_lets_what_is_in_flight_end(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    with start_gated(tmp_path) as running:
        first = in_flight(running, pool, tmp_path)
        running.process.send_signal(signal.SIGTERM)
        until(lambda: running.ask("/v2/health/ready") == (503, {"ready": False}))
        assert running.ask("/v2/health/live") == (200, {"live": True})
        assert running.ask(PREDICT, X) == (503, {"error": "the server is stopping."})
        assert not first.done()
        (tmp_path / "opened").touch()
        assert first.result(20) == (200, {"outputs": [1.0, 2.0]})
        assert running.ended() == 0
        assert running.log.read_text().splitlines() == ["stopping: 1 in flight, 0 waiting"]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", running.port), 1)


def test_what_takes_too_long_is_cut_when_it_stops(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    with start_gated(tmp_path, "--drain-seconds", 0) as running:
        first = in_flight(running, pool, tmp_path)
        running.process.send_signal(signal.SIGTERM)
        assert first.result(20) == (503, {"error": "the server is stopping."})
        assert running.ended() == 1
        assert "not done after 0 s: cut." in running.log.read_text()


def test_a_second_signal_ends_it_at_once(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    with start_gated(tmp_path) as running:
        first = in_flight(running, pool, tmp_path)
        running.process.send_signal(signal.SIGTERM)
        until(lambda: running.ask("/v2/health/ready")[0] == 503)
        running.process.send_signal(signal.SIGINT)
        assert running.ended() == 1
        assert first.exception(20) is not None or first.result()[0] >= 500


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_with_0(tmp_path: Path, sent: signal.Signals) -> None:
    with server(*write(tmp_path, sums=add_sub()).values(), "--device", "cpu", folder=tmp_path) as running:
        assert running.ask("/v2/health/live")[0] == 200
        running.process.send_signal(sent)
        assert running.ended() == 0


def test_a_port_that_is_taken(running: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = write(tmp_path, sums=add_sub()).values()
    code, out, err = shell(capsys)("serve", path, "--device", "cpu", "--port", running.port)
    assert (code, out) == (2, "")
    assert f"can't listen on 127.0.0.1, port {running.port}: " in err

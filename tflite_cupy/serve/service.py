"""What happens to a request for inference: admitted, read, run in a thread, answered, counted."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TypeAlias

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from ..version import __version__
from .faults import CLIENT_CLOSED, ClientGone, Refused, bad, not_now, too_late
from .metrics import Metrics
from .repository import Repository, Served
from .strict_json import dump
from .workers import Workers

LINGER_SECONDS = 1
"""How long the body of a refused request is dropped before its connection is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How much a server takes on.

    concurrency: calls at a time. max_queue: further requests that may wait. max_request_bytes: of a body. deadline_ms:
    of a request from its head to its answer, None for none. access_log: a line of JSON on stderr for each inference.
    warm_up: call signatures once before the server is ready, those without state.
    """

    concurrency: int = 2
    max_queue: int = 64
    max_request_bytes: int = 32 << 20
    deadline_ms: float | None = 30_000
    access_log: bool = False
    warm_up: bool = False


@dataclass(slots=True)
class Trace:
    """One request, for deadlines, metrics and the log. Times are those of `time.monotonic`, in seconds."""

    began: float
    ends: float | None
    model: str = ""  # as the repository calls it, so that clients can't make up metrics
    received: float = 0
    started: float | None = None
    computed: float | None = None  # seconds
    bytes_in: int = 0

    def call(
        self, served: Served, arrays: Mapping[str, np.ndarray], timeout_ms: float | None = None
    ) -> dict[str, np.ndarray]:
        """Outputs of a signature, if they are there in time; `timeout_ms` is the request's own. Raises Refused."""
        self.model, now = served.name, time.monotonic()
        ends = [end for end in (self.ends, self.began + timeout_ms / 1e3 if timeout_ms else None) if end is not None]
        left_ms = (min(ends) - now) * 1e3 if ends else None
        if left_ms is not None and left_ms <= 0:
            raise too_late()
        try:
            return served.call(arrays, left_ms)
        finally:
            self.computed = time.monotonic() - now


Work: TypeAlias = Callable[[bytes, Trace], tuple[bytes, dict[str, str]]]
"""From a body to the body of the answer and its headers; done in a thread. Raises Refused."""


class Service:
    """A repository, and what answers requests for it."""

    def __init__(self, repository: Repository, settings: Settings) -> None:
        self.repository, self.settings = repository, settings
        self.workers = Workers(settings.concurrency, settings.max_queue)
        self.metrics = Metrics()
        self.metrics.describe(repository, __version__)
        self.metrics.watch("queue_length", "Requests that are read or wait for a thread.", lambda: self.workers.waiting)
        self.metrics.watch("in_flight", "Threads at work on requests.", lambda: self.workers.running)
        self.metrics.watch("ready", "Whether the server takes requests.", lambda: self.is_ready)
        self._is_warm, self._is_stopped = not settings.warm_up, False
        self._scopes: set[asyncio.Timeout] = set()

    @property
    def is_ready(self) -> bool:
        return self._is_warm and not self.workers.is_draining

    async def warm_up(self, note: Callable[[str], None]) -> None:
        """Where the settings ask for it, call each signature without state once, then be ready, come what may; `note`
        is told of calls that fail."""
        try:
            for served in () if self._is_warm else self.repository.signatures.values():
                if not (served.has_state or self.workers.is_draining):
                    await self.workers.thread(asyncio.Event().wait)
                    try:
                        await self.workers.start(served.warm_up)
                    except (Refused, MemoryError) as error:
                        note(f"{served.name} can't be warmed up: {error}")
        finally:
            self._is_warm = True

    async def drain(self, seconds: float) -> bool:
        """Take nothing more, wait for what is here, and cut what is not done within `seconds`; whether all was."""
        is_done = await self.workers.drain(seconds)
        self._is_stopped = True
        for scope in self._scopes:
            if not scope.expired():
                scope.reschedule(asyncio.get_running_loop().time())
        return is_done

    async def infer(self, request: Request, prepare: Callable[[Trace], Work]) -> Response:
        """The answer to a request; `prepare` looks at its head. The body is read if there is room for it."""
        began, allowed = time.monotonic(), self.settings.deadline_ms
        trace = Trace(began, None if allowed is None else began + allowed / 1e3)
        response: Response | None = None
        try:
            response = await self._answered(request, trace, prepare)
        except Refused as refused:
            response = error_response(refused)
            if not trace.received:
                await _discarded(request, self.settings.max_request_bytes)
        except ClientGone:
            response = Response(status_code=CLIENT_CLOSED)
        finally:
            code, size = (500, 0) if response is None else (response.status_code, len(response.body))
            self._count(request, trace, code, size)
        return response

    async def _answered(self, request: Request, trace: Trace, prepare: Callable[[Trace], Work]) -> Response:
        left = None if trace.ends is None else trace.ends - trace.began
        scope = asyncio.timeout(left)
        try:
            async with scope:
                self._scopes.add(scope)
                return await self._run(request, trace, prepare)
        except TimeoutError:
            if not scope.expired():
                raise
            raise not_now("the server is stopping.") if self._is_stopped else too_late() from None
        finally:
            self._scopes.discard(scope)

    async def _run(self, request: Request, trace: Trace, prepare: Callable[[Trace], Work]) -> Response:
        work = prepare(trace)
        if not self._is_warm:
            raise not_now("the server is starting.")
        with self.workers.admitted() as place:
            body = await self._body(request)
            trace.received, trace.bytes_in = time.monotonic(), len(body)
            content, headers = await place.run(partial(_started, work, body, trace), request.receive)
            return Response(content, headers=headers)

    async def _body(self, request: Request) -> bytes:
        """The body, of which no more is read than may be. Raises Refused (413, 415), ClientGone."""
        most = self.settings.max_request_bytes
        too_large = Refused(413, f"the body is larger than {most} bytes.")
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Refused(415, "bodies are taken as they are, not compressed.")
        length = request.headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise bad(f"Content-Length: {length[:40]!r} is no number.")
        if len(length) > 18 or int(length) > most:
            raise too_large
        chunks, size, more = [], 0, True
        while more:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > most:
                raise too_large
            more = message.get("more_body", False)
        return b"".join(chunks)

    def _count(self, request: Request, trace: Trace, code: int, bytes_out: int) -> None:
        seconds = time.monotonic() - trace.began
        metrics, queued = self.metrics, None if trace.started is None else trace.started - trace.received
        metrics.requests.labels(trace.model, str(code)).inc()
        metrics.request_seconds.labels(trace.model).observe(seconds)
        if queued is not None:
            metrics.queue_seconds.labels(trace.model).observe(queued)
        if trace.computed is not None:
            metrics.compute_seconds.labels(trace.model).observe(trace.computed)
        if self.settings.access_log:
            line = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "client": request.client.host if request.client else "",
                "path": request.scope["path"][:200],
                "model": trace.model,
                "code": code,
                "queue_ms": _ms(queued),
                "compute_ms": _ms(trace.computed),
                "total_ms": _ms(seconds),
                "bytes_in": trace.bytes_in,
                "bytes_out": bytes_out,
            }
            print(json.dumps(line), file=sys.stderr, flush=True)


def _started(work: Work, body: bytes, trace: Trace) -> tuple[bytes, dict[str, str]]:
    trace.started = time.monotonic()
    return work(body, trace)


async def _discarded(request: Request, most: int) -> None:
    """Read on for a moment where the connection is to be closed: who still sends then does not find the answer."""
    closes = "close" in request.headers.get("connection", "").lower() or request.scope["http_version"] == "1.0"
    if not closes or "expect" in request.headers:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            more = True
            while more and most > 0:
                message = await request.receive()
                most -= len(message.get("body", b""))
                more = message.get("more_body", False)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)


def json_response(value: object, status: int = 200) -> Response:
    """An answer of JSON."""
    return Response(dump(value), status, media_type="application/json")


def error_response(refused: Refused) -> Response:
    """What both protocols say of an error."""
    return Response(dump({"error": refused.text}), refused.status, refused.headers, "application/json")

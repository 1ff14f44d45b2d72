"""Listening, and ending well."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..interpreter.errors import InputError
from .app import create_app
from .service import Service

MAX_CONNECTIONS = 512
"""Further ones are told 503 at once."""
KEEP_ALIVE_SECONDS = 75
"""How long a connection may stay open without a request after the last one."""
HEAD_SECONDS = 30
"""For a request's line and its headers to come."""
MAX_HEAD_BYTES = 16 << 10
"""Of a request's line and its headers; more is refused, unless all of it comes at once."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 is one that the system chooses. Raises InputError."""
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(MAX_CONNECTIONS)
        except OSError:
            listener.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        raise InputError(f"can't listen on {host}, port {port}: {error}", hint="Choose others.") from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Where clients find it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    service: Service, listener: socket.socket, *, drain_seconds: float = 20, note: Callable[[str], None] = print
) -> bool:
    """Serve until SIGTERM or SIGINT: then take nothing more, and end when what is in flight has. A second signal ends
    it at once.

    Returns whether all in flight was done within `drain_seconds`; else threads may still be at work. `note` is told
    what operators want to know.
    """
    config = uvicorn.Config(
        create_app(service),
        http=_Connection,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        limit_concurrency=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )
    server = _Server(config, service, drain_seconds, note)
    try:
        server.run([listener])
    finally:
        service.workers.close()
    return not service.workers.running


class _Connection(H11Protocol):
    """Closed where no whole head of a request comes, and where what follows a refused one does not end: places for
    connections are few. The deadline of requests ends those whose bodies are slow."""

    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Give the client `HEAD_SECONDS`, unless a request is being answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._unwatch()
        elif self._limit is None:
            self._limit = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _unwatch(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None


class _Server(uvicorn.Server):
    """Answers readiness with 503 and finishes what it has before it closes its socket."""

    def __init__(
        self, config: uvicorn.Config, service: Service, drain_seconds: float, note: Callable[[str], None]
    ) -> None:
        super().__init__(config)
        self._service, self._drain_seconds, self._note = service, drain_seconds, note
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stopping = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self._keep(asyncio.ensure_future(self._service.warm_up(self._note)))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._is_stopping or self._loop is None:
            self.should_exit = self.force_exit = True
            return
        self._is_stopping = True
        self._loop.call_soon_threadsafe(lambda: self._keep(asyncio.ensure_future(self._drain())))

    def _keep(self, task: asyncio.Task[None]) -> None:
        """The event loop does not hold its tasks; given up when it is done, so that asyncio logs what it raised."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self) -> None:
        self._note(f"stopping: {self._service.workers.running} in flight, {self._service.workers.waiting} waiting")
        if not await self._service.drain(self._drain_seconds):
            self._note(f"not done after {self._drain_seconds:g} s: cut.")
        self.config.timeout_graceful_shutdown = 5  # for answers to be sent
        self.should_exit = True

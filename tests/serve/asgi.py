"""Requests to the application without a socket: ASGI messages in, ASGI messages out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import tests.serve.needed  # noqa: F401  skips
from tflite_cupy.serve.app import create_app
from tflite_cupy.serve.service import Service

if TYPE_CHECKING:
    from starlette.applications import Starlette


@dataclass
class Reply:
    """What the application sent."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A client of one request at a time: gives the body's parts one by one, then waits, or leaves."""

    def __init__(self, served: Service | Starlette) -> None:
        self._app = create_app(served) if isinstance(served, Service) else served
        self.received = 0  # messages that the application has asked for
        self.leaves = asyncio.Event()
        self.reply = Reply()  # the last one, as far as it was sent

    async def send(
        self, method: str, path: str, body: bytes | Iterable[bytes] = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """The reply to a request; a body in parts has no Content-Length."""
        given = {"content-length": str(len(body))} if isinstance(body, bytes) else {}
        given |= {name.lower(): value for name, value in (headers or {}).items()}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        parts = iter([body] if isinstance(body, bytes) else list(body))
        reply = self.reply = Reply()
        part = next(parts, None)

        async def receive() -> dict[str, Any]:
            nonlocal part
            self.received += 1
            if part is None:
                await self.leaves.wait()
                return {"type": "http.disconnect"}
            sent, part = part, next(parts, None)
            return {"type": "http.request", "body": sent, "more_body": part is not None}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                reply.status = message["status"]
                reply.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                reply.body += message["body"]

        await self._app(scope, receive, send)
        return reply


def ask(service: Service, method: str, path: str, body: Any = b"", headers: Mapping[str, str] | None = None) -> Reply:
    """One request on an event loop of its own; a dict goes as JSON."""

    async def once() -> Reply:
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        return await Client(service).send(method, path, content, headers)

    return asyncio.run(once())

"""A server in a process of its own, on a port that the system chooses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
START = "import sys; from tflite_cupy.cli import main; sys.exit(main(sys.argv[1:]))"
GATE = """
import pathlib, time
import tflite_cupy as lite

@lite.custom_op("Gate")
def gate(x):
    pathlib.Path({folder!r}, "entered").touch()
    ends = time.monotonic() + 20
    while not pathlib.Path({folder!r}, "opened").exists() and time.monotonic() < ends:
        time.sleep(0.005)
    return x.copy()
"""
"""The operator Gate, which waits for a file `opened`."""


@dataclass
class Running:
    """The process, and where it listens."""

    process: subprocess.Popen[str]
    printed: str
    log: Path

    @property
    def url(self) -> str:
        """What it has printed last."""
        return self.printed.split()[-1]

    @property
    def address(self) -> str:
        return self.url.removeprefix("http://")

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def ask(self, path: str, body: Any = None, method: str | None = None) -> tuple[int, Any]:
        """Status and content, JSON unless it is text; a body goes as JSON."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, _content(reply)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _content(error)

    def metric(self, line: str) -> float:
        """Value of a line of /metrics, named with its labels; 0 where it is not there."""
        lines = [text.rpartition(" ") for text in self.ask("/metrics")[1].splitlines()]
        return next((float(value) for name, _, value in lines if name == f"tflite_cupy_{line}"), 0.0)

    def ended(self) -> int:
        """Its exit code, once it has one."""
        return self.process.wait(20)


def _content(reply: Any) -> Any:
    text = reply.read().decode()
    return json.loads(text) if reply.headers["content-type"] == "application/json" else text


def until(condition: Callable[[], Any]) -> None:
    """Wait for it, at most 20 s."""
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)


@contextmanager
def server(*arguments: object, prelude: str = "", folder: Path) -> Iterator[Running]:
    """`tflite-cupy serve ... --port 0` once it listens; ended in any case."""
    log = folder / "stderr.txt"
    with log.open("w") as errors, subprocess.Popen(
        [sys.executable, "-c", prelude + START, "serve", *map(str, arguments), "--port", "0"],
        stdout=subprocess.PIPE, stderr=errors, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            lines = [""]
            while not lines[-1].startswith("listening on "):
                lines.append(process.stdout.readline())
                assert lines[-1], log.read_text()
            yield Running(process, "".join(lines), log)
        finally:
            if process.poll() is None:
                process.kill()

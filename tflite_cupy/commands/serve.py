"""`tflite-cupy serve MODEL ...`: signatures over HTTP, by the Open Inference Protocol and TensorFlow Serving's REST.

MODEL is a .tflite file, or NAME=FILE; without NAME it goes by the file's name without its ending. Each signature is a
model of the v2 protocol, NAME.SIGNATURE, and NAME alone is the default one.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..interpreter.limits import DEFAULT_LIMITS, Limits
from .arguments import UsageError, add_device, add_threads, existing, positive
from .output import note, result, table

if TYPE_CHECKING:
    from ..serve.repository import Repository
    from ..serve.service import Settings


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "serve", help="serve signatures over HTTP", description=__doc__
    )
    parser.add_argument("models", metavar="MODEL", nargs="+", help="path of a .tflite file, or NAME=path")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=_port, default=8000, help="0: one that the system chooses (default: 8000)")
    parser.add_argument(
        "--signature", action="append", default=[], metavar="KEY", help="serve this one only; may be repeated"
    )
    add_device(parser)
    add_threads(parser)
    _add_bounds(parser)
    parser.add_argument("--flex", choices=("off", "pure"), help="which TensorFlow operators a model may reach")
    parser.add_argument("--untrusted", action="store_true", help="limits for models from strangers")
    parser.add_argument("--warm-up", action="store_true", help="call signatures once before the server is ready")
    parser.add_argument("--access-log", action="store_true", help="a line of JSON on stderr for each inference")
    return parser


def _add_bounds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--concurrency", type=positive, metavar="N", default=_cores(), help="calls at a time (default: the cores)"
    )
    parser.add_argument(
        "--max-queue", type=_count, metavar="N", default=64, help="further requests that may wait (default: 64)"
    )
    parser.add_argument(
        "--max-request-bytes", type=positive, metavar="N", default=32 << 20, help="of a body (default: 33554432)"
    )
    parser.add_argument(
        "--deadline-ms", type=_count, metavar="MS", default=30_000,
        help="of a request, its waiting included; 0 for none (default: 30000)",
    )  # fmt: skip
    parser.add_argument(
        "--drain-seconds", type=_count, metavar="S", default=20,
        help="for what is in flight when the server is told to stop (default: 20)",
    )  # fmt: skip


def main(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; 0, or 1 where requests in flight had to be cut."""
    from ..serve import check_installed

    check_installed()
    from ..serve.server import listen, serve, url_of
    from ..serve.service import Service

    repository = _repository(arguments)
    service = Service(repository, _settings(arguments))
    listener = listen(arguments.host, arguments.port)
    url = url_of(listener)
    if arguments.host not in ("127.0.0.1", "::1", "localhost"):
        note("whoever reaches this address may use it: the server knows no passwords and no encryption.")
    result(arguments, lambda: _show(url, repository), url=url, models=[*repository.signatures])
    sys.stdout.flush()
    if serve(service, listener, drain_seconds=arguments.drain_seconds, note=note):
        return 0
    sys.stdout.flush()
    os._exit(1)  # a process waits for its threads, and these are not done


def _show(url: str, repository: Repository) -> None:
    rows = [
        (served.name, ", ".join(served.inputs), ", ".join(served.outputs)) for served in repository.signatures.values()
    ]
    table(("model", "inputs", "outputs"), rows)
    print(f"listening on {url}")


def _repository(arguments: argparse.Namespace) -> Repository:
    from ..serve.repository import Repository

    paths: dict[str, Path] = {}
    for argument in arguments.models:
        name, is_named, path = argument.partition("=")
        if Path(argument).is_file() or not is_named:
            name, path = Path(argument).stem, argument
        if not name:
            raise UsageError(f"{argument!r} names no model.", hint="Name it: NAME=path")
        if name in paths:
            raise UsageError(f"two models are called {name!r}.", hint="Name one: NAME=path")
        paths[name] = existing(path)
    limits = Limits.untrusted() if arguments.untrusted else DEFAULT_LIMITS
    if arguments.flex is not None:
        limits = replace(limits, flex=arguments.flex)
    return Repository.load(
        paths,
        signatures=arguments.signature,
        device=arguments.device,
        num_threads=arguments.num_threads,
        limits=limits,
    )


def _settings(arguments: argparse.Namespace) -> Settings:
    from ..serve.service import Settings

    return Settings(
        concurrency=arguments.concurrency,
        max_queue=arguments.max_queue,
        max_request_bytes=arguments.max_request_bytes,
        deadline_ms=arguments.deadline_ms or None,
        access_log=arguments.access_log,
        warm_up=arguments.warm_up,
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _count(text: str) -> int:
    """A whole number, as a type of argparse."""
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise argparse.ArgumentTypeError(f"expected a whole number of 0 or more, got {text!r}")
    return int(text)


def _port(text: str) -> int:
    number = _count(text)
    if number > 65535:
        raise argparse.ArgumentTypeError(f"{number} is no port")
    return number

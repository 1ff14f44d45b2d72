"""`tflite-cupy serve`: what it is asked for, up to the moment in which it serves."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import tests.serve.needed  # noqa: F401  skips
from tests.models import add_sub
from tests.pages import ROOT
from tests.shell import Run
from tflite_cupy import serve
from tflite_cupy.serve import server
from tflite_cupy.serve.repository import Repository
from tflite_cupy.serve.service import Service


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    (tmp_path / "sums.tflite").write_bytes(add_sub())
    return tmp_path / "sums.tflite"


@pytest.fixture(autouse=True)
def served(monkeypatch: pytest.MonkeyPatch) -> list[Service]:
    """The services that would have been served."""
    services: list[Service] = []

    def stand_in(service: Service, listener: Any, **options: Any) -> bool:
        listener.close()
        services.append(service)
        return True

    monkeypatch.setattr(server, "serve", stand_in)
    return services


def test_it_tells_what_it_serves_and_where(run: Run, sums: Path) -> None:
    code, out, err = run("serve", sums, "--port", 0, "--device", "cpu")
    assert (code, err) == (0, "")
    *rows, last = out.splitlines()
    assert [row.split() for row in rows[1:]] == [
        ["sums.sub", "a,", "b", "prod,", "diff"],
        ["sums.add", "x,", "y", "sum"],
    ]
    assert last.startswith("listening on http://127.0.0.1:")


def test_json(run: Run, sums: Path) -> None:
    code, out, _ = run("serve", f"calc={sums}", sums, "--port", 0, "--signature", "add", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["command"] == "serve"
    assert told["models"] == ["calc.add", "sums.add"]
    assert told["url"].startswith("http://127.0.0.1:")


def test_options_reach_the_service(run: Run, sums: Path, served: list[Service]) -> None:
    run(
        "serve",
        sums,
        "--port",
        0,
        "--concurrency",
        3,
        "--max-queue",
        0,
        "--deadline-ms",
        0,
        "--warm-up",
        "--access-log",
    )
    run("serve", sums, "--port", 0, "--deadline-ms", 250, "--max-request-bytes", 77)
    first, second = (service.settings for service in served)
    assert (first.concurrency, first.max_queue, first.deadline_ms) == (3, 0, None)
    assert first.warm_up
    assert first.access_log
    assert (second.deadline_ms, second.max_request_bytes, second.warm_up) == (250, 77, False)


def test_limits(run: Run, sums: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    load = Repository.load

    def noted(*arguments: Any, **options: Any) -> Repository:
        given.append(options["limits"])
        return load(*arguments, **options)

    monkeypatch.setattr(Repository, "load", noted)
    for more in ([], ["--untrusted"], ["--untrusted", "--flex", "pure"], ["--flex", "off"]):
        assert run("serve", sums, "--port", 0, *more)[0] == 0
    assert [(limits.flex, limits.max_model_bytes) for limits in given] == [
        ("pure", None),
        ("off", 512 << 20),
        ("pure", 512 << 20),
        ("off", None),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["{folder}/none.tflite"], 2, "no such file"),
        (["{sums}", "{sums}"], 2, "two models are called 'sums'. Name one: NAME=path"),
        (["={sums}"], 2, "sums.tflite' names no model. Name it: NAME=path"),
        (["{sums}", "--signature", "mul"], 2, "no model has a signature 'mul'"),
        (["{sums}", "--port", "70000"], 2, "70000 is no port"),
        (["{sums}", "--max-queue", "-1"], 2, "expected a whole number of 0 or more, got '-1'"),
        (["{sums}", "--host", "no such host"], 2, "can't listen on no such host, port 8000"),
        (["{bad}"], 1, "error: "),
    ],
)
def test_what_can_not_be_served(
    run: Run, sums: Path, tmp_path: Path, served: list[Service], arguments: list[str], code: int, says: str
) -> None:
    (tmp_path / "bad.tflite").write_bytes(b"no model")
    paths = {"folder": tmp_path, "sums": sums, "bad": tmp_path / "bad.tflite"}
    got, out, err = run("serve", *(argument.format(**paths) for argument in arguments))
    assert (got, out) == (code, "")
    assert says in err
    assert served == []


def test_an_address_that_others_reach_is_pointed_out(run: Run, sums: Path) -> None:
    _, _, err = run("serve", sums, "--host", "0.0.0.0", "--port", 0)
    assert err == "whoever reaches this address may use it: the server knows no passwords and no encryption.\n"


def test_the_command_line_does_without_them_until_it_serves() -> None:
    names = "{'starlette', 'uvicorn', 'prometheus_client'}"
    code = f"import sys, tflite_cupy.cli; tflite_cupy.cli.parser(); print(*sorted({names} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_without_its_packages(run: Run, sums: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == "uvicorn" else find_spec(name))
    code, _, err = run("serve", sums)
    assert code == 3
    assert "the server needs uvicorn, not installed here. pip install 'tflite-cupy[serve]'" in err

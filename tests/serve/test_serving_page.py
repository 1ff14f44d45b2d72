"""docs/serving.md: its commands and its Python against a server that was started as it says."""

from __future__ import annotations

import asyncio
import configparser
import importlib
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models import add_sub, passthrough
from tests.pages import ROOT, Reader, blocks, files, matches
from tests.serve.asgi import Client
from tests.serve.process import Running, server
from tests.serve.served import write
from tflite_cupy.cli import parser
from tflite_cupy.serve.server import HEAD_SECONDS, KEEP_ALIVE_SECONDS, MAX_CONNECTIONS

PAGE = ROOT / "docs" / "serving.md"
BLOCKS = blocks(PAGE)
START = next(block for block in BLOCKS if "$ tflite-cupy serve" in block.code)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The server of the page's first command, on another port."""
    folder = tmp_path_factory.mktemp("page")
    write(folder, arithmetic=add_sub(), words=passthrough())
    command, _, shown = START.code.removeprefix("$ tflite-cupy serve ").partition("\n")
    arguments = [argument.replace("=", f"={folder}/") if "=" in argument else folder / argument for argument in
                 shlex.split(command)]  # fmt: skip
    with server(*arguments, folder=folder) as process:
        assert matches(shown.replace("8000", str(process.port)), process.printed)
        yield process


def test_what_the_page_runs(running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From top to bottom, since the metrics count what was asked before."""
    pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    monkeypatch.chdir(tmp_path)
    reader = Reader(tmp_path, elsewhere={"tflite-cupy serve": "the fixture started it"})
    for block in BLOCKS:
        reader.run(block._replace(code=block.code.replace(":8000", f":{running.port}")))


def test_the_metrics_of_the_page_are_there(running: Running) -> None:
    named = set(re.findall(r"`(tflite_cupy_\w+)`", PAGE.read_text("utf-8")))
    text = running.ask("/metrics")[1]
    there = set(re.findall(r"^# TYPE (tflite_cupy_\w+) ", text, re.MULTILINE))
    assert named == {name for name in there if not name.endswith("_created")}


def test_the_options_of_the_page_have_the_defaults_that_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    told = dict(re.findall(r"^\| `(--[\w-]+)` \| (\d+) \|", PAGE.read_text("utf-8"), re.MULTILINE))
    given = vars(parser().parse_args(["serve", "x.tflite"]))
    assert {name: given[name.removeprefix("--").replace("-", "_")] for name in told} == {
        name: int(value) for name, value in told.items()
    }
    assert len(told) == 4


def test_the_bounds_of_connections_are_those_that_the_page_says() -> None:
    text = " ".join(PAGE.read_text("utf-8").split())
    assert f"{MAX_CONNECTIONS} connections may be open" in text
    assert f"has {HEAD_SECONDS} seconds to come" in text
    assert f"closed {KEEP_ALIVE_SECONDS} seconds after its last answer" in text


def test_the_unit_of_systemd_starts_what_there_is() -> None:
    (unit,) = (block.code for block in BLOCKS if block.language == "ini")
    file = configparser.ConfigParser()
    file.optionxform = str  # type: ignore[assignment,method-assign]
    file.read_string(unit)
    _, *arguments = shlex.split(file["Service"]["ExecStart"])
    asked = parser().parse_args(arguments)
    assert asked.models == ["/opt/models/arithmetic.tflite"]
    assert int(file["Service"]["TimeoutStopSec"]) > asked.drain_seconds


def test_the_application_under_another_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, arithmetic=add_sub())
    (tmp_path / "app.py").write_text(files(PAGE)["app.py"], "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "app", raising=False)
    app = importlib.import_module("app").app
    monkeypatch.delitem(sys.modules, "app")
    body = b'{"signature_name": "add", "inputs": {"x": [1], "y": [2]}}'
    reply = asyncio.run(Client(app).send("POST", "/v1/models/arithmetic:predict", body))
    assert reply.json == {"outputs": [3.0]}

"""What a terminal gets to see: help in 80 columns, nothing that a model's names could steer it with, and no traceback
where it can't be written to."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.build import F32, GraphBuilder, model
from tests.models import add_sub
from tests.shell import Run
from tflite_cupy import cli, write_model

STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
EVIL = "\x1b[31m\x07\u202e\nname "
MAIN = "import sys; from tflite_cupy.cli import main; sys.exit(main())"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A model all of whose names hold what steers terminals."""
    b = GraphBuilder(f"{EVIL}graph")
    x = b.input(F32, [2, 2], "x")
    y = b.add("FULLY_CONNECTED", [x, b.constant(np.ones((2, 2), np.float32)), -1], [2, 2])
    graph = b.graph([y])
    graph = replace(graph, tensors=tuple(replace(t, name=f"{EVIL}{i}") for i, t in enumerate(graph.tensors)))
    content = model(graph, signatures={f"{EVIL}key": (0, {f"{EVIL}in": x}, {f"{EVIL}out": y})})
    path = tmp_path / "hostile.tflite"
    path.write_bytes(write_model(replace(content, description=EVIL)))
    return path


@pytest.fixture
def adder(tmp_path: Path) -> Path:
    path = tmp_path / "adder.tflite"
    path.write_bytes(add_sub())
    return path


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_help_is_80_columns_wide(run: Run, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run(*command.split(), "--help")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert out.startswith(f"usage: tflite-cupy {command}".rstrip())


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("inspect", 0),
        ("report", 0),
        ("report --assume-gpu --format markdown", 0),
        (f"run --input\t{EVIL}in=random", 0),
        ("run", 2),
        (f"run --signature\t{EVIL}other", 2),
        ("profile --runs 1", 0),
        ("benchmark --runs 1 --min-secs 0.01 --no-loading --profile", 0),
        ("benchmark --runs 1 --min-secs 0.01 --no-loading --markdown", 0),
        ("verify --against numpy --samples 1", 0),
        ("verify --against numpy --samples 1 --tolerance x", 2),
    ],
)
def test_names_do_not_steer_the_terminal(run: Run, hostile: Path, command: str, code: int) -> None:
    words, _, last = command.partition("\t")
    found, *written = run(*words.split(), *([last] if last else []), hostile)
    assert found == code
    for text in written:
        assert not STEERING.search(text)
    assert any(written)


def started(*argv: object, stdout: int | None) -> tuple[int, str]:
    """The command line in a process of its own, with this as its stdout (None: closed): (exit code, stderr)."""
    words = [sys.executable, "-c", MAIN, *map(str, argv)]
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *words]
    done = subprocess.run(
        words if stdout is not None else closed, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_full_disk_is_told(adder: Path, options: list[str]) -> None:
    with open("/dev/full", "w") as full:
        code, err = started("inspect", adder, *options, stdout=full.fileno())
        assert (code, err) == (1, "error: stdout can't be written: [Errno 28] No space left on device\n")
        code, err = started("inspect", adder.with_name("nothing"), *options, stdout=full.fileno())
    told = [line.partition(":")[2].strip() for line in err.splitlines()]
    assert told[0].startswith("no such file")
    assert (code, len(told)) == ((1, 2) if options else (2, 1))


def test_nobody_reads(adder: Path) -> None:
    assert started("inspect", adder, stdout=None) == (0, "")
    reading, writing = os.pipe()
    os.close(reading)
    assert started("inspect", adder, stdout=writing) == (0, "")
    os.close(writing)


@pytest.mark.parametrize(
    "command", ["inspect", "report", "run --signature add --input x=[1] --input y=[2]", "profile --signature sub"]
)
def test_json_says_its_version_and_command(run: Run, adder: Path, command: str) -> None:
    name, *options = command.split()
    code, out, _ = run(name, adder, *options, "--json")
    found = json.loads(out)
    assert (code, found["schema_version"], found["command"]) == (0, 1, name)

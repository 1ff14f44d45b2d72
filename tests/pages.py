"""Pages of documentation as code: their fenced blocks, and what runs these.

- `python`: runs, all blocks of a page with the same names. Comment lines right below a `print` are what it prints. A
  block that begins with `# name.py` is a file of the page's folder instead.
- `console`: each line `$ command` runs and must succeed; what stands below it is what it prints, stderr included.
- `yaml` of a workflow: its `tflite-cupy` commands run. `toml`, `json`: must be well-formed.

In what is printed `...` stands for anything, on a line of its own for any number of lines.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tflite_cupy.cli import main

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w/.-]+\.\w+)\n")
_SHELL = re.compile(r"[|&;<>$`*]")
"""What only a shell understands."""


class Block(NamedTuple):
    """A fenced block: its language, its text, and where it stands ("README.md:12")."""

    language: str
    code: str
    where: str

    @property
    def file(self) -> str | None:
        """The name of the file that the block is, if it is one."""
        named = _FILE.match(self.code)
        return named[1] if named else None


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text = page.read_text("utf-8")
    return [
        Block(found[1], found[2], f"{page.name}:{text.count(chr(10), 0, found.start()) + 1}")
        for found in _FENCE.finditer(text)
    ]


def files(page: Path) -> dict[str, str]:
    """The blocks of a page that are files, by name."""
    return {block.file: block.code for block in blocks(page) if block.file}


def matches(shown: str, printed: str) -> bool:
    """Whether a text is what a page shows of it."""
    parts = (
        r"(?:.*\n)*" if line.strip() == "..." else re.escape(line.rstrip()).replace(r"\.\.\.", ".*") + "\n"
        for line in shown.strip("\n").splitlines()
    )
    lines = "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())
    return re.fullmatch("".join(parts), lines) is not None


def environment(folder: Path) -> dict[str, str]:
    """Variables for processes that run what a page says: `tflite-cupy` and `python` are this checkout's."""
    tools = folder / ".bin"
    tools.mkdir(exist_ok=True)
    for name, module in (("tflite-cupy", " -m tflite_cupy"), ("python", "")):
        (tools / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{module} "$@"\n', "utf-8")
        (tools / name).chmod(0o755)
    return os.environ | {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
        "HOME": str(folder),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "0",
    }


def run_file(folder: Path, name: str, code: str | None = None, **variables: str) -> str:
    """Run a Python file of `folder`, written first if `code` is given, and return what it prints."""
    if code is not None:
        (folder / name).write_text(code, "utf-8")
    done = subprocess.run(
        [sys.executable, name], cwd=folder, env=environment(folder) | variables, capture_output=True, text=True,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


class Reader:
    """Somebody who works through a page in a folder, which is also the working folder.

    names: what the page's Python takes for given.
    elsewhere: commands that do not run here, by how they begin, with the reason.
    unstable: commands, by how they begin, of whose output only the form is compared: any number fits any other.
    """

    def __init__(
        self,
        folder: Path,
        *,
        names: Mapping[str, Any] | None = None,
        elsewhere: Mapping[str, str] | None = None,
        unstable: tuple[str, ...] = (),
    ) -> None:
        self.folder, self.elsewhere, self.unstable = folder, elsewhere or {}, unstable
        self.names: dict[str, Any] = {"__name__": "page", **(names or {})}
        self._variables = environment(folder)

    def run(self, block: Block) -> None:
        """Do what a block says. AssertionError where that is not what comes of it."""
        if block.file:
            target = self.folder / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.code, "utf-8")
        kinds: dict[str, Callable[[Block], None]] = {
            "python": self._python,
            "console": self._console,
            "yaml": self._workflow,
            "toml": lambda block: _assert_dict(tomllib.loads(block.code)),
            "json": lambda block: _assert_dict(json.loads(block.code)),
        }
        if block.language in kinds and not (block.file and block.language == "python"):
            kinds[block.language](block)

    def _python(self, block: Block) -> None:
        lines = block.code.splitlines()
        for statement in ast.parse(block.code).body:
            code = compile(ast.Module([statement], []), block.where, "exec", dont_inherit=True)
            with redirect_stdout(io.StringIO()) as printed:
                exec(code, self.names)
            shown = _comments(lines[statement.end_lineno or 0 :])
            if printed.getvalue() and shown:
                self._compare(block, ast.unparse(statement), shown, printed.getvalue())

    def _console(self, block: Block) -> None:
        for command, shown in _commands(block.code):
            if not any(command.startswith(start) for start in self.elsewhere):
                self._succeed(block, command, shown)

    def _workflow(self, block: Block) -> None:
        for command in workflow_commands(block.code):
            self._succeed(block, command, "")

    def _succeed(self, block: Block, command: str, shown: str) -> None:
        code, printed = self._in_shell(command) if _SHELL.search(command) else self._here(command)
        assert code == 0, f"{block.where}: {command!r} exits with {code}:\n{printed}"
        if shown.strip():
            self._compare(block, command, shown, printed)

    def _compare(self, block: Block, what: str, shown: str, printed: str) -> None:
        if what.startswith(self.unstable):
            shown, printed = (re.sub(r"[ \t]+", " ", re.sub(r"\d[\d,.e+-]*", "0", text)) for text in (shown, printed))
        assert matches(shown, printed), f"{block.where}: {what!r} prints\n{printed}\nand not\n{shown}"

    def _here(self, command: str) -> tuple[int, str]:
        """Exit code and output of a command, in this process if it is ours."""
        program, *arguments = shlex.split(command, comments=True)
        if program != "tflite-cupy":
            return self._in_shell(command)
        with redirect_stdout(io.StringIO()) as printed, redirect_stderr(printed):
            try:
                code = main(arguments)
            except SystemExit as stopped:
                code = int(stopped.code or 0)
        return code, printed.getvalue()

    def _in_shell(self, command: str) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self._variables, text=True, timeout=600,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return done.returncode, done.stdout

    def variable(self, name: str, value: str) -> None:
        """Set an environment variable of further commands."""
        self._variables[name] = value


def workflow_commands(text: str) -> list[str]:
    """The `tflite-cupy` commands of a workflow of GitHub Actions, with lines that go on joined."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    steps = [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
    lines = "\n".join(step["run"] for step in steps if "run" in step).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip().startswith("tflite-cupy ")]


def _assert_dict(value: object) -> None:
    assert isinstance(value, dict)


def _commands(code: str) -> Iterator[tuple[str, str]]:
    """Commands of a console, each with what is shown below it."""
    for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
        command, _, shown = part.replace("\\\n", " ").partition("\n")
        yield command.strip(), shown


def _comments(lines: list[str]) -> str:
    """The comment lines at the start of `lines`, without their signs."""
    found = []
    for line in lines:
        if not line.startswith("#"):
            break
        found.append(line.removeprefix("#").removeprefix(" "))
    return "\n".join(found)

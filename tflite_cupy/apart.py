"""Other people's runtimes in a process of their own, so that a crash of theirs is an error here and not the end.

    with Host("litert", threads=1) as host, host.open("model.tflite") as runtime:
        print(runtime.title, runtime.call("encode", {"x": x}))

The process is a fresh one, and takes and gives pickles by its standard streams.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from .interpreter.errors import KernelError, StateError, TfliteError
from .interpreter.format.model import load_model
from .interpreter.graph import Signature
from .runtimes import Inputs, Runtime, Source, open_runtime

_ROOT = Path(__file__).parents[1]
_PATIENCE = 5.0
"""Seconds in which a process ends that is told to."""


class Died(KernelError):
    """The process of a runtime has ended on its own: by a signal, or with an exit status."""


def fresh_python(module: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a process that runs `main()` of a module of this package, wherever that came from."""
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
    return [sys.executable, "-P", "-c", f"from {module} import main; main()"], os.environ | {"PYTHONPATH": path}


def ending(status: int) -> str:
    """How a process ended, from what `subprocess` calls its return code: what follows its name in a sentence."""
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        name = f" ({signal.Signals(-status).name})"
    except ValueError:
        name = ""
    return f"was ended by signal {-status}{name}"


class Host:
    """A process for one kind of runtime, started when it is needed; a new one is after a crash. A context manager.

    name: of `runtimes.NAMES`. threads: as of `open_runtime`. For one thread at a time.
    """

    def __init__(self, name: str, threads: int | None = None) -> None:
        self.name, self._threads = name, threads
        self._child: _Child | None = None

    def open(self, model: Source, *, keep_all: bool = False) -> Runtime:
        """As `open_runtime`, whose errors it raises; Died where the process ends as it loads the model."""
        if self._child is None or self._child.ended:
            self.close()
            self._child = _Child()
        return _Apart(self._child, self.name, model, self._threads, keep_all)

    def close(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child.close()
        self._child = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Child:
    """The process, seen from here."""

    def __init__(self) -> None:
        command, environment = fresh_python(__name__)
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said
        )
        self.ended = ""

    def ask(self, title: str, doing: str, *request: Any) -> Any:
        """What the process answers. Raises the errors that it has, and Died where it ends instead, which it was `doing`
        (a clause)."""
        if self.ended:
            raise Died(f"{title} {self.ended} in an earlier call")
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump(request, self._process.stdin, pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
            answer = pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError) as error:
            self.ended = ending(self._process.wait())
            raise Died(f"{title} {self.ended} {doing}{self._last_words()}") from error
        if isinstance(answer, TfliteError):
            raise answer
        return answer

    def close(self) -> None:
        """End the process, and wait for that."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # it has ended with a request on its way
            self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._said.close()
        self.ended = self.ended or "was closed"

    def _last_words(self) -> str:
        """The last line that it has written to stderr."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""


class _Apart(Runtime):
    """A runtime in another process."""

    def __init__(self, child: _Child, name: str, model: Source, threads: int | None, keep_all: bool) -> None:
        source = model if isinstance(model, bytes) else os.fspath(model)
        loaded = load_model(source)
        number, title = child.ask(name, "while it loaded the model", "open", name, source, threads, keep_all)
        super().__init__(name, title, loaded, child, keep_all)
        self._number = number

    def close(self) -> None:
        if self._interpreter is not None and not self._interpreter.ended:
            self._ask("while it was closed", "close")
        super().close()

    def _call(self, signature: Signature, inputs: Inputs) -> dict[str, np.ndarray]:
        return self._ask("in this call", "call", self._key(signature), inputs)  # type: ignore[no-any-return]

    def _tensors(self, signature: Signature, inputs: Inputs) -> dict[int, np.ndarray]:
        return self._ask("in this call", "tensors", self._key(signature), inputs)  # type: ignore[no-any-return]

    def _runner(self, signature: Signature, inputs: Inputs) -> Callable[[], Any]:
        return lambda: self._call(signature, inputs)

    def _classic(self, signature: Signature, inputs: Inputs) -> Callable[[], Any]:
        return self._runner(signature, inputs)

    def _key(self, signature: Signature) -> str | None:
        return signature.key if self.model.signatures else None

    def _ask(self, doing: str, method: str, *arguments: Any) -> Any:
        if self._interpreter is None:
            raise StateError(f"{self.title} is closed.")
        return self._interpreter.ask(self.title, doing, method, self._number, *arguments)


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer requests until there are no more."""
    opened: dict[int, Runtime] = {}
    while True:
        try:
            method, *arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            answer = _answer(opened, method, *arguments)
        except TfliteError as error:
            answer = error
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


def _answer(opened: dict[int, Runtime], method: str, subject: Any, *arguments: Any) -> Any:
    if method == "open":
        model, threads, keep_all = arguments
        number = max(opened, default=-1) + 1
        opened[number] = open_runtime(subject, model, threads=threads, keep_all=keep_all)
        return number, opened[number].title
    if method == "close":
        return opened.pop(subject).close()
    return getattr(opened[subject], method)(*arguments)


def main() -> None:
    """What the process runs."""
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what the runtime prints is no answer
        _serve(sys.stdin.buffer, answers)

"""The reference runtime in a process of its own, whose death is an answer like any other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

RESOLVERS = ("BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES")
ROOT = Path(__file__).parents[2]
PATIENCE = 10.0  # seconds for one model


@dataclass(frozen=True)
class Answer:
    """What the reference made of a model: outputs with their type codes, or why not."""

    outputs: tuple[Any, ...] = ()
    reason: str = ""

    @property
    def accepted(self) -> bool:
        return not self.reason


class Oracle:
    """A child process that runs models on one resolver."""

    def __init__(self, resolver: str) -> None:
        self.resolver = resolver
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Oracle:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def run(self, model: bytes, feeds: Sequence[Any]) -> Answer:
        """Outputs, or the reason for which the reference has none."""
        pipe = self._start()
        try:
            pipe.send((model, tuple(feeds)))
            if pipe.poll(PATIENCE):
                return Answer(*pipe.recv())
            return self._lost("does not end")
        except (EOFError, OSError):
            return self._lost("dies")

    def _lost(self, reason: str) -> Answer:
        self._stop()
        return Answer(reason=reason)

    def _start(self) -> Connection:
        if self._pipe is None:
            ours, theirs = Pipe()
            command = [sys.executable, "-m", "tests.reference.oracle", self.resolver, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=ROOT, start_new_session=True)
            theirs.close()
            self._pipe = ours
        return self._pipe

    def _stop(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None


def _serve(pipe: Connection, resolver: str) -> None:
    """Answer from forks of this process: a model that ran may have spoilt one's memory, or ended it."""
    import ml_dtypes  # noqa: F401  NumPy then knows bfloat16, without which the runtime can't give a result of it
    from ai_edge_litert import interpreter as litert

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the runtime's own notes
    kind = getattr(litert.OpResolverType, resolver)
    while True:
        child = os.fork()
        if child == 0:
            os._exit(_answer(pipe, litert, kind))
        _, status = os.waitpid(child, 0)
        if status == 0:
            return
        if os.waitstatus_to_exitcode(status) != RAN:
            pipe.send(((), "dies"))


RAN = 1  # exit status of a process that ran a model


def _answer(pipe: Connection, litert: Any, kind: Any) -> int:
    """Answer requests until a model ran, or until there are no more: RAN, or 0."""
    while True:
        try:
            model, feeds = pipe.recv()
        except EOFError:
            return 0
        try:
            answer = _outputs(litert, kind, model, feeds), ""
        except (RuntimeError, ValueError, TypeError) as error:
            answer = (), str(error) or type(error).__name__
        pipe.send(answer)  # once the runtime is gone, whose end may be the process's: there is one answer to a request
        if not answer[1]:
            return RAN


def _outputs(litert: Any, kind: Any, model: bytes, feeds: Sequence[Any]) -> tuple[Any, ...]:
    """Outputs of one call; of tensors without elements, an empty array."""
    interpreter = litert.Interpreter(model_content=model, experimental_op_resolver_type=kind)
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), feeds, strict=True):
        small = value.dtype.name.startswith("float8")  # which the reference takes and gives as integers
        interpreter.set_tensor(detail["index"], value.view(np.int8) if small else value)
    interpreter.invoke()
    found = []
    for detail in interpreter.get_output_details():
        empty = 0 in detail["shape"]
        found.append(np.empty(detail["shape"], detail["dtype"]) if empty else interpreter.get_tensor(detail["index"]))
    return tuple(found)


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[2])), sys.argv[1])

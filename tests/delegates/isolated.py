"""Runs drawn TensorFlow nodes in a process of its own, since a kernel may end it: python -m tests.delegates.isolated.

Reads one job a line, "<folder>\\t<policy>\\t<operator>/<number>[/<operand>/<way>]", and answers with the name of the
error that it ended with, or "ok", before it takes the next. A process that ends, or does not answer in time, has failed
the job that it was at; `outcomes` then goes on with the next one in a fresh process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 30
"""Time for one node; one that takes this long hangs."""


def outcomes(jobs: Iterable[str], folder: Path) -> Iterator[tuple[str, str]]:
    """(job, outcome) for jobs "<policy>\\t<operator>/...": a name of an error, "ok", "died" or "hung"."""
    waiting = deque(jobs)
    while waiting:
        with _process(folder) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()  # TensorFlow is there
            while waiting:
                job = waiting.popleft()
                process.stdin.write(f"{folder}\t{job}\n")
                process.stdin.flush()
                late = threading.Timer(SECONDS, process.kill)
                late.start()
                answer = process.stdout.readline().strip()
                hung = not late.is_alive()
                late.cancel()
                yield job, answer or ("hung" if hung else "died")
                if not answer:
                    break
            process.stdin.close()


def _process(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "tests.delegates.isolated"]
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip


def _answer() -> None:
    from tests.delegates.registered import Drawing, operators
    from tflite_cupy.interpreter.errors import TfliteError

    definitions = operators()
    print("ready", flush=True)
    for line in sys.stdin:
        folder, policy, job = line.rstrip("\n").split("\t")
        op, *numbers = job.split("/")
        spoilt = (int(numbers[1]), int(numbers[2])) if len(numbers) > 1 else None
        paths = [f"{folder}/canary", f"{folder}/other"]
        drawing = Drawing(f"{op}/{numbers[0]}", paths, hostile=spoilt is None, spoilt=spoilt)
        graph, arrays = drawing.node(definitions[op])
        try:
            _run(graph, arrays, policy)
            outcome = "ok"
        except TfliteError as error:
            outcome = type(error).__name__
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}".replace("\n", " ")
        print(outcome, flush=True)


def _run(graph: object, arrays: object, policy: str) -> None:
    """One call of the whole interpreter on a model that holds the graph."""
    import tflite_cupy as lite
    from tests.build import model
    from tflite_cupy.interpreter.format.writer import write_model

    content = write_model(model(graph))  # type: ignore[arg-type]
    interpreter = lite.Interpreter(model_content=content, device="cpu", flex=policy)
    for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):  # type: ignore[call-overload]
        interpreter.resize_tensor_input(detail["index"], array.shape)
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):  # type: ignore[call-overload]
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()


if __name__ == "__main__":
    _answer()

"""Work shared out to processes that may die of it: each answers lines of JSON with lines of JSON."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

CI = Path(__file__).parents[1]
PATIENCE = 60.0  # seconds for one answer, unless a caller has more


def shared_out(
    module: str,
    arguments: Sequence[str],
    tasks: Iterable[Any],
    answered: Callable[[Any, dict[str, Any]], None],
    *,
    processes: int,
    until: float,
    patience: float = PATIENCE,
) -> int:
    """Runs `python -m module arguments...` several times over; how many tasks were left at time.monotonic() `until`.

    answered(task, answer) is called by one thread at a time. A worker that dies answers {"verdict": "died", "why"}.
    """
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    lock = threading.Lock()

    def drive() -> None:
        worker: _Worker | None = None
        while time.monotonic() < until:
            try:
                task = waiting.get_nowait()
            except queue.Empty:
                break
            worker = worker or _Worker(module, arguments)
            answer = worker.ask(task, min(patience, max(until - time.monotonic(), 1.0)))
            if answer.get("leaving") or answer.get("verdict") == "died":
                worker.end()
                worker = None
            if time.monotonic() < until:
                with lock:
                    answered(task, answer)
            else:
                waiting.put(task)
        if worker is not None:
            worker.end()

    threads = [threading.Thread(target=drive) for _ in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return waiting.qsize()


class _Worker:
    """One process."""

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        paths = os.pathsep.join([str(CI.parent), str(CI), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=CI.parent,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, task: Any, seconds: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(seconds, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            return {"verdict": "died", "why": f"exit status {self._process.wait()}, within {seconds:.0f} s"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()

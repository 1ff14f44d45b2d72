"""What a stage has found so far: kept in a file, so that a stage that is killed loses nothing."""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


class Progress:
    """The result of a stage that is running; every change is written at once. Thread-safe."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._path, self._end = path, time.monotonic() + seconds
        self.result: dict[str, Any] = {"passed": False}
        self._failed = False
        self._lock = threading.Lock()

    @property
    def left(self) -> float:
        """Seconds until the stage is stopped."""
        return self._end - time.monotonic()

    def note(self, **fields: Any) -> None:
        """Set fields of the result."""
        with self._lock:
            self.result |= fields
            self._write()

    def row(self, table: str, **fields: Any) -> None:
        """Add a row to a table of the result; one with passed=False fails the stage."""
        with self._lock:
            self.result.setdefault(table, []).append(fields)
            self._failed |= not fields.get("passed", True)
            self._write()

    @contextmanager
    def attempt(self, table: str, **fields: Any) -> Iterator[dict[str, Any]]:
        """A row to fill in. What the block raises becomes the row's `error`, and the stage goes on."""
        try:
            yield fields
        except Exception as error:  # whatever a check dies of is what it found
            said = "".join(traceback.format_exception(error)[-3:])
            self.row(
                table, **fields | {"passed": False, "error": f"{type(error).__name__}: {error}", "at": said[-600:]}
            )
        else:
            self.row(table, **fields)

    def finish(self, passed: bool = True, **fields: Any) -> None:
        """The end of a stage, which has passed if no row failed, too."""
        self.note(passed=bool(passed) and not self._failed, **fields)

    def skip(self, reason: str) -> None:
        """The stage means nothing here."""
        self.note(passed=True, skipped=reason)

    def _write(self) -> None:
        made = self._path.with_suffix(".new")
        made.write_text(json.dumps(self.result, default=_plain))
        made.replace(self._path)


def read(path: Path) -> dict[str, Any]:
    """What was written last; a result that has not passed if nothing was."""
    if not path.exists():
        return {"passed": False}
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def _plain(value: Any) -> Any:
    """What JSON has no word for."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)

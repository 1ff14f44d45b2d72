"""What a stage has found so far: kept in a file, so that a stage that is killed loses nothing, and can go on later."""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

DEVICE_LOST = 4
"""Exit status of a stage whose process can't use the device any more: a kernel's fault stays with its process."""

NOT_RUN, IN_HAND = "not_run", "in_hand"
"""Rows, by table, that were not begun yet, and those that were and have not ended."""

Row = Mapping[str, Any]


class Progress:
    """The result of a stage that is running; every change is written at once. Thread-safe.

    path: may hold what earlier processes of the stage have found: then `missing` leaves that out.
    again: whether rows that failed there are tried again, after all others.
    works: whether the device can be used still, asked after what a row has raised.
    """

    def __init__(
        self, path: Path, seconds: float, *, again: bool = False, works: Callable[[], bool] = lambda: True
    ) -> None:
        self._path, self._end, self.again, self._works = path, time.monotonic() + seconds, again, works
        self.before = read(path)
        self.result: dict[str, Any] = {"passed": False}
        self._keys: dict[str, list[Row]] = {}
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
            for key in self._keys.get(table, ()):
                if _is_of(fields, key):
                    self.result[table] = [row for row in self.result.get(table, ()) if not _is_of(row, key)]
                    self._take(NOT_RUN, table, key)
            self.result.setdefault(table, []).append(fields)
            self._write()

    @contextmanager
    def attempt(self, table: str, **fields: Any) -> Iterator[dict[str, Any]]:
        """A row to fill in. What the block raises becomes the row's `error`, and the stage goes on; but a process that
        can't use the device any more ends then."""
        begun = dict(fields)
        with self._lock:
            self.result.setdefault(IN_HAND, {}).setdefault(table, []).append(begun)
            self._write()
        try:
            yield fields
        except Exception as error:  # whatever a check dies of is what it found
            said = "".join(traceback.format_exception(error)[-3:])
            failed = {"passed": False, "error": f"{type(error).__name__}: {error}", "at": said[-600:]}
            self._end_row(table, begun, fields | failed)
            if not self._works():
                sys.exit(DEVICE_LOST)
        else:
            self._end_row(table, begun, fields)

    def _end_row(self, table: str, begun: Row, fields: Row) -> None:
        with self._lock:
            self._take(IN_HAND, table, begun)
        self.row(table, **fields)

    def missing(self, table: str, keys: Sequence[Row]) -> list[Row]:
        """Of the rows with these fields, which are still to be had; they are `not_run` until they are. Those that an
        earlier process has got become the table's first."""
        with self._lock:
            before = [row for row in self.before.get(table, ()) if any(_is_of(row, key) for key in keys)]
            new = [key for key in keys if not any(_is_of(row, key) for row in before)]
            failed = [k for k in keys if any(_is_of(row, k) and not row.get("passed", True) for row in before)]
            asked = [*new, *(failed if self.again else ())]
            self._keys.setdefault(table, []).extend(keys)
            self.result.setdefault(table, []).extend(before)
            if asked:
                self.result.setdefault(NOT_RUN, {}).setdefault(table, []).extend(asked)
            self._write()
        return asked

    def while_time(self, rows: Sequence[Row], least: float = 1.0) -> Iterator[Row]:
        """These rows, until fewer seconds are left than `least`, or than the row before took."""
        took = 0.0
        for row in rows:
            if self.left < max(least, took):
                return
            began = time.monotonic()
            yield row
            took = time.monotonic() - began

    def finish(self, passed: bool = True, **fields: Any) -> None:
        """The end of a stage, which has passed if no row failed, too."""
        whole = self.result | fields
        tables = (value for value in whole.values() if isinstance(value, list))
        failed = any(isinstance(row, Mapping) and not row.get("passed", True) for table in tables for row in table)
        self.note(**fields, passed=bool(passed) and not failed)

    def skip(self, reason: str) -> None:
        """The stage means nothing here."""
        self.note(passed=True, skipped=reason)

    def _take(self, list_: str, table: str, key: Row) -> None:
        """Take what has these fields out of one of the lists of what is to be done."""
        tables = self.result.get(list_, {})
        left = [row for row in tables.get(table, ()) if not _is_of(row, key)]
        if left:
            tables[table] = left
        else:
            tables.pop(table, None)
            if not tables:
                self.result.pop(list_, None)

    def _write(self) -> None:
        write(self._path, self.result)


def _is_of(row: Row, key: Row) -> bool:
    return all(row.get(name) == value for name, value in key.items())


def write(path: Path, result: Row) -> None:
    made = path.with_suffix(".new")
    made.write_text(json.dumps(result, default=_plain))
    made.replace(path)


def read(path: Path) -> dict[str, Any]:
    """What was written last; a result that has not passed if nothing was."""
    if not path.exists():
        return {"passed": False}
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def rows_left(result: Row) -> int:
    """How many rows of a result have not run."""
    return sum(rows if isinstance(rows, int) else len(rows) for rows in result.get(NOT_RUN, {}).values())


def ended(result: Row, why: str) -> dict[str, Any]:
    """The result of a stage whose process died: rows that it had in hand failed of that."""
    found = {name: value for name, value in result.items() if name != IN_HAND}
    left = {table: list(rows) if isinstance(rows, list) else rows for table, rows in found.get(NOT_RUN, {}).items()}
    for table, rows in result.get(IN_HAND, {}).items():
        found[table] = [*found.get(table, ()), *({**row, "passed": False, "error": why} for row in rows)]
        if isinstance(left.get(table), list):
            left[table] = [key for key in left[table] if not any(_is_of(row, key) for row in rows)]
    if NOT_RUN in found:
        found[NOT_RUN] = {table: rows for table, rows in left.items() if rows}
    return found


def _plain(value: Any) -> Any:
    """What JSON has no word for."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)

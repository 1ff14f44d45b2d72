"""What a verified file holds, as columns: one row per table, one array per field."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import LimitError, ModelError
from ..limits import Limits
from .schema import TABLES, Kind, Table
from .view import U4, Positions, Ragged, View, distinct, spread

INVALID = "The model is not a valid Flatbuffer buffer: "
ROOT = "file"
"""The path of what is wrong with a file as a whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """All tables of one type, by position. Scalars are columns of values, all else columns of positions."""

    table: Table
    at: Positions
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column; of defaults where no table has the field."""
        found = self.columns.get(name)
        if found is None:
            found = self.columns[name] = self.table[name].column(len(self))
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """Where tables were referred to from: a field of a parent, and the element if that is a vector of tables."""

    parent: str
    name: str
    owners: Positions  # parent tables, or vectors of tables
    targets: Positions
    elements: Positions | None = None


class _ByTable(dict[str, Rows]):
    """Rows by table type; none where the file has no such tables."""

    def __missing__(self, name: str) -> Rows:
        return Rows(TABLES[name], np.empty(0, np.int64))


class Columns:
    """The verified content of a file, by table type, field and row. Nothing here reads out of bounds."""

    def __init__(self, view: View, limits: Limits) -> None:
        self.view = view
        self.limits = limits
        self.budget = view.size // 4 + 16  # elements that the file can refer to without referring to some twice
        self.end = 0  # where the flatbuffer ends; data may follow
        self.rows: dict[str, Rows] = _ByTable()
        self.links: defaultdict[str, list[Link]] = defaultdict(list)
        self._vectors: dict[tuple[str, str], Ragged] = {}

    def where(self, table: str, row: int, name: str = "") -> str:
        """Path of a row, such as ``subgraphs[3].operators[5]``, and of one of its fields; `ROOT` for the root table."""
        steps = [name] if name else []
        position = int(self.rows[table].at[row])
        while table != "Model":
            link = next(link for link in self.links[table] if (link.targets == position).any())
            i = int(np.argmax(link.targets == position))
            steps.append(link.name if link.elements is None else f"{link.name}[{link.elements[i]}]")
            position = int(link.owners[i])
            table = link.parent
            if link.elements is not None:
                column = self.rows[table][link.name]
                position = int(self.rows[table].at[np.argmax(column == position)])
        return ".".join(reversed(steps)) or ROOT

    def require(
        self, ok: NDArray[np.bool_], table: str, name: str, what: str, rows: Iterable[int] | None = None
    ) -> None:
        """Raises ModelError for the first row that is not ok. `rows` are those that `ok` is about, all by default."""
        if np.count_nonzero(ok) < ok.size:  # in a quarter of the time of `all`
            first = int(np.argmin(ok))
            row = first if rows is None else int(np.asarray(rows)[first])
            raise ModelError(INVALID + what, where=self.where(table, row, name))

    def index(self, table: str, at: Positions) -> NDArray[np.int64]:
        """Rows of the tables at these positions, -1 where absent."""
        return np.where(at > 0, np.searchsorted(self.rows[table].at, at), -1)

    def child(self, table: str, name: str) -> NDArray[np.int64]:
        """For each row, the row of the table that a field refers to, -1 where absent."""
        return self.index(TABLES[table][name].type, self.rows[table][name])

    def vector(self, table: str, name: str) -> Ragged:
        """For each row, the values of a vector of scalars; for a vector of tables, the rows of these."""
        vectors = self._vectors.get((table, name))
        if vectors is None:
            vectors = self._vectors[table, name] = self._vector(table, name)
        return vectors

    def _vector(self, table: str, name: str) -> Ragged:
        kind = TABLES[table][name]
        at = self.rows[table][name]
        if not at.any():
            nothing = np.zeros(len(at), np.int64)
            return Ragged(np.empty(0, np.int64 if kind.kind is Kind.TABLES else kind.dtype), nothing, nothing)
        unique, _, which = distinct(at)
        lengths = self.view.lengths(unique)
        starts = lengths.cumsum() - lengths
        if kind.dtype.itemsize * int(lengths.sum()) > self.view.size:
            raise ModelError(f"{INVALID}vectors overlap.", where=self.where(table, int(np.argmax(at > 0)), name))
        if kind.kind is Kind.TABLES:
            values = self.index(kind.type, offsets(self.view, spread(unique + 4, lengths, kind.dtype.itemsize)))
        else:
            values = self.view.vectors(kind.dtype, unique + 4, lengths)
        return Ragged(values, starts[which], lengths[which])

    def expand(self, vectors: Ragged, rows: NDArray[np.int64], what: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Values of the vectors of `rows`, one after another, and which of `rows` each belongs to."""
        lengths = vectors.lengths[rows]
        total = int(lengths.sum())
        if total > self.budget:
            raise LimitError(f"The model refers to {total} {what}, more than a file of its size can hold.", where=ROOT)
        return np.repeat(np.arange(len(rows)), lengths), vectors.values[spread(vectors.starts[rows], lengths)]

    def texts(self, table: str, name: str) -> list[str]:
        """For each row, a string field; "" where absent. Raises ModelError for bytes that are not UTF-8."""
        at = self.rows[table][name]
        places, lengths = (at + 4).tolist(), self.view.lengths(at).tolist()
        made, row = {4: ""}, 0
        content = self.view.data.data
        try:
            for row, start in enumerate(places):
                if start not in made:
                    made[start] = str(content[start : start + lengths[row]], "utf-8")
        except UnicodeDecodeError:
            raise ModelError(f"{INVALID}a string is not UTF-8.", where=self.where(table, row, name)) from None
        return [made[start] for start in places]


def offsets(view: View, at: Positions) -> Positions:
    """Where the offsets stored at these positions lead to."""
    targets: Positions = at + view.read(U4, at)
    return targets

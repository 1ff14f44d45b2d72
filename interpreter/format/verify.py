"""Checks every offset and length of a file before anything is read through it, table type by table type.

A file has no types that refer to themselves, so one pass over the table types, parents first, meets each table once,
however often it is shared. Within a type everything is vectorised. What the schema does not know (slots, union tags) is
left unread.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..errors import LimitError, ModelError
from ..limits import Limits
from .columns import INVALID, ROOT, Columns, Link, Rows, offsets
from .schema import FILE_IDENTIFIER, TABLES, UNIONS, Field, Kind, Table
from .view import I4, U2, Positions, View, distinct, spread


def verify(data: NDArray[np.uint8], limits: Limits) -> Columns:
    """The columns of a file. Raises ModelError where its structure is broken, LimitError where it is too large."""
    if limits.max_model_bytes is not None and data.size > limits.max_model_bytes:
        what = f"The model has {data.size} bytes, more than max_model_bytes = {limits.max_model_bytes}."
        raise LimitError(what, where=ROOT)
    if data.size < 8:
        raise ModelError(f"{INVALID}it has {data.size} bytes.", where=ROOT)
    identifier = data[4:8].tobytes()
    if identifier != FILE_IDENTIFIER:
        raise ModelError(f"{INVALID}its identifier is {identifier!r}, not {FILE_IDENTIFIER!r}.", where=ROOT)
    view = View(data)
    columns = Columns(view, limits)
    root = offsets(view, np.zeros(1, np.int64))
    if root[0] % 4 or root[0] < 8 or root[0] > view.size - 4:
        raise ModelError(f"{INVALID}its root is at offset {root[0]} of {view.size}.", where=ROOT)
    columns.links["Model"].append(Link("", "", root, root))
    tables = 0
    for table in TABLES.values():
        if table.name not in columns.links:
            continue
        at, _, _ = distinct(np.concatenate([link.targets for link in columns.links[table.name]]))
        tables += len(at)
        if tables > limits.max_tables:
            raise LimitError(f"The model has more than max_tables = {limits.max_tables} tables.", where=ROOT)
        columns.rows[table.name] = Rows(table, at)
        _Walk(columns, table).run()
    return columns


@cache
def _slots_and_widths(table: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of the fields of a table type, as columns [fields, 1]."""
    fields = TABLES[table].fields
    slots, widths = ([field.slot for field in fields], [field.width for field in fields])
    return np.array(slots, np.int64).reshape(-1, 1), np.array(widths, np.int64).reshape(-1, 1)


class _Walk:
    """Verifies all tables of one type and notes the tables that they refer to."""

    def __init__(self, columns: Columns, table: Table) -> None:
        self.columns = columns
        self.view = columns.view
        self.table = table
        self.rows = columns.rows[table.name]

    def run(self) -> None:
        for field, place in zip(self.table.fields, self._places(), strict=True):
            if place is not None:
                self.rows.columns[field.name] = self._column(field, place)
            if field.kind is Kind.UNION:
                lacking = self._known_tags(field) & (self.rows[field.name] == 0)
                self._require(~lacking, field.name, "a union has a tag but no value.")

    def _require(self, ok: NDArray[np.bool_], name: str, what: str, rows: NDArray[np.int64] | None = None) -> None:
        self.columns.require(ok, self.table.name, name, what, rows)

    def _places(self) -> list[NDArray[np.int64] | None]:
        """For each field, how far into each table it lies, 0 where a table lacks it; None where all do."""
        size, at = self.view.size, self.rows.at
        vtables = at - self.view.read(I4, at)
        ok = (vtables >= 0) & (vtables <= size - 4) & (vtables % 2 == 0)
        self._require(ok, "", "a vtable is out of bounds.")
        vtables, first, which = distinct(vtables)
        ends = vtables + self.view.read(U2, vtables)
        ok = (ends >= vtables + 4) & (ends % 2 == 0) & (ends <= size)
        self._require(ok, "", "a vtable has a wrong size.", first)
        sizes = self.view.read(U2, vtables + 2).astype(np.int64)
        self._require(sizes >= 4, "", "a table has a wrong size.", first)
        end = at + sizes[which]
        self._require(end <= size, "", "a table ends past the end of the file.")
        self.columns.end = max(self.columns.end, int(end.max()))
        slots, widths = _slots_and_widths(self.table.name)
        entries = vtables + 4 + 2 * slots
        within = entries + 2 <= ends
        places = (self.view.read(U2, entries * within) * within).astype(np.int64)
        oks = (places == 0) | (places >= 4) & (places + widths <= sizes)
        if not oks.all():
            at_fault = int(np.argmin(oks.all(1)))
            self._require(oks[at_fault], self.table.fields[at_fault].name, "a field lies outside its table.", first)
        held = places.any(1).tolist()
        return [place[which] if is_held else None for place, is_held in zip(places, held, strict=True)]

    def _column(self, field: Field, place: NDArray[np.int64]) -> NDArray[np.generic]:
        rows = place.nonzero()[0]
        if field.kind is Kind.UNION:
            rows = rows[self._known_tags(field)[rows]]
        at = (self.rows.at + place)[rows]
        if field.width > 1:
            self._require(at & (min(field.width, 4) - 1) == 0, field.name, "a field is misaligned.", rows)
        values = self.view.read(field.dtype, at) if field.kind is Kind.SCALAR else self._targets(field, rows, at)
        if len(rows) == len(place):
            return values
        column = field.column(len(place))
        column[rows] = values
        return column

    def _targets(self, field: Field, rows: NDArray[np.int64], at: Positions) -> Positions:
        """Where the offsets at `at` lead, with what lies there checked or noted for the walk of its type."""
        targets = offsets(self.view, at)
        ok = (targets > at) & (targets <= self.view.size - 4) & (targets & 3 == 0)
        self._require(ok, field.name, "an offset leads nowhere.", rows)
        if len(rows):
            self._follow(field, rows, targets)
        return targets

    def _known_tags(self, field: Field) -> NDArray[np.bool_]:
        tags = self.rows[f"{field.name}_type"]
        return (tags > 0) & (tags < len(UNIONS[field.type]))

    def _follow(self, field: Field, rows: NDArray[np.int64], targets: Positions) -> None:
        owners = self.rows.at[rows]
        if field.kind is Kind.TABLE:
            self._link(field, field.type, owners, targets)
        elif field.kind is Kind.UNION:
            tags = self.rows[f"{field.name}_type"][rows]
            for tag in sorted(set(tags.tolist())):
                chosen = tags == tag
                self._link(field, UNIONS[field.type][tag], owners[chosen], targets[chosen])
        else:
            self._vectors(field, targets, rows)

    def _link(
        self, field: Field, table: str, owners: Positions, targets: Positions, elements: Positions | None = None
    ) -> None:
        if len(targets):
            self.columns.links[table].append(Link(self.table.name, field.name, owners, targets, elements))

    def _vectors(self, field: Field, at: Positions, rows: NDArray[np.int64]) -> None:
        lengths = self.view.lengths(at)
        string = field.kind is Kind.STRING
        width = 1 if string else field.dtype.itemsize
        ok = lengths <= (self.view.size - 4 - at - string) // width
        self._require(ok, field.name, "a string or vector ends past the end of the file.", rows)
        self.columns.end = max(self.columns.end, int((at + 4 + lengths * width).max()))
        if string:
            self._strings(field, at, lengths, rows)
        elif field.kind is Kind.TABLES:
            self._tables(field, at, lengths, rows)

    def _strings(self, field: Field, at: Positions, lengths: Positions, rows: NDArray[np.int64]) -> None:
        self._require(self.view.data[at + 4 + lengths] == 0, field.name, "a string does not end with NUL.", rows)
        longest = int(np.argmax(lengths))
        most = self.columns.limits.max_string_bytes
        if lengths[longest] > most:
            where = self.columns.where(self.table.name, int(rows[longest]), field.name)
            raise LimitError(
                f"A string has {lengths[longest]} bytes, more than max_string_bytes = {most}.", where=where
            )
        if lengths.sum() > self.view.size and self.view.lengths(np.unique(at)).sum() > self.view.size:
            raise ModelError(
                f"{INVALID}strings overlap.", where=self.columns.where(self.table.name, int(rows[0]), field.name)
            )

    def _tables(self, field: Field, at: Positions, lengths: Positions, rows: NDArray[np.int64]) -> None:
        at, first, _ = distinct(at)
        lengths, rows = lengths[first], rows[first]
        if int(lengths.sum()) > self.columns.budget:
            where = self.columns.where(self.table.name, int(rows[0]), field.name)
            raise ModelError(f"{INVALID}vectors of tables overlap.", where=where)
        slots = spread(at + 4, lengths, 4)
        targets = offsets(self.view, slots)
        owner = np.repeat(np.arange(len(at)), lengths)
        elements = spread(np.zeros(len(at), np.int64), lengths)
        ok = (targets > slots) & (targets <= self.view.size - 4) & (targets % 4 == 0)
        if not ok.all():
            bad = int(np.argmin(ok))
            path = self.columns.where(self.table.name, int(rows[owner[bad]]), f"{field.name}[{elements[bad]}]")
            raise ModelError(f"{INVALID}an offset leads nowhere.", where=path)
        self._link(field, field.type, at[owner], targets, elements)

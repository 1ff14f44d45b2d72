"""Options tables of builtin operators <-> attributes by field name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from ..errors import GraphError
from .columns import Columns
from .schema import TABLES, Field, Kind

Attributes: TypeAlias = Mapping[str, Any]

_SHORT = 8
"""Vectors up to this length are hashed."""


def read_options(columns: Columns, table: str) -> list[Attributes]:
    """Attributes of each row of an options table; every field is there, absent ones with the schema's default."""
    rows = columns.rows[table]
    names = [field.name for field in TABLES[table].fields]
    if not names:
        return [MappingProxyType({})] * len(rows)
    by_field = [_values(columns, table, field) for field in TABLES[table].fields]
    by_row = zip(*by_field, strict=True)
    if any(field.dtype.kind == "f" for field in TABLES[table].fields):  # 0.0 equals -0.0
        return [MappingProxyType(dict(zip(names, row, strict=True))) for row in by_row]
    keys = list(zip(*map(_keys, by_field), strict=True))
    rows_by_key = dict(zip(keys, by_row, strict=True))
    made = {key: MappingProxyType(dict(zip(names, row, strict=True))) for key, row in rows_by_key.items()}
    return list(map(made.__getitem__, keys))


def _keys(values: list[Any]) -> list[Any]:
    """What tells values apart: themselves, or which object they are where hashing would read a long vector again."""
    return [id(value) if isinstance(value, tuple) and len(value) > _SHORT else value for value in values]


def defaults(table: str) -> Attributes:
    """What an options table that holds no field means."""
    return MappingProxyType({field.name: default(field) for field in TABLES[table].fields})


def default(field: Field) -> Any:
    return b"" if field.type == "ubyte" and field.kind is Kind.SCALARS else field.default


def complete(table: str, attributes: Attributes, where: str) -> Attributes:
    """All fields of an options table: the given ones over the defaults. Raises GraphError for names it lacks."""
    known = defaults(table)
    unknown = sorted(set(attributes) - set(known))
    if unknown:
        raise GraphError(
            f"{table} has no field {', '.join(unknown)}; it has {', '.join(known) or 'none'}.", where=where
        )
    return {**known, **attributes}


def _values(columns: Columns, table: str, field: Field) -> list[Any]:
    """One value for each row: a Python scalar, str, tuple, or bytes for a vector of bytes."""
    if field.kind is Kind.STRING:
        return columns.texts(table, field.name)
    if field.kind is Kind.SCALARS:
        vectors = columns.vector(table, field.name)
        return vectors.blobs() if field.type == "ubyte" else vectors.tuples()
    values: list[Any] = columns.rows[table][field.name].tolist()
    return values

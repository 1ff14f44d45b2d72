"""Operators of a file: names, versions, attributes, custom options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GraphError, ModelError, UnsupportedError
from .buffers import outside_data
from .columns import INVALID, Columns
from .options import defaults, read_options
from .schema import CUSTOM, OPERATORS, UNIONS, Operator
from .view import Positions

UNKNOWN = "UNKNOWN_OPERATOR_"
_OPTION_FIELDS = {1: "builtin_options", 2: "builtin_options_2"}
_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class OperatorCode:
    """What an entry of operator_codes names; `code` is beyond the schema for operators that it does not know."""

    name: str
    code: int
    version: int


@dataclass(frozen=True, slots=True)
class Operators:
    """What nodes are made from, by row of the Operator columns."""

    codes: list[OperatorCode]
    code_of: list[int]  # index into codes
    attributes: list[Mapping[str, Any]]
    custom_options: list[bytes]
    inputs: list[tuple[int, ...]]
    outputs: list[tuple[int, ...]]
    intermediates: list[tuple[int, ...]]


def read_operators(columns: Columns) -> Operators:
    """The operators of all subgraphs. Raises ModelError, GraphError or UnsupportedError for wrong ones."""
    codes = _codes(columns)
    rows = columns.rows["Operator"]
    if not len(rows):
        return Operators(codes, [], [], [], [], [], [])
    columns.require(rows["opcode_index"] < len(codes), "Operator", "opcode_index", f"there are {len(codes)} codes.")
    return Operators(
        codes,
        rows["opcode_index"].tolist(),
        _attributes(columns, codes),
        _custom_options(columns),
        columns.vector("Operator", "inputs").tuples(),
        columns.vector("Operator", "outputs").tuples(),
        columns.vector("Operator", "intermediates").tuples(),
    )


def _codes(columns: Columns) -> list[OperatorCode]:
    """Entries of operator_codes. Files before schema 3a hold their code in deprecated_builtin_code only."""
    rows = columns.rows["OperatorCode"]
    if not len(rows):
        return []
    old, new = rows["deprecated_builtin_code"].astype(np.int64), rows["builtin_code"].astype(np.int64)
    code = np.maximum(old, new)
    _require_graph(columns, code >= 0, "the code is negative.")
    _require_graph(columns, (old <= 0) | (new <= 0) | (old == np.minimum(new, 127)), "old and new code contradict.")
    _require_graph(columns, rows["version"] > 0, "operator versions count from 1.")
    custom_codes = columns.texts("OperatorCode", "custom_code")
    named = np.array([bool(text) for text in custom_codes])
    _require_graph(columns, (code != CUSTOM) | named, "Operator with CUSTOM builtin_code has no custom_code.")
    made = [
        OperatorCode(_name(number, custom_code), number, version)
        for number, custom_code, version in zip(code.tolist(), custom_codes, rows["version"].tolist(), strict=True)
    ]
    return [made[row] for row in columns.vector("Model", "operator_codes").values.tolist()]


def _name(code: int, custom_code: str) -> str:
    if code == CUSTOM:
        return custom_code
    return OPERATORS[code].name if code < len(OPERATORS) else f"{UNKNOWN}{code}"


def _require_graph(columns: Columns, ok: NDArray[np.bool_], what: str) -> None:
    if not ok.all():
        raise GraphError(what, where=columns.where("OperatorCode", int(np.argmin(ok))))


def _attributes(columns: Columns, codes: list[OperatorCode]) -> list[Mapping[str, Any]]:
    rows = columns.rows["Operator"]
    numbers = np.array([code.code for code in codes])[rows["opcode_index"]]
    found: list[Mapping[str, Any]] = [_NONE] * len(rows)
    for operator in [OPERATORS[number] for number in np.unique(numbers).tolist() if number < len(OPERATORS)]:
        if not operator.options:
            continue
        chosen = np.nonzero(numbers == operator.code)[0]
        _check_tags(columns, operator, chosen)
        field = _OPTION_FIELDS[operator.union]
        held = rows[f"{field}_type"][chosen] == operator.tag
        sources = columns.index(operator.options, np.where(held, rows[field][chosen], 0))
        read, default = read_options(columns, operator.options), defaults(operator.options)
        for row, source in zip(chosen.tolist(), sources.tolist(), strict=True):
            found[row] = read[source] if source >= 0 else default
    return found


def _check_tags(columns: Columns, operator: Operator, rows: NDArray[np.int64]) -> None:
    """Refuses options of another operator; for an operator whose own table is empty they mean nothing."""
    if not defaults(operator.options):
        return
    for union, field in _OPTION_FIELDS.items():
        tags = columns.rows["Operator"][f"{field}_type"][rows]
        wrong = (tags != 0) & ((tags != operator.tag) | (union != operator.union))
        if wrong.any():
            at = int(np.argmax(wrong))
            tag, tables = int(tags[at]), UNIONS["BuiltinOptions" if union == 1 else "BuiltinOptions2"]
            where = columns.where("Operator", int(rows[at]), field)
            if tag >= len(tables):
                raise UnsupportedError(f"{operator.name} has options of an unknown kind ({tag}).", where=where)
            raise GraphError(f"{operator.name} has {tables[tag]}, not {operator.options}.", where=where)


def _custom_options(columns: Columns) -> list[bytes]:
    """The bytes of each operator; equal places are read once."""
    rows = columns.rows["Operator"]
    lengths = columns.view.lengths(rows["custom_options"])
    outside = outside_data(columns, "Operator", "large_custom_options_offset", "large_custom_options_size", lengths)
    starts: Positions = np.where(
        outside, rows["large_custom_options_offset"].astype(np.int64), rows["custom_options"] + 4
    )
    lengths = np.where(outside, rows["large_custom_options_size"].astype(np.int64), lengths)
    if not lengths.any():
        return [b""] * len(rows)
    places = list(zip(starts.tolist(), lengths.tolist(), strict=True))
    if sum(length for _, length in set(places)) > columns.view.size:
        where = columns.where("Operator", int(np.argmax(lengths > 0)), "custom_options")
        raise ModelError(f"{INVALID}custom options overlap.", where=where)
    made = {place: columns.view.bytes(*place) if place[1] else b"" for place in set(places)}
    return [made[place] for place in places]

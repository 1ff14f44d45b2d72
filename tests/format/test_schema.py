"""The schema table against the reference's generated classes, field by field."""

from __future__ import annotations

import inspect
import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tflite_cupy.interpreter.format.schema import ENUMS, OPERATORS, TABLES, UNIONS, Field, Kind

TYPES = {
    "Bool": "?",
    "Int8": "i1",
    "Uint8": "u1",
    "Uint16": "u2",
    "Int32": "i4",
    "Uint32": "u4",
    "Int64": "i8",
    "Uint64": "u8",
    "Float32": "f4",
}


@pytest.fixture(scope="module")
def generated() -> ModuleType:
    found: ModuleType = pytest.importorskip("ai_edge_litert.schema_py_generated")
    return found


def tables(generated: ModuleType) -> dict[str, Any]:
    return {name: found for name, found in vars(generated).items() if hasattr(found, "GetRootAs")}


def constants(found: Any) -> dict[str, int]:
    return {name: value for name, value in vars(found).items() if isinstance(value, int)}


def accessors(table: Any) -> dict[int, str]:
    """Source of the accessors of each slot, which also tells its type and default."""
    found: dict[int, str] = {}
    for name, member in vars(table).items():
        source = inspect.getsource(member) if inspect.isfunction(member) and name != "Init" else ""
        offset = re.search(r"_tab\.Offset\((\d+)\)", source)
        if offset:
            slot = (int(offset[1]) - 4) // 2
            found[slot] = found.get(slot, "") + source
    return found


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


@pytest.mark.reference
def test_enums(generated: ModuleType) -> None:
    classes = {name: found for name, found in vars(generated).items() if inspect.isclass(found) and constants(found)}
    assert {name: constants(found) for name, found in classes.items() if name not in UNIONS} == ENUMS
    for name, members in UNIONS.items():
        assert list(constants(classes[name])) == ["NONE", *members[1:]]


@pytest.mark.reference
def test_operators(generated: ModuleType) -> None:
    assert {operator.name: operator.code for operator in OPERATORS} == constants(generated.BuiltinOperator)


@pytest.mark.reference
def test_tables(generated: ModuleType) -> None:
    classes = tables(generated)
    assert set(classes) == set(TABLES)
    for name, table in TABLES.items():
        found = accessors(classes[name])
        assert {field.slot for field in table.fields} == set(found), name
        for field in table.fields:
            assert described(found[field.slot]) == expected(field), f"{name}.{field.name}"


def described(source: str) -> tuple[str, ...]:
    """(accessor's name, kind of field, element type, default) as the generated source says."""
    name = re.findall(r"def (\w+)\(self", source)[0]
    flags = re.findall(r"number_types\.(\w+)Flags, (?:o|a) \+", source)
    tables = re.findall(r"obj = (\w+)\(\)", source)
    if "VectorLen" in source:
        return (name, "TABLES", tables[0]) if tables else (name, "SCALARS", np.dtype(TYPES[flags[0]]).str)
    if "_tab.String" in source:
        return name, "STRING"
    if "_tab.Union" in source:
        return name, "UNION"
    if tables:
        return name, "TABLE", tables[0]
    default = re.findall(r"return (\S+)\n", source)[-1]
    return name, "SCALAR", np.dtype(TYPES[flags[0]]).str, str(float(default.replace("True", "1").replace("False", "0")))


def expected(field: Field) -> tuple[str, ...]:
    name = camel(field.name)
    if field.kind is Kind.SCALAR:
        return name, "SCALAR", field.dtype.str, str(float(field.default))
    if field.kind is Kind.SCALARS:
        return name, "SCALARS", field.dtype.str
    if field.kind in (Kind.TABLE, Kind.TABLES):
        return name, field.kind.name, field.type
    return name, field.kind.name


@pytest.mark.reference
def test_defaults_of_options(generated: ModuleType) -> None:
    """The object API's defaults are the attributes that absent options stand for."""
    for operator in OPERATORS:
        if operator.options:
            made = getattr(generated, f"{operator.options}T")()
            for field in TABLES[operator.options].fields:
                name = camel(field.name)
                found = getattr(made, name[0].lower() + name[1:])
                assert (found if field.kind is Kind.SCALAR else found or field.default) == field.default


def test_operators_and_options_cover_each_other() -> None:
    assert len(OPERATORS) == 210
    used = {operator.options for operator in OPERATORS} - {""}
    assert used == {name for name in TABLES if name.endswith("Options")}
    assert used == set(UNIONS["BuiltinOptions"][1:] + UNIONS["BuiltinOptions2"][1:])
    for operator in OPERATORS:
        union = UNIONS["BuiltinOptions2" if operator.union == 2 else "BuiltinOptions"]
        assert union[operator.tag] == operator.options


def test_tables_come_before_what_they_refer_to() -> None:
    """The verifier relies on it: one pass over the types sees every reference to a table before the table."""
    seen: set[str] = set()
    for table in TABLES.values():
        seen.add(table.name)
        for field in table.fields:
            if field.kind in (Kind.TABLE, Kind.TABLES):
                assert field.type not in seen
            if field.kind is Kind.UNION:
                assert not seen & set(UNIONS[field.type])


def test_names_are_the_schema_s() -> None:
    names = [field.name for field in TABLES["Conv2DOptions"].fields]
    assert names[:4] == ["padding", "stride_w", "stride_h", "fused_activation_function"]
    assert [field.name for field in TABLES["RandomOptions"].fields] == ["seed", "seed2"]
    assert TABLES["Operator"]["builtin_options_2"].slot == 12
    assert TABLES["SignatureDef"]["subgraph_index"].slot == 4

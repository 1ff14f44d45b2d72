"""Variables and hash tables: operators on resources."""

from __future__ import annotations

import numpy as np
import pytest

from tests.build import F32, I64, RESOURCE, STRING, GraphBuilder, model
from tests.engines import call, engine_of
from tests.models import counter
from tflite_cupy.interpreter.errors import KernelError

OPERATORS = (
    "ASSIGN_VARIABLE",
    "HASHTABLE",
    "HASHTABLE_FIND",
    "HASHTABLE_IMPORT",
    "HASHTABLE_SIZE",
    "READ_VARIABLE",
    "VAR_HANDLE",
)


def test_variables_last_and_are_isolated() -> None:
    first, second = engine_of(counter()), engine_of(counter())
    assert call(first, np.float32([1, 1]))[0].tolist() == [11.0, 21.0]
    assert call(first, np.float32([1, 1]))[0].tolist() == [12.0, 22.0]
    assert call(second, np.float32([1, 1]))[0].tolist() == [11.0, 21.0]


def test_assigned_values_are_copies() -> None:
    b = GraphBuilder()
    x = b.input(F32, [1])
    (handle,) = b.op("VAR_HANDLE", [], [b.tensor(RESOURCE)], shared_name="v")
    b.op("ASSIGN_VARIABLE", [handle, x], [])
    g = GraphBuilder("get")
    (own,) = g.op("VAR_HANDLE", [], [g.tensor(RESOURCE)], shared_name="v")
    (value,) = g.op("READ_VARIABLE", [own], [g.tensor(F32, [1])])
    engine = engine_of(model(b.graph([]), g.graph([value])))
    given = np.float32([3])
    call(engine, given)
    given[0] = 99
    assert call(engine, graph=1)[0].tolist() == [3.0]


def test_reading_before_assigning_names_the_node() -> None:
    b = GraphBuilder()
    (handle,) = b.op("VAR_HANDLE", [], [b.tensor(RESOURCE)], shared_name="v")
    (value,) = b.op("READ_VARIABLE", [handle], [b.tensor(F32, [1])])
    with pytest.raises(KernelError, match=r"variable 'v' is read before it is assigned.*READ_VARIABLE#1") as caught:
        call(engine_of(model(b.graph([value]))))
    assert caught.value.where == "subgraphs[0].operators[1]"


def test_string_table() -> None:
    b = GraphBuilder("find")
    keys = b.input(STRING, [None])
    b.op("CALL_ONCE", [], [], init_subgraph_index=1)
    attributes = {"table_id": 7, "key_dtype": int(STRING), "value_dtype": int(I64)}
    (table,) = b.op("HASHTABLE", [], [b.tensor(RESOURCE)], **attributes)
    (found,) = b.op("HASHTABLE_FIND", [table, keys, b.constant(np.int64(-1))], [b.tensor(I64, [None])])
    (size,) = b.op("HASHTABLE_SIZE", [table], [b.tensor(I64, [1])])
    i = GraphBuilder("init")
    (own,) = i.op("HASHTABLE", [], [i.tensor(RESOURCE)], **attributes)
    i.op("HASHTABLE_IMPORT", [own, i.constant(np.array([b"a", b"b"], object)), i.constant(np.int64([5, 6]))], [])
    engine = engine_of(model(b.graph([found, size]), i.graph([])))
    found_ids, n = call(engine, np.array([b"b", b"?", b"a"], object))
    assert found_ids.tolist() == [6, -1, 5]
    assert n.tolist() == [2]

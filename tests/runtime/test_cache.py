"""Plans: which are kept, and what bodies are planned for."""

from __future__ import annotations

import numpy as np
import pytest

from tests.build import BOOL, F32, I32, GraphBuilder, model
from tests.engines import call, engine_of
from tests.models import counter
from tflite_cupy.interpreter.graph import Model
from tflite_cupy.interpreter.runtime.cache import MAX_BODY_SHAPES, MAX_PLANS, PlanCache, PlanKey
from tflite_cupy.interpreter.runtime.engine import Engine


def made(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Indices of the subgraphs that are planned from now on."""
    planned: list[int] = []
    make = engine._make

    def spy(graph, *arguments):  # type: ignore[no-untyped-def]
        planned.append(graph.index)
        return make(graph, *arguments)

    monkeypatch.setattr(engine, "_make", spy)
    return planned


def test_the_least_recently_used_plan_goes_first() -> None:
    plan = engine_of(counter()).plan(counter().graphs[0], [(2,)])
    cache = PlanCache()
    keys: list[PlanKey] = [(((n,),), ("host",), False, frozenset(), ()) for n in range(MAX_PLANS + 1)]
    for key in keys[:-1]:
        cache.add(key, plan)
    assert cache.find(keys[0]) is plan
    cache.add(keys[-1], plan)
    assert cache.find(keys[0]) is plan
    assert cache.find(keys[1]) is None


def test_a_shape_in_use_is_planned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of(elementwise())
    planned = made(engine, monkeypatch)
    for n in range(3 * MAX_PLANS):
        for size in (0, n + 1):
            assert call(engine, np.ones(size, np.float32))[0].shape == (size,)
    assert len(planned) == 3 * MAX_PLANS + 1


def elementwise() -> Model:
    b = GraphBuilder()
    return model(b.graph([b.add("EXP", [b.input(F32, [None])])]))


def growing(width: int = 3) -> Model:
    """(n, x [?, width], w): while rows of x < n: x = concat(x, last row of x * w)"""
    b = GraphBuilder("main")
    kinds = [(I32, []), (F32, [None, width]), (F32, [width])]
    inputs = [b.input(kind, shape) for kind, shape in kinds]  # type: ignore[arg-type]
    outs = [b.tensor(kind, shape) for kind, shape in kinds]  # type: ignore[arg-type]
    b.op("WHILE", inputs, outs, cond_subgraph_index=1, body_subgraph_index=2)
    c = GraphBuilder("cond")
    n, x, _ = (c.input(kind, shape) for kind, shape in kinds)  # type: ignore[arg-type]
    (shape,) = c.op("SHAPE", [x], [c.tensor(I32, [2])], out_type=int(I32))
    rows = c.add("STRIDED_SLICE", [shape, *(c.constant(np.int32([k])) for k in (0, 1, 1))], [], shrink_axis_mask=1)
    (less,) = c.op("LESS", [rows, n], [c.tensor(BOOL)])
    d = GraphBuilder("body")
    n, x, w = (d.input(kind, shape) for kind, shape in kinds)  # type: ignore[arg-type]
    edges = [d.constant(np.int32(k)) for k in ([-1, 0], [0, 0], [1, 1])]
    last = d.add("STRIDED_SLICE", [x, *edges], [1, width], end_mask=3, begin_mask=2)
    longer = d.tensor(F32, [None, width])
    d.op("CONCATENATION", [x, d.add("MUL", [last, w])], [longer], axis=0)
    return model(b.graph([outs[1]]), c.graph([less]), d.graph([n, longer, w]))


def test_values_that_grow_are_not_planned_anew_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of(growing())
    planned = made(engine, monkeypatch)
    start, factor = np.ones((1, 3), np.float32), np.float32([1, 2, 0.5])
    (rows,) = call(engine, np.int32(100), start, factor)
    np.testing.assert_array_equal(rows, factor ** np.arange(100, dtype=np.float32)[:, None])
    assert planned.count(2) == MAX_BODY_SHAPES + 1
    (plan,) = (plan for key, plan in engine._caches[2]._plans.items() if None in key[0])
    assert [spec.shape for spec in plan.resolved.specs[:3]] == [(), None, (3,)]


def test_a_body_takes_other_ranks_than_it_declares() -> None:
    engine = engine_of(composite())
    for shape in [(4,), (2, 3), (), (0, 5), *((2, n) for n in range(2 * MAX_BODY_SHAPES))]:
        (y,) = call(engine, np.full(shape, 2, np.float32))
        np.testing.assert_array_equal(y, np.full(shape, -4, np.float32))


def composite() -> Model:
    """-(x + x), through a body that declares vectors of 4."""
    b, body = GraphBuilder(), GraphBuilder("body")
    x, y = b.input(F32, [4]), body.input(F32, [4])
    (z,) = b.op("STABLEHLO_COMPOSITE", [x], [b.tensor(F32, [4])], decomposition_subgraph_index=1)
    return model(b.graph([z]), body.graph([body.add("NEG", [body.add("ADD", [y, y])])]))

"""Control flow of StableHLO."""

from __future__ import annotations

import numpy as np
import pytest

from tests.build import BOOL, F32, I32, GraphBuilder, model
from tests.engines import call, engine_of
from tests.ops.stablehlo.bodies import reference
from tflite_cupy.interpreter.errors import KernelError
from tflite_cupy.interpreter.graph import Model

OPERATORS = ("STABLEHLO_CASE", "STABLEHLO_WHILE")


def cases(*names: str) -> Model:
    b = GraphBuilder("main")
    index, x = b.input(I32), b.input(F32, [3])
    numbers = tuple(range(1, len(names) + 1))
    (y,) = b.op("STABLEHLO_CASE", [index, x], [b.tensor(F32, [3])], branch_subgraph_indices=numbers)
    branches = []
    for name in names:
        e = GraphBuilder(name)
        branches.append(e.graph([e.add(name, [e.input(F32, [3])])]))
    return model(b.graph([y]), *branches)


X = np.float32([1, -2, 3])


@pytest.mark.reference
@pytest.mark.parametrize("index", [-1, 0, 1, 2, 3])
def test_case(index: int) -> None:
    source = cases("EXP", "NEG", "ABS")
    operands = [np.int32(index), X]
    np.testing.assert_allclose(call(engine_of(source), *operands)[0], reference(source, operands)[0], rtol=1e-6)


def test_the_shape_of_a_case_is_known() -> None:
    engine = engine_of(cases("EXP", "NEG"))
    plan = engine.plan(engine.model.graphs[0], [(), (3,)])
    assert [plan.resolved.specs[i].shape for i in engine.model.graphs[0].outputs] == [(3,)]


def test_a_case_without_branches() -> None:
    with pytest.raises(KernelError, match="STABLEHLO_CASE has no branches"):
        call(engine_of(cases()), np.int32(0), X)


def test_while() -> None:
    b = GraphBuilder("main")
    inputs = [b.input(I32), b.input(F32, [3])]
    outs = b.op("STABLEHLO_WHILE", inputs, [b.tensor(I32), b.tensor(F32, [3])], cond_subgraph_index=1,
                body_subgraph_index=2)  # fmt: skip
    c = GraphBuilder("cond")
    i, _ = c.input(I32), c.input(F32, [3])
    (more,) = c.op("STABLEHLO_COMPARE", [i, c.constant(np.int32(4))], [c.tensor(BOOL)], comparison_direction=5)
    d = GraphBuilder("body")
    i, x = d.input(I32), d.input(F32, [3])
    body = d.graph([d.add("STABLEHLO_ADD", [i, d.constant(np.int32(1))]), d.add("STABLEHLO_ADD", [x, x])])
    engine = engine_of(model(b.graph(outs), c.graph([more]), body))
    count, doubled = call(engine, np.int32(1), X)
    assert int(count) == 4
    assert doubled.tolist() == (8 * X).tolist()

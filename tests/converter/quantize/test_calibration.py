"""Calibration: forms of data, ranges that runs show, and what is said where data is missing or wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import BOOL, F32, I32, GraphBuilder, model
from tests.models import add_sub
from tflite_cupy.converter.quantize import calibrate
from tflite_cupy.interpreter.format.writer import write_model

ONE = np.float32([1, 2, 3])
ADD, SUB = {"x": ONE, "y": -ONE}, {"a": ONE, "b": ONE}


def seen(content: bytes, calibration: Any) -> dict[tuple[int, str], tuple[float, float]]:
    """Ranges by subgraph and tensor name."""
    graphs = lite.load_model(content)
    ranges = calibrate(graphs, calibration, lite.Interpreter)
    return {(g, graphs.graphs[g].tensors[t].name): span for (g, t), span in ranges.seen.items()}


@pytest.mark.parametrize(
    "form",
    [
        {"add": [ADD], "sub": [SUB]},
        {"add": lambda: iter([ADD]), "sub": [SUB]},
        [("add", ADD), ("sub", SUB)],
        lambda: iter([("sub", SUB), ("add", ADD)]),
        {"add": [[-ONE, ONE]], "sub": [(ONE, ONE)]},  # in the order of the subgraph's inputs
    ],
)
def test_forms_of_data(form: Any) -> None:
    ranges = seen(add_sub(), form)
    assert ranges[0, "add_x:0"] == (1, 3)
    assert ranges[0, "add_y:0"] == (-3, -1)
    assert ranges[1, "sub_a:0"] == (1, 3)


def test_ranges_grow_with_samples() -> None:
    ranges = seen(add_sub(), {"add": [ADD, {"x": 5 * ONE, "y": ONE}], "sub": [SUB]})
    assert ranges[0, "add_x:0"] == (1, 15)
    assert ranges[0, "add_y:0"] == (-3, 3)


def test_numbers_that_are_not_finite_do_not_count() -> None:
    odd = {"x": np.float32([np.nan, 1, np.inf]), "y": np.float32([0, 1, 0])}
    assert seen(add_sub(), {"add": [odd], "sub": [SUB]})[0, "add_x:0"] == (1, 1)


def test_every_signature_needs_data() -> None:
    with pytest.raises(lite.ConversionError, match="signature 'sub' computes on real numbers and has no calibration"):
        lite.quantize(add_sub(), "int8", {"add": [ADD]})
    with pytest.raises(lite.ConversionError, match="signature 'sub'"):
        lite.quantize(add_sub(), "int8", {"add": [ADD], "sub": []})


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"nope": [ADD]}, "'nope', which is no signature; known are"),
        ([ADD], "does not say for which"),
        ({"add": ADD}, "expected samples one after another"),
        ({"add": 3}, "is a int, expected samples"),
        ({"add": [3]}, "expected a dictionary or a list"),
        ({"add": [[ONE]]}, "holds 1 inputs, expected 2"),
        ({"add": [{"x": ONE}]}, r"expected 2 vs provided 1.*signature 'add'"),
        ({"add": [{"x": ONE, "z": ONE}]}, "Invalid Input name"),
        (None, "needs calibration data"),
    ],
)
def test_data_that_does_not_fit(data: Any, says: str) -> None:
    with pytest.raises(lite.ConversionError, match=says):
        lite.quantize(add_sub(), "int8", data)


@pytest.mark.parametrize(
    ("mode", "options", "says"),
    [
        ("int4", {}, "mode='int4' is unknown"),
        ("int8", {"inputs": "int16"}, "inputs='int16' is unknown"),
        ("dynamic", {"outputs": "int8"}, 'for mode "int8", not for "dynamic"'),
        ("float16", {"allow_float": False}, 'for mode "int8"'),
    ],
)
def test_options(mode: Any, options: Any, says: str) -> None:
    with pytest.raises(lite.InputError, match=says):
        lite.quantize(add_sub(), mode, **options)


def test_progress() -> None:
    told: list[tuple[int, int]] = []
    lite.quantize(
        add_sub(), "int8", {"add": [ADD] * 2, "sub": [SUB]}, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(1, 3), (2, 3), (3, 3)]
    told.clear()
    lite.quantize(add_sub(), "int8", lambda: [("add", ADD), ("sub", SUB)], progress=lambda *pair: told.append(pair))
    assert told == [(1, 0), (2, 0)]


def test_a_model_without_signatures() -> None:
    b = GraphBuilder()
    x = b.input(F32, [3], "x")
    content = write_model(model(b.graph([b.add("RELU", [x])])))
    for data in ({"main": [{"x": ONE}]}, [{"x": ONE}], [[ONE]]):
        small = lite.load_model(lite.quantize(content, "int8", data))
        assert [node.name for node in small.graphs[0].nodes] == ["QUANTIZE", "RELU", "DEQUANTIZE"]
        assert small.signatures == ()


def loop() -> bytes:
    """run(x [3]) -> y: x doubled while the turn is below 3, each turn through a RELU."""
    b = GraphBuilder()
    x = b.input(F32, [3], "x")
    i = b.constant(np.int32(0))
    _, y = b.op("WHILE", [i, x], [b.tensor(I32), b.tensor(F32, [3])], cond_subgraph_index=1, body_subgraph_index=2)
    c = GraphBuilder("cond")
    j, _ = c.input(I32), c.input(F32, [3])
    (less,) = c.op("LESS", [j, c.constant(np.int32(3))], [c.tensor(BOOL)])
    d = GraphBuilder("body")
    k, z = d.input(I32), d.input(F32, [3], "z")
    outputs = [d.add("ADD", [k, d.constant(np.int32(1))]), d.add("RELU", [d.add("ADD", [z, z])])]
    graphs = b.graph([y]), c.graph([less]), d.graph(outputs)
    return write_model(model(*graphs, signatures={"run": (0, {"x": x}, {"y": y})}))


def test_bodies_are_seen_in_every_turn() -> None:
    assert seen(loop(), [{"x": ONE}])[2, "z"] == (1, 12)


def test_bodies_are_quantised_between_float_borders() -> None:
    content = lite.quantize(loop(), "int8", [{"x": ONE}])
    main, _, body = lite.load_model(content).graphs
    assert [node.name for node in main.nodes] == ["WHILE"]
    assert [node.name for node in body.nodes] == ["ADD", "QUANTIZE", "ADD", "RELU", "DEQUANTIZE"]
    got = lite.Interpreter(model_content=content).get_signature_runner()(x=ONE)["y"]
    np.testing.assert_allclose(got, 8 * ONE, rtol=0.05)


def test_a_branch_that_no_sample_takes_stays_float() -> None:
    b = GraphBuilder()
    p, x = b.input(BOOL, [], "p"), b.input(F32, [3], "x")
    (y,) = b.op("IF", [p, x], [b.tensor(F32, [3])], then_subgraph_index=1, else_subgraph_index=2)
    branches = []
    for operator in ("RELU", "TANH"):
        c = GraphBuilder(operator)
        branches.append(c.graph([c.add(operator, [c.input(F32, [3])])]))
    content = write_model(model(b.graph([y]), *branches, signatures={"run": (0, {"p": p, "x": x}, {"y": y})}))
    small, report = lite.quantize_with_report(content, "int8", [{"p": np.bool_(True), "x": ONE}])
    assert [len(graph.nodes) for graph in lite.load_model(small).graphs] == [1, 3, 1]
    assert "no calibration sample gave" in report.kept_float[0].reason

"""Node data for Model Explorer."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import tflite_cupy as lite
from tests.build import model
from tests.report.models import branch, branching, on_fake_gpu, report, unsupported
from tflite_cupy.interpreter.report.colours import CPU, FLEX, GPU, IDLE, LOST, colours

OPTIONS = {
    "name": "delegate",
    "hideInAggregatedStatsTable": True,
    "showExpandedSummaryOnGroupNode": True,
    "showLabelCountColumnsInChildrenStatsTable": True,
}


def told(value: str, colour: str) -> dict[str, str]:
    return {"value": value, "bgColor": colour, "textColor": "#ffffff"}


def test_a_graph_for_each_subgraph() -> None:
    data = on_fake_gpu(branching()).to_model_explorer()
    assert data == {
        "pick": {"results": {"0": told("cpu", CPU.solid), "1": told("cpu", CPU.solid)}, **OPTIONS},
        "other": {"results": {"0": told("folded", IDLE.solid), "1": told("gpu", GPU.solid)}, **OPTIONS},
        "EXP": {"results": {"0": told("gpu", GPU.solid)}, **OPTIONS},
        "NEG": {"results": {"0": told("gpu", GPU.solid)}, **OPTIONS},
    }
    assert json.loads(json.dumps(data)) == data


def test_names_as_model_explorer_gives_them() -> None:
    exp, neg = branch("EXP"), branch("NEG")
    graphs = replace(exp, name=""), replace(exp, name=""), replace(exp, name="x"), replace(neg, name="x")
    content = lite.write_model(model(*graphs))
    data = report(content).to_model_explorer()
    assert list(data) == ["main", "subgraph_1", "x"]
    assert data["x"]["results"] == {"0": told("cpu", CPU.solid)}


def test_nodes_that_nobody_runs() -> None:
    assert report(unsupported()).to_model_explorer()["main"]["results"]["1"] == told("unsupported", LOST.solid)


def test_model_explorer_reads_it() -> None:
    builder = pytest.importorskip("model_explorer.node_data_builder", reason="ai-edge-model-explorer is not installed")
    for graph in on_fake_gpu(branching()).to_model_explorer().values():
        results = {key: builder.NodeDataResult(**result) for key, result in graph["results"].items()}
        read = json.loads(builder.GraphNodeData(**graph | {"results": results}).to_json_string())
        assert graph.items() <= read.items()


def test_white_text_is_legible_on_every_colour() -> None:
    shown = {*colours(["gpu", "cpu", "flex", "a", "b", "c"]).values()}
    assert {GPU, CPU, FLEX, LOST, IDLE} < shown
    for colour in shown:
        red, green, blue = (int(colour.solid[i : i + 2], 16) / 255 for i in (1, 3, 5))
        luminance = 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
        assert 1.05 / (luminance + 0.05) >= 4.5, colour  # WCAG 2.2, 1.4.3


def linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)

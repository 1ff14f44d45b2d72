"""The report as node data of Model Explorer (google-ai-edge/model-explorer, node_data_builder.ModelNodeData)."""

from __future__ import annotations

from typing import Any

from .colours import colours
from .data import SubgraphReport, Survey


def node_data(survey: Survey) -> dict[str, Any]:
    """{graph id: node data}: who runs each node, with a colour for each answer.

    Ids are those of Model Explorer's own reader of .tflite files: a graph has its subgraph's name, a node the index of
    its operator. Of subgraphs that share a name, the data are the first's.
    """
    data: dict[str, Any] = {}
    for subgraph in survey.subgraphs:
        data.setdefault(_graph_id(subgraph), _graph(survey, subgraph))
    return data


def _graph_id(subgraph: SubgraphReport) -> str:
    return subgraph.name or ("main" if subgraph.index == 0 else f"subgraph_{subgraph.index}")


def _graph(survey: Survey, subgraph: SubgraphReport) -> dict[str, Any]:
    fills = colours(survey.lanes())
    results = {}
    for node in subgraph.nodes:
        value = node.delegate or node.note
        results[str(node.index)] = {"value": value, "bgColor": fills[value].solid, "textColor": "#ffffff"}
    return {
        "results": results,
        "name": "delegate",
        "hideInAggregatedStatsTable": True,  # whose sums and averages are of numbers
        "showExpandedSummaryOnGroupNode": True,
        "showLabelCountColumnsInChildrenStatsTable": True,
    }

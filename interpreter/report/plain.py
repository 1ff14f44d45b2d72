"""The report as plain data, for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .data import (
    CopyReport,
    DelegateTotal,
    NodeReport,
    PartitionReport,
    StepReport,
    SubgraphReport,
    Survey,
    TensorReport,
)


def report_data(survey: Survey) -> dict[str, Any]:
    """Fields named as in LiteRT's ModelRuntimeDetails where those exist, plus totals, steps and refusals."""
    subgraphs = survey.subgraphs
    return {
        "schema_version": 1,
        "subgraphs": [_subgraph(s, survey.titles) for s in subgraphs],
        "signatures": {
            key: {
                "subgraphs": list(indices),
                **_ends(survey, key),
                "totals": _totals(survey.totals(indices)),
                "coverage": {name: survey.coverage(name, key) for name in survey.totals(indices)},
            }
            for key, indices in survey.signatures.items()
        },
        "totals": _totals(survey.totals()),
        "coverage": {name: survey.coverage(name) for name in survey.totals()},
        "folded": sum(s.of("folded") for s in subgraphs),
        "unused": sum(s.of("unused") for s in subgraphs),
        "unsupported": sum(s.of("unsupported") for s in subgraphs),
        "absent": dict(survey.absent),
    }


def _ends(survey: Survey, key: str) -> dict[str, dict[str, int]]:
    """Inputs and outputs by the names that a signature gives them."""
    own = survey.reached(key)[0]
    return {"inputs": dict(own.inputs), "outputs": dict(own.outputs)}


def _totals(totals: Mapping[str, DelegateTotal]) -> dict[str, dict[str, int]]:
    return {
        name: {"nodes": t.nodes, "partitions": t.partitions, "bytes_in": t.bytes_in, "bytes_out": t.bytes_out}
        for name, t in totals.items()
    }


def _subgraph(subgraph: SubgraphReport, titles: Mapping[str, str]) -> dict[str, Any]:
    first = len(subgraph.nodes)  # ids of partitions follow those of nodes
    return {
        "subgraph_id": subgraph.index,
        "name": subgraph.name,
        "inputs": dict(subgraph.inputs),
        "outputs": dict(subgraph.outputs),
        "tensors": [_tensor(tensor) for tensor in subgraph.tensors.values()],
        "nodes": [
            *(_node(node, first) for node in subgraph.nodes),
            *(_delegate_node(part, first, titles) for part in subgraph.partitions),
        ],
        "execution_plan": [first + part.index for part in subgraph.partitions],
        "steps": [_step(step, first) for step in subgraph.steps],
        "totals": _totals(subgraph.totals),
        "bytes_are_a_lower_bound": subgraph.unknown_moves,
    }


def _tensor(tensor: TensorReport) -> dict[str, Any]:
    return {
        "id": tensor.index,
        "name": tensor.name,
        "type": tensor.type,
        "shape": None if tensor.shape is None else list(tensor.shape),
        "bytes": tensor.nbytes,
        "constant": tensor.is_constant,
    }


def _node(node: NodeReport, first: int) -> dict[str, Any]:
    return {
        "id": node.index,
        "name": node.name,
        "type": node.name,
        "inputs": list(node.inputs),
        "outputs": list(node.outputs),
        "delegated_to_node_id": None if node.partition is None else first + node.partition,
        "delegate": node.delegate,
        "refusals": dict(node.refusals),
        "note": node.note,
        "reason": node.reason,
        "bookkeeping": node.bookkeeping,
        "subgraphs": list(node.subgraphs),
        "multiply_adds": node.multiply_adds,
    }


def _delegate_node(part: PartitionReport, first: int, titles: Mapping[str, str]) -> dict[str, Any]:
    title = titles.get(part.delegate, part.delegate)
    return {
        "id": first + part.index,
        "name": title,
        "type": "delegate",
        "inputs": list(part.inputs),
        "outputs": list(part.outputs),
        "delegate_node_details": {"delegate_name": title, "tflite_node_ids_replaced": list(part.nodes)},
        "details": dict(part.details),
    }


def _step(step: StepReport, first: int) -> dict[str, Any]:
    if isinstance(step, CopyReport):
        ends = {"source": step.source, "target": step.target, "tensors": list(step.tensors)}
        return {"kind": "copy", **ends, "bytes": step.nbytes, "certain": step.is_certain}
    if step.index < 0:
        return {"kind": "unsupported", "nodes": list(step.nodes)}
    return {"kind": "partition", "id": first + step.index, "delegate": step.delegate}

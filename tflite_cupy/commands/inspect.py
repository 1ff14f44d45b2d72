"""`tflite-cupy inspect MODEL`: what a file holds, without running it."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .. import load_model
from ..interpreter.graph import Graph, Model, Tensor
from .arguments import add_model, existing
from .output import result, say, table


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "inspect", help="signatures, subgraphs and operators of a model", description=__doc__
    )
    add_model(parser)
    return parser


def main(arguments: argparse.Namespace) -> int:
    """Print what the model holds; 0."""
    path = existing(arguments.model)
    facts = describe(load_model(path), path)
    result(arguments, lambda: _show(path, facts), **facts)
    return 0


def _show(path: Path, facts: dict[str, Any]) -> None:
    say(f"{path}: {facts['bytes']:,} bytes, {facts['description'] or 'no description'}")
    print()
    for signature in facts["signatures"]:
        rows = [(way, x["name"], x["type"], _shape(x["shape"]), x["tensor"])
                for way in ("inputs", "outputs") for x in signature[way]]  # fmt: skip
        title = f"signature {signature['key']} (subgraph {signature['subgraph']})"
        table(("", "name", "type", "shape", "tensor"), rows, title)
    if not facts["signatures"]:
        print("no signatures")
    print()
    rows = [(g["index"], g["name"], g["nodes"], g["tensors"], f"{g['constant_bytes']:,}") for g in facts["subgraphs"]]
    table(("", "name", "nodes", "tensors", "constant bytes"), rows, "subgraphs")
    print()
    operators = sorted(facts["operators"].items(), key=lambda item: (-item[1], item[0]))
    table(("operator", "nodes"), operators, "operators")


def describe(model: Model, path: Path) -> dict[str, Any]:
    """The facts of a model as JSON-ready values."""
    operators = Counter(node.name for graph in model.graphs for node in graph.nodes)
    return {
        "path": str(path),
        "bytes": path.stat().st_size,
        "description": model.description,
        "signatures": [
            {
                "key": signature.key,
                "subgraph": signature.graph,
                "inputs": _operands(model.graphs[signature.graph], signature.inputs.items()),
                "outputs": _operands(model.graphs[signature.graph], signature.outputs.items()),
            }
            for signature in model.signatures
        ],
        "subgraphs": [_subgraph(graph) for graph in model.graphs],
        "operators": dict(sorted(operators.items())),
        "metadata": {name: len(data) for name, data in sorted(model.metadata.items())},
    }


def _operands(graph: Graph, names: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"name": name, **_tensor(graph.tensors[index]), "tensor": index} for name, index in names]


def _tensor(tensor: Tensor) -> dict[str, Any]:
    dims = tensor.dims
    return {"type": tensor.type.name.lower(), "shape": None if dims is None else list(dims)}


def _subgraph(graph: Graph) -> dict[str, Any]:
    inputs, outputs = ([(graph.tensors[i].name, i) for i in ends] for ends in (graph.inputs, graph.outputs))
    return {
        "index": graph.index,
        "name": graph.name,
        "nodes": len(graph.nodes),
        "tensors": len(graph.tensors),
        "constant_bytes": sum(t.data.nbytes for t in graph.tensors if t.data is not None),
        "inputs": _operands(graph, inputs),
        "outputs": _operands(graph, outputs),
    }


def _shape(shape: list[int | None] | None) -> str:
    return "unknown" if shape is None else "[" + ", ".join("?" if n is None else str(n) for n in shape) + "]"

"""What is planned for a GPU, without one: how many launches networks take, and which nodes are left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from networks import bert, efficientnet_b0, mobilenet_v2, resnet50

import tflite_cupy as lite
from tflite_cupy.interpreter.graph import Model

BUDGETS: dict[str, tuple[Callable[[], Model], int]] = {
    "MobileNetV2": (mobilenet_v2, 56),
    "MobileNetV2 int8": (lambda: mobilenet_v2(quantized=True), 56),
    "ResNet50": (resnet50, 58),
    "EfficientNet-B0": (efficientnet_b0, 85),
    "BERT-base": (lambda: bert(words=1000), 100),
}
LEFT_OUT = {
    "gen-extra/hashtable.tflite": "hash tables are on the host",
    "gen-extra/cond_nested.tflite": "two small nodes between branches would cost more in copies",
}
"""Models of which less than 95 % of the nodes that compute something go to the GPU."""

BOOKKEEPING = {"CALL_ONCE", "IF", "STABLEHLO_COMPOSITE", "VAR_HANDLE", "WHILE"}
"""Operators that compute nothing themselves: the runtime executes them, and delegates their subgraphs."""


def planned(content: bytes) -> Any:
    return lite.Interpreter(model_content=content, device="gpu", dry_run=True).delegation_report()


@pytest.mark.parametrize("name", BUDGETS)
def test_launches_of_a_network(name: str) -> None:
    build, most = BUDGETS[name]
    report = planned(lite.write_model(build()))
    (part,) = (part for subgraph in report.subgraphs for part in subgraph.partitions)
    assert part.delegate == "gpu"
    assert part.details["array_nodes"] == 0, part.details["array_reasons"]
    assert part.details["segments"] == 1
    assert part.details["launches"] <= most
    assert f"{part.details['launches']} launches" in str(report)


def test_a_large_batch_goes_to_the_library() -> None:
    """A layer of BERT-base: queries, keys, values, what is made of them, and two; only GELU is a launch of its own."""
    report = planned(lite.write_model(bert(layers=1, words=1000, batch=64)))
    (part,) = (part for subgraph in report.subgraphs for part in subgraph.partitions)
    assert part.details["library_shapes"] == {
        "product 8192 x 768 x 768": "cuBLASLt, x4",
        "product 8192 x 768 x 3072": "cuBLASLt, x1",
        "product 8192 x 3072 x 768": "cuBLASLt, x1",
    }
    assert part.details["launches"] <= 4 + 10


def test_a_dry_run_runs_nothing() -> None:
    interpreter = lite.Interpreter(
        model_content=lite.write_model(mobilenet_v2(resolution=32)), device="gpu", dry_run=True
    )
    interpreter.allocate_tensors()
    with pytest.raises(lite.StateError, match="plans for a GPU and runs nothing"):
        interpreter.invoke()


def test_an_unknown_precision() -> None:
    with pytest.raises(lite.InputError, match="precision='half' is unknown"):
        lite.Interpreter(model_content=lite.write_model(mobilenet_v2(resolution=32)), precision="half")


@pytest.mark.corpus
def test_nearly_all_nodes_of_a_model_go_to_the_gpu(corpus: Path) -> None:
    """Models of at least ten builtin operators; control flow, which computes nothing itself, does not count."""
    entries = json.loads((corpus / "index.json").read_text())
    names = [name for name, entry in entries.items() if entry["nops"] >= 10 and not entry["custom"]]
    assert len(names) > 50
    shares = {name: share_on_gpu(planned((corpus / "models" / name).read_bytes())) for name in names}
    assert {name for name, share in shares.items() if share < 0.95} == set(LEFT_OUT)


def share_on_gpu(report: Any) -> float:
    nodes = [node for subgraph in report.subgraphs for node in subgraph.nodes if not node.note]
    computing = [node for node in nodes if node.name not in BOOKKEEPING]
    taken = [node for node in computing if node.delegate == "gpu"]
    return len(taken) / max(len(computing), 1)

"""The report as data for JSON."""

from __future__ import annotations

import json

from tests.report.models import branching, on_fake_gpu, report, shared_subgraph, unknown_sizes, unsupported, zigzag


def test_totals_over_model_and_signatures() -> None:
    data = report(branching()).to_json()
    assert {name: total["nodes"] for name, total in data["totals"].items()} == {"gpu": 0, "cpu": 5, "flex": 0}
    assert data["folded"] == 1
    assert data["signatures"]["pick"]["subgraphs"] == [0, 2, 3]
    assert data["signatures"]["pick"]["totals"]["cpu"] == {"nodes": 4, "partitions": 4, "bytes_in": 0, "bytes_out": 0}
    assert data["signatures"]["pick"]["coverage"] == {"gpu": 0.0, "cpu": 100.0, "flex": 0.0}
    assert data["signatures"]["other"]["totals"]["cpu"]["nodes"] == 1
    assert json.loads(json.dumps(data)) == data


def test_fields_of_a_subgraph() -> None:
    (zig,) = on_fake_gpu(zigzag(1)).to_json()["subgraphs"]
    assert zig["inputs"] == {"x": 0}
    assert zig["outputs"] == {"y": 5}
    assert zig["execution_plan"] == [2, 3]
    assert zig["steps"] == [
        {"kind": "copy", "source": "call", "target": "gpu", "tensors": [0], "bytes": 65536, "certain": True},
        {"kind": "partition", "id": 2, "delegate": "gpu"},
        {"kind": "copy", "source": "gpu", "target": "cpu", "tensors": [4], "bytes": 65536, "certain": True},
        {"kind": "partition", "id": 3, "delegate": "cpu"},
    ]
    product, _, on_gpu, _ = zig["nodes"]
    assert product["delegated_to_node_id"] == on_gpu["id"] == 2
    assert product["multiply_adds"] == 8 * 2048 * 2048
    assert on_gpu["delegate_node_details"] == {"delegate_name": "FakeGpuDelegate", "tflite_node_ids_replaced": [0]}
    assert zig["tensors"][0] == {
        "id": 0,
        "name": "x",
        "type": "float32",
        "shape": [8, 2048],
        "bytes": 65536,
        "constant": False,
    }


def test_what_is_not_known_or_not_supported() -> None:
    data = report(unsupported()).to_json()
    assert data["unsupported"] == 3
    assert {"kind": "unsupported", "nodes": [1]} in data["subgraphs"][0]["steps"]
    (main,) = on_fake_gpu(unknown_sizes()).to_json()["subgraphs"]
    assert main["bytes_are_a_lower_bound"]
    assert main["steps"][2]["bytes"] is None


def test_signatures_of_one_subgraph_have_their_own_names() -> None:
    made = report(shared_subgraph())
    ends = {key: (found["inputs"], found["outputs"]) for key, found in made.to_json()["signatures"].items()}
    assert ends == {"first": ({"x": 0}, {"y": 1}), "second": ({"u": 0}, {"v": 1}), "third": ({"x": 0}, {"y": 1})}
    assert made.only("second").to_json()["subgraphs"][0]["inputs"] == {"u": 0}

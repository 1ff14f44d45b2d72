"""Real files: none that the reference runs is refused, all survive being rewritten, for the reference too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.format.samples import difference
from tflite_cupy.interpreter.errors import ModelError
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.schema import ENUMS
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.ops.binding import bind

pytestmark = pytest.mark.corpus
REFUSED = {  # by the reference too, which is where the words come from
    "0_subgraphs": "No subgraph in the model.",
    "transpose": "Model provided is schema version 2 not equal to supported version 3.",
    "add_shared_tensors": "Input tensor lacks data",
    "segment_sum_invalid_buffer": "Input tensor lacks data",
    "lstm_quantized2": "negative dimension",
    "lstm_calibrated2": "negative dimension",
    "tensor_string_data_type": "0.0 is no scale",
    "person_detect_vela": "Input tensor lacks data",
}


def entries(corpus: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for name, entry in json.loads((corpus / "index.json").read_text()).items():
        yield corpus / "models" / name, entry


def test_what_the_reference_runs_is_accepted(corpus: Path) -> None:
    for path, entry in entries(corpus):
        name = path.name.removesuffix(".tflite").removesuffix(".bin").split("__")[-1]
        if not entry["ref"]["runs"] and name in REFUSED:
            with pytest.raises(ModelError) as caught:
                load_model(path)
            assert REFUSED[name] in str(caught.value)
            continue
        loaded = load_model(path)
        assert len(loaded.graphs) == entry["subgraphs"]
        assert sum(len(graph.nodes) for graph in loaded.graphs) == entry["nops"]
        if entry["ref"]["runs"]:
            assert all(bind(node, graph, graphs=loaded.graphs) for graph in loaded.graphs for node in graph.nodes)


@pytest.mark.parametrize("inline_limit", [2**31, 0])
def test_round_trip(corpus: Path, inline_limit: int) -> None:
    checked = 0
    for path, entry in entries(corpus):
        if entry["ref"]["runs"]:
            loaded = load_model(path)
            again = load_model(write_model(loaded, inline_limit=inline_limit))
            assert difference(again, loaded) is None, path
            checked += 1
    assert checked > 300


def test_operators_carry_the_names_of_the_index(corpus: Path) -> None:
    known = set(ENUMS["BuiltinOperator"])
    for path, entry in entries(corpus):
        if entry["ref"]["runs"]:
            nodes = [node for graph in load_model(path).graphs for node in graph.nodes]
            assert {node.name for node in nodes if not node.custom} <= known
            builtin = {f"{node.name}@{node.version}" for node in nodes if not node.custom}
            assert builtin == {name for name in entry["ops"] if not name.startswith("CUSTOM")}
            assert {node.name for node in nodes if node.custom} == set(entry["custom"])


@pytest.mark.reference
@pytest.mark.parametrize("inline_limit", [2**31, 0])
def test_the_reference_runs_rewritten_files_the_same(corpus: Path, inline_limit: int) -> None:
    small = [path for path, entry in entries(corpus) if entry["size"] < 200_000 and runs_on_ones(entry)]
    for path in small[::6]:
        data = path.read_bytes()
        before, after = outputs(data), outputs(write_model(load_model(data), inline_limit=inline_limit))
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[name], after[name]) for name in before), path


def runs_on_ones(entry: dict[str, Any]) -> bool:
    """Whether it is builtin operators that give outputs with elements, which the reference can hand out."""
    found = entry["ref"].get("default", {}).get("outputs", [])
    plain = entry["ref"]["runs"] and entry["ref_npz"] and not entry["custom"]
    return bool(plain and found and all(0 not in shape for _, shape, *_ in found))


def outputs(data: bytes) -> dict[int, Any]:
    """What the reference gives for inputs of ones."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        dtype = object if detail["dtype"] is np.bytes_ else detail["dtype"]
        fill: Any = b"1" if dtype is object else 1
        interpreter.set_tensor(detail["index"], np.full(detail["shape"], fill, dtype))
    interpreter.invoke()
    found = {detail["index"]: interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()}
    return {i: np.nan_to_num(value) if value.dtype.kind in "fc" else value for i, value in found.items()}

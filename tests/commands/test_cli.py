"""The command line: what goes to stdout and stderr, and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.shell import Run
from tflite_cupy import write_model
from tflite_cupy.delegates.gpu import available
from tflite_cupy.interpreter.graph import Graph, Model, Node, Signature, Tensor, TensorType

SUM = Node(0, "ADD", (0, 1), (2,), {"fused_activation_function": 0})
FLOATS = {"shape": (1,), "shape_signature": (-1,)}


@pytest.fixture
def adder(tmp_path: Path) -> Callable[..., Path]:
    """Write a model that adds `left` and `right`, under the given signature keys."""

    def write(*keys: str, output: str = "sum", kind: TensorType = TensorType.FLOAT32) -> Path:
        tensors = tuple(Tensor(name, kind, **FLOATS) for name in ("left", "right", output))
        graph = Graph(0, "main", tensors, (SUM,), (0, 1), (2,))
        signatures = tuple(Signature(key, {"left": 0, "right": 1}, {output: 2}, 0) for key in keys)
        path = tmp_path / "adder.tflite"
        path.write_bytes(write_model(Model((graph,), signatures, description="an adder")))
        return path

    return write


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    """A model that gives back the strings that it is called with."""
    graph = Graph(0, "main", (Tensor("text", TensorType.STRING, **FLOATS),), (), (0,), (0,))
    path = tmp_path / "echo.tflite"
    path.write_bytes(write_model(Model((graph,), (Signature("echo", {"text": 0}, {"text": 0}, 0),))))
    return path


def outputs(stdout: str) -> dict[str, Any]:
    return {name: output["values"] for name, output in json.loads(stdout)["outputs"].items()}


def test_run_prints_each_output(run: Run, adder: Callable[..., Path]) -> None:
    code, out, err = run("run", adder("add"), "--input", "left=[1, 2]", "--input", "right=[0.5, 4]")
    assert (code, out, err) == (0, "sum: float32 [2]\n[1.5 6. ]\n", "")


def test_run_json_is_all_of_stdout(run: Run, adder: Callable[..., Path]) -> None:
    code, out, err = run("run", adder("add"), "--input", "left=[1, NaN]", "--input", "right=random:2", "--json")
    result = json.loads(out)
    assert code == 0
    assert result["schema_version"] == 1
    assert result["signature"] == "add"
    assert result["inputs"]["right"] == {"dtype": "float32", "shape": [2]}
    assert result["outputs"]["sum"]["values"][1] == "NaN"
    assert "right: made-up data" in err


def test_made_up_data_follows_the_seed(run: Run, adder: Callable[..., Path]) -> None:
    arguments = ["run", adder("add"), "--input", "left=random", "--input", "right=random", "--json", "--seed"]
    first, again, other = (outputs(run(*arguments, seed)[1]) for seed in (1, 1, 2))
    assert first == again != other


def test_files_go_in_and_out(run: Run, adder: Callable[..., Path], tmp_path: Path) -> None:
    np.save(tmp_path / "left.npy", np.array([1, 2], np.float32))
    arguments = [
        "--input",
        f"left=@{tmp_path}/left.npy",
        "--input",
        "right=[1, 1]",
        "--save-outputs",
        tmp_path / "o.npz",
    ]
    code, _, _ = run("run", adder("add", output="file"), *arguments)
    assert code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "o.npz")["file"], np.array([2, 3], np.float32))


@pytest.mark.parametrize(
    ("literal", "values"),
    [("hello", "hello"), ('["a", "b\\u0000"]', ["a", "b\0"]), ('"1"', "1"), ("[]", [])],
)
def test_string_literals(run: Run, echo: Path, literal: str, values: Any) -> None:
    code, out, _ = run("run", echo, "--input", f"text={literal}", "--json")
    assert code == 0
    assert outputs(out) == {"text": values}


def test_strings_are_saved_without_pickle(run: Run, echo: Path, tmp_path: Path) -> None:
    run("run", echo, "--input", 'text=["ab", "c"]', "--save-outputs", tmp_path / "o.npz")
    assert np.load(tmp_path / "o.npz")["text"].tolist() == [b"ab", b"c"]


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (["lefd=1"], "no input is named 'lefd'. Did you mean 'left'? There are: left, right."),
        (["left=1"], "no value for 'right'; the inputs are: left, right."),
        ([], "--input left=random --input right=random"),
        (["left"], "expected name=value"),
        (["left=1", "left=2"], "given twice"),
        (["left=one", "right=1"], "no JSON literal, @file, random or zeros"),
        (["left=@nothing.npy", "right=1"], "error: no such file: nothing.npy"),
        (["left=random:99999999999999999999", "right=1"], "no data of shape [99999999999999999999] can be made up"),
        (["left=[[1], [2, 3]]", "right=1"], "takes float32"),
        (['left="1"', "right=1"], "takes float32"),
    ],
)
def test_wrong_inputs_are_usage_errors(run: Run, adder: Callable[..., Path], inputs: list[str], says: str) -> None:
    code, out, err = run("run", adder("add"), *(word for text in inputs for word in ("--input", text)))
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert says in err
    assert err.count("\n") == 1


def test_outputs_that_cannot_be_written_are_a_usage_error(run: Run, adder: Callable[..., Path], tmp_path: Path) -> None:
    code, _, err = run("run", adder("add"), "--input", "left=1", "--input", "right=1", "--save-outputs", tmp_path)
    assert code == 2
    assert "can't be written" in err


@pytest.mark.parametrize("literal", ["1.5", "300", "[true, 2.5]"])
def test_literals_that_an_integer_cannot_hold(run: Run, adder: Callable[..., Path], literal: str) -> None:
    path = adder("add", kind=TensorType.INT8)
    code, _, err = run("run", path, "--input", f"left={literal}", "--input", "right=1")
    assert code == 2
    assert "int8" in err


def test_several_signatures_need_a_name(run: Run, adder: Callable[..., Path]) -> None:
    code, _, err = run("run", adder("add", "plus"))
    assert code == 2
    assert "several signatures: add, plus" in err
    code, _, err = run("run", adder("add", "plus"), "--signature", "pluss")
    assert code == 2
    assert "Did you mean 'plus'? There are: add, plus." in err


def test_serving_default_needs_no_name(run: Run, adder: Callable[..., Path]) -> None:
    code, out, _ = run("run", adder("add", "serving_default"), "--input", "left=[1]", "--input", "right=[2]", "--json")
    assert code == 0
    assert json.loads(out)["signature"] == "serving_default"


def test_a_model_without_signatures_runs_by_input_names(run: Run, adder: Callable[..., Path]) -> None:
    code, out, err = run("run", adder(), "--input", "left=[1, 2]", "--input", "right=[3, 4]", "--json")
    assert code == 0
    assert outputs(out) == {"sum": [4.0, 6.0]}
    assert "no signatures" in err


def test_inspect_tells_what_the_file_holds(run: Run, adder: Callable[..., Path]) -> None:
    code, out, _ = run("inspect", adder("add"), "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["description"] == "an adder"
    assert facts["operators"] == {"ADD": 1}
    assert facts["signatures"][0]["inputs"][1] == {"name": "right", "type": "float32", "shape": [None], "tensor": 1}
    code, out, _ = run("inspect", adder("add"))
    assert code == 0
    assert "signature add (subgraph 0)" in out
    assert "float32  [?]" in out


def test_report_says_where_nodes_run(run: Run, adder: Callable[..., Path]) -> None:
    code, out, _ = run("report", adder("add"), "--device", "cpu", "--json")
    assert code == 0
    assert json.loads(out)["report"]["totals"]["cpu"]["nodes"] == 1
    code, out, _ = run("report", adder("add"), "--device", "cpu")
    assert code == 0
    assert "signature 'add'" in out


def test_doctor_tells_what_is_there(run: Run) -> None:
    code, out, _ = run("doctor", "--json")
    parts = {part["name"]: part for part in json.loads(out)["parts"]}
    assert code == 0
    assert parts["CPU delegate"]["ready"]
    assert parts["GPU delegate"]["ready"] == available()[0]
    assert all(part["ready"] or part["install"] for part in parts.values())
    code, out, _ = run("doctor")
    assert code == 0
    assert f"NumPy {np.__version__}" in out


@pytest.mark.parametrize("command", ["inspect", "run", "report"])
def test_what_is_no_model_fails(run: Run, tmp_path: Path, command: str) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(b"not a model at all")
    code, out, err = run(command, path, "--json")
    assert code == 1
    assert err.startswith("error: ")
    assert json.loads(out)["error"]["code"] == "invalid_format"
    assert run(command, tmp_path / "nothing.tflite")[0] == 2


def test_a_missing_gpu_is_an_environment_error(run: Run, adder: Callable[..., Path]) -> None:
    if available()[0]:
        pytest.skip("there is a GPU")
    code, _, err = run("report", adder("add"), "--device", "gpu")
    assert code == 3
    assert "doctor" in err


def test_wrong_options_are_usage_errors(run: Run) -> None:
    assert run("no-such-command")[0] == 2
    assert run()[0] == 2


@pytest.mark.flex
def test_the_demo_matches_tensorflow(run: Run) -> None:
    code, out, _ = run("demo", "--json")
    result = json.loads(out)
    assert code == 0
    assert result["passed"]
    assert {check["signature"] for check in result["checks"]} >= {"encode", "decode", "serving_default", "classify"}

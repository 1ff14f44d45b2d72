"""`--fail-on` and `--require-full-delegation`: exit code 1 and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.build import BOOL, F32, GraphBuilder, model
from tests.delegates.partitions import flex_options, kind, node_def
from tests.models import add_sub
from tests.shell import Run
from tflite_cupy import write_model
from tflite_cupy.delegates import flex


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """numbers(x) -> -x: one node; both(x) -> erf(|x|): one node for TensorFlow, and
    one that is not worth its copies to a GPU."""
    b = GraphBuilder("numbers")
    x = b.input(F32, [2], "x")
    numbers = b.graph([b.add("NEG", [x])])
    c = GraphBuilder("both")
    y = c.input(F32, [2], "x")
    options = flex_options("Erf", node_def("Erf", {"T": kind(1)}))
    (z,) = c.op("FlexErf", [c.add("ABS", [y])], [c.tensor(F32, [2])], options=options)
    signatures = {"numbers": (0, {"x": x}, {"y": 1}), "both": (1, {"x": y}, {"z": z})}
    path = tmp_path / "mixed.tflite"
    path.write_bytes(write_model(model(numbers, c.graph([z]), signatures=signatures)))
    return path


def test_all_on_a_gpu(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(add_sub())
    words = ["--require-full-delegation", "--fail-on", "cpu", "--fail-on", "flex", "--fail-on", "coverage:<100"]
    assert run("report", path, "--assume-gpu", *words)[0] == 0
    code, out, err = run("report", path, "--device", "cpu", "--require-full-delegation")
    assert code == 1
    assert "signature 'add'" in out
    assert err.splitlines() == [
        "failed: 0.0 % of signature 'sub' runs on the GPU, 100 % wanted; elsewhere: SUB#0, MUL#1",
        "failed: 0.0 % of signature 'add' runs on the GPU, 100 % wanted; elsewhere: ADD#0",
    ]


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("flex", "flex runs 1 of the nodes of signature 'both': FlexErf#1"),
        ("cpu", "cpu runs 1 of the nodes of signature 'both': ABS#0"),
        ("partitions:2", None),
        ("partitions:1", "signature 'both' has 2 partitions, at most 1 wanted"),
        ("coverage:<0", None),
        ("coverage:<50.5%", "0.0 % of signature 'both' runs on the GPU, 50.5 % wanted; elsewhere: ABS#0, FlexErf#1"),
    ],
)
def test_each_condition(run: Run, mixed: Path, condition: str, says: str | None) -> None:
    code, _, err = run("report", mixed, "--assume-gpu", "--fail-on", condition)
    assert code == (0 if says is None else 1)
    assert err == ("" if says is None else f"failed: {says}\n")


@pytest.mark.flex
def test_a_call_is_held_against_its_own_signature_only(run: Run, mixed: Path) -> None:
    words = ["--device", "cpu", "--signature", "numbers", "--input", "x=zeros"]
    assert run("run", mixed, *words, "--fail-on", "flex")[0] == 0
    code, out, err = run("run", mixed, *words, "--fail-on", "cpu")
    assert code == 1
    assert out == "y: float32 [2]\n[-0. -0.]\n"
    assert "failed: cpu runs 1 of the nodes of signature 'numbers': NEG#0" in err


@pytest.mark.parametrize("condition", ["gpu", "partitions", "partitions:x", "coverage:>5", "coverage:<"])
def test_conditions_that_mean_nothing_are_usage_errors(run: Run, mixed: Path, condition: str) -> None:
    code, _, err = run("report", mixed, "--fail-on", condition)
    assert code == 2
    assert "is none of cpu, flex, partitions:N, coverage:<95" in err


def test_control_flow_itself_counts_nowhere(run: Run, tmp_path: Path) -> None:
    b, c = GraphBuilder("main"), GraphBuilder("body")
    condition, x = b.input(BOOL, [], "c"), b.input(F32, [2], "x")
    (y,) = b.op("IF", [condition, x], [b.tensor(F32, [2])], then_subgraph_index=1, else_subgraph_index=1)
    z = c.input(F32, [2], "x")
    path = tmp_path / "if.tflite"
    main, body = b.graph([y]), c.graph([c.add("NEG", [z])])
    path.write_bytes(write_model(model(main, body, signatures={"s": (0, {"c": condition, "x": x}, {"y": y})})))
    assert run("report", path, "--assume-gpu", "--require-full-delegation")[0] == 0


def test_tensorflow_operators_count_where_there_is_no_tensorflow(
    run: Run, mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flex, "installed", lambda: False)
    told = "of the nodes of signature 'both': FlexErf#1\n"
    planned = run("report", mixed, "--assume-gpu", "--fail-on", "flex")
    assert (planned[0], planned[2]) == (1, f"failed: flex runs 1 {told}")
    here = run("report", mixed, "--device", "cpu", "--fail-on", "flex")
    assert (here[0], here[2]) == (1, f"failed: TensorFlow, which is not there, has to run 1 {told}")

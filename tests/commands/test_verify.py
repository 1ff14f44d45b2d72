"""`tflite-cupy verify`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests import crashing
from tests.models import add_sub, one_signature, scorer
from tests.shell import Run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "model.tflite"
    target.write_bytes(one_signature())
    return target


def test_equal_runtimes_pass(run: Run, path: Path) -> None:
    code, out, _ = run("verify", path, "--runtime", "numpy", "--against", "numpy")
    assert code == 0
    assert out.splitlines()[0].startswith("tflite-cupy ")
    assert out.splitlines()[1].split() == ["signature", "output", "type", "absolute", "allowed", "verdict"]
    assert out.splitlines()[2].split() == ["serving_default", "y", "float32", "[2,", "4]", "equal", "1e-04", "PASS"]
    assert out.splitlines()[-1] == "PASS"


def test_a_tolerance_that_is_not_met_fails(run: Run, path: Path, tmp_path: Path) -> None:
    saved = tmp_path / "outputs.npz"
    assert run("run", path, "--input", "x=random", "--seed", "4", "--save-outputs", saved)[0] == 0
    assert run("verify", path, "--against", saved, "--seed", "4")[0] == 0
    code, out, err = run("verify", path, "--against", saved, "--seed", "5")
    assert code == 1
    assert out.splitlines()[1].split()[3:] == ["absolute", "of", "the", "peak", "SQNR", "allowed", "verdict"]
    assert out.splitlines()[-1] == "FAIL"
    assert "x: made-up data, float32 [2, 3], seed 5" in err
    assert run("verify", path, "--against", saved, "--seed", "5", "--tolerance", "10")[0] == 0


def test_inputs_are_given_by_name_or_in_a_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(add_sub())
    saved, inputs = tmp_path / "outputs.npz", tmp_path / "inputs.npz"
    np.savez(saved, sum=np.float32([5]))
    values = ("--input", "x=[2]", "--input", "y=[3]")
    assert run("verify", path, "--against", saved, "--signature", "add", *values)[0] == 0
    np.savez(inputs, **{"add/x": np.float32([2]), "add/y": np.float32([4])})
    assert run("verify", path, "--against", saved, "--inputs", inputs)[0] == 1


def test_shapes_and_samples(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(scorer(None))
    arguments = ("--runtime", "numpy", "--against", "numpy", "--samples", "2", "--input-shape", "x=5,3", "--json")
    code, out, _ = run("verify", path, *arguments)
    found = json.loads(out)
    assert code == 0
    assert (found["command"], found["passed"], found["samples"], found["failures"]) == ("verify", True, 2, [])
    (output,) = found["outputs"]
    assert (output["signature"], output["output"], output["shape"], output["steps"]) == (
        "score",
        "scores",
        [5, 4],
        None,
    )
    assert (output["passed"], output["equal"], output["divergence"]) == (True, True, None)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--against", "liter"), "Did you mean 'litert'?"),
        (("--against", "missing.npz"), "no such file: missing.npz"),
        (("--signature", "other"), "There are: serving_default."),
        (("--input", "z=[1]", "--against", "numpy"), "no input is named 'z'"),
        (("--input-shape", "z=1", "--against", "numpy"), "no input is named 'z'"),
        (("--inputs", "a.npz", "--input", "x=random", "--against", "numpy"), "--inputs gives the inputs"),
        (("--runtime", "other"), "invalid choice: 'other'"),
        (("--samples", "0"), "expected a whole number above 0"),
        (("--steps", "-1"), "expected a whole number from 0 on"),
        (("--tolerance", "much"), "expected a number from 0 on"),
    ],
)
def test_wrong_usage(run: Run, path: Path, arguments: tuple[str, ...], says: str) -> None:
    code, _, err = run("verify", path, *arguments)
    assert code == 2
    assert says in err


def test_a_runtime_that_is_not_installed(run: Run, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crashing.install(tmp_path, monkeypatch, body="raise ImportError('not there')")
    code, _, err = run("verify", path, "--against", "litert")
    assert code == 3
    assert "pip install ai-edge-litert" in err


@pytest.mark.reference
def test_the_chosen_runtime_is_named(run: Run, path: Path) -> None:
    code, out, err = run("verify", path, "--runtime", "cpu")
    assert code == 0
    assert "against litert; --against names another runtime" in err
    assert "against LiteRT " in out.splitlines()[0]


def test_a_runtime_that_crashes_is_a_failure_of_its_own(
    run: Run, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashing.install(tmp_path, monkeypatch)
    deadly = "x=[[-1000, 0, 0], [0, 0, 0]]"
    code, out, _ = run("verify", path, "--runtime", "numpy", "--against", "litert", "--input", deadly)
    assert code == 1
    assert out.splitlines()[-1] == "FAIL"
    said = "signature 'serving_default', call 0: LiteRT 0.1 (XNNPACK) was ended by signal 11 (SIGSEGV) in this call"
    assert out.splitlines()[-2] == said


def test_a_runtime_that_crashes_with_the_model_is_an_error(
    run: Run, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashing.install(tmp_path, monkeypatch, at_load=True)
    code, _, err = run("verify", path, "--runtime", "numpy", "--against", "litert")
    assert code == 1
    assert "error: litert was ended by signal 11 (SIGSEGV) while it loaded the model" in err

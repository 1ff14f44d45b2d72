"""`tflite-cupy convert`: what it reads, what it writes and says, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.shell import Run
from tflite_cupy.commands import arguments
from tflite_cupy.commands.output import progress

pytestmark = [
    pytest.mark.flex,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]
WEIGHTS = np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models: SavedModels `saved` (signatures `dense` and `show`) and `bare` (functions only), and a
    Keras model as `net.keras` and `net.h5`."""
    import keras
    import tensorflow as tf

    class Model(tf.Module):
        def __init__(self) -> None:
            self.matrix = tf.Variable(WEIGHTS)

        @tf.function(input_signature=[tf.TensorSpec([None, 64])])
        def dense(self, x: Any) -> Any:
            return {"y": tf.nn.relu(x @ self.matrix)}

        @tf.function(input_signature=[tf.TensorSpec([None])])
        def show(self, x: Any) -> Any:
            with tf.name_scope("printer"):
                return {"text": tf.strings.as_string(x)}

    folder, model = tmp_path_factory.mktemp("models"), Model()
    functions = {key: getattr(model, key).get_concrete_function() for key in ("dense", "show")}
    tf.saved_model.save(model, str(folder / "saved"), signatures=functions)
    bare = tf.Module()
    bare.embed = tf.function(lambda x, scale=2.0: x * scale)
    bare.embed(tf.ones([3]))
    bare.twice = tf.function(lambda x: x)
    for size in (3, 4):
        bare.twice(tf.ones([size]))
    tf.saved_model.save(bare, str(folder / "bare"))
    keras.utils.set_random_seed(1)
    net = keras.Sequential([keras.Input((64,), name="image"), keras.layers.Dense(32), keras.layers.Dense(4)])
    for name in ("net.keras", "net.h5"):
        net.save(folder / name)
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out.tflite"


def test_a_saved_model_becomes_a_file(run: Run, models: Path, target: Path) -> None:
    code, out, _ = run("convert", models / "saved", "-o", target)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["signature", "builtin", "Flex"] in lines
    assert ["dense", "1", "0"] in lines
    assert ["show", "0", "1"] in lines
    assert any(line[:3] == ["show", "FlexAsString", "printer/AsString"] for line in lines)
    assert f"{target.stat().st_size:,} bytes" in out
    x = np.ones((1, 64), np.float32)
    got = lite.Interpreter(str(target)).get_signature_runner("dense")(x=x)["y"]
    np.testing.assert_allclose(got, np.maximum(x @ WEIGHTS, 0), rtol=1e-5, atol=1e-5)


def test_json_tells_the_same_and_more(run: Run, models: Path, target: Path) -> None:
    code, out, err = run("convert", models / "saved", "-o", target, "--verify", "--json")
    facts = json.loads(out)
    assert (code, err) == (0, "")
    assert (facts["schema_version"], facts["command"], facts["path"]) == (1, "convert", str(target))
    assert facts["bytes"] == target.stat().st_size
    assert facts["seconds"] > 0
    dense, show = facts["signatures"]
    assert (dense["key"], dense["builtin"], dense["flex"]) == ("dense", {"FULLY_CONNECTED": 1}, [])
    assert dense["inputs"][0]["shape"] == [None, 64]
    assert dense["peak_error"] < 1e-5
    assert dense["checks"][0]["output"] == "y"
    assert dense["checks"][0]["sqnr"] > 90
    reason = "no builtin operator stands for AsString"
    assert show["flex"] == [{"name": "printer/AsString", "op": "AsString", "scope": "printer", "reason": reason}]
    assert (show["peak_error"], show["checks"][0]["sqnr"]) == (0, "Infinity")


def test_verify_says_how_far_from_tensorflow(run: Run, models: Path, target: Path) -> None:
    code, out, _ = run("convert", models / "saved", "-o", target, "--verify")
    assert code == 0
    assert "against TensorFlow" in out
    assert "peak error" in next(line for line in out.splitlines() if line.split()[:1] == ["dense"])


def test_signatures_are_chosen_by_key(run: Run, models: Path, target: Path) -> None:
    assert run("convert", models / "saved", "-o", target, "--signature", "dense", "--no-flex")[0] == 0
    assert list(lite.Interpreter(str(target)).get_signature_list()) == ["dense"]
    code, out, err = run("convert", models / "saved", "-o", target, "--signature", "dens", "--json")
    assert code == 1
    assert "Invalid signature key 'dens' found. Valid keys are 'dense,show'." in err
    assert "Did you mean 'dense'?" in err
    assert json.loads(out)["error"]["code"] == "conversion"


def test_no_flex_names_the_nodes_in_the_way(run: Run, models: Path, target: Path) -> None:
    code, _, err = run("convert", models / "saved", "-o", target, "--no-flex")
    assert code == 1
    assert "'tf.AsString' op is neither a custom op nor a flex op" in err
    assert "printer/AsString" in err
    assert not target.exists()


def test_a_model_without_signatures_has_functions(run: Run, models: Path, target: Path) -> None:
    code, _, err = run("convert", models / "bare", "-o", target)
    assert code == 1
    assert "Only support at least one signature key." in err
    assert "embed: (float32 [3], 2.0); twice: (float32 [3]) or (float32 [4])" in err
    assert run("convert", models / "bare", "-o", target, "--signature", "embed")[0] == 0
    got = lite.Interpreter(str(target)).get_signature_runner("embed")(x=np.float32([1, 2, 3]))
    assert got["output_0"].tolist() == [2, 4, 6]
    code, _, err = run("convert", models / "bare", "-o", target, "--signature", "twice")
    assert code == 1
    assert "function 'twice' was saved with 2 traces" in err


@pytest.mark.parametrize("name", ["net.keras", "net.h5"])
def test_keras_files(run: Run, models: Path, target: Path, name: str) -> None:
    code, out, _ = run("convert", models / name, "-o", target, "--verify", "--no-flex", "--json")
    assert code == 0
    (signature,) = json.loads(out)["signatures"]
    assert (signature["key"], signature["builtin"]) == ("serving_default", {"FULLY_CONNECTED": 2})
    assert signature["peak_error"] < 1e-5
    assert run("convert", models / name, "-o", target, "--signature", "serve")[0] == 2


def test_what_can_not_be_read(run: Run, models: Path, target: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.keras").write_text("no archive")
    (tmp_path / "notes.txt").write_text("no model")
    code, _, err = run("convert", tmp_path / "broken.keras", "-o", target)
    assert code == 1
    assert "the Keras model could not be loaded" in err
    for name in ("nothing", "notes.txt", "."):
        code, _, err = run("convert", tmp_path / name, "-o", target)
        assert code == 2, name
        assert err.startswith("error: ")
    code, _, err = run("convert", models / "net.keras", "-o", tmp_path / "no such folder" / "out.tflite")
    assert code == 2
    assert "no such folder" in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--quantize", "int8"], "--calibration DATA.npz"),
        (["--calibration", "data.npz"], "--calibration is for --quantize int8"),
        (["--quantize", "float16", "--inference-type", "uint8"], "--inference-type uint8 is for --quantize int8"),
    ],
)
def test_options_that_do_not_go_together(run: Run, models: Path, target: Path, options: list[str], says: str) -> None:
    code, _, err = run("convert", models / "net.keras", "-o", target, *options)
    assert code == 2
    assert says in err


def test_without_tensorflow_it_says_what_to_install(
    run: Run, models: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arguments, "find_spec", lambda name: None)
    code, _, err = run("convert", models / "net.keras", "-o", target)
    assert code == 3
    assert "pip install 'tflite-cupy[convert]'" in err


@pytest.mark.parametrize("mode", ["dynamic", "float16"])
def test_a_file_is_made_smaller(run: Run, models: Path, tmp_path: Path, target: Path, mode: str) -> None:
    plain = tmp_path / "plain.tflite"
    run("convert", models / "saved", "-o", plain, "--signature", "dense")
    code, out, _ = run("convert", plain, "-o", target, "--quantize", mode, "--json")
    assert code == 0
    assert json.loads(out)["quantized"] == mode
    assert target.stat().st_size < plain.stat().st_size * 0.7
    code, _, err = run("convert", plain, "-o", target)
    assert code == 2
    assert "is a .tflite file already" in err
    assert run("convert", plain, "-o", target, "--quantize", mode, "--verify")[0] == 2


@pytest.mark.parametrize(("label", "extra"), [("image", []), ("serving_default/image", ["--inference-type", "int8"])])
def test_integers_from_calibration_data(
    run: Run, models: Path, tmp_path: Path, target: Path, label: str, extra: list[str]
) -> None:
    samples = np.random.default_rng(1).normal(size=(20, 64)).astype(np.float32)
    np.savez(tmp_path / "data.npz", **{label: samples})
    options = ["--quantize", "int8", "--calibration", tmp_path / "data.npz", "--verify", "--json", *extra]
    code, out, _ = run("convert", models / "net.keras", "-o", target, *options)
    assert code == 0
    (signature,) = json.loads(out)["signatures"]
    assert 0 < signature["peak_error"] < 0.1
    assert signature["inputs"][0]["type"] == ("int8" if extra else "float32")
    assert signature["checks"][0]["sqnr"] > 20


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"imag": (4, 64)}, "Did you mean 'image'?"),
        ({"image": (4, 4, 4, 64)}, "image has shape [4, 4, 4, 64] in the calibration data"),
        ({"image": (4, 64), "dtype": "float64"}, "the model takes float32"),
    ],
)
def test_calibration_data_that_does_not_fit(
    run: Run, models: Path, tmp_path: Path, target: Path, arrays: dict[str, Any], says: str
) -> None:
    dtype = arrays.pop("dtype", "float32")
    np.savez(tmp_path / "data.npz", **{name: np.ones(shape, dtype) for name, shape in arrays.items()})
    options = ["--quantize", "int8", "--calibration", tmp_path / "data.npz"]
    code, _, err = run("convert", models / "net.keras", "-o", target, *options)
    assert code == 2
    assert says in err


def test_progress_is_for_terminals(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with progress("working") as told:
        told(1, 2)
    assert capsys.readouterr() == ("", "")
    pytest.importorskip("rich")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress("working") as told:
        told(1, 2)
        told(2, 0)
    out, err = capsys.readouterr()
    assert out == ""
    assert "working" in err

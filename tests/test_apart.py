"""Runtimes in a process of their own: the same answers, and a crash is an error that says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import crashing, models
from tests.build import F32, GraphBuilder, model
from tflite_cupy.apart import Died, Host, ending
from tflite_cupy.interpreter.errors import InputError, MissingDependencyError, StateError, UnsupportedError
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.runtimes import open_runtime

X = np.float32([[1, 2, 3], [4, 5, 6]])
DEADLY = np.full((2, 3), -1000, np.float32)


def test_the_same_answers_as_here(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(models.one_signature())
    with Host("numpy") as host, host.open(path, keep_all=True) as there, open_runtime("numpy", path) as here:
        assert (there.name, there.title) == ("numpy", here.title)
        expected = here.call(None, {"x": X})["y"]
        np.testing.assert_array_equal(there.call(None, {"x": X})["y"], expected, strict=True)
        np.testing.assert_array_equal(there.prepared(None, {"x": X})()["y"], expected)
        (found,) = there.tensors(None, {"x": X}).values()
        np.testing.assert_array_equal(found, expected)


def test_strings_several_models_and_signatures() -> None:
    with Host("numpy") as host, host.open(models.passthrough()) as one, host.open(models.add_sub()) as other:
        assert one.call("strings", {"s": ["a", "b\0c"]})["row"].tolist() == [[b"a", b"b\0c"]]
        assert other.call("sub", {"a": np.float32([3]), "b": np.float32([1])})["diff"].tolist() == [2]


def test_errors_come_as_they_are() -> None:
    with Host("numpy") as host:
        runtime = host.open(models.add_sub())
        runtime.close()
        with pytest.raises(StateError, match="is closed"):
            runtime.call("add", {"x": np.zeros(1, np.float32), "y": np.zeros(1, np.float32)})
        with host.open(models.add_sub()) as runtime, pytest.raises(InputError, match="no signature 'mul'"):
            runtime.call("mul", {})
        b = GraphBuilder()
        stranger = write_model(model(b.graph([b.add("Unheard", [b.input(F32, [2, 3], "x")])])))
        with host.open(stranger) as runtime, pytest.raises(UnsupportedError, match="Unheard"):
            runtime.call(None, {"x": X})
    with Host("nobody") as host, pytest.raises(InputError, match="no runtime 'nobody'"):
        host.open(models.add_sub())


def test_a_crash_in_a_call_and_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crashing.install(tmp_path, monkeypatch)
    with Host("litert") as host:
        runtime = host.open(models.one_signature())
        assert runtime.call(None, {"x": X})["y"].shape == (2, 4)
        with pytest.raises(Died, match=r"^LiteRT 0\.1 \(XNNPACK\) was ended by signal 11 \(SIGSEGV\) in this call$"):
            runtime.call(None, {"x": DEADLY})
        with pytest.raises(Died, match=r"signal 11 \(SIGSEGV\) in an earlier call"):
            runtime.call(None, {"x": X})
        runtime.close()
        assert host.open(models.one_signature()).call(None, {"x": X})["y"].shape == (2, 4)  # in a new process


def test_a_crash_while_a_model_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crashing.install(tmp_path, monkeypatch, at_load=True, death="os.abort()")
    with (
        Host("litert") as host,
        pytest.raises(Died, match=r"^litert was ended by signal 6 \(SIGABRT\) while it loaded"),
    ):
        host.open(models.one_signature())


def test_the_last_words_of_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    death = "print('noise'); os.write(2, b'check failed: x > 0\\n'); os._exit(3)"
    crashing.install(tmp_path, monkeypatch, death=death)
    with Host("litert") as host:
        runtime = host.open(models.one_signature())
        runtime.call(None, {"x": X})
        with pytest.raises(Died, match=r"ended with exit status 3 in this call: check failed: x > 0$"):
            runtime.call(None, {"x": DEADLY})


def test_what_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crashing.install(tmp_path, monkeypatch, body="raise ImportError('not today')")
    with Host("litert") as host, pytest.raises(MissingDependencyError, match=r"can't be imported: not today"):
        host.open(models.add_sub())


@pytest.mark.parametrize(
    ("status", "text"),
    [(-11, "was ended by signal 11 (SIGSEGV)"), (-120, "was ended by signal 120"), (1, "ended with exit status 1")],
)
def test_how_a_process_ended(status: int, text: str) -> None:
    assert ending(status) == text


@pytest.mark.reference
@pytest.mark.parametrize("name", ["litert", "litert-reference"])
def test_litert(name: str) -> None:
    with Host(name, threads=1) as host, host.open(models.one_signature()) as there:
        expected = open_runtime(name, models.one_signature(), threads=1).call(None, {"x": X})["y"]
        np.testing.assert_array_equal(there.call(None, {"x": X})["y"], expected, strict=True)

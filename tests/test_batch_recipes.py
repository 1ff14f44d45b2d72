"""The recipes of docs/batches.md, as they stand there, each in processes of its own."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.models import scorer
from tests.pages import ROOT, files, run_file

RECIPES = files(ROOT / "docs" / "batches.md")

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'ray[data]'")
needs_serve = pytest.mark.skipif(
    find_spec("ray") is None or find_spec("starlette") is None or find_spec("fastapi") is None,
    reason="Ray Serve is not installed: pip install 'ray[serve]'",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with all recipes and the model that they run."""
    (tmp_path / "model.tflite").write_bytes(scorer(None))
    for name, code in RECIPES.items():
        (tmp_path / name).write_text(code, "utf-8")
    return tmp_path


def run(folder: Path, name: str, code: str | None = None) -> str:
    """Run a file of `folder`, written first if `code` is given, and return what it prints."""
    return run_file(folder, name, code, RAY_USAGE_STATS_ENABLED="0")


def scores(x: np.ndarray) -> np.ndarray:
    """A plain loop, 1000 rows at a time."""
    score = lite.Interpreter(model_content=scorer(None), device="cpu").get_signature_runner("score")
    return np.concatenate([score(x=x[start : start + 1000])["scores"] for start in range(0, len(x), 1000)])


def x(count: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 3)).astype(np.float32)


def test_every_recipe_is_here() -> None:
    assert set(RECIPES) == {"batches.py", "ray_data.py", "pool.py", "serve_scores.py", "model.py"}


def test_batches(folder: Path) -> None:
    assert run(folder, "batches.py").splitlines() == ["{'id': (1000,), 'scores': (1000, 4)}", "dynamic"]


def test_a_pool_of_processes(folder: Path) -> None:
    np.save(folder / "x.npy", x(5000))
    run(folder, "pool.py")
    np.testing.assert_allclose(np.load(folder / "scores.npy"), scores(x(5000)), rtol=1e-6, atol=1e-6)


COUNT = 100_000

MORTAL = """
import os

import ray
import ray_data

from tflite_cupy import SignatureBatcher

MARK = os.path.abspath("died")


class Mortal(SignatureBatcher):
    def __call__(self, batch):
        if 50_000 in batch["id"] and not os.path.exists(MARK):
            open(MARK, "w").close()
            os._exit(1)
        return super().__call__(batch)


ray.init(num_cpus=4)  # room for both actors
ray_data.SignatureBatcher = Mortal
ray_data.main()

score = SignatureBatcher(os.path.abspath("model.tflite"), "score", device="cpu", keep=True)
in_tasks = ray.data.read_parquet("rows").map_batches(score)
print(in_tasks.columns(), in_tasks.count())
"""

SERVED = """
import json
import socket
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from ray import serve

import serve_scores

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
serve.start(http_options={"host": "127.0.0.1", "port": port})
serve.run(serve_scores.app)


def ask(row):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", json.dumps({"x": row.tolist()}).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


with ThreadPoolExecutor(16) as threads:
    answers = list(threads.map(ask, np.load("x.npy")))
np.save("scores.npy", np.array(answers, np.float32))
serve.shutdown()
"""


@pytest.mark.slow
@needs_ray
@pytest.mark.parametrize("code", [None, MORTAL], ids=["as it stands", "an actor dies"])
def test_ray_data(folder: Path, code: str | None) -> None:
    """Every row once, in order, with its column; also where an actor ends in the middle of its work."""
    arrow = pytest.importorskip("pyarrow", reason="pyarrow comes with ray[data]")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow comes with ray[data]")
    (folder / "rows").mkdir()
    for start in range(0, COUNT, COUNT // 10):
        part = slice(start, start + COUNT // 10)
        lists = arrow.FixedSizeListArray.from_arrays(arrow.array(x(COUNT)[part].reshape(-1)), 3)
        table = arrow.table({"id": np.arange(COUNT)[part], "x": lists})
        parquet.write_table(table, folder / "rows" / f"{start:06}.parquet")
    printed = run(folder, "mortal.py" if code else "ray_data.py", code)
    assert (folder / "died").exists() == (code is not None)
    assert code is None or printed.splitlines()[-1] == "['id', 'x', 'scores'] 100000"
    with np.load(folder / "scored.npz") as scored:
        assert scored.files == ["id", "scores"]
        np.testing.assert_array_equal(scored["id"], np.arange(COUNT))
        assert scored["scores"].dtype == np.float32
        np.testing.assert_allclose(scored["scores"], scores(x(COUNT)), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@needs_serve
def test_ray_serve(folder: Path) -> None:
    np.save(folder / "x.npy", x(100))
    run(folder, "served.py", SERVED)
    np.testing.assert_allclose(np.load(folder / "scores.npy"), scores(x(100)), rtol=1e-6, atol=1e-6)


TRITON = """
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Tensor:
    called: str
    array: np.ndarray

    def name(self):
        return self.called

    def as_numpy(self):
        return self.array


class TritonError(Exception):
    pass


@dataclass
class InferenceResponse:
    output_tensors: list
    error: TritonError | None = None


@dataclass
class InferenceRequest:
    tensors: list = field(default_factory=list)


def get_input_tensor_by_name(request, name):
    return next(tensor for tensor in request.tensors if tensor.name() == name)
"""


@pytest.fixture
def triton(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The recipe's model, made and ready, beside a stand-in for the module that Triton's process has."""
    (folder / "triton_python_backend_utils.py").write_text(TRITON, "utf-8")
    (folder / "1").mkdir()
    (folder / "model.tflite").rename(folder / "1" / "model.tflite")
    monkeypatch.syspath_prepend(folder)
    for name in ("triton_python_backend_utils", "model"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setitem(sys.modules, name, importlib.import_module(name))
    made = sys.modules["model"].TritonPythonModel()
    made.initialize({
        "model_repository": str(folder),
        "model_version": "1",
        "model_instance_kind": "CPU",
        "model_instance_device_id": "0",
    })  # fmt: skip
    yield made
    made.finalize()


def test_triton(triton: Any) -> None:
    backend = sys.modules["triton_python_backend_utils"]
    columns = [x(3), x(1), x(70)]
    requests = [backend.InferenceRequest([backend.Tensor("x", column)]) for column in columns]
    responses = triton.execute(requests)
    assert [response.error for response in responses] == [None, None, None]
    for column, response in zip(columns, responses, strict=True):
        (tensor,) = response.output_tensors
        assert tensor.name() == "scores"
        np.testing.assert_allclose(tensor.as_numpy(), scores(column), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("bad", [np.ones((2, 3)), np.ones((2, 5), np.float32)], ids=["dtype", "shape"])
def test_triton_answers_the_others_when_one_request_is_wrong(triton: Any, bad: np.ndarray) -> None:
    backend = sys.modules["triton_python_backend_utils"]
    requests = [backend.InferenceRequest([backend.Tensor("x", column)]) for column in (x(3), bad)]
    good, refused = triton.execute(requests)
    assert good.error is None
    np.testing.assert_allclose(good.output_tensors[0].as_numpy(), scores(x(3)), rtol=1e-6, atol=1e-6)
    assert "at column 'x'" in str(refused.error)
    assert refused.output_tensors == []

"""ci/gpu_check: its stages on the emulated device, what it makes of failures, and the table that README has of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gpu_check
import measured_gpu
import numpy as np
import pytest
from gpu_stages import STAGES, ceilings, suite
from gpu_stages.operator_worker import Sample, draw
from gpu_stages.operators import SHAPES, agreements, samples_of
from gpu_stages.peer_walk import Network, Pads
from gpu_stages.progress import Progress, read
from gpu_stages.target import inputs_of, on_host, relative_error, runner
from gpu_stages.workers import shared_out
from gpu_stages.workloads import SMALL, WORKLOADS, floor, operations

import tflite_cupy as lite
from tflite_cupy.delegates.gpu import available

SCRIPT = Path(gpu_check.__file__)
SLOW = ("models", "operators", "memory")


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


def test_without_a_gpu_it_says_why() -> None:
    if available()[0]:
        pytest.skip("there is a GPU")
    done = check()
    assert done.returncode == 3
    assert done.stderr.startswith("error: no GPU to check on: ")


@pytest.mark.parametrize("stage", [pytest.param(s, marks=pytest.mark.slow) if s in SLOW else s for s in STAGES])
def test_a_stage_on_the_emulated_device(stage: str, tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("no g++ to build kernels for the host")
    done = check(stage, "--device", "emulated", "--out", str(tmp_path))
    (path,) = tmp_path.iterdir()
    result = json.loads(path.read_text())["stages"][stage]
    if stage == "compiled" and "no NVIDIA driver" in json.dumps(result):
        pytest.skip("torch.compile of a torch that is built for CUDA needs a driver")
    assert done.returncode == 0, json.dumps(result, indent=1)
    assert result["passed"]


def test_an_unknown_stage() -> None:
    done = check("guesses")
    assert done.returncode == 2
    assert "unknown stage 'guesses'; there are device, models, " in done.stderr


def test_no_time_left(tmp_path: Path) -> None:
    assert not gpu_check.run_stage("models", "emulated", tmp_path / "models", seconds=1.0)["passed"]
    assert gpu_check.run_stage("peers", "emulated", tmp_path / "peers", seconds=1.0)["skipped"] == "no time was left"


def test_a_stage_leaves_no_process(tmp_path: Path) -> None:
    """One that runs on would hold the device while the next stage takes times."""
    left = "import subprocess; p = subprocess.Popen(['sleep', '100'], stderr=-3); print(p.pid, file=open('{}', 'w'))"
    assert gpu_check._ended([sys.executable, "-c", left.format(tmp_path / "pid")], 60.0) == ""
    state = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    until = time.monotonic() + 30
    while state.exists() and state.read_text().split()[2] != "Z" and time.monotonic() < until:
        time.sleep(0.01)
    assert not state.exists() or state.read_text().split()[2] == "Z"
    said = gpu_check._ended(
        [sys.executable, "-c", "import sys, time; sys.stderr.write('so far'); time.sleep(100)"], 2.0
    )
    assert said.startswith("stopped after 2 s")


def test_the_rest_is_what_has_not_run_to_its_end(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("no g++ to build kernels for the host")
    options = "device", "sanitizer", "suite", "--device", "emulated", "--out", str(tmp_path)
    assert check(*options).stdout.count(" in ") == 3
    (path,) = tmp_path.iterdir()
    report = json.loads(path.read_text())
    report["stages"]["suite"] = {"passed": True, "skipped": gpu_check.NO_TIME, "seconds": 0.0}
    path.write_text(json.dumps(report))
    again = check(*options, "--rest")
    assert again.returncode == 0
    assert again.stdout.startswith("suite: ")
    assert again.stdout.count(" in ") == 1


def test_what_a_stage_found_survives_it(tmp_path: Path) -> None:
    progress = Progress(tmp_path / "found", 10.0)
    with progress.attempt("rows", what="good") as row:
        row["number"] = np.float32(0.5)
    with progress.attempt("rows", what="bad") as row:
        raise ValueError("no such thing")
    found = read(tmp_path / "found")
    assert not found["passed"]
    assert found["rows"][0] == {"what": "good", "number": 0.5}
    assert found["rows"][1]["error"] == "ValueError: no such thing"
    progress.finish()
    assert not read(tmp_path / "found")["passed"]
    assert read(tmp_path / "never") == {"passed": False}


WORKER = """
import json, os, sys, time
for line in sys.stdin:
    task = json.loads(line)
    if task == "die":
        os._exit(7)
    if task == "hang":
        time.sleep(60)
    print(json.dumps({"verdict": "done"}), flush=True)
"""


def test_workers_that_die_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy_worker.py").write_text(WORKER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    answers: list[tuple[str, str]] = []

    def answered(task: str, answer: dict[str, Any]) -> None:
        answers.append((task, answer["verdict"]))

    tasks, until = ["a", "die", "b", "die", "c"], time.monotonic() + 60
    assert shared_out("toy_worker", [], tasks, answered, processes=2, until=until) == 0
    assert sorted(answers) == [("a", "done"), ("b", "done"), ("c", "done"), ("die", "died"), ("die", "died")]
    until = time.monotonic() + 2
    assert shared_out("toy_worker", [], ["hang", "x"], answered, processes=1, until=until) == 2


TESTS = (
    "import pytest",
    "pytestmark = pytest.mark.gpu",
    "def test_bad(): assert 0",
    "def test_good(): pass",
    "class TestMany:",
    "    def test_worse(self, nothing): pass",
    "@pytest.mark.parametrize('x', ['a - b', 'c'])",
    "def test_words(x): pass",
)


def test_verdicts_of_the_suite(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("\n".join(TESTS))
    (tmp_path / "test_lost.py").write_text("import no_such_module")
    command = [sys.executable, "-m", "pytest", *suite.OPTIONS, "-c", "/dev/null", "--rootdir", ".", "."]
    done = subprocess.run(command, cwd=tmp_path, env=suite.environment(), capture_output=True, text=True)
    counts, failed = suite.verdicts(done.stdout)
    assert counts == {"passed": 3, "failed": 1, "error": 1}, done.stdout
    assert sorted(failed) == ["test_it.py::TestMany::test_worse", "test_it.py::test_bad"]
    cut = done.stdout.index("= ERRORS =")
    assert suite.verdicts(done.stdout[:cut]) == (counts, failed), "a run that is stopped has no summary"


def test_the_suite_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that dies takes no other with it; what has run is not run again."""
    lines = "import os, pytest\n@pytest.mark.gpu\ndef test_{0}(): {1}\ndef test_other(): assert 0\n"
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = gpu\n")
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "test_it.py").write_text("\n".join(TESTS))
    (tmp_path / "test_dying.py").write_text(lines.format("dying", "os._exit(7)"))
    (tmp_path / "test_well.py").write_text(lines.format("well", "pass"))
    (tmp_path / "test_lost.py").write_text("import no_such_module  # mark.gpu")
    (tmp_path / "test_none.py").write_text("def test_none(): assert 0")
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    monkeypatch.setattr(suite, "AT_ONCE", 3)
    progress = Progress(tmp_path / "found", 100.0)
    suite.run_tests(suite.marked(tmp_path), 2, progress)
    found = read(tmp_path / "found")
    assert found["counts"] == {"passed": 4, "failed": 1, "error": 1}
    assert found["collected"] == [{"file": "test_lost.py", "passed": False}]
    parts = {(row["file"], row["part"]): row["passed"] for row in found["parts"]}
    assert parts == {
        ("ops/test_it.py", 0): False,
        ("ops/test_it.py", 1): True,
        ("test_dying.py", 0): False,
        ("test_well.py", 0): True,
    }
    progress = Progress(tmp_path / "found", 100.0)
    progress.row = pytest.fail  # type: ignore[method-assign, assignment]
    (tmp_path / "test_lost.py").unlink()
    suite.run_tests(suite.marked(tmp_path), 2, progress)
    assert read(tmp_path / "found")["counts"] == found["counts"]


def test_where_tests_for_a_gpu_are() -> None:
    places = {Path(place).name for place in suite.marked(Path(__file__).parent)}
    assert {"ops", "test_gpu.py", "test_stopwatch.py"} <= places
    assert "test_gpu_check_rest.py" not in places


def test_time_that_ran_out_loses_no_earlier_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage that failed is tried again after those that had no time, and keeps what it has where it gets none."""
    monkeypatch.setattr(sys, "argv", ["gpu_check", "--device", "emulated", "--out", str(tmp_path), "--rest"])
    ran: list[str] = []
    done = {"passed": True, "seconds": 1.0}

    def run_stage(name: str, *_: Any) -> dict[str, Any]:
        ran.append(name)
        if len(ran) > 2:
            return {"passed": False, "skipped": gpu_check.NO_TIME, "seconds": 0.0}
        return done

    monkeypatch.setattr(gpu_check, "run_stage", run_stage)
    path, report = gpu_check._report(tmp_path, "emulated")
    bad, late = {"passed": False, "rows": [1]}, {"passed": False, "skipped": gpu_check.NO_TIME}
    whole = {name: {"passed": True} for name in STAGES}
    path.write_text(
        json.dumps(report | {"stages": whole | {"models": bad, "peers": late, "memory": bad, "suite": late}})
    )
    assert gpu_check.main() == 1
    assert ran == ["suite", "peers", "models", "memory"]
    stages = json.loads(path.read_text())["stages"]
    assert stages == whole | {"peers": done, "suite": done, "models": bad, "memory": bad}


def test_every_combination_is_sampled() -> None:
    samples = list(samples_of(SHAPES))
    strict = [s for s in samples if s.precision == "strict"]
    assert {(s.operator, s.kinds) for s in strict} == {(o, k) for o, names in agreements().items() for k in names}
    assert min(Counter(s.operator for s in strict).values()) >= SHAPES
    assert len(set(samples)) == len(samples)


def test_a_sample_is_the_same_each_time() -> None:
    draws = [draw(Sample("ADD", "f32,f32->f32", seed), 1) for seed in (1, 1, 2)]
    first, again, other = (d[1].model for d in draws if d is not None)
    assert first == again != other


class InNumpy:
    """A library of the walk, in NumPy."""

    def constant(self, value: np.ndarray) -> Any:
        return value

    def real(self, x: Any) -> Any:
        return x.astype(np.float32)

    filters = depthwise_filters = constant

    def conv(self, x: Any, filters: Any, bias: Any, strides: tuple[int, int], pads: Pads) -> Any:
        return np.einsum("nhwcij,oijc->nhwo", self._windows(x, filters.shape[1:3], strides, pads), filters) + bias

    def depthwise(self, x: Any, filters: Any, bias: Any, strides: tuple[int, int], pads: Pads) -> Any:
        return np.einsum("nhwcij,ijc->nhwc", self._windows(x, filters.shape[1:3], strides, pads), filters[0]) + bias

    def _windows(self, x: Any, size: tuple[int, int], strides: tuple[int, int], pads: Pads) -> Any:
        padded = np.pad(x, [(0, 0), *pads, (0, 0)])
        return np.lib.stride_tricks.sliding_window_view(padded, size, (1, 2))[:, :: strides[0], :: strides[1]]

    def dense(self, x: Any, weights: Any, bias: Any) -> Any:
        return x @ weights.T + bias

    def pad(self, x: Any, widths: Sequence[Sequence[int]]) -> Any:
        return np.pad(x, widths)

    def max_pool(self, x: Any, size: tuple[int, int], strides: tuple[int, int]) -> Any:
        return self._windows(x, size, strides, ((0, 0), (0, 0))).max((-2, -1))

    def mean(self, x: Any, axes: tuple[int, ...], keep: bool) -> Any:
        return x.mean(axes, keepdims=keep)

    def transpose(self, x: Any, axes: tuple[int, ...]) -> Any:
        return x.transpose(axes)

    def clamp(self, x: Any, low: float, high: float | None) -> Any:
        return np.clip(x, low, high)

    def softmax(self, x: Any) -> Any:
        powers = np.exp(x - x.max(-1, keepdims=True))
        return powers / powers.sum(-1, keepdims=True)

    def logistic(self, x: Any) -> Any:
        return 1 / (1 + np.exp(-x))

    def gelu(self, x: Any) -> Any:
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    def rsqrt(self, x: Any) -> Any:
        return 1 / np.sqrt(x)

    def rows(self, table: Any, indices: Any) -> Any:
        return table[indices]


@pytest.mark.parametrize("name", SMALL)
def test_what_peers_run_is_the_network(name: str) -> None:
    model = SMALL[name].make(batch=2)
    network, call = Network(model.graphs[0], InNumpy()), runner(on_host(lite.write_model(model)))
    inputs = inputs_of(call, 1)
    got = network(network.constants, list(inputs.values()))
    (want,) = call(**inputs).values()
    assert relative_error({"": got}, {"": want}) < 1e-4


def test_a_product_without_its_library_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def product(name: str) -> Any:
        if name == "fp16":
            raise ImportError("no such library")
        return name

    clock = SimpleNamespace(many=lambda body, count: 2.0)
    for name, value in {"_torch_has_gpu": lambda: False, "_of_cupy": product, "GEMM": 1000}.items():
        monkeypatch.setattr(ceilings, name, value)
    progress = Progress(tmp_path / "found", 10.0)
    assert list(ceilings.products(clock, progress)) == [("strict_tflops", 1.0)]
    assert progress.result["no_fp16_tflops"] == "ImportError: no such library"


def test_floors() -> None:
    model = WORKLOADS["MobileNetV2"].make(batch=1)
    assert operations(model) == pytest.approx(2 * 300e6, rel=0.05)
    work = {"launches": 50, "operations": 600e6, "bytes": 60e6}
    assert floor(work, {"node_us": 2.0}, "strict") == (0.1, "launches")
    assert floor(work, {"strict_tflops": 1.0, "copy_gb_per_s": 3000}, "strict") == (0.6, "arithmetic")
    assert floor(work, {"tf32_tflops": 500.0, "copy_gb_per_s": 600}, "tf32") == (0.1, "bandwidth")


def report(date: str, **stages: Any) -> dict[str, Any]:
    found = {"device": {"passed": True, "gpu": "NVIDIA H100", "cupy": "14.2.0"}, **stages}
    return {"date": date, "on": "gpu", "version": "0.1.0", "stages": found}


def test_the_table_of_a_report() -> None:
    ours = {"model": "ResNet50", "batch": 64, "precision": "tf32"}
    times = {"device_ms": 4.0, "host_ms": 9.5, "floor_ms": 2.671, "expected_ms": 3.5, "launches": 57}
    measured = report(
        "2026-12-01",
        benchmarks={"passed": True, "rows": [ours | times]},
        tuned={"passed": True, "rows": [ours | {"device_ms": 3.75, "tuned": True}]},
        peers={"passed": False, "rows": [ours | {"peer": "jax.jit", "device_ms": 5.0}]},
        compiled={"passed": True, "rows": [ours | {"peer": "torch.compile", "device_ms": 4.5}]},
    )
    text = measured_gpu.section(measured)
    assert "| ResNet50 | 64 | tf32 | 4 | 3.75 | 3.5 | 2.67 | 57 | - | - | 4.5 | 5 | 9.5 |\n" in text
    assert "NVIDIA H100, CuPy 14.2.0, 2026-12-01.\n" in text
    assert text.endswith("that failed: peers.\n")


def test_the_newest_report(tmp_path: Path) -> None:
    assert measured_gpu.newest(tmp_path) is None
    assert measured_gpu.section(None) == "Not yet measured.\n"
    rows = {"passed": True, "rows": [{"model": "BERT-base"}]}
    for date, stages in (
        ("2026-12-01", {"benchmarks": rows}),
        ("2026-11-30", {"benchmarks": rows}),
        ("2026-12-02", {}),
    ):
        (tmp_path / f"{date}-nvidia-h100.json").write_text(json.dumps(report(date, **stages)))
    newest = measured_gpu.newest(tmp_path)
    assert newest is not None
    assert newest["date"] == "2026-12-01"

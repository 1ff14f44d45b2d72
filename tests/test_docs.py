"""README.md, SECURITY.md, CONTRIBUTING.md and docs/: what they say to run, runs, and prints what they show.

What needs a GPU runs on the emulated device, under the names by which the pages call the real one.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, I32, STRING, GraphBuilder, model
from tests.emulator.device import EmulatedGpuDelegate, HostDevice
from tests.models import one_signature
from tests.pages import ROOT, Block, Reader, blocks, matches, workflow_commands
from tflite_cupy import interpreter_api
from tflite_cupy.commands import demo_models
from tflite_cupy.delegates import gpu
from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer
from tflite_cupy.interpreter.ops import custom_op as registry

ELSEWHERE = {
    "ci/": "runs this very test, or hours of others",
    "pip ": "changes the environment that tests run in",
    "tflite-cupy serve": "tests/serve runs the server",
    "tflite-cupy doctor": "names what this machine has; tests/test_cli.py runs it",
}
MEASURED = ("tflite-cupy convert", "tflite-cupy benchmark", "tflite-cupy profile", "tflite-cupy verify")


@cache
def decoder(*, has_position: bool = True) -> bytes:
    """decode(token int32 [1], position int32 [2], k and v float32 [128, 8]) -> logits float32 [1, 16], k, v.

    Without a position it is decode(tokens, k, v), and each token is the first.
    """
    rng = np.random.default_rng(3)
    b = GraphBuilder("decode")
    token = b.input(I32, [1], "token")
    position = b.input(I32, [2], "position") if has_position else b.constant(np.int32([0, 0]))
    k, v = b.input(F32, [128, 8], "k"), b.input(F32, [128, 8], "v")
    x = b.add("GATHER", [b.constant(rng.normal(size=(16, 8)), np.float32), token], [1, 8], axis=0)
    caches = [b.add("DYNAMIC_UPDATE_SLICE", [cache, x, position]) for cache in (k, v)]
    scores = b.add("SOFTMAX", [b.add("FULLY_CONNECTED", [x, caches[0], -1], [1, 128])], beta=1.0)
    mixed = b.add("BATCH_MATMUL", [scores, caches[1]], [1, 8])
    logits = b.add("FULLY_CONNECTED", [mixed, b.constant(rng.normal(size=(16, 8)), np.float32), -1], [1, 16])
    own = {"token": token, "position": position} if has_position else {"tokens": token}
    ins = own | {"k": k, "v": v}
    outs = {"logits": logits, "k": caches[0], "v": caches[1]}
    return lite.write_model(model(b.graph([logits, *caches]), signatures={"decode": (0, ins, outs)}))


@cache
def of_one(key: str, operator: str, **attributes: float) -> bytes:
    """key(x float32 [n]) -> y: one operator, a custom one if its name is not in capitals."""
    b = GraphBuilder(key)
    x = b.input(F32, [None], "x")
    options = write_flexbuffer(attributes) if attributes else b""
    (y,) = b.op(operator, [x], [b.tensor(F32, [None])], options=options)
    return lite.write_model(model(b.graph([y]), signatures={key: (0, {"x": x}, {"y": y})}))


@cache
def text() -> bytes:
    """shout(s string [n]) -> row [1, n]."""
    b = GraphBuilder("shout")
    s = b.input(STRING, [None], "s")
    row = b.add("RESHAPE", [s, b.constant(np.int32([1, -1]))], [1, None])
    return lite.write_model(model(b.graph([row]), signatures={"shout": (0, {"s": s}, {"row": row})}))


@cache
def guide() -> bytes:
    """encode(x float32 [n]) -> encoded_result, decode(x string [n]) -> decoded_result: two Flex nodes."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    converter = lite.TFLiteConverter.from_concrete_functions(demo_models.signatures(demo_models.guide_model()))
    converter.target_spec.supported_ops = [lite.OpsSet.TFLITE_BUILTINS, lite.OpsSet.SELECT_TF_OPS]
    return bytes(converter.convert())


def export(folder: Path) -> None:
    """A SavedModel: score, of builtin operators, and classify, which needs TensorFlow."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    mixed = demo_models.mixed_model()
    demo_models.save(mixed, str(folder / "exported"), demo_models.signatures(mixed))


FILES: dict[str, dict[str, Callable[[], bytes]]] = {
    "README.md": {
        "model.tflite": guide,
        "sigmoid.tflite": lambda: of_one("sigmoid", "LOGISTIC"),
        "decoder.tflite": lambda: decoder(has_position=False),
        "scale.tflite": lambda: of_one("scale", "Scale", factor=2.5),
    },
    "SECURITY.md": {"model.tflite": one_signature},
    "CONTRIBUTING.md": {},
    "docs/ci.md": {"model.tflite": one_signature, "text.tflite": text},
    "docs/custom_ops.md": {
        "scale.tflite": lambda: of_one("scale", "Scale", factor=2.5),
        "negate.tflite": lambda: of_one("negate", "NEG"),
    },
    "docs/flex.md": {"model.tflite": guide},
    "docs/gpu.md": {"decoder.tflite": decoder},
    "docs/measurements.md": {},
    "docs/migration.md": {"model.tflite": one_signature},
}
NAMES = {"README.md": {"token": np.int32([3]), "k": np.zeros((128, 8), np.float32), "v": np.ones((128, 8), np.float32)}}
"""What the Python of a page takes for given."""

NEED_TENSORFLOW = {"README.md", "docs/flex.md"}
NEED_LITERT = {"docs/ci.md", "docs/migration.md"}
OWN_TESTS = {"docs/batches.md", "docs/serving.md"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder; what pages register, import and put in the place of others is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry._registry, "snapshot", registry._registry.snapshot)
    if find_spec("ai_edge_litert") is not None:
        litert = import_module("ai_edge_litert.interpreter")
        monkeypatch.setattr(litert, "Interpreter", litert.Interpreter)
    modules = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is emulated stands where pages ask for one."""
    device = HostDevice()

    def delegate(number: int = 0, *, precision: str = "auto", library: bool = True) -> EmulatedGpuDelegate:
        return EmulatedGpuDelegate(device, precision="strict" if precision == "auto" else precision, library=library)

    def put(shape: Any, dtype: Any) -> Any:
        return delegate().space.put(np.zeros(shape, dtype))

    def get(array: Any) -> np.ndarray:
        (host,) = delegate().space.get([array])
        return host

    monkeypatch.setattr(interpreter_api, "available", lambda: (True, ""))
    monkeypatch.setattr(interpreter_api, "CupyGpuDelegate", delegate)
    monkeypatch.setattr(gpu, "CupyGpuDelegate", delegate)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(zeros=put, asnumpy=get))


def pages() -> list[Any]:
    """Pages with the marks of what they need."""
    needs = ((NEED_TENSORFLOW, pytest.mark.flex), (NEED_LITERT, pytest.mark.reference))
    return [pytest.param(page, marks=[mark for some, mark in needs if page in some]) for page in FILES]


@pytest.mark.parametrize("page", pages())
def test_what_a_page_says_runs(page: str, folder: Path, request: pytest.FixtureRequest) -> None:
    for name, content in FILES[page].items():
        (folder / name).write_bytes(content())
    if page in NEED_TENSORFLOW:
        export(folder)
    reader = Reader(folder, names=NAMES.get(page), elsewhere=ELSEWHERE, unstable=MEASURED)
    reader.variable("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
    for block in blocks(ROOT / page):
        if 'device="gpu"' in block.code:
            request.getfixturevalue("emulated")
        reader.run(block)
        if block.file == "pyproject.toml":
            install(folder, block)
    if page == "docs/ci.md":
        assert "| gpu | 1 | 100.0% | 1 |" in (folder / "summary.md").read_text("utf-8"), "a table for the job's summary"


def install(folder: Path, block: Block) -> None:
    """Make the entry points of a project known, as its installation would."""
    project = tomllib.loads(block.code)["project"]
    info = folder / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (info / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
            for group, entries in project["entry-points"].items()
        )
    )


def test_every_page_is_here() -> None:
    found = {str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md")}
    assert found - OWN_TESTS == {page for page in FILES if page.startswith("docs/")}


@pytest.mark.parametrize("page", [*FILES, *sorted(OWN_TESTS)])
def test_links_between_pages_lead_somewhere(page: str) -> None:
    path = ROOT / page
    if not path.exists():
        pytest.skip(f"{page} is not there")
    assert [target for target in links(path.read_text("utf-8")) if not (path.parent / target).exists()] == []


def links(text: str) -> list[str]:
    """Targets of links to other files."""
    return [t.partition("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in t and t[0] != "#"]


def test_commands_of_a_workflow_are_found() -> None:
    (workflow,) = (block for block in blocks(ROOT / "docs/ci.md") if block.language == "yaml")
    commands = workflow_commands(workflow.code)
    assert [command.split()[1] for command in commands] == ["report", "report", "verify"]
    assert commands[1].endswith("--fail-on partitions:1"), "a line that goes on is part of its command"


@pytest.mark.parametrize(
    ("shown", "printed", "fits"),
    [
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("a\n...\nd\n", "a\nd", True),
        ("in ... s", "in 1.2 s", True),
        ("in ... s", "in 1.2\n3 s", False),
        ("a\n", "a  \n\n", True),
        ("[1 2]", "[1 2 3]", False),
        ("...", "", True),
    ],
)
def test_what_is_shown_is_compared(shown: str, printed: str, fits: bool) -> None:
    assert matches(shown, printed) == fits

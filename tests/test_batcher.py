"""A signature as a function of batches: cut, filled up, looped, kept columns, pickled, one model a process."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, I32, STRING, GraphBuilder, model
from tests.models import add_sub, passthrough, scorer
from tests.threads import side_by_side
from tflite_cupy import SignatureBatcher, batcher


def rows(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, *shape)).astype(np.float32)


def opened(content: bytes, key: str | None = None, **options: Any) -> SignatureBatcher:
    return SignatureBatcher(content, key, device="cpu", **options)


def one_at_a_time(x: np.ndarray) -> np.ndarray:
    score = lite.Interpreter(model_content=scorer(None), device="cpu").get_signature_runner()
    return np.concatenate([score(x=row[None])["scores"] for row in x])


def count_calls(score: SignatureBatcher, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of each call of the signature from now on."""
    sizes: list[int] = []
    runner = score._open().runner
    call = runner.call

    def counted(inputs: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        sizes.append(len(inputs["x"]))
        return call(inputs, **options)

    monkeypatch.setattr(runner, "call", counted)
    return sizes


@pytest.mark.parametrize(
    ("batch", "pad_batch", "mode", "calls"),
    [
        (None, None, "dynamic", [10]),
        (None, 4, "padded", [4, 4, 4]),
        (4, None, "padded", [4, 4, 4]),
        (4, 4, "padded", [4, 4, 4]),
        (5, None, "padded", [5, 5]),
        (None, 1, "loop", [1] * 10),
        (1, 1, "loop", [1] * 10),
    ],
)
def test_modes(
    batch: int | None, pad_batch: int | None, mode: str, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    score = opened(scorer(batch), pad_batch=pad_batch)
    sizes = count_calls(score, monkeypatch)
    out = score({"x": rows(10, 3)})
    assert score.mode == mode
    assert list(out) == ["scores"]
    assert out["scores"].dtype == np.float32
    np.testing.assert_allclose(out["scores"], one_at_a_time(rows(10, 3)), rtol=1e-6, atol=1e-6)
    assert sizes == calls


@pytest.mark.parametrize("batch", [None, 1, 4])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
@pytest.mark.filterwarnings("ignore:Signature 'score' has a batch of 1")
def test_batches_of_any_length(batch: int | None, count: int) -> None:
    out = opened(scorer(batch))({"x": rows(count, 3)})["scores"]
    assert out.shape == (count, 4)
    assert out.dtype == np.float32
    if count:
        np.testing.assert_allclose(out, one_at_a_time(rows(count, 3)), rtol=1e-6, atol=1e-6)


def test_a_batch_of_one_warns_once() -> None:
    score = opened(scorer(1))
    with pytest.warns(UserWarning, match="Signature 'score' has a batch of 1, so its rows run one at a time") as seen:
        score({"x": rows(2, 3)})
    assert [w.filename for w in seen] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score({"x": rows(2, 3)})
        assert score.mode == "loop"


def test_inputs_may_be_read_only_strided_or_of_objects() -> None:
    x = rows(6, 3)
    expected = one_at_a_time(x)
    frozen = x.copy()
    frozen.flags.writeable = False
    strided = np.repeat(x, 2, axis=0)[::2]
    transposed = np.asfortranarray(x)
    objects = np.empty(6, object)
    objects[:] = list(x)
    for pad_batch in (None, 4):
        score = opened(scorer(None), pad_batch=pad_batch)
        for column in (frozen, strided, transposed, objects, x.tolist(), x.astype(">f4")):
            np.testing.assert_allclose(score({"x": column})["scores"], expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(frozen, x)


def test_outputs_belong_to_the_caller() -> None:
    x = rows(4, 3)
    same = opened(strings(F32))
    out = same({"s": x[:, 0]})["s"]
    out += 1
    np.testing.assert_array_equal(x, rows(4, 3))


def strings(kind: lite.TensorType = STRING, *shape: int | None) -> bytes:
    """same(s [?]) -> s."""
    b = GraphBuilder()
    s = b.input(kind, shape or [None], "s")
    return lite.write_model(model(b.graph([s]), signatures={"same": (0, {"s": s}, {"s": s})}))


@pytest.mark.parametrize("pad_batch", [None, 2])
@pytest.mark.parametrize(
    "column",
    [
        np.array(["a", "é", ""], object),
        np.array([b"a", "é".encode(), b""], object),
        np.array(["a", "é", ""]),
        ["a", "é", b""],
    ],
    ids=["str", "bytes", "U", "list"],
)
def test_strings(column: Any, pad_batch: int | None) -> None:
    out = opened(strings(), pad_batch=pad_batch)({"s": column})["s"]
    assert out.dtype == object
    assert out.tolist() == [b"a", "é".encode(), b""]


def test_rows_of_strings() -> None:
    column = np.empty(2, object)
    column[:] = [["a", "b"], np.array([b"c", b"d"], object)]
    out = opened(strings(STRING, None, 2))({"s": column})["s"]
    assert out.tolist() == [[b"a", b"b"], [b"c", b"d"]]


def test_no_strings_are_a_column_too() -> None:
    out = opened(strings(), pad_batch=2)({"s": np.array([], object)})["s"]
    assert out.dtype == object
    assert out.shape == (0,)


def test_a_column_without_rows_may_have_any_type() -> None:
    columns: list[Any] = [np.array([]), np.array([], object), np.empty((0, 3), np.float32), []]
    for empty in columns:
        assert opened(scorer(None))({"x": empty})["scores"].shape == (0, 4)


def test_kept_columns_come_first_and_unchanged() -> None:
    batch = {"text": np.array(["a", "b"], object), "x": rows(2, 3), "id": np.array([7, 8])}
    out = opened(scorer(4), keep=["id", "text"])(batch)
    assert list(out) == ["text", "id", "scores"]
    assert out["text"] is batch["text"]
    assert out["id"] is batch["id"]
    assert list(opened(scorer(4), keep=True)(batch)) == ["text", "x", "id", "scores"]
    assert list(opened(scorer(4), keep=["x", "id", "text"])(batch)) == ["text", "x", "id", "scores"]
    assert opened(scorer(None), keep=True)({"x": rows(2, 3), "names": ["a", "b"]})["names"] == ["a", "b"]


def fixed_and_not() -> bytes:
    """s(x float32 [4], y float32 [2]) -> sum."""
    b = GraphBuilder()
    x, y = b.input(F32, [4], "x"), b.input(F32, [2], "y")
    return lite.write_model(model(b.graph([b.add("ADD", [x, y])]), signatures={"s": (0, {"x": x, "y": y}, {"sum": 2})}))


X = {"x": rows(2, 3)}


@pytest.mark.parametrize(
    ("content", "options", "batch", "says"),
    [
        (scorer(None), {}, {"X": X["x"]}, r"no column for input 'x' \[at signature 'score'\].*Known names: X"),
        (scorer(None), {}, {}, r"no column for input 'x' .* Known names: none"),
        (add_sub(), {"signature": "add"}, {"x": rows(2)}, "no column for input 'y'"),
        (scorer(None), {}, X | {"ids": [1, 2]}, r"column 'ids' is no input .* Add it to keep"),
        (scorer(None), {}, X | {"xx": [1, 2]}, r"column 'xx' is no input .* Did you mean 'x'\?"),
        (scorer(None), {"keep": ["idd"]}, X | {"id": [1, 2]}, r"no column 'idd', .* Did you mean 'id'\?"),
        (scorer(None), {"keep": True}, X | {"scores": [1, 2]}, "column 'scores' is kept, and an output has"),
        (scorer(None), {"keep": True}, X | {"id": [1, 2, 3]}, "as many rows each, got {'x': 2, 'id': 3}"),
        (scorer(None), {"keep": True}, X | {"id": 7}, r"an axis of rows, got a scalar \[at column 'id'\]"),
        (scorer(None), {"keep": True}, X | {"id": np.array(7)}, r"got a scalar \[at column 'id'\]"),
        (scorer(None), {}, {"x": np.float32(1)}, r"got a scalar \[at column 'x'\]"),
        (scorer(None), {}, {"x": rows(2, 4)}, r"rows of shape \[4\], the model takes \[3\] \[at column 'x'\]"),
        (scorer(None), {}, {"x": rows(2)}, r"rows of shape \[\], the model takes \[3\]"),
        (scorer(None), {}, {"x": np.ones((2, 3))}, r"Got value of type FLOAT64 .* \[at column 'x'\] .*astype"),
        (scorer(None), {}, {"x": np.array([[1.0], [1.0, 2.0]], object)}, r"can't be stacked: .* \[at column 'x'\]"),
        (scorer(None), {}, {"x": np.array([None, None])}, "Got value of type STRING but expected type FLOAT32"),
        (scorer(None), {}, [X], "a batch is a dict of columns by name, not list"),
        (strings(), {}, {"s": np.array(["a", None], object)}, r"expected bytes or str, got NoneType \[at column 's'\]"),
        (strings(), {}, {"s": "abc"}, r"got a scalar \[at column 's'\]"),
        (scorer(None), {"signature": "scor"}, X, "Invalid signature_key"),
        (scorer(4), {"pad_batch": 8}, X, "pad_batch=8, but the model's own batch is 4"),
        (passthrough(), {"signature": "scalar"}, {"n": [1, 2]}, "input 'n' is a scalar, so it has no axis of rows"),
        (strings(F32, 0, 3), {}, {"s": rows(2, 3)}, "input 's' has no elements"),
        (fixed_and_not(), {}, {"x": rows(4), "y": rows(4)}, "they can't all count rows: x 4, y 2"),
        (
            passthrough(),
            {"signature": "strings"},
            {"s": ["a", "b"]},
            r"output 'row' is \[1, 2\] for 2 rows: its leading axis is not the batch \[at signature 'strings'\]",
        ),
    ],
)
def test_errors(content: bytes, options: dict[str, Any], batch: Any, says: str) -> None:
    score = SignatureBatcher(content, device="cpu", **options)
    with pytest.raises(lite.InputError, match=says):
        score(batch)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pad_batch": 0}, "pad_batch=0 is no number of rows"),
        ({"pad_batch": True}, "pad_batch=True is no number of rows"),
        ({"pad_batch": 2.0}, "pad_batch=2.0 is no number of rows"),
        ({"keep": "id"}, "keep='id' is no list of columns"),
        ({"keep": 3}, "keep=3 is no list"),
        ({"num_thread": 1}, "'num_thread' is no option of Interpreter Did you mean 'num_threads'"),
        ({"dry_run": True}, "'dry_run' is no option"),
    ],
)
def test_options_are_checked_at_once(options: dict[str, Any], says: str) -> None:
    with pytest.raises(lite.InputError, match=says):
        SignatureBatcher("model.tflite", **options)


def test_a_model_is_a_path_or_bytes() -> None:
    with pytest.raises(lite.InputError, match="A model is a path or bytes, not int"):
        SignatureBatcher(3)  # type: ignore[arg-type]


def test_a_signature_without_inputs_has_no_rows() -> None:
    b = GraphBuilder()
    content = lite.write_model(model(b.graph([b.constant(np.int32([1]))]), signatures={"c": (0, {}, {"y": 0})}))
    with pytest.raises(lite.InputError, match="the signature has no inputs, so a batch has no rows"):
        opened(content)({})


def test_rows_of_different_shapes_can_not_be_joined() -> None:
    b = GraphBuilder()
    n = b.input(I32, [1], "n")
    row = b.add(
        "FILL",
        [b.add("CONCATENATION", [b.constant(np.int32([1])), n], [2], axis=0), b.constant(np.int32(5))],
        [1, None],
    )
    content = lite.write_model(model(b.graph([row]), signatures={"s": (0, {"n": n}, {"row": row})}))
    fill = opened(content, pad_batch=1)
    assert fill({"n": np.int32([2, 2])})["row"].tolist() == [[5, 5], [5, 5]]
    with pytest.raises(lite.InputError, match=r"output 'row' has rows of different shapes: \[2\], \[3\]"):
        fill({"n": np.int32([2, 3])})


def test_errors_of_the_model_come_with_the_first_call(tmp_path: Path) -> None:
    score = SignatureBatcher(tmp_path / "nowhere.tflite")
    with pytest.raises(lite.ModelError, match="Could not open"):
        score(X)
    (tmp_path / "nowhere.tflite").write_bytes(scorer(None))
    assert score(X)["scores"].shape == (2, 4)


def test_a_relative_path_stays_valid_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.tflite").write_bytes(scorer(None))
    monkeypatch.chdir(tmp_path)
    sent = pickle.dumps(SignatureBatcher("model.tflite", "score"))
    monkeypatch.chdir("/")
    assert pickle.loads(sent)(X)["scores"].shape == (2, 4)


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `Interpreter` has been made with."""
    made: list[Any] = []

    class Counted(lite.Interpreter):
        def __init__(self, *args: Any, **options: Any) -> None:
            made.append(options)
            super().__init__(*args, **options)

    monkeypatch.setattr(batcher, "Interpreter", Counted)
    return made


def test_it_is_opened_once_for_all_threads_and_copies(openings: list[Any]) -> None:
    score = opened(scorer(None), keep=["id"], limits=lite.Limits.untrusted(), num_threads=1)
    assert openings == []
    sent = pickle.dumps(score)
    expected = one_at_a_time(X["x"])
    openings.clear()

    def work(number: int) -> None:
        mine = pickle.loads(sent) if number % 2 else copy.copy(score)
        out = mine(X | {"id": [number, number]})
        assert out["id"] == [number, number]
        np.testing.assert_allclose(out["scores"], expected, rtol=1e-6, atol=1e-6)

    for _ in range(3):
        side_by_side(8, work)
    (options,) = openings
    assert options.pop("model_content") == scorer(None)
    assert options == {"device": "cpu", "limits": lite.Limits.untrusted(), "num_threads": 1}


def test_closing_gives_the_model_back(openings: list[Any]) -> None:
    before = len(batcher._opened)
    with opened(scorer(None)) as score:
        score(X)
        assert len(batcher._opened) == before + 1
    assert len(batcher._opened) == before
    score(X)
    assert len(openings) == 2
    del score
    assert len(batcher._opened) == before


def test_calls_go_on_when_another_thread_closes() -> None:
    score = opened(negation(), pad_batch=1)
    expected = score({"x": rows(50)})["y"]

    def work(number: int) -> None:
        for _ in range(10):
            np.testing.assert_array_equal(score({"x": rows(50)})["y"], expected)
            if number == 0:
                score.close()

    side_by_side(4, work)


def negation() -> bytes:
    b = GraphBuilder()
    x = b.input(F32, [None], "x")
    return lite.write_model(model(b.graph([b.add("NEG", [x])]), signatures={"s": (0, {"x": x}, {"y": 1})}))


def fork_and_call(score: SignatureBatcher, results: Any) -> None:
    results.put((os.getpid(), score(X)["scores"]))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_opens_its_own() -> None:
    score = opened(scorer(None))
    expected = score(X)["scores"]
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    process = context.Process(target=fork_and_call, args=(score, results))
    process.start()
    pid, scores = results.get(timeout=60)
    process.join()
    assert pid == process.pid
    np.testing.assert_array_equal(scores, expected)

"""ci/gpu_check: what a stage that was cut short, or died, leaves to those that go on with it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gpu_check
import pytest
from gpu_stages import STAGES, benchmarks, operators, peers
from gpu_stages.operator_worker import Sample
from gpu_stages.operators import Tally
from gpu_stages.progress import DEVICE_LOST, Progress, ended, read, rows_left
from gpu_stages.target import Target

KEYS = [{"what": name} for name in "abcd"]


def names(rows: Sequence[Any]) -> str:
    return "".join(row["what"] for row in rows)


def begun(path: Path, *, until: str = "", fails: str = "", **options: Any) -> str:
    """What a process of a stage has tried, which ends before the row of that name."""
    progress = Progress(path, 60.0, **options)
    tried = ""
    for key in progress.missing("rows", KEYS):
        if key["what"] == until:
            return tried
        tried += key["what"]
        with progress.attempt("rows", **key):
            if key["what"] in fails:
                raise ValueError("no such thing")
    progress.finish()
    return tried


def test_a_stage_goes_on_where_it_was_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "found"
    assert begun(path, until="c", fails="a") == "ab"
    found = read(path)
    assert found["not_run"] == {"rows": [{"what": "c"}, {"what": "d"}]}
    assert rows_left(found) == 2
    assert begun(path) == "cd", "what failed is tried again only if that is asked for"
    assert not read(path)["passed"]
    assert begun(path, again=True) == "a"
    found = read(path)
    assert found["passed"]
    assert sorted(names(found["rows"])) == list("abcd")
    assert rows_left(found) == 0
    assert begun(path, again=True) == ""


def test_rows_that_failed_come_last(tmp_path: Path) -> None:
    path = tmp_path / "found"
    begun(path, until="c", fails="a")
    assert begun(path, again=True, fails="a") == "cda"
    assert [row["what"] for row in read(path)["rows"] if not row.get("passed", True)] == ["a"]


def test_a_failed_row_is_kept_until_it_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "found"
    begun(path, until="b", fails="a")
    assert begun(path, again=True, until="a") == "bcd"
    found = read(path)
    assert names(found["rows"]) == "abcd"
    assert found["not_run"] == {"rows": [{"what": "a"}]}


def test_no_row_is_begun_that_may_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress, tried = Progress(tmp_path / "found", 30.0), []
    for key in progress.while_time(progress.missing("rows", KEYS), least=3.0):
        tried.append(key["what"])
        now[0] += 12
    assert tried == ["a", "b"], "6 s are left, and the row before took 12"


def test_what_a_process_dies_of_is_its_row(tmp_path: Path) -> None:
    path = tmp_path / "found"
    begun(path, until="b")
    progress = Progress(path, 60.0)
    progress.missing("rows", KEYS)
    with progress.attempt("rows", what="b", tuned=True) as row:
        row["launches"] = 5
        found = ended(read(path), "exit status -11")
    assert found["rows"] == [{"what": "a"}, {"what": "b", "tuned": True, "passed": False, "error": "exit status -11"}]
    assert found["not_run"] == {"rows": [{"what": "c"}, {"what": "d"}]}
    assert "in_hand" not in found


def test_a_process_without_its_device_ends(tmp_path: Path) -> None:
    """Whatever it tried then would fail of the row before."""
    with pytest.raises(SystemExit) as caught:
        begun(tmp_path / "found", fails="b", works=lambda: False)
    assert caught.value.code == DEVICE_LOST
    found = read(tmp_path / "found")
    assert found["rows"][1]["error"] == "ValueError: no such thing"
    assert names(found["not_run"]["rows"]) == "cd"


def test_whether_a_device_works(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target("emulated")
    assert target.works()

    def lost() -> None:
        raise OSError("an illegal address was used")

    monkeypatch.setattr(target.device, "synchronize", lost)
    monkeypatch.setattr(target.device, "errors", (OSError,))
    assert not target.works()


class Processes:
    """Stands for the processes of a stage: they die at some of its rows."""

    def __init__(self, dies_at: str) -> None:
        self.dies_at, self.tried = dies_at, [""]
        self.options: list[bool] = []

    def __call__(self, command: Sequence[str], limit: float) -> str:
        partial = Path(command[command.index("--partial") + 1])
        progress = Progress(partial, limit, again="--again" in command)
        self.options.append("--again" in command)
        self.tried.append("")
        for key in progress.missing("rows", KEYS):
            self.tried[-1] += key["what"]
            attempt = progress.attempt("rows", **key)
            attempt.__enter__()
            if key["what"] in self.dies_at:
                return f"exit status -11\nat {key['what']}"
            attempt.__exit__(None, None, None)
        progress.finish()
        return ""


def test_another_process_goes_on_after_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processes = Processes("bd")
    monkeypatch.setattr(gpu_check, "_ended", processes)
    result = gpu_check.run_stage("models", "emulated", tmp_path / "models.partial", 60.0)
    assert processes.tried[1:] == ["ab", "cd"]
    assert [row.get("error") for row in result["rows"]] == [
        None,
        "exit status -11\nat b",
        None,
        "exit status -11\nat d",
    ]
    assert result["error"] == "exit status -11\nat b\nexit status -11\nat d"
    assert not result["passed"]
    assert list(tmp_path.iterdir()) == []

    healed = Processes("")
    monkeypatch.setattr(gpu_check, "_ended", healed)
    result = gpu_check.run_stage("models", "emulated", tmp_path / "models.partial", 60.0, result)
    assert healed.tried[1:] == ["bd"]
    assert healed.options == [True]
    assert result["passed"]
    assert "error" not in result


def test_a_stage_that_dies_of_no_row_is_not_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began = []

    def died(command: Sequence[str], _: float) -> str:
        began.append(command)
        return "exit status 1\nno such module"

    monkeypatch.setattr(gpu_check, "_ended", died)
    result = gpu_check.run_stage("models", "emulated", tmp_path / "partial", 60.0, {"not_run": {"rows": KEYS}})
    assert len(began) == 1
    assert result["error"] == "exit status 1\nno such module"


def test_what_comes_first_and_what_is_said() -> None:
    none: dict[str, Any] = {"passed": False, "skipped": gpu_check.NO_TIME}
    missing = {"passed": True, "not_run": {"rows": KEYS[:3], "samples": 4}}
    failed, done = {"passed": False}, {"passed": True}
    cases = [
        ("device", failed), ("compiled", None), ("compiled", missing), ("peers", none), ("models", missing | failed),
        ("models", missing), ("models", none), ("models", None),
    ]  # fmt: skip
    assert [gpu_check._rank(*case) for case in cases] == [3, 2, 2, 2, 1, 1, 0, 0]
    assert [gpu_check._is_known(result) for result in (failed, missing, none, None, done)] == [False] * 4 + [True]
    assert [gpu_check._said(result) for result in (missing, missing | failed, done)] == [
        "passed, 7 not run: time,", "FAILED, 7 not run: time,", "passed",
    ]  # fmt: skip


def test_ceilings_are_measured_once() -> None:
    device = {"passed": True, "ceilings": {"node_us": 1.25}}
    assert gpu_check._ceilings({"stages": {"device": device}}) == {"ceilings": {"node_us": 1.25}}
    for stages in ({}, {"device": device | {"passed": False}}, {"device": {"passed": True, "skipped": "no"}}):
        assert gpu_check._ceilings({"stages": stages}) == {}


def test_a_run_that_is_killed_loses_no_row(tmp_path: Path) -> None:
    path, report = gpu_check._report(tmp_path, "emulated")
    report["stages"]["models"] = {"passed": True, "rows": []}
    path.write_text(json.dumps(report))
    left = gpu_check._partial(path, "models")
    begun(left, until="c")
    _, again = gpu_check._report(tmp_path, "emulated")
    assert names(again["stages"]["models"]["rows"]) == "ab"
    assert not again["stages"]["models"]["passed"]
    os.utime(left, (0, 0))
    _, again = gpu_check._report(tmp_path, "emulated")
    assert again == report, "one that is older than the report is of no use"


def test_rows_of_benchmarks_that_time_was_too_short_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[tuple[Any, ...]] = []

    def measured(_: Target, row: Any, seconds: float, ceilings: Any, fields: dict[str, Any]) -> None:
        timed.append(tuple(row))
        fields["device_ms"] = 1.5
        progress._end -= 1000 * (len(timed) == 1)

    monkeypatch.setattr(benchmarks, "_measured", measured)
    monkeypatch.setattr(benchmarks, "ceilings", lambda *_: iter([("node_us", 1.25)]))
    target, path = Target("emulated"), tmp_path / "found"
    progress = Progress(path, 100.0)
    benchmarks.run(target, progress)
    found = read(path)
    assert found["passed"]
    late = {"model": "BERT", "batch": 2, "precision": "tf32", "tuned": False}
    assert found["not_run"] == {"rows": [late]}
    monkeypatch.setattr(benchmarks, "ceilings", lambda *_: pytest.fail("they are known"))
    progress = Progress(path, 100.0, again=True)
    benchmarks.run(target, progress)
    assert timed == [("BERT", 1, "strict"), ("BERT", 2, "tf32")]
    found = read(path)
    assert (found["passed"], rows_left(found), len(found["rows"])) == (True, 0, 2)
    assert found["ceilings"] == {"node_us": 1.25}


def test_rows_of_peers_that_time_was_too_short_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def shared_out(_: str, __: Any, tasks: Any, answered: Callable[..., None], **options: Any) -> int:
        asked.append(list(tasks))
        for task in asked[-1][:1]:
            answered(task, {"device_ms": 2.0})
        return len(asked[-1]) - 1

    monkeypatch.setattr(peers, "shared_out", shared_out)
    monkeypatch.setattr(peers, "find_spec", lambda _: True)
    path, shares = tmp_path / "found", {"jax.jit": 1.0}
    for left in (2, 1, 0):
        peers.run(Target("emulated"), Progress(path, 100.0), shares=shares)
        assert rows_left(read(path)) == left
    assert [len(tasks) for tasks in asked] == [3, 2, 1]
    assert {(peer, model, batch) for peer, model, batch, _ in asked[0]} == {("jax.jit", "BERT", 1)}
    assert [row["precision"] for row in read(path)["rows"]] == ["strict", "tf32", "fp16"]


SAMPLES = [Sample("ADD", "f32,f32->f32", seed, precision) for seed in (0, 1) for precision in ("strict", "tf32")]
ANSWERS: list[dict[str, Any]] = [
    {"verdict": "equal", "array_nodes": 1},
    {"verdict": "equal", "squares": [1.0, 4.0]},
    {"verdict": "different", "why": "3 of 4"},
]


@pytest.fixture
def tally() -> Tally:
    found = Tally(SAMPLES, {}, again=False)
    for number, answer in enumerate(ANSWERS):
        found.add(number, answer)
    return found


def test_a_tally_of_samples(tally: Tally) -> None:
    fields = json.loads(json.dumps(tally.fields() | {"products": tally.products()}))
    assert fields["samples"] == "eed."
    assert fields["verdicts"] == {"equal": 2, "different": 1, "not_run": 1}
    assert fields["not_run"] == {"samples": 1}
    assert fields["products"] == [{"operator": "ADD", "precision": "tf32", "error": 0.5, "passed": False}]
    assert fields["failures"][0]["why"] == "3 of 4"

    later = Tally(SAMPLES, fields, again=False)
    assert later.waiting() == [3]
    later.add(3, {"verdict": "equal", "squares": [1.0, 28.0]})
    assert later.products()[0]["error"] == 0.25
    assert later.fields()["samples"] == "eede"
    assert later.fields()["as_array_code"] == ["ADD"]
    assert rows_left(later.fields()) == 0


def test_samples_that_failed_are_tried_again(tally: Tally) -> None:
    fields = tally.fields() | {"products": tally.products()}
    again = Tally(SAMPLES, fields, again=True)
    assert again.waiting() == [1, 2, 3], "one differs; the error of tf32 as a whole is too large"
    assert again.failures == []
    assert again.products() == []
    for is_again in (False, True):
        other = Tally(SAMPLES[:2], fields, again=is_again)
        assert other.waiting() == [0, 1], "of other samples nothing is known"
        assert other.squares == {}


def test_samples_that_time_was_too_short_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int]] = []

    def shared_out(_: str, __: Any, tasks: Any, answered: Callable[..., None], **options: Any) -> int:
        asked.append([task[0] for task in tasks])
        for task in tasks[:3]:
            answered(task, {"verdict": "equal"})
        return 0

    monkeypatch.setattr(operators, "shared_out", shared_out)
    monkeypatch.setattr(operators, "_few", lambda: iter(SAMPLES))
    path = tmp_path / "found"
    for left in (1, 0):
        operators.run(Target("emulated"), Progress(path, 100.0))
        found = read(path)
        assert (found["passed"], rows_left(found)) == (True, left)
    assert asked == [[0, 1, 2, 3], [3]]


def test_every_stage_is_named_in_the_help() -> None:
    assert gpu_check.__doc__ is not None
    said = [line.split()[0] for line in gpu_check.__doc__.splitlines() if line.startswith("    ")]
    assert said == list(STAGES)

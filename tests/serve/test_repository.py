"""What is served under which name, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model
from tests.models import add_sub
from tests.serve.served import write
from tflite_cupy import TensorType
from tflite_cupy.serve.faults import Refused
from tflite_cupy.serve.repository import Repository


def negation(*keys: str, op: str = "NEG") -> bytes:
    """Signatures that are all one subgraph: x -> y."""
    b = GraphBuilder()
    x = b.input(F32, [1], "x")
    graph = b.graph([b.add(op, [x])])
    return lite.write_model(model(graph, signatures={key: (0, {"x": x}, {"y": 1}) for key in keys}))


def test_names(tmp_path: Path) -> None:
    repository = Repository.load(write(tmp_path, one=negation("run"), sums=add_sub()), device="cpu")
    assert [*repository.signatures] == ["one.run", "sums.sub", "sums.add"]
    assert repository.find("one") is repository.find("one.run") is repository.signatures["one.run"]
    with pytest.raises(Refused, match=r"Its signatures are models: sums\.sub, sums\.add") as caught:
        repository.find("sums")
    assert caught.value.status == 404
    assert repository.find_model("sums").signature(None) is None
    assert repository.find_model("one").signature(None) is repository.find("one")
    assert repository.find_model("sums").nodes["cpu"] == 3


def test_two_things_of_one_name_are_refused(tmp_path: Path) -> None:
    paths = {**write(tmp_path, a=negation("b.c")), "a.b": write(tmp_path, other=negation("c"))["other"]}
    with pytest.raises(lite.InputError, match=r"two things would be served as 'a\.b\.c' Give a model another name"):
        Repository.load(paths, device="cpu")


def test_types_that_the_protocols_do_not_know(tmp_path: Path) -> None:
    b = GraphBuilder()
    x = b.input(TensorType.COMPLEX64, [1], "x")
    content = lite.write_model(model(b.graph([x]), signatures={"s": (0, {"x": x}, {"y": x})}))
    paths = write(tmp_path, m=content)
    with pytest.raises(lite.UnsupportedError, match="'x' is of type COMPLEX64, which the protocols do not know"):
        Repository.load(paths, device="cpu")


def test_nodes_that_nobody_runs(tmp_path: Path) -> None:
    with pytest.raises(lite.UnsupportedError, match=r"model 'm' can't be served: .*NoSuchOp"):
        Repository.load(write(tmp_path, m=negation("s", op="NoSuchOp")), device="cpu")


def test_errors_name_no_files(tmp_path: Path) -> None:
    repository = Repository.load(write(tmp_path, sums=add_sub()), device="cpu")
    with pytest.raises(Refused) as caught:
        repository.find("x" * 100_000)
    assert len(caught.value.text) < 300
    assert str(tmp_path) not in caught.value.text

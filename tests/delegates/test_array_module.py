"""Operator bodies use nothing but what NumPy and CuPy both have."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.delegates.partitions import f32, i32
from tests.fakes import DEVICE, FakeArray, HostAccessError

OPS = Path(__file__).parents[2] / "interpreter" / "ops"


def names_taken_from_xp(source: str) -> set[str]:
    """Dotted names after `xp.`: "where", "fft.rfft"."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        path = []
        while isinstance(node, ast.Attribute):
            path.append(node.attr)
            node = node.value
        if path and isinstance(node, ast.Name) and node.id == "xp":
            found.add(".".join(reversed(path)))
    return found


def resolve(module: Any, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name, None)
    return module


NAMES = sorted(set().union(*(names_taken_from_xp(path.read_text(encoding="utf-8")) for path in OPS.rglob("*.py"))))


@pytest.fixture(scope="module")
def cupy() -> Any:
    return pytest.importorskip("cupy", reason="CuPy is not installed", exc_type=ImportError)


@pytest.mark.parametrize("name", NAMES)
def test_numpy_and_cupy_have_it(name: str, cupy: Any) -> None:
    assert resolve(np, name) is not None, f"numpy has no {name}"
    assert resolve(cupy, name) is not None, f"cupy has no {name}"


def test_names_are_found() -> None:
    source = "def run(self, xp, x):\n    return xp.fft.rfft(xp.where(x > 0, x, 0)).astype(xp.float32)"
    assert names_taken_from_xp(source) == {"fft", "fft.rfft", "where", "float32"}


@pytest.mark.usefixtures("cupy")
def test_the_fake_device_has_nothing_that_cupy_lacks() -> None:
    """So each case of an operator that runs on it holds the names that its body uses against CuPy."""
    assert put(1).astype(np.int32).sum().dtype == np.int64
    for owner, name in ((DEVICE.xp, "insert"), (DEVICE.xp, "ma"), (put(1), "getfield")):
        with pytest.raises(AttributeError, match=f"CuPy has no .*{name}"):
            getattr(owner, name)


def put(*values: float) -> FakeArray:
    return DEVICE.put(f32(values))


@pytest.mark.parametrize(
    "touch",
    [
        lambda x: bool(x),
        lambda x: float(x),
        lambda x: int(x),
        lambda x: list(x),
        lambda x: [1, 2, 3][x],
        lambda x: np.asarray(x),
        lambda x: 1 in x,
        lambda x: x + np.ones(2),
        lambda x: np.ones(2) + x,
        lambda x: DEVICE.xp.add(x, np.ones(2)),
        lambda x: DEVICE.xp.concatenate([x, np.ones(2)]),
        lambda x: x[np.array([0])],
        lambda x: x[: x[0]],
        lambda x: x.astype(object),
        lambda x: DEVICE.xp.asarray(np.array([b"text"], object)),
    ],
)
def test_host_access_to_the_fake_device_raises(touch: Any) -> None:
    with pytest.raises(HostAccessError):
        touch(put(1, 2))


@pytest.mark.parametrize("name", ["item", "tolist", "tobytes", "__float128__"])
def test_the_fake_device_has_no_methods_that_wait(name: str) -> None:
    with pytest.raises(AttributeError):
        getattr(put(1), name)


def test_numpy_functions_refuse_arrays_of_the_fake_device() -> None:
    with pytest.raises(TypeError, match="does not support ufuncs"):
        np.add(put(1), 1)


def test_the_fake_device_computes() -> None:
    xp: Any = DEVICE.xp
    x: Any = put(1, 2, 3)
    results = {
        "scalars": (2 * x - np.float32(1)) / 2,
        "functions": xp.where(x > 1, xp.maximum(x, 2), xp.zeros((), np.float32)),
        "methods": x.reshape(3, 1).sum(axis=1),
        "scalar results": x.max(),
        "indices": x[xp.asarray([2, 0])],
        "lists": xp.concatenate([x[:1], x[-1:]]),
        "submodules": xp.fft.rfft(x),
        "ufunc methods": xp.add.reduce(x),
        "upload": xp.asarray(i32([1, 2])),
    }
    wanted = {
        "scalars": [0.5, 1.5, 2.5],
        "functions": [0, 2, 3],
        "methods": [1, 2, 3],
        "scalar results": 3,
        "indices": [3, 1],
        "lists": [1, 3],
        "submodules": np.fft.rfft(f32([1, 2, 3])).tolist(),
        "ufunc methods": 6,
        "upload": [1, 2],
    }
    assert all(type(result) is FakeArray for result in results.values())
    assert {name: result.get().tolist() for name, result in results.items()} == wanted
    assert type(x.shape) is tuple
    assert xp.float32 is np.float32

"""What a build makes: the links under tflite_cupy/ become real folders, from a checkout and from an sdist alike."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("hatchling", reason="hatchling builds the package")


def run(*arguments: str, cwd: Path, path: Path | None = None) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | (
        {"PYTHONPATH": str(path)} if path else {}
    )
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(hook: str, source: Path, target: Path) -> Path:
    """Call a build hook (PEP 517, PEP 660) on `source`; the file that it makes in `target`."""
    code = f"import hatchling.build; print(hatchling.build.{hook}({str(target)!r}))"
    return target / run("-c", code, cwd=source).splitlines()[-1]


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("build_wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def files(folder: str) -> set[str]:
    """Files below a folder of the checkout, links not followed, as seen from that folder."""
    found = (p for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {str(p.relative_to(ROOT / folder)) for p in found}


def test_the_wheel_holds_every_source_file_once(wheel: Path) -> None:
    packed = {name for name in contents(wheel) if ".dist-info/" not in name}
    rooms = {f"{folder}/{name}" for folder in ("interpreter", "delegates", "converter") for name in files(folder)}
    assert packed == {f"tflite_cupy/{name}" for name in rooms | files("tflite_cupy")}
    assert {"tflite_cupy/py.typed", "tflite_cupy/delegates/flex/ops.txt"} <= packed


def test_the_wheel_from_an_sdist_is_the_same(wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(build("build_sdist", ROOT, tmp_path)) as archive:
        assert not [m.name for m in archive if m.issym() or m.islnk()]
        archive.extractall(tmp_path, filter="data")
    (source,) = (p for p in tmp_path.iterdir() if p.is_dir())
    again = build("build_wheel", source, tmp_path)
    assert contents(again) == contents(wheel)


def test_the_wheel_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    where = run("-c", "import tflite_cupy; print(tflite_cupy.__file__)", cwd=tmp_path, path=tmp_path / "site")
    assert Path(where.strip()).is_relative_to(tmp_path)
    assert "usage: tflite-cupy" in run("-m", "tflite_cupy", "--help", cwd=tmp_path, path=tmp_path / "site")


def test_an_editable_install_points_at_the_checkout(tmp_path: Path) -> None:
    files = contents(build("build_editable", ROOT, tmp_path))
    paths = [data.decode().split() for name, data in files.items() if name.endswith(".pth")]
    assert paths == [[str(ROOT)]]


def test_a_checkout_runs_as_it_is(tmp_path: Path) -> None:
    assert "usage: tflite-cupy" in run("-m", "tflite_cupy", "--help", cwd=ROOT)

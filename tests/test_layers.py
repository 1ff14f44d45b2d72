"""Imports run one way (ARCHITECTURE.md, "One-way imports"): read from the source, so that lazy imports count too."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
SEES = {
    "interpreter": {"interpreter"},
    "delegates": {"delegates", "interpreter"},
    "converter": {"converter", "interpreter"},
    "tflite_cupy": {"tflite_cupy", "interpreter", "delegates", "converter"},
}
FLOORS = (  # of the interpreter, from the ground up: a file sees its own floor and those below
    ("errors", "words"),
    ("graph", "limits", "sharing"),
    ("details", "format"),
    ("ops",),
    ("runtime",),
    ("session",),
    ("runner", "report", "profile"),
    ("classic",),
)
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms} | {"__init__": len(FLOORS)}
HEAVY = {  # optional packages, who may import them, and that inside functions only
    "cupy": ("delegates/gpu/",),
    "tensorflow": ("delegates/flex/", "converter/", "tflite_cupy/commands/demo_models.py", "tflite_cupy/runtimes.py"),
    "keras": ("delegates/flex/", "converter/", "tflite_cupy/commands/demo_models.py"),
}
SHARED = "interpreter/ops/shared/"
FILES = {str(p.relative_to(ROOT)): p for f in SEES for p in sorted((ROOT / f).rglob("*.py"))}


class Import(NamedTuple):
    name: tuple[str, ...]  # what is imported, seen from the repository root
    relative: bool
    lazy: bool  # inside a function, or for type checkers only
    line: int


def imports(file: str) -> Iterator[Import]:
    tree = ast.parse(FILES[file].read_text(encoding="utf-8"))
    deferred = {id(inner) for outer in ast.walk(tree) if is_deferred(outer) for inner in ast.walk(outer)}
    package = Path(file).parent.parts
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        level, module = (0, None) if isinstance(node, ast.Import) else (node.level, node.module)
        base = package[: len(package) + 1 - level] if level else ()
        base += tuple(module.split(".")) if module else ()
        for alias in node.names:
            name = (*base, *alias.name.split("."))
            linked = len(name) > 1 and name[0] == "tflite_cupy" and name[1] in SEES
            yield Import(name[1:] if linked else name, level > 0, id(node) in deferred, node.lineno)


def is_deferred(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return ast.unparse(node.test).endswith("TYPE_CHECKING")
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def room(path: tuple[str, ...]) -> str:
    return path[1].removesuffix(".py") if len(path) > 1 else "__init__"


def fault(file: str, found: Import) -> str | None:
    """What is wrong with an import of `file`, None if nothing is."""
    here, there = Path(file).parts, found.name
    heavy = HEAVY.get(there[0])
    if heavy is not None:
        if not file.startswith(heavy):
            return f"{there[0]} is imported in {' and '.join(heavy)} only"
        return None if found.lazy else f"{there[0]} is imported inside functions only"
    if there[0] not in SEES:
        return None
    if not found.relative:
        return "imports inside the package are relative"
    if there[0] not in SEES[here[0]]:
        return f"{here[0]} does not see {there[0]}"
    if here[0] == there[0] == "interpreter" and FLOOR[room(there)] > FLOOR[room(here)]:
        return f"{room(here)} is below {room(there)}"
    if file.startswith(SHARED) and there[1:2] == ("ops",) and there[2] not in ("base", "shared"):
        return f"{SHARED} sees no family of operators"
    return None


@pytest.mark.parametrize("file", FILES)
def test_imports_run_one_way(file: str) -> None:
    faults = [f"{file}:{i.line} imports {'.'.join(i.name)}: {why}" for i in imports(file) if (why := fault(file, i))]
    assert not faults, "\n".join(faults)


def test_every_room_of_the_interpreter_has_a_floor() -> None:
    rooms = {room(Path(file).parts) for file in FILES if file.startswith("interpreter/")}
    assert rooms <= set(FLOOR)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = f"import sys, tflite_cupy; print(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("file", "name", "relative", "lazy", "says"),
    [
        ("interpreter/graph.py", "interpreter.ops.base", True, True, "graph is below ops"),
        ("interpreter/ops/conv.py", "delegates.arrays", True, True, "interpreter does not see delegates"),
        ("converter/lower.py", "delegates.flex", True, True, "converter does not see delegates"),
        ("interpreter/ops/shared/products.py", "interpreter.ops.conv.Conv2D", True, False, "sees no family"),
        ("interpreter/ops/shared/products.py", "interpreter.ops.base.Op", True, False, None),
        ("delegates/cpu/kernels/conv.py", "interpreter.graph", False, False, "relative"),
        ("delegates/cpu/kernels/conv.py", "cupy", False, True, "delegates/gpu/ only"),
        ("delegates/gpu/cupy_device.py", "cupy", False, False, "inside functions only"),
        ("converter/load.py", "tensorflow.keras", False, True, None),
        ("interpreter/classic.py", "interpreter.runner", True, False, None),
    ],
)
def test_the_rules_themselves(file: str, name: str, relative: bool, lazy: bool, says: str | None) -> None:
    found = fault(file, Import(tuple(name.split(".")), relative, lazy, 1))
    assert found is None if says is None else found is not None and says in found

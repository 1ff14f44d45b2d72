"""A file past 600 lines is two rooms, a function past 60 lines is two functions."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("tflite_cupy", "interpreter", "delegates", "converter", "tests", "ci", "examples")
SUFFIXES = {".py", ".cu", ".cuh", ".h", ".sh"}
EXEMPT = {"interpreter/format/schema.py"}  # one declarative table
FILES = {str(p.relative_to(ROOT)): p for f in FOLDERS for p in sorted((ROOT / f).rglob("*")) if p.suffix in SUFFIXES}
MAX_FILE, MAX_FUNCTION = 600, 60


def long_functions(source: str) -> list[str]:
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    sizes = {f: (f.end_lineno or f.lineno) - f.lineno + 1 for f in functions}
    return [f"{f.name} at line {f.lineno} has {size} lines" for f, size in sizes.items() if size > MAX_FUNCTION]


@pytest.mark.parametrize("file", sorted(set(FILES) - EXEMPT))
def test_files_and_functions_are_short(file: str) -> None:
    source = FILES[file].read_text(encoding="utf-8")
    assert len(source.splitlines()) <= MAX_FILE
    if file.endswith(".py"):
        assert long_functions(source) == []


def test_a_long_function_is_found() -> None:
    body = "    pass\n" * MAX_FUNCTION
    assert long_functions(f"def f():\n{body}") == [f"f at line 1 has {MAX_FUNCTION + 1} lines"]
    assert long_functions(f"def f():\n{body.removesuffix('    pass' + chr(10))}") == []

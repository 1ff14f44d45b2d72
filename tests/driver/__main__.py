"""A Python program on the stand-in for CUDA: `python -m tests.driver file.py`, or `-m module` instead of a file."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from .stand_in import install


def main() -> None:
    """Run a module or a file, as `python` does."""
    install()
    by_name, *arguments = sys.argv[1:] if sys.argv[1:2] != ["-m"] else sys.argv[2:]
    is_module = sys.argv[1] == "-m"
    sys.argv = [by_name, *arguments]
    if is_module:
        runpy.run_module(by_name, run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(by_name).resolve().parent))
        runpy.run_path(by_name, run_name="__main__")


main()

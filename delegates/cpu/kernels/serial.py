"""Operators without a kernel of their own whose bodies are mostly matrix products."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ....interpreter.ops.base import Op
from ...arrays import Kernel
from .blas import one_thread


def one_thread_body(op: Op) -> Kernel:
    """The op's body, with BLAS held to one thread."""
    return with_one_thread(partial(op.body, np))


def with_one_thread(kernel: Kernel) -> Kernel:
    """A kernel, with BLAS held to one thread."""

    def run(*operands: Any) -> Any:
        with one_thread:
            return kernel(*operands)

    return run

"""What a library of matrix products is asked, as plain data: all but the addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

FLOAT = np.dtype(np.float32)

ALIGNMENT = 16  # bytes, of each operand and of the steps in it: what inputs of a call have

WORKSPACE_BYTES = 32 << 20
"""Memory that a product may use beside its operands: as much as NVIDIA advises for Hopper."""


class Stored(NamedTuple):
    """Row-major matrices in memory; steps are in elements."""

    leading: int  # from one row to the next
    transposed: bool = False  # memory holds the transpose
    step: int = 0  # from one matrix of a batch to the next


@dataclass(frozen=True, slots=True)
class Problem:
    """out = activation(a b + c + bias) for each matrix of a batch: a [rows, depth], b [depth, columns], out and c
    [rows, columns], bias [columns]. All but a and b may be left out; sums are of float32. The activation is relu,
    gelu by way of tanh, or none.

    precision: of products of float32, as `Options.products` has it.
    """

    rows: int
    columns: int
    depth: int
    a: Stored
    b: Stored
    out: Stored  # c lies alike
    batch: int = 1
    precision: str = "strict"
    dtype: np.dtype[Any] = FLOAT  # of a and b: float32 or float16
    out_dtype: np.dtype[Any] = FLOAT  # of out, c and bias
    has_c: bool = False
    has_bias: bool = False
    relu: bool = False
    gelu: bool = False

    def reach(self, stored: Stored, rows: int, columns: int) -> int:
        """How many elements lie between the first one of a batch of matrices and the end of the last one."""
        lines, length = (columns, rows) if stored.transposed else (rows, columns)
        return (self.batch - 1) * stored.step + (lines - 1) * stored.leading + length

    def __str__(self) -> str:
        pairs = f"{self.batch} x " if self.batch > 1 else ""
        return f"{pairs}{self.rows} x {self.depth} x {self.columns}"


class Pointers(NamedTuple):
    """Where the operands of a product are."""

    a: int
    b: int
    out: int
    c: int = 0
    bias: int = 0

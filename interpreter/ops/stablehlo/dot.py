"""STABLEHLO_DOT_GENERAL, and products of matrices of any numbers."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec, TensorType
from ..base import COMPLEX, NUMBER, PACKED, Op, op
from ..shared.affine import STORED
from ..shared.host import shape_of
from ..shared.products import integer_matmul
from .geometry import check_dimensions

FACTORS = NUMBER | COMPLEX | PACKED
_BYTE_PRODUCT = 1 << 16  # more than the product of any two integers of 8 bits


def product(xp: Any, a: Array, b: Array, dtype: np.dtype[Any]) -> Array:
    """Matrices multiplied and summed in `dtype`; halves are summed in float32, bytes exactly."""
    if dtype == np.int32 and a.dtype.itemsize == 1 == b.dtype.itemsize:
        return integer_matmul(xp, a.astype(np.float32), b.astype(np.float32), _BYTE_PRODUCT)
    wide = np.float32 if dtype.itemsize == 2 and dtype.kind not in "iu" else dtype
    return xp.matmul(a.astype(wide), b.astype(wide)).astype(dtype)


def refuses_factors(name: str, output: TensorType, *specs: TensorSpec) -> str | None:
    """Why these can't be multiplied to `output`, as a sentence."""
    if any(s.quantization is not None and s.type in STORED for s in specs):
        return f"operator {name} is not supported with quantised operands."
    kinds = {s.dtype.kind in "iu" for s in specs} | {output.dtype.kind in "iu"}
    if len(kinds) > 1 or output not in FACTORS:
        return f"operator {name} is not supported from {' and '.join(map(str, specs))} to {output.name.lower()}."
    return None


@op("STABLEHLO_DOT_GENERAL", FACTORS)
class StablehloDotGeneral(Op):
    """Products of elements at equal places of the batching and the contracting dimensions, summed over the latter.

    [*batching, *what is left of lhs, *what is left of rhs], in the element type of the output.
    """

    lhs_batching_dimensions: tuple[int, ...] = ()
    rhs_batching_dimensions: tuple[int, ...] = ()
    lhs_contracting_dimensions: tuple[int, ...] = ()
    rhs_contracting_dimensions: tuple[int, ...] = ()
    precision_config: tuple[int, ...] = ()

    def refuses(self, lhs: TensorSpec, rhs: TensorSpec) -> str | None:
        return refuses_factors(self.name, self.outs[0].type, lhs, rhs)

    def infer(self, lhs: TensorSpec, rhs: TensorSpec) -> TensorSpec:
        x, y = shape_of(lhs), shape_of(rhs)
        check_dimensions(self.name, "lhs dimensions", self._left, len(x))
        check_dimensions(self.name, "rhs dimensions", self._right, len(y))
        batching = len(self.lhs_batching_dimensions)
        fit = [x[axis] for axis in self._left] == [y[axis] for axis in self._right]
        if not fit or batching != len(self.rhs_batching_dimensions):
            raise KernelError(f"{self.name} got {lhs} and {rhs}, whose dimensions {list(self._left)} and "
                              f"{list(self._right)} do not fit.")  # fmt: skip
        batch = tuple(x[axis] for axis in self.lhs_batching_dimensions)
        rest = (shape[axis] for shape, free in ((x, self._free(x, self._left)), (y, self._free(y, self._right)))
                for axis in free)  # fmt: skip
        return TensorSpec(self.outs[0].type, (*batch, *rest))

    def run(self, xp: Any, lhs: Array, rhs: Array) -> Array:
        free_left, free_right = self._free(lhs.shape, self._left), self._free(rhs.shape, self._right)
        batch = tuple(lhs.shape[axis] for axis in self.lhs_batching_dimensions)
        rows, columns = (
            tuple(shape[axis] for axis in free) for shape, free in ((lhs.shape, free_left), (rhs.shape, free_right))
        )
        depth = prod(lhs.shape[axis] for axis in self.lhs_contracting_dimensions)
        a = lhs.transpose(*self.lhs_batching_dimensions, *free_left, *self.lhs_contracting_dimensions)
        b = rhs.transpose(*self.rhs_batching_dimensions, *self.rhs_contracting_dimensions, *free_right)
        a, b = a.reshape(prod(batch), prod(rows), depth), b.reshape(prod(batch), depth, prod(columns))
        return product(xp, a, b, self.outs[0].dtype).reshape((*batch, *rows, *columns))

    @property
    def _left(self) -> tuple[int, ...]:
        return (*self.lhs_batching_dimensions, *self.lhs_contracting_dimensions)

    @property
    def _right(self) -> tuple[int, ...]:
        return (*self.rhs_batching_dimensions, *self.rhs_contracting_dimensions)

    @staticmethod
    def _free(shape: tuple[int, ...], taken: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(axis for axis in range(len(shape)) if axis not in taken)

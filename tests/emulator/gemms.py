"""Products of a library on the host: by NumPy, in the place of cuBLASLt."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from tflite_cupy.delegates.gpu.arena import ALIGNMENT
from tflite_cupy.delegates.gpu.gemm import ALIGNMENT as OPERANDS
from tflite_cupy.delegates.gpu.gemm import Pointers, Problem, Stored

from .compiler import KernelFault
from .poison import POISON


class NumpyGemms:
    """Has the methods of `delegates.gpu.cublaslt.CublasLt`; takes all products. Writes over the whole workspace."""

    def plan(self, problem: Problem, workspace: int) -> tuple[Problem, int]:
        return problem, workspace

    def run(self, plan: tuple[Problem, int], pointers: Pointers, workspace: int, stream: int) -> None:
        p, nbytes = plan
        _check(pointers, workspace)
        a = _matrices(p, p.a, pointers.a, p.rows, p.depth, p.dtype)
        b = _matrices(p, p.b, pointers.b, p.depth, p.columns, p.dtype)
        sums = (_rounded(a, p.precision) @ _rounded(b, p.precision)).astype(np.float32)
        if p.has_c:
            sums += _matrices(p, p.out, pointers.c, p.rows, p.columns, p.out_dtype)
        if p.has_bias:
            sums += _array(pointers.bias, (p.columns,), (1,), p.out_dtype)
        out = _matrices(p, p.out, pointers.out, p.rows, p.columns, p.out_dtype)
        out[...] = np.maximum(sums, 0) if p.relu else _gelu(sums) if p.gelu else sums
        ctypes.memset(workspace, POISON, nbytes)


def _gelu(x: np.ndarray) -> np.ndarray:
    """By way of tanh."""
    inner = np.float32(0.7978845608) * (x + np.float32(0.044715) * x * x * x)
    result: np.ndarray = 0.5 * x * (1 + np.tanh(inner))
    return result


def _check(pointers: Pointers, workspace: int) -> None:
    if any(pointer % OPERANDS for pointer in pointers) or workspace % ALIGNMENT:
        raise KernelFault(f"misaligned operands of a product: {pointers}, workspace {workspace:#x}")


def _matrices(problem: Problem, stored: Stored, address: int, rows: int, columns: int, dtype: Any) -> np.ndarray:
    """[batch, rows, columns] in memory."""
    row, column = (1, stored.leading) if stored.transposed else (stored.leading, 1)
    return _array(address, (problem.batch, rows, columns), (stored.step, row, column), dtype)


def _array(address: int, shape: tuple[int, ...], steps: tuple[int, ...], dtype: Any) -> np.ndarray:
    size = 1 + sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
    flat = np.frombuffer((ctypes.c_char * (size * dtype.itemsize)).from_address(address), dtype)
    return np.lib.stride_tricks.as_strided(flat, shape, [step * dtype.itemsize for step in steps])


def _rounded(x: np.ndarray, precision: str) -> np.ndarray:
    """Operands as tensor cores get them, in float64."""
    if precision == "tf32" and x.dtype == np.float32:
        bits = np.ascontiguousarray(x).view(np.uint32)
        x = ((bits + 0x1000) & ~np.uint32(0x1FFF)).view(np.float32)
    return (x.astype(np.float16) if precision == "fp16" else x).astype(np.float64)

"""Which products a library computes, and what is left to do after it.

Up to `LEAST_WORK` our own kernels are as good: their tiles are smaller, their tails cost nothing, and launches decide
the time. Beyond, the library's pipelines should come closer to what tensor cores can do. Neither number has been
measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ....interpreter.ops.activation import Gelu
from ....interpreter.ops.arithmetic import Add
from ....interpreter.ops.base import Activation
from ..gemm import ALIGNMENT, Problem, Stored
from ..kernel import CTYPES
from ..listing import Operand
from ..lowering import THREADS, Options, Site
from ..storage import are_single

if TYPE_CHECKING:
    from .products import Product, Strides

LEAST_WORK = 1 << 30
"""Multiply-adds: some 20 us at 100 TFLOP/s, ten times what a launch costs. BERT-base has a third of it at most for one
text."""

LEAST_DEPTH = 512
"""Of a product whose tail is a launch of its own. That moves 8 bytes for each result, 4 in float16; 8 take 2.7 ps at 3
TB/s. A library that makes 250 TFLOP/s where our kernel makes 130 saves as much from a depth of 360 on."""


class Ending(NamedTuple):
    """What comes after the sums and the bias: in the library c, then relu or gelu; then perhaps a launch of its own."""

    c: Operand | None = None
    relu: bool = False
    gelu: bool = False
    launch: bool = False


def is_large(options: Options, work: int, least: int | None = None) -> bool:
    """Whether a product of so many multiply-adds is one for a library; `least`: from how many on."""
    return options.library is not None and work >= (LEAST_WORK if least is None else least)


def launched(site: Site, product: Product, least: int | None = None) -> bool:
    """Whether a product is one for a library, which then is emitted; `least`: multiply-adds from which on it may be."""
    if site.options.library is None or not is_large(site.options, product.operations // 2, least):
        return False
    product = _in_types(site, product)
    takes, problem = site.options.library, _problem(site, product)
    if problem is None:
        return False
    for ending in _endings(site, product, problem):
        whole = replace(problem, has_c=ending.c is not None, relu=ending.relu, gelu=ending.gelu)
        if takes(whole):
            _emit(site, product, whole, ending)
            return True
    return False


def _emit(site: Site, product: Product, problem: Problem, ending: Ending) -> None:
    sums = site.out
    if sums.dtype != problem.out_dtype:
        sums = site.scratch(site.out.known_shape, problem.out_dtype)
    site.multiply(problem, product.a.operand, product.b.operand, sums, ending.c, product.bias)
    if ending.launch:
        _launch_tail(site, product, sums)


def _in_types(site: Site, product: Product) -> Product:
    """The product with constants in the types that a library wants: weights in that of the left operand, a bias in that
    of the results."""
    b, bias = product.b, product.bias
    if product.a.operand.dtype == np.float16:
        b = replace(b, operand=site.in_half(b.operand))
    if bias is not None and site.out.dtype == np.float16:
        bias = site.in_half(bias)
    return replace(product, b=b, bias=bias)


def _problem(site: Site, product: Product) -> Problem | None:
    """The sums and the bias; None where a library can't do them."""
    rows, columns, depth, bias = product.rows, product.columns, product.depth, product.bias
    batch, dtype = product.outer * product.inner, product.a.operand.dtype
    out_dtype = np.dtype(np.float16 if site.out.dtype == np.float16 else np.float32)
    if product.window is not None or product.scales is not None or 1 not in (product.outer, product.inner):
        return None
    if bias is not None and (bias.offset % ALIGNMENT or (product.bias_step and batch > 1) or bias.dtype != out_dtype):
        return None
    if product.b.operand.dtype != dtype:
        return None
    a = _stored(product, product.a.strides, product.a.operand, rows, depth)
    b = _stored(product, product.b.strides, product.b.operand, columns, depth)
    out = _stored(product, product.out, site.out, rows, columns)
    if a is None or b is None or out is None or out.transposed:
        return None
    b = b._replace(transposed=not b.transposed)  # kernels of ours read its columns as rows
    precision = site.options.products
    return Problem(rows, columns, depth, a, b, out, batch, precision, dtype, out_dtype, has_bias=bias is not None)


def _stored(product: Product, strides: Strides, operand: Operand, rows: int, columns: int) -> Stored | None:
    """How matrices lie for a library; None where it can't read them 16 bytes at a time."""
    row, column, outer, inner = strides
    leading, length = (row, columns) if column == 1 else (column, rows)
    step = (inner if product.outer == 1 else outer) if product.outer * product.inner > 1 else 0
    width = operand.dtype.itemsize
    is_aligned = not any(n % ALIGNMENT for n in (leading * width, step * width, operand.offset))
    if 1 not in (row, column) or leading < length or step < 0 or not is_aligned:
        return None
    return Stored(leading, column != 1, step)


def _endings(site: Site, product: Product, problem: Problem) -> Iterator[Ending]:
    """How the sums become the results, the cheapest way first; none where that costs more than a library saves."""
    low, high = map(float, product.limits)
    is_unlimited, is_relu = (low, high) == (-math.inf, math.inf), (low, high) == (0, math.inf)
    if not site.tail.nodes and (is_unlimited or is_relu):
        yield Ending(relu=is_relu)
        return
    leading, _, step = problem.out
    if leading != problem.columns or (problem.batch > 1 and step != problem.rows * problem.columns):
        return
    if is_unlimited and problem.precision != "strict" and _is_gelu(site):
        yield Ending(gelu=True)
    if is_unlimited and (added := _added(site)) is not None:
        yield added
    elif problem.depth >= LEAST_DEPTH:
        yield Ending(launch=True)


def _is_gelu(site: Site) -> bool:
    """Whether the tail is what a library makes of gelu, and of floats."""
    if len(site.tail.nodes) != 1 or site.out.dtype not in (np.float32, np.float16):
        return False
    (bound,) = site.tail.nodes
    return isinstance(bound.op, Gelu) and bound.op.approximate


def _added(site: Site) -> Ending | None:
    """The ending of a tail that only adds a tensor of the result's shape; None for others."""
    if len(site.tail.nodes) != 1:
        return None
    (bound,) = site.tail.nodes
    activations = (Activation.NONE, Activation.RELU)
    if not isinstance(bound.op, Add) or bound.op.fused_activation_function not in activations:
        return None
    result = bound.outs[0]
    others = [t for t in bound.node.inputs if t not in site.nodes[-1].node.outputs]
    is_alike = all(s is not None and s.shape == result.shape for s in bound.ins)
    if len(others) != 1 or not is_alike or not are_single(*bound.ins, result):
        return None
    c = site.tensor(others[0])
    if c.offset % ALIGNMENT or c.dtype != site.out.dtype:
        return None
    return Ending(c, bound.op.fused_activation_function is Activation.RELU)


def _launch_tail(site: Site, product: Product, sums: Operand) -> None:
    count = sums.size // site.tail.width
    site.launch(
        site.kernel("tail", "tail.cu", ELEMENT=CTYPES[sums.dtype]), -(-count // THREADS), THREADS,
        site.out, sums, np.uint32(count), *product.limits, *site.tail.arguments,
    )  # fmt: skip

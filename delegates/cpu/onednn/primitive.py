"""Primitives: one compiled operation each, with what follows it. Immutable; many threads may run one at once."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeAlias
from weakref import WeakValueDictionary

import numpy as np

from .binding import (
    EXEC_ARG,
    FORWARD_INFERENCE,
    LEFT_TO_RIGHT,
    USE_SCALE,
    USE_SHIFT,
    USER_SCRATCHPAD,
    Algorithm,
    Arg,
    Handle,
    Library,
    Query,
    Unimplemented,
    dims,
)

Arguments = ParamSpec("Arguments")

FEW = 1 << 16
"""Bytes that NumPy transposes in less time than a reorder's code takes to make."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the elements of an array lie: sizes in oneDNN's order (batch, channels, spatial), steps in elements.

    `strides` None leaves them to the primitive, for constants that are packed.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    strides: tuple[int, ...] | None = None

    @classmethod
    def of(cls, shape: Sequence[int], dtype: Any, order: Sequence[int] | None = None) -> Layout:
        """Of a C-contiguous array of this shape, its dimensions taken in `order`."""
        return _layout(tuple(shape), np.dtype(dtype), tuple(order or range(len(shape))))

    @property
    def packed(self) -> Layout:
        """The same sizes, in whatever order the primitive likes best."""
        return Layout(self.shape, self.dtype)


@lru_cache(maxsize=1024)
def _layout(shape: tuple[int, ...], dtype: np.dtype[Any], order: tuple[int, ...]) -> Layout:
    steps = [1]
    for size in shape[:0:-1]:
        steps.append(steps[-1] * size)
    steps.reverse()
    if not shape:
        return Layout((), dtype, (1,))
    return Layout(tuple(shape[i] for i in order), dtype, tuple(steps[i] for i in order))


@dataclass(frozen=True, slots=True)
class Eltwise:
    """An operation on each element; what alpha and beta mean is in oneDNN's documentation of eltwise."""

    algorithm: Algorithm
    alpha: float = 0.0
    beta: float = 0.0


@dataclass(frozen=True, slots=True)
class Binary:
    """An operation with another operand, whose sizes of 1 are repeated."""

    algorithm: Algorithm
    layout: Layout


@dataclass(frozen=True, slots=True)
class Prelu:
    """x where x > 0, slope * x elsewhere, with a slope for each element of the dimensions in `mask`."""

    layout: Layout
    mask: int


PostOp: TypeAlias = Eltwise | Binary | Prelu


@dataclass(frozen=True, slots=True)
class Attributes:
    """What stands around an operation: factors and offsets of arguments (with the mask of their dimensions)."""

    post_ops: tuple[PostOp, ...] = ()
    scales: Mapping[Arg, int] = field(default_factory=dict)
    zero_points: Mapping[Arg, int] = field(default_factory=dict)

    @property
    def key(self) -> tuple[object, ...]:
        """What tells them from others."""
        return self.post_ops, tuple(self.scales.items()), tuple(self.zero_points.items())

    def make(self, library: Library) -> Handle:
        """The oneDNN object."""
        made = library.make("primitive_attr", "dnnl_primitive_attr_create")
        library.call("dnnl_primitive_attr_set_scratchpad_mode", made, USER_SCRATCHPAD)
        for argument, mask in self.scales.items():
            library.call("dnnl_primitive_attr_set_scales_mask", made, int(argument), mask)
        for argument, mask in self.zero_points.items():
            library.call("dnnl_primitive_attr_set_zero_points_mask", made, int(argument), mask)
        if not self.post_ops:
            return made
        chain = library.make("post_ops", "dnnl_post_ops_create")
        for post in self.post_ops:
            if isinstance(post, Eltwise):
                alpha, beta = ctypes.c_float(post.alpha), ctypes.c_float(post.beta)
                library.call("dnnl_post_ops_append_eltwise", chain, int(post.algorithm), alpha, beta)
            elif isinstance(post, Prelu):
                library.call("dnnl_post_ops_append_prelu", chain, post.mask)
            else:
                layout = make_layout(library, post.layout)
                library.call("dnnl_post_ops_append_binary", chain, int(post.algorithm), layout)
        library.call("dnnl_primitive_attr_set_post_ops", made, chain)
        return made


@lru_cache(maxsize=512)
def make_layout(library: Library, layout: Layout) -> Handle:
    """The oneDNN object of a layout."""
    return library.layout(layout.shape, layout.dtype, layout.strides)


@lru_cache(maxsize=8)
def _no_attributes(library: Library) -> Handle:
    return Attributes().make(library)


class Primitive:
    """One compiled operation."""

    def __init__(self, library: Library, description: Handle) -> None:
        self.library = library
        self.handle = library.make("primitive", "dnnl_primitive_create", description)
        self.description = library.description(self.handle)  # its own copy: `description` takes 25 to 45 kB, and can go
        self.scratch = library.nbytes(library.query(self.description, Query.SCRATCHPAD))
        if self.implementation.startswith("ref"):
            raise Unimplemented("only a reference implementation")

    @property
    def implementation(self) -> str:
        """Name of the code that it runs."""
        return self.library.implementation(self.description)


@dataclass(frozen=True, slots=True)
class Window:
    """How a window moves: steps, holes between its elements (0: none), padding before and after, per dimension."""

    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]


def _once(make: Callable[Arguments, Primitive]) -> Callable[Arguments, Primitive]:
    """Equal primitives for as many threads are one object, for as long as somebody has it."""
    known: WeakValueDictionary[tuple[object, ...], Primitive] = WeakValueDictionary()

    @wraps(make)
    def found(*arguments: Arguments.args, **named: Arguments.kwargs) -> Primitive:
        library = arguments[0]
        assert isinstance(library, Library)
        key = library.threads, *(each.key if isinstance(each, Attributes) else each for each in arguments)
        primitive = known.get(key)
        if primitive is None:
            primitive = known[key] = make(*arguments, **named)
        return primitive

    return found


@_once
def convolution(*arguments: Any) -> Primitive:
    """src [n, c, h, w] with weights [out, in, h, w] or [groups, out, in, h, w]. Raises Unimplemented."""
    return _convolution("convolution", Algorithm.CONVOLUTION_DIRECT, *arguments)


@_once
def deconvolution(*arguments: Any) -> Primitive:
    """The transpose of a convolution: weights [out, in, h, w]. Raises Unimplemented."""
    return _convolution("deconvolution", Algorithm.DECONVOLUTION_DIRECT, *arguments)


def _convolution(
    kind: str, algorithm: Algorithm, library: Library, src: Layout, weights: Layout, bias: Layout | None, dst: Layout,
    window: Window, attributes: Attributes,
) -> Primitive:  # fmt: skip
    _check_products(library, src)
    layouts = [make_layout(library, each) for each in (src, weights)]
    rest = None if bias is None else make_layout(library, bias)
    steps = (dims(each) for each in (window.strides, window.dilations, window.before, window.after))
    return _made(
        library,
        f"{kind}_forward",
        attributes,
        FORWARD_INFERENCE,
        int(algorithm),
        *layouts,
        rest,
        make_layout(library, dst),
        *steps,
    )


def _check_products(library: Library, src: Layout) -> None:
    if src.dtype.itemsize == 1 and not library.multiplies_bytes:
        raise Unimplemented("exact products of bytes")


@_once
def matmul(
    library: Library, src: Layout, weights: Layout, bias: Layout | None, dst: Layout, attributes: Attributes
) -> Primitive:
    """src [..., m, k] times weights [..., k, n]; bias [1, n]. Raises Unimplemented."""
    _check_products(library, src)
    layouts = [make_layout(library, each) for each in (src, weights)]
    rest = None if bias is None else make_layout(library, bias)
    return _made(library, "matmul", attributes, *layouts, rest, make_layout(library, dst))


@_once
def binary(
    library: Library, algorithm: Algorithm, a: Layout, b: Layout, dst: Layout, attributes: Attributes
) -> Primitive:
    """An operation of two operands; sizes of 1 of the second are repeated. Raises Unimplemented."""
    layouts = [make_layout(library, each) for each in (a, b, dst)]
    return _made(library, "binary", attributes, int(algorithm), *layouts)


@_once
def eltwise(library: Library, first: Eltwise, src: Layout, dst: Layout, attributes: Attributes) -> Primitive:
    """An operation on each element. Raises Unimplemented."""
    layouts = [make_layout(library, each) for each in (src, dst)]
    return _made(
        library,
        "eltwise_forward",
        attributes,
        FORWARD_INFERENCE,
        int(first.algorithm),
        *layouts,
        ctypes.c_float(first.alpha),
        ctypes.c_float(first.beta),
    )


@_once
def pooling(
    library: Library, algorithm: Algorithm, src: Layout, dst: Layout, kernel: Sequence[int], window: Window,
    attributes: Attributes,
) -> Primitive:  # fmt: skip
    """Mean or maximum of windows of [n, c, h, w]. Raises Unimplemented."""
    layouts = [make_layout(library, each) for each in (src, dst)]
    steps = (dims(each) for each in (window.strides, kernel, window.dilations, window.before, window.after))
    return _made(library, "pooling_forward", attributes, FORWARD_INFERENCE, int(algorithm), *layouts, *steps)


@_once
def prelu(library: Library, src: Layout, slopes: Layout, dst: Layout) -> Primitive:
    """x where x > 0, slope * x elsewhere; sizes of 1 of the slopes are repeated. Raises Unimplemented."""
    layouts = [make_layout(library, each) for each in (src, slopes, dst)]
    return _made(library, "prelu_forward", Attributes(), FORWARD_INFERENCE, *layouts)


@_once
def resampling(library: Library, algorithm: Algorithm, src: Layout, dst: Layout, attributes: Attributes) -> Primitive:
    """[n, c, h, w] at other sizes, pixels at the centres of their squares. Raises Unimplemented."""
    layouts = [make_layout(library, each) for each in (src, dst)]
    return _made(library, "resampling_forward", attributes, FORWARD_INFERENCE, int(algorithm), None, *layouts)


@_once
def softmax(library: Library, src: Layout, dst: Layout, axis: int, attributes: Attributes) -> Primitive:
    """Softmax along one dimension. Raises Unimplemented."""
    layouts = [make_layout(library, each) for each in (src, dst)]
    return _made(library, "softmax_forward", attributes, FORWARD_INFERENCE, int(Algorithm.SOFTMAX), *layouts, axis)


@_once
def layer_normalization(
    library: Library, src: Layout, dst: Layout, epsilon: float, attributes: Attributes
) -> Primitive:
    """Rows of mean 0 and variance 1, times a scale, plus a shift. Raises Unimplemented."""
    layouts = [make_layout(library, each) for each in (src, dst)]
    kind, floor = "layer_normalization_forward", ctypes.c_float(epsilon)
    return _made(library, kind, attributes, FORWARD_INFERENCE, *layouts, None, floor, USE_SCALE | USE_SHIFT)


@_once
def lstm(
    library: Library, src: Layout, state: Layout, weights: Layout, recurrent: Layout, bias: Layout, dst: Layout
) -> Primitive:
    """src [steps, n, k] with weights [1, 1, k, 4, m] and recurrent ones [1, 1, m, 4, m]; both states [1, 1, n, m]; bias
    [1, 1, 4, m]; dst [steps, n, m]. Raises Unimplemented."""
    x, h, w, r, b, y = (make_layout(library, each) for each in (src, state, weights, recurrent, bias, dst))
    kind, flags = "lstm_forward", 0
    options = FORWARD_INFERENCE, LEFT_TO_RIGHT
    return _made(library, kind, Attributes(), *options, x, h, h, w, r, None, None, b, y, h, h, flags)


def _made(library: Library, kind: str, attributes: Attributes, *arguments: Any) -> Primitive:
    """A primitive of a kind, with the arguments that describe it after the engine."""
    name, around = f"dnnl_{kind}_primitive_desc_create", attributes.make(library)
    return Primitive(library, library.make("primitive_desc", name, library.engine, *arguments, around))


def pack(library: Library, array: np.ndarray, layout: Layout, target: Any, packed: np.ndarray) -> None:
    """Write a constant in the layout that a primitive likes best to the bytes `packed`."""
    array = np.ascontiguousarray(array)
    if layout.dtype.itemsize == 1 and layout.strides == (1, layout.shape[0]):  # packing columns of bytes takes long
        rows, turned = Layout.of(layout.shape, layout.dtype), np.empty(layout.shape, layout.dtype)
        if array.size <= FEW:
            np.copyto(turned, array.reshape(layout.shape[::-1]).T)
        else:
            _reorder(library, array, layout, make_layout(library, rows), turned)
        array, layout = turned, rows
    _reorder(library, array, layout, target, packed)


def _reorder(library: Library, array: np.ndarray, layout: Layout, target: Any, result: np.ndarray) -> None:
    """Write a C-contiguous array to another in another layout."""
    source = make_layout(library, layout)
    description = library.make(
        "primitive_desc", "dnnl_reorder_primitive_desc_create", source, library.engine, target, library.engine,
        _no_attributes(library),
    )  # fmt: skip
    reorder = Primitive(library, description)
    places: dict[int, Handle] = {
        Arg.SRC: library.memory(source, address(array)),
        Arg.DST: library.memory(target, address(result)),
    }
    if reorder.scratch:
        scratch = aligned(reorder.scratch)
        places[Arg.SCRATCHPAD] = library.memory(library.query(description, Query.SCRATCHPAD), address(scratch))
    library.check(library.execute(reorder.handle, library.stream(), len(places), arguments(places)), "reorder")


def aligned(nbytes: int) -> np.ndarray:
    """uint8 [nbytes] that starts at a multiple of 64."""
    space = np.empty(nbytes + 64, np.uint8)
    start = -address(space) % 64
    return space[start : start + nbytes]


def address(array: np.ndarray) -> int:
    """Where the first element of an array lies."""
    first: int = array.__array_interface__["data"][0]
    return first


def arguments(places: Mapping[int, Handle]) -> Any:
    """The array of arguments that `execute` takes."""
    pairs = [part for argument, memory in places.items() for part in (argument, memory._as_parameter_.value)]
    return struct.pack(EXEC_ARG * len(places), *pairs)

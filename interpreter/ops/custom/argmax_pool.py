"""Maximum pooling that tells where the greatest elements were, and its inverse.

MediaPipe and LiteRT number the places differently: MediaPipe within the window, LiteRT within the image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import KernelError
from ...graph import Array, Node, TensorSpec, TensorType
from ..base import FLOAT, INT32, Op, Padding, op
from ..pool import WindowedOp
from ..shared.fused import activate
from ..shared.host import dimensions, require_indices, shape_of
from ..shared.windows import Axes, Axis, expect_rank, output_shape, pad, plan, taps
from .structs import pool_attributes


def greatest(xp: Any, x: Array, axes: Axes, first: Array, label: Callable[[int, int], Array]) -> tuple[Array, Array]:
    """The greatest element of each window, and the label of its tap; `first` where none exceeds the least number.

    The first of equal ones counts, NaN never wins.
    """
    padded, shape = pad(xp, x, axes, -np.inf), output_shape(x.shape[0], axes, x.shape[3])
    best, place = xp.full(shape, np.finfo(np.float32).min, np.float32), first
    for (row, column), tap in taps(axes):
        better = padded[tap] > best
        best = xp.where(better, padded[tap], best)
        place = xp.where(better, label(row, column), place)
    return best, place


@dataclass(frozen=True, eq=False, kw_only=True)
class _StructPool(WindowedOp):
    """What the operators share whose options are a TfLitePoolParams."""

    @classmethod
    def read_options(cls, node: Node, where: str) -> Mapping[str, Any]:
        return pool_attributes(node, where)


@op("MaxPoolingWithArgmax2D", FLOAT)
class MaxPoolingWithArgmax2D(_StructPool):
    """The greatest element of each window of [n, h, w, c], and its place in the window: y * width + x + 0.1.

    MediaPipe's, with options TfLitePoolParams (max_pool_argmax.cc).
    """

    def infer(self, input: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
        shape = expect_rank(self.name, "input", input, 4)
        spec = TensorSpec(input.type, output_shape(shape[0], self.axes(shape), shape[3]))
        return spec, spec

    def run(self, xp: Any, input: Array) -> tuple[Array, Array]:
        axes = self.axes(input.shape)
        first = xp.zeros(output_shape(input.shape[0], axes, input.shape[3]), np.float32)
        best, place = greatest(xp, input, axes, first, lambda y, x: np.float32(y * self.filter_width + x))
        return activate(xp, best, self.fused_activation_function), place + np.float32(0.1)


@op("MaxPoolWithArgmax", FLOAT)
class MaxPoolWithArgmax(Op):
    """The greatest element of each window of [n, h, w, c], and its place in the image: (y * w + x) * c + channel.

    LiteRT's, with the attributes of TensorFlow's operator of that name (reference: max_pool_with_argmax.cc).
    """

    ksize: Sequence[int] = ()
    strides: Sequence[int] = ()
    padding: bytes = b""
    include_batch_in_index: bool = False

    def refuses(self, input: TensorSpec) -> str | None:
        sizes = [tuple(sizes) for sizes in (self.ksize, self.strides)]
        if any(len(s) != 4 or s[0] != 1 or s[3] != 1 for s in sizes) or self.padding not in (b"SAME", b"VALID"):
            return f"operator {self.name} is not supported with windows {sizes[0]}, steps {sizes[1]}, {self.padding!r}."
        if self.include_batch_in_index:
            return f"operator {self.name} is not supported with include_batch_in_index."
        return None

    def axes(self, shape: Sequence[int]) -> Axes:
        """Geometry for an input of this shape."""
        return plan(self.name, shape[1:3], self.ksize[1:3], self.strides[1:3], Padding[self.padding.decode()])

    def infer(self, input: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
        shape = expect_rank(self.name, "input", input, 4)
        pooled = output_shape(shape[0], self.axes(shape), shape[3])
        return TensorSpec(input.type, pooled), TensorSpec(TensorType.INT32, pooled)

    def run(self, xp: Any, input: Array) -> tuple[Array, Array]:
        axes, (_, _, width, channels) = self.axes(input.shape), input.shape
        rows, columns = (np.arange(a.out, dtype=np.int32) * a.stride - a.before for a in axes)
        channel = np.arange(channels, dtype=np.int32)
        origin = xp.asarray((rows[:, None, None] * width + columns[:, None]) * channels + channel)
        first = xp.broadcast_to(xp.asarray(channel), output_shape(input.shape[0], axes, channels))
        return greatest(xp, input, axes, first, lambda y, x: origin + np.int32((y * width + x) * channels))


@dataclass(frozen=True, eq=False, kw_only=True)
class _Unpooling(_StructPool):
    """Elements put back into zeros where `indices` say that they were."""

    def infer(self, input: TensorSpec, indices: TensorSpec) -> TensorSpec:
        shape = expect_rank(self.name, "input", input, 4)
        if indices.shape != shape:
            raise KernelError(f"{self.name} got `indices` of shape {shape_of(indices)}, expected {shape} as `input`.")
        sizes = self.sizes(shape, indices.type is TensorType.INT32)
        return TensorSpec(input.type, dimensions((shape[0], *sizes, shape[3]), self.name))

    def sizes(self, shape: Sequence[int], in_image: bool) -> tuple[int, ...]:
        """Height and width of the output."""
        if not in_image:
            return tuple(axis.size for axis in self.axes(shape))
        steps = zip(shape[1:3], self.window, self.strides, strict=True)
        return tuple(n * s if self.padding is Padding.SAME else (n - 1) * s + w for n, w, s in steps)

    def axes(self, shape: Sequence[int]) -> Axes:
        """MediaPipe's geometry of the pooling whose result has this shape."""
        steps = zip(shape[1:3], self.window, self.strides, strict=True)
        return tuple(self._axis(*step) for step in steps)

    def _axis(self, size: int, window: int, stride: int) -> Axis:
        if min(window, stride) < 1:
            raise KernelError(f"{self.name} got window {window} and stride {stride}, expected 1 or more.")
        spare = max((size - 1) * stride + window - size * window, 0)
        return Axis(size * window, window, stride, 1, size, spare // 2, spare - spare // 2)

    def run(self, xp: Any, input: Array, indices: Array) -> Array:
        if indices.dtype == np.int32:
            return self._by_place_in_image(xp, input, indices)
        axes, places = self.axes(input.shape), indices.astype(np.int32)
        spread = [max((a.out - 1) * a.stride + a.window, a.before + a.size) for a in axes]
        total = xp.zeros((input.shape[0], *spread, input.shape[3]), input.dtype)
        for (y, x), tap in reversed(list(taps(axes))):  # an element reached by two windows belongs to the later one
            total[tap] = xp.where(places == y * self.filter_width + x, input, total[tap])
        return total[(slice(None), *(slice(a.before, a.before + a.size) for a in axes))]

    def _by_place_in_image(self, xp: Any, input: Array, indices: Array) -> Array:
        batch, *_, channels = input.shape
        shape = (batch, *self.sizes(input.shape, True), channels)
        total = xp.zeros((batch, shape[1] * shape[2] * channels), input.dtype)
        require_indices(xp, self.ins[1], indices, total.shape[1], f"{self.name}: an index is outside of the image")
        total[xp.arange(batch)[:, None], indices.reshape(batch, -1)] = input.reshape(batch, -1)
        return total.reshape(shape)


@op("MaxUnpooling2D", FLOAT, FLOAT | INT32)
class MaxUnpooling2D(_Unpooling):
    """Elements [n, h, w, c] put back where they were, in zeros. Options: TfLitePoolParams.

    float32 indices are those of MaxPoolingWithArgmax2D; what overlaps belongs to the later window, places outside of
    the window are left out (MediaPipe: max_unpooling.cc). int32 ones are those of MaxPoolWithArgmax (reference:
    max_unpooling_2d.cc).
    """


@op("LiteRtMaxUnpooling2D", FLOAT, INT32)
class LiteRtMaxUnpooling2D(_Unpooling):
    """MaxUnpooling2D with indices of MaxPoolWithArgmax, under the name that LiteRT's own test models use."""

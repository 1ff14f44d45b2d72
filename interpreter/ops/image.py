"""Operators on images: blocks of pixels moved to channels or batches and back, local contrast, spectrum.

Images are [batch, height, width, channels]; the operators named ND take any number of dimensions between.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, Shape, TensorSpec, TensorType
from .base import FLOAT, INDEX, INTEGER, Op, op
from .padding import padded, zero_point
from .shared.host import VALUES, dimensions, integers, known, require_rank, shape_of


@op("SPACE_TO_DEPTH", VALUES, versions=2)
class SpaceToDepth(Op):
    """Each square of block_size x block_size pixels as one pixel of block_size**2 times the channels."""

    block_size: int = 0

    def infer(self, image: TensorSpec) -> TensorSpec:
        require_rank(image, (4,), "SPACE_TO_DEPTH: image")
        n, height, width, channels = shape_of(image)
        block = _block("SPACE_TO_DEPTH", self.block_size)
        if height % block or width % block:
            raise KernelError(f"SPACE_TO_DEPTH got {image}, expected height and width to be multiples of {block}.")
        sizes = (n, height // block, width // block, channels * block * block)
        return TensorSpec(image.type, dimensions(sizes, "SPACE_TO_DEPTH: the result"))

    def run(self, xp: Any, image: Array) -> Array:
        n, height, width, channels = image.shape
        block = self.block_size
        rows, columns = height // block, width // block
        squares = image.reshape(n, rows, block, columns, block, channels).transpose(0, 1, 3, 2, 4, 5)
        return squares.reshape(n, rows, columns, block * block * channels)


@op("DEPTH_TO_SPACE", VALUES, versions=2)
class DepthToSpace(Op):
    """Each pixel spread over a square of block_size x block_size pixels, as SPACE_TO_DEPTH gathers them."""

    block_size: int = 0

    def infer(self, image: TensorSpec) -> TensorSpec:
        require_rank(image, (4,), "DEPTH_TO_SPACE: image")
        n, height, width, depth = shape_of(image)
        block = _block("DEPTH_TO_SPACE", self.block_size)
        if depth % (block * block):
            raise KernelError(f"DEPTH_TO_SPACE got {image}, expected channels to be a multiple of {block * block}.")
        sizes = (n, height * block, width * block, depth // (block * block))
        return TensorSpec(image.type, dimensions(sizes, "DEPTH_TO_SPACE: the result"))

    def run(self, xp: Any, image: Array) -> Array:
        n, height, width, depth = image.shape
        block = self.block_size
        channels = depth // (block * block)
        squares = image.reshape(n, height, width, block, block, channels).transpose(0, 1, 3, 2, 4, 5)
        return squares.reshape(n, height * block, width * block, channels)


def _block(name: str, size: int) -> int:
    if size < 1:
        raise KernelError(f"{name}: block_size is {size}, expected 1 or more.")
    return size


@op("SPACE_TO_BATCH_ND", VALUES, INTEGER, INTEGER, versions=4)
class SpaceToBatch(Op):
    """Blocks of `block_shape` [m] positions taken apart into batches, after padding by `paddings` [m, 2].

    The m dimensions after the first one are split; the border holds zero (the zero point of a quantised output).
    """

    def infer(self, tensor: TensorSpec, block_shape: TensorSpec, paddings: TensorSpec) -> TensorSpec:
        _require_blocks("SPACE_TO_BATCH_ND", tensor, block_shape, paddings)
        if block_shape.value is None or paddings.value is None:
            return TensorSpec(tensor.type, None)
        blocks = _blocks("SPACE_TO_BATCH_ND", block_shape.value)
        batch, *rest = shape_of(tensor)
        pads = dimensions(integers(paddings.value), "SPACE_TO_BATCH_ND: paddings")
        spatial = [n + a + b for n, a, b in zip(rest, pads[::2], pads[1::2], strict=False)]
        if any(n % block for n, block in zip(spatial, blocks, strict=True)):
            raise KernelError(f"SPACE_TO_BATCH_ND: padded to {spatial}, expected multiples of {list(blocks)}.")
        sizes = [n // block for n, block in zip(spatial, blocks, strict=True)]
        shape = (batch * prod(blocks), *sizes, *rest[len(blocks) :])
        return TensorSpec(tensor.type, dimensions(shape, "SPACE_TO_BATCH_ND: the result"))

    def run(self, xp: Any, tensor: Array, block_shape: Array, paddings: Array) -> Array:
        blocks = integers(known(self.ins[1], block_shape))
        m, rest = len(blocks), tensor.ndim - 1 - len(blocks)
        pairs = [(int(before), int(after)) for before, after in known(self.ins[2], paddings)]
        tensor = padded(xp, tensor, ((0, 0), *pairs, *((0, 0),) * rest), zero_point(self.outs[0]))
        batch, spatial, tail = tensor.shape[0], tensor.shape[1 : m + 1], tensor.shape[m + 1 :]
        sizes = [n // block for n, block in zip(spatial, blocks, strict=True)]
        split = tensor.reshape(batch, *_interleaved(sizes, blocks), *tail)
        outer, inner = range(1, 2 * m, 2), range(2, 2 * m + 1, 2)
        moved = split.transpose(*inner, 0, *outer, *range(2 * m + 1, split.ndim))
        return moved.reshape(batch * prod(blocks), *sizes, *tail)


@op("BATCH_TO_SPACE_ND", VALUES, INTEGER, INTEGER, versions=4)
class BatchToSpace(Op):
    """Batches put together into blocks of `block_shape` [m] positions, then cropped by `crops` [m, 2]."""

    def infer(self, tensor: TensorSpec, block_shape: TensorSpec, crops: TensorSpec) -> TensorSpec:
        _require_blocks("BATCH_TO_SPACE_ND", tensor, block_shape, crops)
        if block_shape.value is None or crops.value is None:
            return TensorSpec(tensor.type, None)
        blocks = _blocks("BATCH_TO_SPACE_ND", block_shape.value)
        batch, *rest = shape_of(tensor)
        if batch % prod(blocks):
            raise KernelError(f"BATCH_TO_SPACE_ND got {tensor}, expected the batch to be a multiple of {prod(blocks)}.")
        cuts = dimensions(integers(crops.value), "BATCH_TO_SPACE_ND: crops")
        sizes = [n * block - a - b for n, block, a, b in zip(rest, blocks, cuts[::2], cuts[1::2], strict=False)]
        shape = (batch // prod(blocks), *sizes, *rest[len(blocks) :])
        return TensorSpec(tensor.type, dimensions(shape, "BATCH_TO_SPACE_ND: the cropped result"))

    def run(self, xp: Any, tensor: Array, block_shape: Array, crops: Array) -> Array:
        blocks = integers(known(self.ins[1], block_shape))
        m, batch = len(blocks), tensor.shape[0] // prod(blocks)
        spatial, tail = tensor.shape[1 : m + 1], tensor.shape[m + 1 :]
        split = tensor.reshape(*blocks, batch, *spatial, *tail)
        order = _interleaved(range(m + 1, 2 * m + 1), range(m))
        whole = split.transpose(m, *order, *range(2 * m + 1, split.ndim))
        sizes = [n * block for n, block in zip(spatial, blocks, strict=True)]
        cuts = known(self.ins[2], crops)
        kept = (slice(int(a), size - int(b)) for size, (a, b) in zip(sizes, cuts, strict=True))
        return whole.reshape(batch, *sizes, *tail)[(slice(None), *kept)]


def _require_blocks(name: str, tensor: TensorSpec, block_shape: TensorSpec, pairs: TensorSpec) -> None:
    if block_shape.rank != 1 or tensor.rank < 1 + shape_of(block_shape)[0]:
        raise KernelError(f"{name}: block_shape is {block_shape} for {tensor}, expected one size for each dimension.")
    if pairs.shape != (*shape_of(block_shape), 2):
        raise KernelError(f"{name} got {pairs} beside block_shape {block_shape}, expected one pair for each size.")


def _blocks(name: str, block_shape: np.ndarray) -> Shape:
    return tuple(_block(name, n) for n in integers(block_shape))


def _interleaved(first: Any, second: Any) -> list[int]:
    return [n for pair in zip(first, second, strict=True) for n in pair]


@op("LOCAL_RESPONSE_NORMALIZATION", FLOAT)
class LocalResponseNormalization(Op):
    """tensor / (bias + alpha * s)**beta, with s the sum of the squares of channels c - radius to c + radius - 1.

    The window leaves out channel c + radius, as the reference kernel of this name does.
    """

    radius: int = 0
    bias: float = 0.0
    alpha: float = 0.0
    beta: float = 0.0

    def infer(self, tensor: TensorSpec) -> TensorSpec:
        require_rank(tensor, (4,), "LOCAL_RESPONSE_NORMALIZATION: tensor")
        return TensorSpec(tensor.type, tensor.shape)

    def run(self, xp: Any, tensor: Array) -> Array:
        depth = tensor.shape[-1]
        radius = max(0, min(self.radius, depth))
        squares = padded(xp, tensor * tensor, ((0, 0),) * 3 + ((radius, radius),), 0)
        total = xp.zeros_like(tensor)
        for offset in range(2 * radius):
            total += squares[..., offset : offset + depth]
        bias, alpha, beta = (np.float32(x) for x in (self.bias, self.alpha, self.beta))
        return tensor * (bias + alpha * total) ** -beta


@op("RFFT2D", FLOAT, INDEX)
class RealFourier2D(Op):
    """The half spectrum, complex64 [..., h, w // 2 + 1], of the last two dimensions of `tensor`.

    They are cut or filled with zeros to `fft_length` = (h, w) first. Computed in float64, as the reference does.
    """

    def infer(self, tensor: TensorSpec, fft_length: TensorSpec) -> TensorSpec:
        if tensor.rank < 2 or fft_length.shape != (2,):
            raise KernelError(f"RFFT2D got {tensor} and {fft_length}, expected 2 dimensions or more and 2 lengths.")
        if fft_length.value is None:
            return TensorSpec(TensorType.COMPLEX64, None)
        height, width = _lengths(fft_length.value)
        return TensorSpec(TensorType.COMPLEX64, (*shape_of(tensor)[:-2], height, width // 2 + 1))

    def run(self, xp: Any, tensor: Array, fft_length: Array) -> Array:
        lengths = _lengths(known(self.ins[1], fft_length))
        return xp.fft.rfft2(tensor.astype(np.float64), s=lengths, axes=(-2, -1)).astype(np.complex64)


def _lengths(fft_length: np.ndarray) -> tuple[int, int]:
    height, width = dimensions(integers(fft_length), "RFFT2D: fft_length")
    if not height or not width:
        raise KernelError(f"RFFT2D: fft_length is {[height, width]}, expected 1 or more.")
    return height, width

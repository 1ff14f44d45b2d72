"""Images read at places between their pixels: TransformTensorBilinear (MediaPipe), DenseImageWarp (LiteRT)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec
from ..base import FLOAT, Op, op
from ..shared.windows import expect_rank
from .mediapipe import SecondVersion


@op("TransformTensorBilinear", FLOAT, FLOAT, versions=2)
class TransformTensorBilinear(SecondVersion):
    """A crop [1, output_height, output_width, c] of an image [1, h, w, c], whose pixels lie where `transform` [1, 4, 4]
    takes their centres; between pixels it is bilinear, outside of them 0 (MediaPipe: transform_tensor_bilinear.cc).
    """

    output_height: int = 0
    output_width: int = 0

    def infer(self, input: TensorSpec, transform: TensorSpec) -> TensorSpec:
        shape = expect_rank(self.name, "input", input, 4)
        if shape[0] != 1 or 0 in shape or transform.size != 16 or min(self.output_height, self.output_width) < 1:
            raise KernelError(f"{self.name} got {input}, {transform} and {self.attributes}.")
        return TensorSpec(input.type, (1, self.output_height, self.output_width, shape[3]))

    def run(self, xp: Any, input: Array, transform: Array) -> Array:
        matrix, (height, width) = transform.reshape(4, 4), input.shape[1:3]
        grids = np.indices((self.output_height, self.output_width), dtype=np.float32)
        row, column = (xp.asarray(grid) for grid in grids)
        half = np.float32(0.5)
        offset = matrix[:2, 3] + (matrix[:2, 0] * half + matrix[:2, 1] * half - half)
        x, y = (matrix[i, 0] * column + matrix[i, 1] * row + offset[i] for i in (0, 1))
        inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        x, y = xp.where(inside, x, 0), xp.where(inside, y, 0)
        return xp.where(inside[..., None], bilinear(xp, input, 0, y, x), 0)[None]


@op("DenseImageWarp", FLOAT, FLOAT)
class DenseImageWarp(Op):
    """An image [n, h, w, c] whose pixels come from where they are minus `flow` [n, h, w, 2] (y, x), at most its border.

    Between pixels it is bilinear (reference: dense_image_warp.cc).
    """

    def infer(self, input: TensorSpec, flow: TensorSpec) -> TensorSpec:
        shape = expect_rank(self.name, "input", input, 4)
        if flow.shape != (*shape[:3], 2) or min(shape[1:3]) < 2:
            raise KernelError(f"{self.name} got {input} and {flow}, expected [n,h,w,c] and [n,h,w,2], h and w from 2.")
        return TensorSpec(input.type, shape)

    def run(self, xp: Any, input: Array, flow: Array) -> Array:
        batch, height, width, _ = input.shape
        rows, columns = (xp.asarray(grid) for grid in np.indices((height, width), dtype=np.float32))
        y = xp.clip(rows - flow[..., 0], 0, height - 1)
        x = xp.clip(columns - flow[..., 1], 0, width - 1)
        return bilinear(xp, input, xp.arange(batch)[:, None, None], y, x)


def bilinear(xp: Any, image: Array, batch: Any, y: Array, x: Array) -> Array:
    """What lies in images [n, h, w, c] at places within their pixels."""
    top = xp.clip(xp.floor(y), 0, max(image.shape[1] - 2, 0)).astype(np.int32)
    left = xp.clip(xp.floor(x), 0, max(image.shape[2] - 2, 0)).astype(np.int32)
    bottom, right = xp.minimum(top + 1, image.shape[1] - 1), xp.minimum(left + 1, image.shape[2] - 1)
    down, across = (y - top).astype(np.float32)[..., None], (x - left).astype(np.float32)[..., None]
    upper = image[batch, top, left] * (1 - across) + image[batch, top, right] * across
    lower = image[batch, bottom, left] * (1 - across) + image[batch, bottom, right] * across
    return upper * (1 - down) + lower * down

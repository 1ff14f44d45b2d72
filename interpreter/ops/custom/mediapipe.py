"""MediaPipe's transposed convolution, and what its face meshes do with landmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import KernelError
from ...graph import Array, Node, TensorSpec, TensorType
from ..base import FLOAT, Op, Padding, op
from ..conv import scatter
from ..shared.windows import Axes, Axis, expect_rank
from .structs import integers_of, padding_of


@op("Convolution2DTransposeBias", FLOAT, FLOAT, FLOAT)
class Convolution2DTransposeBias(Op):
    """The gradient of a 2-D convolution of [n, h, w, c] with weights [out, h, w, c], plus a bias [out].

    Options: TfLiteTransposeConvParams. The output is the smallest of those that give the input's size with this
    padding (MediaPipe: transpose_conv_bias.cc).
    """

    padding: Padding = Padding.SAME
    stride_w: int = 1
    stride_h: int = 1

    @classmethod
    def read_options(cls, node: Node, where: str) -> Mapping[str, Any]:
        padding, stride_w, stride_h = integers_of(node, 3, where)
        return {"padding": padding_of(padding, node, where), "stride_w": stride_w, "stride_h": stride_h}

    def axes(self, shape: tuple[int, ...], window: tuple[int, ...]) -> Axes:
        """Geometry of the convolution that this is the transpose of, for an input of this shape."""
        steps = zip(shape[1:3], window[1:3], (self.stride_h, self.stride_w), strict=True)
        return tuple(self._axis(*step) for step in steps)

    def _axis(self, size: int, window: int, stride: int) -> Axis:
        if min(size, window, stride) < 1:
            raise KernelError(f"{self.name} got size {size}, window {window} and stride {stride}, expected 1 or more.")
        spare = max(0, window - (size - 1) % stride - 1) if self.padding is Padding.SAME else 0
        whole = stride * (size - 1) + window
        return Axis(whole - spare, window, stride, 1, size, spare // 2, spare - spare // 2)

    def infer(self, input: TensorSpec, weights: TensorSpec, bias: TensorSpec) -> TensorSpec:
        x, w = expect_rank(self.name, "input", input, 4), expect_rank(self.name, "weights", weights, 4)
        if x[3] != w[3] or bias.shape != w[:1]:
            raise KernelError(f"{self.name} got {input}, {weights} and {bias}, expected [n,h,w,c], [o,h,w,c] and [o].")
        sizes = (axis.size for axis in self.axes(x, w))
        return TensorSpec(input.type, (x[0], *sizes, w[0]))

    def run(self, xp: Any, input: Array, weights: Array, bias: Array) -> Array:
        kernel = weights.transpose(1, 2, 3, 0)
        return scatter(xp, input, kernel, self.axes(input.shape, weights.shape), xp.matmul) + bias


class SecondVersion(Op):
    """An operator of which only version 2 is known."""

    def refuses(self, *inputs: Any) -> str | None:
        return f"operator {self.name} version 1 is not supported; version 2 is." if self.version < 2 else None


@op("Landmarks2TransformMatrix", FLOAT, versions=2)
class Landmarks2TransformMatrix(SecondVersion):
    """The transform from pixels of a crop to the image, float32 [1, 4, 4], from landmarks [1, n, 3].

    The crop is the upright box around the landmarks `subset_idxs`, once turned so that the line from landmark
    `left_rotation_idx` to `right_rotation_idx` has the angle `target_rotation_radians`; `scale_x` and `scale_y` widen
    it (MediaPipe: landmarks_to_transform_matrix.cc).
    """

    left_rotation_idx: int = 0
    right_rotation_idx: int = 0
    target_rotation_radians: float = 0.0
    output_height: int = 0
    output_width: int = 0
    scale_x: float = 0.0
    scale_y: float = 0.0
    subset_idxs: Sequence[int] = ()

    def infer(self, landmarks: TensorSpec) -> TensorSpec:
        shape = expect_rank(self.name, "landmarks", landmarks, 3)
        used = (self.left_rotation_idx, self.right_rotation_idx, *self.subset_idxs)
        if shape[0] != 1 or shape[2] != 3 or not self.subset_idxs or not 0 <= min(used) <= max(used) < shape[1]:
            raise KernelError(f"{self.name} got {landmarks} for landmarks {min(used)} to {max(used)}.")
        if min(self.output_height, self.output_width, self.scale_x, self.scale_y) <= 0:
            raise KernelError(f"{self.name} got sizes and scales {self.attributes}, expected positive ones.")
        return TensorSpec(TensorType.FLOAT32, (1, 4, 4))

    def run(self, xp: Any, landmarks: Array) -> Array:
        points = landmarks[0, :, :2]
        line = points[self.right_rotation_idx] - points[self.left_rotation_idx]
        turn = np.float32(self.target_rotation_radians) - xp.arctan2(line[1], line[0])
        cos, sin = xp.cos(turn), xp.sin(turn)
        forth = xp.stack([xp.stack([cos, -sin]), xp.stack([sin, cos])])
        turned = xp.matmul(points[xp.asarray(np.array(self.subset_idxs))], forth.T)
        low, high = turned.min(axis=0), turned.max(axis=0)
        centre = xp.matmul(forth.T, (low + high) / 2)
        scales = xp.asarray(np.array([self.scale_x / self.output_width, self.scale_y / self.output_height], np.float32))
        linear = forth.T * (high - low) * scales
        middle = xp.asarray(np.array([self.output_width / 2, self.output_height / 2], np.float32))
        matrix = xp.zeros((1, 4, 4), np.float32)
        matrix[0, :2, :2], matrix[0, :2, 3] = linear, centre - xp.matmul(linear, middle)
        matrix[0, 2, 2] = matrix[0, 3, 3] = 1
        return matrix


@op("TransformLandmarks", FLOAT, FLOAT, versions=2)
class TransformLandmarks(SecondVersion):
    """Landmarks [1, n, 2 or 3] with x and y moved by a transform [1, 4, 4] (MediaPipe: transform_landmarks.cc)."""

    def infer(self, landmarks: TensorSpec, transform: TensorSpec) -> TensorSpec:
        shape = expect_rank(self.name, "landmarks", landmarks, 3)
        if shape[0] != 1 or shape[2] not in (2, 3) or transform.size != 16:
            raise KernelError(f"{self.name} got {landmarks} and {transform}, expected [1,n,2 or 3] and [1,4,4].")
        return TensorSpec(landmarks.type, shape)

    def run(self, xp: Any, landmarks: Array, transform: Array) -> Array:
        matrix = transform.reshape(4, 4)
        moved = xp.matmul(landmarks[..., :2], matrix[:2, :2].T) + matrix[:2, 3]
        return xp.concatenate([moved, landmarks[..., 2:]], axis=2)

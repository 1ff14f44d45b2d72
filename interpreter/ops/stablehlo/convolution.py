"""STABLEHLO_CONVOLUTION."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ...errors import KernelError
from ...graph import Array, TensorSpec
from ..base import Op, op
from ..conv import correlate
from ..shared.host import shape_of
from ..shared.windows import Axes, Axis
from .dot import FACTORS, product, refuses_factors
from .geometry import check_dimensions, laid_out, laid_out_shape, windows


@op("STABLEHLO_CONVOLUTION", FACTORS)
class StablehloConvolution(Op):
    """Convolution with dimensions in any order; attributes that are left out stand for 1, 0 and false.

    lhs is dilated and bordered, the kernel's spatial dimensions reversed where window_reversal says so. With groups
    each group of input features, or of the batch, meets its own group of output features.
    """

    window_strides: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    lhs_dilation: tuple[int, ...] = ()
    rhs_dilation: tuple[int, ...] = ()
    window_reversal: tuple[bool, ...] = ()
    input_batch_dimension: int = 0
    input_feature_dimension: int = 0
    input_spatial_dimensions: tuple[int, ...] = ()
    kernel_input_feature_dimension: int = 0
    kernel_output_feature_dimension: int = 0
    kernel_spatial_dimensions: tuple[int, ...] = ()
    output_batch_dimension: int = 0
    output_feature_dimension: int = 0
    output_spatial_dimensions: tuple[int, ...] = ()
    feature_group_count: int = 1
    batch_group_count: int = 1
    precision_config: tuple[int, ...] = ()

    def refuses(self, lhs: TensorSpec, rhs: TensorSpec) -> str | None:
        return refuses_factors(self.name, self.outs[0].type, lhs, rhs)

    def infer(self, lhs: TensorSpec, rhs: TensorSpec) -> TensorSpec:
        for what, order in (("input", self._input), ("kernel", self._kernel), ("output", self._output)):
            check_dimensions(self.name, f"{what} dimensions", order, lhs.rank)
            if len(order) != lhs.rank or rhs.rank != lhs.rank:
                raise KernelError(f"{self.name} got {lhs} and {rhs} with {what} dimensions {list(order)}.")
        self._check_lists(lhs.rank - 2)
        batch, *_, features = (shape_of(lhs)[axis] for axis in self._input)
        *_, depth, filters = (shape_of(rhs)[axis] for axis in self._kernel)
        groups, batches = self.feature_group_count, self.batch_group_count
        if min(groups, batches) < 1 or (groups > 1 and batches > 1):
            raise KernelError(f"{self.name} got {groups} feature groups and {batches} batch groups.")
        if features != depth * groups or filters % (groups * batches) or batch % batches:
            raise KernelError(f"{self.name} got {lhs} and {rhs}, which do not fit {groups} feature groups and "
                              f"{batches} batch groups.")  # fmt: skip
        sizes = {axis: w.out for axis, w in zip(self.output_spatial_dimensions, self._axes(lhs, rhs), strict=True)}
        sizes |= {self.output_batch_dimension: batch // batches, self.output_feature_dimension: filters}
        return TensorSpec(self.outs[0].type, tuple(sizes[axis] for axis in range(lhs.rank)))

    def run(self, xp: Any, lhs: Array, rhs: Array) -> Array:
        n, dtype = len(self.input_spatial_dimensions), self.outs[0].dtype
        axes = self._axes(lhs, rhs)
        x, kernel = lhs.transpose(*self._input), rhs.transpose(*self._kernel)
        x = laid_out(xp, x, (1, *self._per_axis(self.lhs_dilation), 1), ((0, 0), *self._borders, (0, 0)), 0)
        backwards = (slice(None, None, -1) if flag else slice(None) for flag in self._reversal)
        kernel = kernel[tuple(backwards)]
        if self.batch_group_count > 1:  # the groups as groups of features: [g n, ..., c] to [n, ..., g c]
            groups, spatial, depth = self.batch_group_count, x.shape[1:-1], x.shape[-1]
            x = x.reshape(groups, -1, *spatial, depth).transpose(*range(1, n + 2), 0, n + 2)
            x = x.reshape(*x.shape[: n + 1], groups * depth)
        if not n:
            x, kernel, axes = x[:, None], kernel[None], (Axis(1, 1, 1, 1, 1, 0, 0),)
        y = correlate(xp, x, kernel, axes, partial(product, xp, dtype=dtype)).astype(dtype)
        if not n:
            y = y[:, 0]
        places = {axis: position for position, axis in enumerate(self._output)}
        return y.transpose(*(places[axis] for axis in range(n + 2)))

    def _check_lists(self, count: int) -> None:
        """Raise KernelError for an attribute that has not one number for each spatial dimension, or makes no sense."""
        for name in ("window_strides", "lhs_dilation", "rhs_dilation", "window_reversal"):
            values = getattr(self, name)
            if len(values) not in (0, count) or (name == "lhs_dilation" and min(values, default=1) < 1):
                raise KernelError(f"{self.name} got {name} {list(values)} for {count} spatial dimensions.")

    @property
    def _input(self) -> tuple[int, ...]:
        return (self.input_batch_dimension, *self.input_spatial_dimensions, self.input_feature_dimension)

    @property
    def _kernel(self) -> tuple[int, ...]:
        features = self.kernel_input_feature_dimension, self.kernel_output_feature_dimension
        return (*self.kernel_spatial_dimensions, *features)

    @property
    def _output(self) -> tuple[int, ...]:
        return (self.output_batch_dimension, *self.output_spatial_dimensions, self.output_feature_dimension)

    @property
    def _borders(self) -> tuple[tuple[int, int], ...]:
        count = len(self.input_spatial_dimensions)
        flat = self.padding or (0,) * (2 * count)
        if len(flat) != 2 * count:
            raise KernelError(f"{self.name} got padding {list(flat)}, expected {2 * count} numbers.")
        return tuple(zip(flat[::2], flat[1::2], strict=True))

    @property
    def _reversal(self) -> tuple[bool, ...]:
        return self.window_reversal or (False,) * len(self.kernel_spatial_dimensions)

    def _per_axis(self, values: Sequence[int]) -> tuple[int, ...]:
        return tuple(values) or (1,) * len(self.input_spatial_dimensions)

    def _axes(self, lhs: Any, rhs: Any) -> Axes:
        """The windows over the dilated and bordered lhs; for specs or arrays."""
        shape = [lhs.shape[axis] for axis in self.input_spatial_dimensions]
        sizes = laid_out_shape(self.name, shape, self._per_axis(self.lhs_dilation), self._borders)
        window = [rhs.shape[axis] for axis in self.kernel_spatial_dimensions]
        strides, dilations = self._per_axis(self.window_strides), self._per_axis(self.rhs_dilation)
        return windows(self.name, sizes, window, strides, dilations)

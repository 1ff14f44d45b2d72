"""Matrix products: FULLY_CONNECTED, BATCH_MATMUL."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec, TensorType
from .base import FLOAT, INT8, INT16, INT32, INT64, PACKED, UINT8, OptionalSpec, Specs, op
from .shared.fixedpoint import round_half_away
from .shared.products import ProductOp, WeightedOp, integer_matmul, quantization, quantize_rows, scale_ratio
from .shared.windows import expect_rank

_SHUFFLED = 1  # weights_format SHUFFLED4x16INT8


@op("FULLY_CONNECTED", FLOAT, FLOAT, FLOAT,
    quantized=(FLOAT | INT8 | UINT8 | INT16, INT8 | UINT8 | INT16 | PACKED, FLOAT | INT32 | INT64),
    versions=14)  # fmt: skip
class FullyConnected(WeightedOp):
    """Rows of the input times the transpose of weights [units, depth], plus a bias (reference: fully_connected.cc).

    Sparse weights are spread over their shape. Of the activation of products with blockwise weights the reference knows
    nothing; here it is applied.
    """

    sparse: ClassVar[frozenset[int]] = frozenset({1})
    takes_blocks: ClassVar[bool] = True

    weights_format: int = 0
    keep_num_dims: bool = False
    asymmetric_quantize_inputs: bool = False
    quantized_bias_type: TensorType = TensorType.FLOAT32

    def refuses(self, *inputs: Any) -> str | None:
        if self.weights_format and not self._is_shuffled:
            return "operator FULLY_CONNECTED takes shuffled weights only if they, and the input, are uint8."
        return super().refuses(*inputs)

    @property
    def _is_shuffled(self) -> bool:
        types = {self.input_spec.type, self.weights_spec.type}
        return self.weights_format == _SHUFFLED and self.is_quantized and types == {TensorType.UINT8}

    def shape(self, input_shape: Sequence[int], weights_shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of the result."""
        units, depth = weights_shape
        if self.keep_num_dims:
            return (*input_shape[:-1], units)
        return (math.prod(input_shape) // depth if depth else math.prod(input_shape[:-1]), units)

    def infer(self, input: TensorSpec, weights: TensorSpec, bias: OptionalSpec = None) -> Specs:
        units, depth = expect_rank(self.name, "weights", weights, 2)
        x = input.shape or ()
        fits = x[-1:] == (depth,) if self.keep_num_dims or not depth else math.prod(x) % depth == 0
        if not fits:
            raise KernelError(f"FULLY_CONNECTED got input of shape {x}, expected rows of {depth} elements.")
        self.check_bias(bias, units)
        result = TensorSpec(self.outs[0].type, self.shape(x, (units, depth)))
        if not self._is_shuffled:
            return result
        if units % 4 or depth % 16 or math.prod(x) // max(depth, 1) not in (1, 4):
            raise KernelError(
                f"FULLY_CONNECTED got input of shape {x} and shuffled weights {(units, depth)}: "
                "expected 1 or 4 rows, and weights in blocks of 4 x 16."
            )
        return result, TensorSpec(TensorType.UINT8, x)

    @property
    def wide(self) -> bool:
        narrow = self.quantized_bias_type is TensorType.INT32 and self.weights_spec.type is not TensorType.INT16
        return super().wide and not narrow

    def steps(self, xp: Any, accumulator: Array) -> Array:
        """Scaled in float64 and rounded once, unlike in the other operators, but for int16 and shuffled weights."""
        if self._is_shuffled or self.weights_spec.type is TensorType.INT16:
            return super().steps(xp, accumulator)
        ratio = self.ratio if isinstance(self.ratio, float) else xp.asarray(self.ratio)
        return round_half_away(xp, accumulator.astype(np.float64) * ratio).astype(np.int32)

    def run(self, xp: Any, input: Array, weights: Array, bias: Array | None = None) -> Array:
        weights = self.dense(xp, weights)
        y = xp.matmul(self._rows(input, weights), weights.T)
        return self.finish(xp, y, bias).reshape(self.shape(input.shape, weights.shape))

    def run_quantized(self, xp: Any, input: Array, weights: Array, bias: Array | None = None) -> Any:
        weights = self.dense(xp, weights)
        if self._is_shuffled:
            return self._run_shuffled(xp, input, weights, bias)
        kernel, rows = self.centred_weights(xp, weights).T, self._rows(input, weights)
        if self.blockwise:
            x, scale = quantize_rows(xp, rows, asymmetric=True)
            y = self.finish(xp, xp.matmul(x, kernel * self._block_scales(xp, weights.shape).T) * scale, bias)
        elif self.hybrid:
            x, scale = quantize_rows(xp, rows, self.asymmetric_quantize_inputs)
            y = self.finish(xp, self.real(xp, self.matmul(xp, x, kernel), scale), bias)
        else:
            y = self.finish_integer(xp, self.matmul(xp, self.centred_input(xp, rows), kernel), bias)
        return y.reshape(self.shape(input.shape, weights.shape))

    def _run_shuffled(self, xp: Any, input: Array, weights: Array, bias: Array | None) -> tuple[Array, Array]:
        """Weights in blocks of 4 x 16, zero points 128 taken off; also what the kernel makes of the input."""
        units, depth = weights.shape
        kernel = weights.view(np.int8).reshape(units // 4, depth // 16, 4, 16).swapaxes(1, 2).reshape(units, depth)
        x = self._rows(input ^ 0x80, weights)
        total = self.matmul(xp, x.view(np.int8).astype(np.float32), kernel.astype(np.float32).T)
        shuffled = x.reshape(len(x), -1, 16).swapaxes(0, 1)
        result = self.finish_integer(xp, total, bias).reshape(self.shape(input.shape, weights.shape))
        return result, xp.ascontiguousarray(shuffled).reshape(input.shape)

    @property
    def blockwise(self) -> bool:
        """Whether each row of the weights has one scale per block of elements."""
        return quantization(self.weights_spec).block_size > 0

    def _block_scales(self, xp: Any, shape: tuple[int, ...]) -> Array:
        """The scale of each element of weights of this shape."""
        parameters = quantization(self.weights_spec)
        return xp.asarray(np.repeat(parameters.scales, parameters.block_size).reshape(shape))

    def _rows(self, input: Array, weights: Array) -> Array:
        rows = math.prod(self.shape(input.shape, weights.shape)[:-1])
        return input.reshape(rows, weights.shape[1])


_PAIRS = {
    (TensorType.FLOAT32, TensorType.FLOAT32): (TensorType.FLOAT32,),
    (TensorType.FLOAT32, TensorType.INT8): (TensorType.FLOAT32,),
    (TensorType.INT8, TensorType.INT8): (TensorType.INT8, TensorType.INT32),
    (TensorType.INT16, TensorType.INT8): (TensorType.INT16,),
    (TensorType.INT16, TensorType.INT16): (TensorType.INT16,),
}


@op("BATCH_MATMUL", FLOAT | INT8, FLOAT | INT8, quantized=(FLOAT | INT8 | INT16, INT8 | INT16), versions=4)
class BatchMatMul(ProductOp):
    """Products of the last two dimensions, the leading ones broadcast (reference: batch_matmul.cc).

    With float32 times int8 each row has a scale of its own. The reference mixes the scales up where there is more than
    one batch dimension.
    """

    adj_x: bool = False
    adj_y: bool = False
    asymmetric_quantize_inputs: bool = False

    def refuses(self, x: TensorSpec, y: TensorSpec) -> str | None:
        outputs = _PAIRS.get((x.type, y.type), ())
        if not outputs:
            return self.mismatch(x, y, "second operand")
        if self.outs[0].type not in outputs:
            return self.mismatch(x, self.outs[0], "output")
        return None if self.outs[0].type is TensorType.INT32 else self.refusal_of(x, y)

    def infer(self, x: TensorSpec, y: TensorSpec) -> TensorSpec:
        if not (2 <= x.rank <= 5 and 2 <= y.rank <= 5):
            raise KernelError(f"BATCH_MATMUL got {x.rank} and {y.rank} dimensions, expected 2 to 5.")
        left, right = _adjoint_shape(x, self.adj_x), _adjoint_shape(y, self.adj_y)
        if left[-1] != right[-2]:
            raise KernelError(f"BATCH_MATMUL got matrices of {left[-2:]} and {right[-2:]}, which do not fit.")
        try:
            batch = np.broadcast_shapes(left[:-2], right[:-2])
        except ValueError as error:
            raise KernelError(f"BATCH_MATMUL got batches of {left[:-2]} and {right[:-2]}, which do not fit.") from error
        return TensorSpec(self.outs[0].type, (*batch, left[-2], right[-1]))

    @cached_property
    def ratio(self) -> Any:
        """The reference reads a per-tensor scale, which is 0 for per-channel operands."""
        per_channel = quantization(self.weights_spec).per_channel
        return 0.0 if per_channel else scale_ratio(self.input_spec, self.weights_spec, self.outs[0], rounded=True)

    def run(self, xp: Any, x: Array, y: Array) -> Array:
        left, right = _adjoint(x, self.adj_x), _adjoint(y, self.adj_y)
        if x.dtype == np.int8:
            return integer_matmul(xp, left.astype(np.float32), right.astype(np.float32), 1 << 14)
        return xp.matmul(left, right)

    def run_quantized(self, xp: Any, x: Array, y: Array) -> Array:
        if self.outs[0].type is TensorType.INT32:
            return self.run(xp, x, y)
        left, right = _adjoint(x, self.adj_x), self.centred_weights(xp, _adjoint(y, self.adj_y))
        if not self.hybrid:
            return self.stored(xp, self.matmul(xp, self.centred_input(xp, left), right))
        rows, scale = quantize_rows(xp, left.reshape(-1, left.shape[-1]), self.asymmetric_quantize_inputs)
        return self.real(xp, self.matmul(xp, rows.reshape(left.shape), right), scale.reshape(*left.shape[:-1], 1))


def _adjoint(x: Array, wanted: bool) -> Array:
    return x.swapaxes(-1, -2) if wanted else x


def _adjoint_shape(spec: TensorSpec, wanted: bool) -> tuple[int, ...]:
    assert spec.shape is not None
    *batch, rows, columns = spec.shape
    return (*batch, columns, rows) if wanted else (*batch, rows, columns)

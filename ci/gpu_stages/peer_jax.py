"""Networks in JAX, compiled by jax.jit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tflite_cupy.interpreter.graph import Graph

from .clock import on_host
from .peer_walk import Network, Pads

MULTIPLIED_IN = {"strict": "float32", "tf32": "tensorfloat32", "fp16": "default"}
"""As jax.default_matmul_precision names them."""


class Jax:
    """Images are [n, h, w, c]."""

    def __init__(self, precision: str) -> None:
        self.dtype = jnp.float16 if precision == "fp16" else jnp.float32

    def constant(self, value: np.ndarray) -> Any:
        return jnp.asarray(value, self.dtype)

    def real(self, x: Any) -> Any:
        return x.astype(self.dtype)

    def filters(self, value: np.ndarray) -> Any:
        return self.constant(value)

    def depthwise_filters(self, value: np.ndarray) -> Any:
        return self.constant(value)

    def conv(self, x: Any, filters: Any, bias: Any, strides: tuple[int, int], pads: Pads) -> Any:
        return lax.conv_general_dilated(x, filters, strides, pads, dimension_numbers=("NHWC", "OHWI", "NHWC")) + bias

    def depthwise(self, x: Any, filters: Any, bias: Any, strides: tuple[int, int], pads: Pads) -> Any:
        layout, channels = ("NHWC", "IHWO", "NHWC"), x.shape[3]
        product = lax.conv_general_dilated(
            x, filters, strides, pads, dimension_numbers=layout, feature_group_count=channels
        )
        return product + bias

    def dense(self, x: Any, weights: Any, bias: Any) -> Any:
        return x @ weights.T + bias

    def pad(self, x: Any, widths: Sequence[Sequence[int]]) -> Any:
        return jnp.pad(x, widths)

    def max_pool(self, x: Any, size: tuple[int, int], strides: tuple[int, int]) -> Any:
        least = np.array(-np.inf, x.dtype)
        return lax.reduce_window(x, least, lax.max, (1, *size, 1), (1, *strides, 1), "VALID")

    def mean(self, x: Any, axes: tuple[int, ...], keep: bool) -> Any:
        return x.mean(axes, keepdims=keep)

    def transpose(self, x: Any, axes: tuple[int, ...]) -> Any:
        return x.transpose(axes)

    def clamp(self, x: Any, low: float, high: float | None) -> Any:
        return jnp.clip(x, low, high)

    def softmax(self, x: Any) -> Any:
        return jax.nn.softmax(x, axis=-1)

    def logistic(self, x: Any) -> Any:
        return jax.nn.sigmoid(x)

    def gelu(self, x: Any) -> Any:
        return jax.nn.gelu(x, approximate=True)

    def rsqrt(self, x: Any) -> Any:
        return lax.rsqrt(x)

    def rows(self, table: Any, indices: Any) -> Any:
        return table[indices]


def put(array: np.ndarray, precision: str) -> Any:
    there = jax.device_put(array)
    return there.astype(jnp.float16) if precision == "fp16" and array.dtype.kind == "f" else there


def get(result: Any) -> np.ndarray:
    return np.asarray(result, np.float32)


def jitted(graph: Graph, precision: str, example: Sequence[Any]) -> Callable[[Sequence[Any]], Any]:
    network = Network(graph, Jax(precision))
    with jax.default_matmul_precision(MULTIPLIED_IN[precision]):
        compiled = jax.jit(network).lower(network.constants, list(example)).compile()
    return lambda inputs: compiled(network.constants, list(inputs))


def milliseconds(run: Callable[[], Any]) -> float:
    """By the clock, to the end of its work: JAX has no events."""
    return on_host(lambda: run().block_until_ready())


PEERS: Mapping[str, Callable[[Graph, str, Sequence[Any]], Callable[[Sequence[Any]], Any]]] = {"jax.jit": jitted}

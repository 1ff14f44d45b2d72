"""A network's nodes as calls of another library: what torch and JAX share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tflite_cupy.interpreter.graph import Graph, Node
from tflite_cupy.interpreter.ops.base import Activation, Padding

Pads = tuple[tuple[int, int], tuple[int, int]]


class Library(Protocol):
    """What a library does on arrays of its own; images are [n, h, w, c]."""

    def constant(self, value: np.ndarray) -> Any:
        """A float32 constant on the device, in the precision asked for."""

    def real(self, x: Any) -> Any:
        """Integers as floating-point numbers of that precision."""

    def filters(self, value: np.ndarray) -> Any:
        """The same for the filters [out, h, w, in] of `conv`, as it takes them."""

    def depthwise_filters(self, value: np.ndarray) -> Any:
        """The same for the filters [1, h, w, c] of `depthwise`."""

    def conv(self, x: Any, filters: Any, bias: Any, strides: tuple[int, int], pads: Pads) -> Any: ...
    def depthwise(self, x: Any, filters: Any, bias: Any, strides: tuple[int, int], pads: Pads) -> Any: ...

    def dense(self, x: Any, weights: Any, bias: Any) -> Any:
        """weights: [out, in]."""

    def pad(self, x: Any, widths: Sequence[Sequence[int]]) -> Any: ...
    def max_pool(self, x: Any, size: tuple[int, int], strides: tuple[int, int]) -> Any: ...
    def mean(self, x: Any, axes: tuple[int, ...], keep: bool) -> Any: ...
    def transpose(self, x: Any, axes: tuple[int, ...]) -> Any: ...
    def clamp(self, x: Any, low: float, high: float | None) -> Any: ...
    def softmax(self, x: Any) -> Any: ...
    def logistic(self, x: Any) -> Any: ...
    def gelu(self, x: Any) -> Any:
        """The approximation by tanh."""

    def rsqrt(self, x: Any) -> Any: ...
    def rows(self, table: Any, indices: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Step:
    """A node and its operands: arrays of the library, and the constants among them as they are."""

    node: Node
    x: Sequence[Any]
    known: Sequence[np.ndarray | None]

    def __getitem__(self, name: str) -> Any:
        return self.node.attributes[name]

    def ints(self, position: int) -> tuple[int, ...]:
        value = self.known[position]
        assert value is not None, f"{self.node} needs a constant"
        return tuple(int(n) for n in value.reshape(-1))

    @property
    def strides(self) -> tuple[int, int]:
        return self["stride_h"], self["stride_w"]

    def pads(self, size: Sequence[int], window: Sequence[int]) -> Pads:
        """Rows and columns to be added before and after."""
        if self["padding"] is Padding.VALID:
            return (0, 0), (0, 0)
        totals = [max((-(-n // s) - 1) * s + w - n, 0) for n, w, s in zip(size, window, self.strides, strict=True)]
        rows, columns = ((n // 2, n - n // 2) for n in totals)
        return rows, columns


def _conv(lib: Library, s: Step) -> Any:
    pads = s.pads(s.x[0].shape[1:3], _known(s, 1).shape[1:3])
    x, weights, bias = s.x
    return lib.conv(x, weights, bias, s.strides, pads)


def _depthwise(lib: Library, s: Step) -> Any:
    pads = s.pads(s.x[0].shape[1:3], _known(s, 1).shape[1:3])
    x, weights, bias = s.x
    return lib.depthwise(x, weights, bias, s.strides, pads)


def _known(s: Step, position: int) -> np.ndarray:
    value = s.known[position]
    assert value is not None
    return value


def _mean(lib: Library, s: Step) -> Any:
    return lib.mean(s.x[0], s.ints(1), s["keep_dims"])


def _product(lib: Library, s: Step) -> Any:
    a, b = s.x
    axes = (*range(len(b.shape) - 2), len(b.shape) - 1, len(b.shape) - 2)
    return a @ (lib.transpose(b, axes) if s["adj_y"] else b)


NODES: Mapping[str, Callable[[Library, Step], Any]] = {
    "ADD": lambda lib, s: s.x[0] + s.x[1],
    "SUB": lambda lib, s: s.x[0] - s.x[1],
    "MUL": lambda lib, s: s.x[0] * s.x[1],
    "SQUARED_DIFFERENCE": lambda lib, s: (s.x[0] - s.x[1]) * (s.x[0] - s.x[1]),
    "RSQRT": lambda lib, s: lib.rsqrt(s.x[0]),
    "LOGISTIC": lambda lib, s: lib.logistic(s.x[0]),
    "GELU": lambda lib, s: lib.gelu(s.x[0]),
    "SOFTMAX": lambda lib, s: lib.softmax(s.x[0]),
    "CAST": lambda lib, s: lib.real(s.x[0]),
    "MEAN": _mean,
    "RESHAPE": lambda lib, s: s.x[0].reshape(s.ints(1)),
    "TRANSPOSE": lambda lib, s: lib.transpose(s.x[0], s.ints(1)),
    "GATHER": lambda lib, s: lib.rows(*s.x),
    "PAD": lambda lib, s: lib.pad(s.x[0], _known(s, 1).tolist()),
    "MAX_POOL_2D": lambda lib, s: lib.max_pool(s.x[0], (s["filter_height"], s["filter_width"]), s.strides),
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": lambda lib, s: lib.dense(*s.x),
    "BATCH_MATMUL": _product,
}
BOUNDS = {Activation.RELU: (0.0, None), Activation.RELU6: (0.0, 6.0)}


class Network:
    """A graph of float32 as a function of the library's arrays."""

    def __init__(self, graph: Graph, library: Library) -> None:
        """Raises KeyError for a node that `NODES` does not have."""
        self._graph, self._library = graph, library
        self._run = [NODES[node.name] for node in graph.nodes]
        makers = {"CONV_2D": library.filters, "DEPTHWISE_CONV_2D": library.depthwise_filters}
        filters = {node.inputs[1]: makers[node.name] for node in graph.nodes if node.name in makers}
        self.constants = {
            index: filters.get(index, library.constant)(tensor.data)
            for index, tensor in enumerate(graph.tensors)
            if tensor.data is not None and tensor.data.dtype == np.float32
        }

    def __call__(self, constants: Mapping[int, Any], inputs: Sequence[Any]) -> Any:
        """The graph's output; `constants` are this network's own, perhaps traced."""
        values = dict(zip(self._graph.inputs, inputs, strict=True)) | dict(constants)
        tensors = self._graph.tensors
        for node, run in zip(self._graph.nodes, self._run, strict=True):
            step = Step(node, [values[i] for i in node.inputs if i in values], [tensors[i].data for i in node.inputs])
            result = run(self._library, step)
            bounds = BOUNDS.get(node.attributes.get("fused_activation_function", Activation.NONE))
            values[node.outputs[0]] = result if bounds is None else self._library.clamp(result, *bounds)
        return values[self._graph.outputs[0]]

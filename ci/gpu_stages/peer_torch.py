"""Networks in torch: eager, as a CUDA graph, and compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tflite_cupy.interpreter.graph import Graph

from .peer_walk import Network, Pads

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Torch:
    """Images stay [n, h, w, c] in memory, which torch calls channels_last."""

    def __init__(self, precision: str) -> None:
        self.dtype = torch.float16 if precision == "fp16" else torch.float32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.benchmark = True

    def constant(self, value: np.ndarray) -> Any:
        return torch.tensor(value, dtype=self.dtype, device=DEVICE)

    def real(self, x: Any) -> Any:
        return x.to(self.dtype)

    def filters(self, value: np.ndarray) -> Any:
        return self.constant(value).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

    def depthwise_filters(self, value: np.ndarray) -> Any:
        return self.constant(value).permute(3, 0, 1, 2).contiguous(memory_format=torch.channels_last)

    def conv(self, x: Any, filters: Any, bias: Any, strides: tuple[int, int], pads: Pads) -> Any:
        return self._conv(x, filters, bias, strides, pads, 1)

    def depthwise(self, x: Any, filters: Any, bias: Any, strides: tuple[int, int], pads: Pads) -> Any:
        return self._conv(x, filters, bias, strides, pads, x.shape[3])

    def _conv(self, x: Any, filters: Any, bias: Any, strides: tuple[int, int], pads: Pads, groups: int) -> Any:
        image = x.permute(0, 3, 1, 2)
        (top, bottom), (left, right) = pads
        if (top, left) != (bottom, right):
            image, top, left = F.pad(image, (left, right, top, bottom)), 0, 0
        return F.conv2d(image, filters, bias, strides, (top, left), groups=groups).permute(0, 2, 3, 1)

    def dense(self, x: Any, weights: Any, bias: Any) -> Any:
        return F.linear(x, weights, bias)

    def pad(self, x: Any, widths: Sequence[Sequence[int]]) -> Any:
        return F.pad(x, [n for pair in reversed(widths) for n in pair])

    def max_pool(self, x: Any, size: tuple[int, int], strides: tuple[int, int]) -> Any:
        return F.max_pool2d(x.permute(0, 3, 1, 2), size, strides).permute(0, 2, 3, 1)

    def mean(self, x: Any, axes: tuple[int, ...], keep: bool) -> Any:
        return x.mean(axes, keepdim=keep)

    def transpose(self, x: Any, axes: tuple[int, ...]) -> Any:
        return x.permute(axes)

    def clamp(self, x: Any, low: float, high: float | None) -> Any:
        return torch.clamp(x, low, high)

    def softmax(self, x: Any) -> Any:
        return torch.softmax(x, -1)

    def logistic(self, x: Any) -> Any:
        return torch.sigmoid(x)

    def gelu(self, x: Any) -> Any:
        return F.gelu(x, approximate="tanh")

    def rsqrt(self, x: Any) -> Any:
        return torch.rsqrt(x)

    def rows(self, table: Any, indices: Any) -> Any:
        return F.embedding(indices, table)


def put(array: np.ndarray, precision: str) -> Any:
    tensor = torch.from_numpy(array).to(DEVICE)
    return tensor.half() if precision == "fp16" and tensor.is_floating_point() else tensor


def get(result: Any) -> np.ndarray:
    found: np.ndarray = result.float().cpu().numpy()
    return found


def eager(graph: Graph, precision: str, example: Sequence[Any]) -> Callable[[Sequence[Any]], Any]:
    network = Network(graph, Torch(precision))
    return _without_gradients(lambda inputs: network(network.constants, inputs))


def captured(graph: Graph, precision: str, example: Sequence[Any]) -> Callable[[Sequence[Any]], Any]:
    """As a CUDA graph; inputs are copied to where it reads them."""
    run, held = eager(graph, precision, example), [x.clone() for x in example]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run(held)
    torch.cuda.current_stream().wait_stream(side)
    recorded = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recorded):
        result = run(held)

    def replay(inputs: Sequence[Any]) -> Any:
        for target, source in zip(held, inputs, strict=True):
            target.copy_(source)
        recorded.replay()
        return result

    return replay


def compiled(graph: Graph, precision: str, example: Sequence[Any]) -> Callable[[Sequence[Any]], Any]:
    """By torch.compile(mode="max-autotune"), from the operators that a run of the eager network calls."""
    from torch.fx.experimental.proxy_tensor import make_fx

    run = eager(graph, precision, example)
    traced = torch.compile(make_fx(lambda *inputs: run(inputs))(*example), mode="max-autotune")
    return _without_gradients(lambda inputs: traced(*inputs))


def _without_gradients(run: Callable[[Sequence[Any]], Any]) -> Callable[[Sequence[Any]], Any]:
    def inside(inputs: Sequence[Any]) -> Any:
        with torch.inference_mode(False), torch.no_grad():
            return run(inputs)

    return inside


def milliseconds(run: Callable[[], Any]) -> float:
    """By events, from when the device has nothing else to do."""
    start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    run()
    stop.record()
    stop.synchronize()
    return float(start.elapsed_time(stop))


PEERS: Mapping[str, Callable[[Graph, str, Sequence[Any]], Callable[[Sequence[Any]], Any]]] = {
    "torch eager": eager,
    "torch graph": captured,
    "torch.compile": compiled,
}

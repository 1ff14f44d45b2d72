"""Two small layers of integers in a row on the emulated GPU: the bits of the bodies."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.build import GraphBuilder
from tests.delegates.gpu.checks import check, noise
from tests.delegates.gpu.test_quantized_products import PLAIN
from tflite_cupy.interpreter.graph import Graph, Quantization, TensorType
from tflite_cupy.interpreter.ops.base import Activation

INT8, UINT8 = TensorType.INT8, TensorType.UINT8


class Excite(NamedTuple):
    """Images, and the layers on the means of their channels."""

    image: tuple[int, int, int, int]
    units: int
    kind: TensorType = INT8
    swish: bool = False
    dense: bool = False
    flat: bool = False  # means without the dimensions over which they are taken
    weights_zero: int = 0

    @property
    def zero(self) -> int:
        return 120 if self.kind is UINT8 else -7


class Layers:
    """Builds one."""

    def __init__(self, of: Excite) -> None:
        self.of, self.b = of, GraphBuilder()

    def made(self, shape: tuple[int, ...], scale: float, zero: int | None = None) -> int:
        zero = self.of.zero if zero is None else zero
        return self.b.tensor(self.of.kind, shape, q=Quantization(np.float32([scale]), np.int64([zero])))

    def layer(self, x: int, depth: int, units: int, scale: float, seed: int, activation: Activation) -> int:
        rows, one = self.of.image[0], () if self.of.dense else (1, 1)
        values = noise(units, *one, depth, seed=seed, dtype=self.of.kind.dtype)
        scales = np.float32([0.002]) if self.of.kind is UINT8 or self.of.dense else np.linspace(1e-3, 3e-3, units)
        zeros = np.full(len(scales), self.of.weights_zero, np.int64)
        weights = self.b.constant(values, q=Quantization(np.float32(scales), zeros))
        biases = np.random.default_rng(seed).integers(-500, 500, units).astype(np.int32)
        bias = self.b.constant(biases, q=Quantization(np.float32(scales * 0.02), np.zeros(len(scales), np.int64)))
        out = self.made((rows, *one, units), scale)
        name, options = ("FULLY_CONNECTED", {}) if self.of.dense else ("CONV_2D", PLAIN)
        self.b.op(name, [x, weights, bias], [out], **options, fused_activation_function=activation)
        return out

    def graph(self) -> Graph:
        of, b = self.of, self.b
        rows, *_, depth = of.image
        q = Quantization(np.float32([0.02]), np.int64([of.zero]))
        image = b.input(of.kind, of.image, q=q)
        squeezed = self.made((rows, depth) if of.flat or of.dense else (rows, 1, 1, depth), 0.02)
        keeps = not (of.flat or of.dense)
        b.op("MEAN", [image, b.constant(np.int32([1, 2]))], [squeezed], keep_dims=keeps)
        if of.flat:
            shape = b.constant(np.int32([rows, 1, 1, depth]))
            given, squeezed = squeezed, self.made((rows, 1, 1, depth), 0.02)
            b.op("RESHAPE", [given, shape], [squeezed])
        relu = Activation.NONE if of.swish else Activation.RELU
        hidden = self.layer(squeezed, depth, of.units, 0.02, 1, relu)
        if of.swish:
            limit = {UINT8: 0, INT8: -128}[of.kind]
            gate, product = self.made((rows, 1, 1, of.units), 1 / 256, limit), self.made((rows, 1, 1, of.units), 0.02)
            b.op("LOGISTIC", [hidden], [gate])
            b.op("MUL", [hidden, gate], [product])
            hidden = product
        gate = self.layer(hidden, of.units, depth, 0.02, 2, Activation.RELU6)
        out = self.made((rows, depth) if of.dense else (rows, 1, 1, depth), 0.01)
        b.op("HARD_SWISH", [gate], [out])
        return b.graph([out])


CASES = {
    "aligned": Excite((1, 5, 6, 24), 8),
    "odd sizes": Excite((2, 5, 3, 37), 9),
    "swish": Excite((1, 4, 4, 40), 10, swish=True),
    "uint8": Excite((1, 6, 5, 20), 6, UINT8, weights_zero=131),
    "dense": Excite((3, 4, 4, 33), 12, dense=True),
    "several blocks": Excite((1, 7, 7, 300), 70, flat=True),
}


@pytest.mark.parametrize("of", CASES.values(), ids=CASES)
def test_means_and_layers_are_one_launch(of: Excite) -> None:
    images = noise(*of.image, dtype=of.kind.dtype)
    check(Layers(of).graph(), [images], launches=1)


def test_the_means_of_large_images_are_made_before() -> None:
    of = Excite((1, 72, 61, 32), 8)
    check(Layers(of).graph(), [noise(*of.image, dtype=np.int8)], launches=2)


def test_a_hidden_layer_that_others_read_stays() -> None:
    built = Layers(Excite((1, 4, 4, 16), 4))
    graph = built.graph()
    hidden: Any = graph.nodes[1].outputs[0]
    check(built.b.graph([*graph.outputs, hidden]), [noise(1, 4, 4, 16, dtype=np.int8)], launches=3)

"""GPU programs on the emulated device: what runs, how often, and with what results."""

from __future__ import annotations

import numpy as np

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model
from tests.emulator.device import EmulatedGpuDelegate


def test_elementwise_nodes_become_one_launch() -> None:
    b = GraphBuilder()
    x, y = b.input(F32, [2, 3, 4]), b.input(F32, [3, 1])
    total = b.add("ADD", [x, y], [2, 3, 4], fused_activation_function=1)
    product = b.add("MUL", [total, b.constant(np.arange(4), np.float32)], [2, 3, 4])
    content = lite.write_model(model(b.graph([b.add("SUB", [product, total], [2, 3, 4])])))
    delegate = EmulatedGpuDelegate()
    interpreter = lite.Interpreter(model_content=content, device="cpu", delegates=[delegate])
    a, c = np.linspace(-3, 3, 24, dtype=np.float32).reshape(2, 3, 4), np.float32([[-1], [0], [1]])
    for turn in range(1, 5):
        interpreter.allocate_tensors()
        for detail, value in zip(interpreter.get_input_details(), (a, c), strict=True):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        (out,) = interpreter.get_output_details()
        s = np.maximum(a + c, 0)
        np.testing.assert_array_equal(interpreter.get_tensor(out["index"]), s * np.arange(4, dtype=np.float32) - s)
        assert delegate.device.launches == turn
    assert delegate.device.replays == 3

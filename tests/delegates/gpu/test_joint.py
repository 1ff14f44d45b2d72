"""Layers side by side as one launch, and what a transformer comes to."""

from __future__ import annotations

from collections import Counter

import pytest
from networks import bert

import tflite_cupy as lite
from tests.build import F32, GraphBuilder
from tests.delegates.gpu.checks import check, noise
from tflite_cupy.delegates.gpu import Planned, PlannedGpuDelegate
from tflite_cupy.interpreter.runtime.delegate import Executable, Partition


class Planner(PlannedGpuDelegate):
    """Remembers the kernels that its listings launch."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[str] = []
        self.array_steps = 0

    def compile(self, partition: Partition) -> Executable:
        planned = super().compile(partition)
        assert isinstance(planned, Planned)
        self.entries += [step.kernel.entry for step in planned.listing.steps if hasattr(step, "kernel")]
        self.array_steps += len(planned.listing.array_steps)
        return planned


def layers(b: GraphBuilder, rows: int, activation: int = 0, *, bias: bool = True) -> list[int]:
    """Results of three layers of one input."""
    x, results = b.input(F32, [rows, 12]), []
    for i in range(3):
        weights = b.constant(noise(8, 12, seed=i))
        offset = b.constant(noise(8, seed=5 + i)) if bias else -1
        operands, options = [x, weights, offset], {"fused_activation_function": activation}
        results.append(b.add("FULLY_CONNECTED", operands, [rows, 8], **options))
    return results


@pytest.mark.parametrize("rows", [1, 3, 20])
def test_layers_of_one_input_are_one_launch(rows: int) -> None:
    b = GraphBuilder()
    outputs = layers(b, rows)
    check(b.graph([*outputs[:2], b.add("SOFTMAX", [outputs[2]], beta=1.0)]), [noise(rows, 12, seed=9)], launches=2)


def test_layers_without_bias_that_feed_each_other() -> None:
    b = GraphBuilder()
    outputs = layers(b, 6, 1, bias=False)
    product = b.add("BATCH_MATMUL", [outputs[0], outputs[1]], [6, 6], adj_y=True)
    check(b.graph([b.add("BATCH_MATMUL", [product, outputs[2]], [6, 8])]), [noise(6, 12, seed=9)], launches=3)


def test_a_layer_whose_result_a_tail_takes_stays_apart() -> None:
    b = GraphBuilder()
    outputs = layers(b, 6)
    check(b.graph([*outputs[:2], b.add("ADD", [outputs[2], outputs[0]])]), [noise(6, 12, seed=9)], launches=2)


def test_a_layer_of_a_transformer_takes_seven_launches() -> None:
    planner = Planner()
    content = lite.write_model(bert(layers=2, width=64, heads=4, tokens=32, words=50))
    lite.Interpreter(model_content=content, device="cpu", delegates=[planner]).allocate_tensors()
    counts = Counter(planner.entries)
    assert planner.array_steps == 0
    assert counts["attention_tensor"] == 2
    assert counts["gemm"] == 2 * 4
    assert counts["layer_norm"] == 1 + 2 * 2
    assert len(planner.entries) <= 4 + 2 * 7

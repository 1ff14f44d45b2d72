"""Elements read and written at indices, and what comes of bad ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, I32, GraphBuilder, model
from tests.delegates.gpu.checks import check, noise
from tests.emulator.device import EmulatedGpuDelegate
from tests.ops.harness import Case, const, q
from tflite_cupy.delegates.gpu import PlannedGpuDelegate
from tflite_cupy.delegates.gpu.listing import Launch
from tflite_cupy.interpreter.errors import KernelError
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.runtime.delegate import Executable, Partition


@pytest.mark.parametrize(
    ("shape", "indices", "axis", "batch"),
    [
        ((7, 8), [0, 6, 6, 3], 0, 0),
        ((2, 5, 3), [[4, 0], [1, 1]], 1, 0),
        ((4, 5), [2], -1, 0),
        ((2, 3, 6, 4), [[5, 0], [2, 2]], 2, 1),
    ],
)
def test_gather(shape: tuple[int, ...], indices: Any, axis: int, batch: int) -> None:
    attributes = {"axis": axis, "batch_dims": batch}
    for dtype in (np.int32, np.int64):
        check(Case("GATHER", [noise(*shape), np.array(indices, dtype)], attributes), launches=1, apart=False)
    check(Case("GATHER", [noise(*shape), const(np.int32(indices))], attributes), launches=1, apart=False)


def test_embedding_lookup() -> None:
    ids, table = np.int32([3, 0, 3]), noise(4, 2, 6, dtype=np.int8)
    real = [TensorType.FLOAT32]
    check(Case("EMBEDDING_LOOKUP", [ids, noise(4, 8)], outputs=real), launches=1)
    for scales in ([0.5], [0.5, 0.25, 0.125, 2.0]):
        check(Case("EMBEDDING_LOOKUP", [ids, q(table, scales)], outputs=real), launches=1, apart=False)


def test_a_slice_that_begins_where_the_call_says() -> None:
    for shape, size, begin in (([4, 6, 8], [2, 3, 8], [2, 1, 0]), ([3, 5], [3, 2], [0, 3]), ([9], [4], [5])):
        b = GraphBuilder()
        x, start = b.input(F32, shape), b.input(I32, [len(shape)])
        y = b.add("SLICE", [x, start, b.constant(np.int32(size))], size)
        check(b.graph([b.add("NEG", [y])]), [noise(*shape), np.int32(begin)], launches=1)
        check(b.graph([y]), [noise(*shape), np.int32(begin)], launches=1, apart=False)


def test_a_tail_works_on_gathered_elements() -> None:
    b = GraphBuilder()
    x, i = b.input(F32, [10, 8]), b.input(I32, [5])
    y = b.add("GATHER", [x, i], [5, 8], axis=0, batch_dims=0)
    check(b.graph([b.add("ADD", [y, b.constant(noise(8))])]), [noise(10, 8), np.int32([3, 1, 4, 1, 5])], launches=1)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.float16])
def test_gather_nd(dtype: Any) -> None:
    x = noise(4, 5, 6, dtype=dtype)
    for indices in ([[3, 4], [0, 0]], [[[1], [2]], [[0], [3]]], [[1, 2, 3]]):
        case = Case("GATHER_ND", [x, np.int32(indices)], outputs=[TensorType.of(x.dtype)])
        check(case, launches=1, apart=False)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int8, np.bool_])
def test_scatter_nd(dtype: Any) -> None:
    indices, updates = np.int32([[4], [1], [4], [7]]), noise(4, 3, dtype=dtype)
    case = Case("SCATTER_ND", [indices, updates, const(np.int32([8, 3]))], outputs=[TensorType.of(updates.dtype)])
    check(case, launches=1, apart=False)
    pairs = np.int32([[1, 2], [0, 0]])
    case = Case(
        "SCATTER_ND", [pairs, updates[:2, 0].copy(), const(np.int32([2, 3]))], outputs=[TensorType.of(updates.dtype)]
    )
    check(case, launches=1, apart=False)


@pytest.mark.parametrize("starts", [(1, 2, 0), (-5, 9, 9), (0, 0, 0)])
def test_dynamic_update_slice(starts: tuple[int, ...]) -> None:
    for box in ((1, 2, 8), (3, 1, 3)):
        operands = [noise(3, 5, 8), noise(*box, seed=1), np.int32(starts)]
        check(Case("DYNAMIC_UPDATE_SLICE", operands), launches=1, apart=False)


def test_a_tensor_that_nobody_else_needs_is_updated_in_place() -> None:
    for others in (False, True):
        b = GraphBuilder()
        x, box, starts = b.input(F32, [6, 4, 8]), b.input(F32, [2, 1, 8]), b.input(I32, [3])
        made = b.add("NEG", [x])
        y = b.add("DYNAMIC_UPDATE_SLICE", [made, box, starts])
        graph = b.graph([b.add("EXP", [b.add("CUMSUM", [y, b.constant(np.int32(0))])]), *([made] if others else [])])
        delegate = Entries()
        lite.Interpreter(
            model_content=lite.write_model(model(graph)), device="cpu", delegates=[delegate]
        ).allocate_tensors()
        assert ("placed" in delegate.entries) != others
        check(graph, [noise(6, 4, 8), noise(2, 1, 8, seed=1), np.int32([1, 9, 0])])


@pytest.mark.parametrize("reads_again", [False, True])
def test_a_donated_tensor_is_updated_again_and_again(reads_again: bool) -> None:
    """As the layers of a decoder write to one cache, each reading what is there; or after all the old value is read."""
    b = GraphBuilder("write")
    cache, box = b.input(F32, [2, 4, 8], "cache"), b.input(F32, [1, 1, 8], "box")
    first = b.add("DYNAMIC_UPDATE_SLICE", [cache, box, b.constant(np.int32([0, 2, 0]))])
    row = b.add("SLICE", [first, b.constant(np.int32([0, 2, 0])), b.constant(np.int32([1, 1, 8]))], [1, 1, 8])
    last = b.add("DYNAMIC_UPDATE_SLICE", [first, b.add("NEG", [row]), b.constant(np.int32([1, 3, 0]))])
    outs = {"cache": last, **({"old": b.add("EXP", [first])} if reads_again else {})}
    content = lite.write_model(
        model(b.graph([*outs.values()]), signatures={"write": (0, {"cache": cache, "box": box}, outs)})
    )
    delegate = EmulatedGpuDelegate()
    runner = lite.Interpreter(model_content=content, device="cpu", delegates=[delegate]).get_signature_runner("write")
    values = {"cache": noise(2, 4, 8), "box": noise(1, 1, 8, seed=1)}
    expected = lite.Interpreter(model_content=content, device="cpu").get_signature_runner("write")(**values)
    given = {name: delegate.space.put(value) for name, value in values.items()}
    results = runner.call(given, outputs="device", donate=["cache"])
    assert (results["cache"] is given["cache"]) != reads_again
    for name, result in results.items():
        np.testing.assert_allclose(delegate.space.get([result])[0], expected[name], rtol=1e-6)


class Entries(PlannedGpuDelegate):
    """Plans, and keeps the names of kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[str] = []

    def compile(self, partition: Partition) -> Executable:
        planned = super().compile(partition)
        steps = planned.listing.steps  # type: ignore[attr-defined]
        self.entries += [step.kernel.entry for step in steps if isinstance(step, Launch)]
        return planned


def test_reverse_sequence() -> None:
    x = noise(3, 5, 4)
    for sequence, batch, lengths in ((1, 0, [0, 5, 3]), (0, 1, [3, 1, 0, 2, 3]), (2, 1, [4, 1, 0, 2, 3])):
        case = Case("REVERSE_SEQUENCE", [x, np.int64(lengths)], {"seq_dim": sequence, "batch_dim": batch})
        check(case, launches=1, apart=False)


def test_diagonals() -> None:
    check(Case("MATRIX_DIAG", [noise(2, 3)]), launches=1)
    check(Case("MATRIX_SET_DIAG", [noise(2, 3, 4), noise(2, 3, seed=1)]), launches=1)
    check(Case("MATRIX_SET_DIAG", [noise(4, 3), noise(3, seed=1)]), launches=1)


FAULTS: dict[str, tuple[list[Any], dict[str, int], str]] = {
    "GATHER": ([noise(4, 8), np.int32([0, 9])], {"axis": 0}, "gather index out of bounds: got 9, expected 0 to 3"),
    "GATHER_ND": ([noise(4, 8), np.int64([[0, 0], [1, -3]])], {}, "gather_nd index out of bounds: got -3, .* 0 to 7"),
    "REVERSE_SEQUENCE": ([noise(2, 3), np.int32([7, 1])], {"seq_dim": 1, "batch_dim": 0}, "got 7, expected 0 to 3"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_bad_indices_raise_what_the_body_raises_and_the_next_call_works(name: str) -> None:
    operands, attributes, message = FAULTS[name]
    b = GraphBuilder()
    ins = [b.input(TensorType.of(operand.dtype), operand.shape) for operand in operands]
    shapes = {"GATHER": [2, 8], "GATHER_ND": [2], "REVERSE_SEQUENCE": [2, 3]}
    out = b.add(name, ins, shapes[name], **attributes)
    content = lite.write_model(model(b.graph([b.add("NEG", [out])])))
    delegate = EmulatedGpuDelegate()
    found = []
    for delegates in ([delegate], []):
        interpreter = lite.Interpreter(model_content=content, device="cpu", delegates=delegates)
        interpreter.allocate_tensors()
        good = [operands[0], np.zeros_like(operands[1])]
        for feeds in (operands, good, operands, operands, good):
            for detail, feed in zip(interpreter.get_input_details(), feeds, strict=True):
                interpreter.set_tensor(detail["index"], feed)
            if feeds is good:
                interpreter.invoke()
            else:
                with pytest.raises(KernelError, match=message) as raised:
                    interpreter.invoke()
                found.append(str(raised.value))
    assert set(found) == {found[-1]}
    assert delegate.device.launches == 5

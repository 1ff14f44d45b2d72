"""What programs of oneDNN share: arenas, primitives, packed weights; and what they let go of."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from pathlib import Path

import numpy as np
import pytest
from networks import mobilenet_v2

from tests.build import F32, GraphBuilder, model
from tests.engines import call
from tests.residency import needs_maps, resident_kb
from tests.threads import side_by_side
from tflite_cupy.delegates.cpu import kernels_in_use
from tflite_cupy.delegates.cpu.onednn import arenas, binding, primitive
from tflite_cupy.delegates.cpu.onednn.binding import Handle, Query, library
from tflite_cupy.delegates.cpu.onednn.primitive import Attributes, Layout
from tflite_cupy.delegates.cpu.onednn.program import Program
from tflite_cupy.delegates.cpu.onednn.steps import Execution
from tflite_cupy.delegates.cpu.onednn.weights import LARGE, Slab
from tflite_cupy.interpreter.errors import MissingDependencyError
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Model
from tflite_cupy.interpreter.runtime.engine import Engine

try:
    kernels_in_use("onednn")
except MissingDependencyError as error:
    pytest.skip(str(error), allow_module_level=True)

from .test_onednn import Watched, normal


def network() -> Model:
    return load_model(write_model(mobilenet_v2(resolution=32)))


def program_of(engine: Engine) -> Program:
    delegate = engine.delegates[0]
    assert isinstance(delegate, Watched)
    return delegate.programs[0]


def large_product(rows: int = 1024, columns: int = 2048) -> bytes:
    """x float32 [1, columns] -> y float32 [1, rows]."""
    b = GraphBuilder()
    x = b.input(F32, [1, columns], "x")
    weights = b.constant(np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32))
    return write_model(model(b.graph([b.add("FULLY_CONNECTED", [x, weights, -1], [1, rows])])))


def test_one_call_at_a_time_has_an_arena() -> None:
    first = arenas.taken(100_000)
    second = arenas.taken(100_000)
    assert first is not second
    first.give_back()
    assert arenas.taken(90_000) is first
    first.give_back()
    small = arenas.taken(1_000)
    assert small.memory.nbytes < 100_000
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None


def test_programs_that_take_turns_compute_in_one_arena() -> None:
    image, made = normal(1, 32, 32, 3), network()
    engines = [Engine(made, [Watched()]) for _ in range(3)]
    results = [call(engine, image)[0] for engine in (*engines, *engines)]
    used = {id(workspace.arena) for engine in engines for workspace in program_of(engine)._idle}
    assert len(used) == 1
    assert all(len(program_of(engine)._idle) == 1 for engine in engines)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_an_arena_in_use_is_left_alone() -> None:
    image, engine = normal(1, 32, 32, 3), Engine(network(), [Watched()])
    (expected,) = call(engine, image)
    (workspace,) = program_of(engine)._idle
    assert workspace.arena.take()
    before = workspace.arena.memory.copy()
    np.testing.assert_array_equal(call(engine, image)[0], expected)
    np.testing.assert_array_equal(workspace.arena.memory, before)
    workspace.arena.give_back()
    assert len(program_of(engine)._idle) == 2


def test_threads_with_programs_that_share_arenas() -> None:
    made = network()
    engines = [Engine(made, [Watched()]) for _ in range(2)]
    images = [normal(1, 32, 32, 3) for _ in range(4)]
    expected = [call(engines[0], image)[0] for image in images]

    def work(number: int) -> None:
        for turn in range(30):
            engine = engines[(number + turn) % 2]
            np.testing.assert_array_equal(call(engine, images[number])[0], expected[number])

    side_by_side(4, work)


def test_a_failed_call_gives_its_arena_back(monkeypatch: pytest.MonkeyPatch) -> None:
    image, engine = normal(1, 32, 32, 3), Engine(network(), [Watched()])
    (expected,) = call(engine, image)
    program = program_of(engine)
    (workspace,) = program._idle
    steps = workspace._busy
    monkeypatch.setattr(workspace, "_busy", [(step, lambda *arguments: 1, *rest) for step, _, *rest in steps])
    with pytest.raises(Exception, match="out of memory"):
        call(engine, image)
    monkeypatch.undo()
    assert workspace.arena.take()
    workspace.arena.give_back()
    np.testing.assert_array_equal(call(engine, image)[0], expected)


def test_equal_primitives_are_one() -> None:
    made = network()
    engines = [Engine(made, [Watched()]) for _ in range(2)]
    primitives = []
    for engine in engines:
        call(engine, normal(1, 32, 32, 3))
        primitives.append([step.primitive for step in program_of(engine).steps if isinstance(step, Execution)])
    assert primitives[0] == primitives[1]
    assert len(set(primitives[0])) < len(primitives[0])  # of blocks alike, too


def test_packed_weights_are_found_when_their_first_owner_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(large_product())
    x, owners = normal(1, 2048), []
    for number in range(3):
        engine = Engine(load_model(path), [Watched()])
        call(engine, x)
        owners.append(engine)
        if number == 1:
            del owners[0]
            gc.collect()
    kept = [program_of(engine).steps[0].kept[0] for engine in owners]  # type: ignore[union-attr]
    assert kept[0] is kept[1]


def products(*weights: np.ndarray) -> bytes:
    """x float32 [1, n] -> for each of the weights their product with it."""
    b = GraphBuilder()
    x = b.input(F32, [1, weights[0].shape[1]], "x")
    sums = [b.add("FULLY_CONNECTED", [x, b.constant(w), -1], [1, len(w)]) for w in weights]
    return write_model(model(b.graph(sums)))


@pytest.mark.parametrize("shorter", [False, True])
def test_a_file_that_is_written_over_is_not_taken_for_what_it_was(tmp_path: Path, shorter: bool) -> None:
    path, rng = tmp_path / "model.tflite", np.random.default_rng(0)
    old, further = (rng.normal(size=(256, 512)).astype(np.float32) for _ in range(2))
    new = old.copy()
    new[3, 5] += 100  # between the samples by which packed weights are found
    x = np.ones((1, 512), np.float32)
    path.write_bytes(products(further, further + 1, old))
    first = Engine(load_model(path), [Watched()])
    before = call(first, x)
    path.write_bytes(products(new) if shorter else products(further, further + 1, new))
    second = Engine(load_model(path), [Watched()])
    np.testing.assert_allclose(call(second, x)[-1], x @ new.T, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(before[-1], x @ old.T, rtol=1e-4, atol=1e-3)


@needs_maps
def test_the_file_of_packed_weights_is_not_resident(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(large_product())
    loaded = load_model(path)
    (weights,) = (t.data for t in loaded.graphs[0].tensors if t.data is not None)
    engine, x = Engine(loaded, [Watched()]), normal(1, 2048)
    (result,) = call(engine, x)
    assert resident_kb(path) < weights.nbytes // 1024 // 4
    np.testing.assert_allclose(result, x @ weights.T, rtol=1e-3, atol=1e-3)
    assert resident_kb(path) > weights.nbytes // 1024 // 2


@needs_maps
def test_what_calls_read_keeps_nothing_of_the_file(tmp_path: Path) -> None:
    """Biases, permutations and operands of elementwise nodes, between the weights of products."""
    path, rng, b = tmp_path / "model.tflite", np.random.default_rng(0), GraphBuilder()
    x = image = b.input(F32, [1, 512], "x")
    for _ in range(6):
        weights = b.constant(rng.normal(size=(512, 512)).astype(np.float32) / 32)
        bias, other = (b.constant(rng.normal(size=(1, 512)).astype(np.float32)) for _ in range(2))
        x = b.add("FULLY_CONNECTED", [x, weights, b.constant(np.arange(512, dtype=np.float32))], [1, 512])
        x = b.add("MAXIMUM", [b.add("TRANSPOSE", [b.add("MUL", [x, bias], [1, 512]), b.constant([0, 1])], [1, 512]),
                              other], [1, 512])  # fmt: skip
    path.write_bytes(write_model(model(b.graph([b.add("ADD", [x, image], [1, 512])]))))
    engine, row = Engine(load_model(path), [Watched()]), normal(1, 512)
    (first,) = call(engine, row)
    np.testing.assert_array_equal(call(engine, row)[0], first)
    assert resident_kb(path) < 6 * 512 * 512 * 4 // 1024 // 10


def test_a_primitive_answers_for_itself() -> None:
    """What describes it while it is made takes more than what is left of it, and goes."""
    layout = Layout.of((4, 4), np.float32)
    made = primitive.matmul(library(), layout, layout.packed, None, layout, Attributes())
    gc.collect()
    assert made.implementation
    assert library().nbytes(library().query(made.description, Query.DST)) == 64
    assert not isinstance(made.description, Handle)


def test_a_slab_gives_pieces_side_by_side_until_it_is_full() -> None:
    slab = Slab(LARGE)
    first, second = slab.take(100), slab.take(LARGE)
    assert second.ctypes.data - first.ctypes.data == 128
    assert second.base is first.base
    assert slab.take(LARGE).base is not first.base
    small = Slab(LARGE - 1).take(64)
    assert isinstance(small.base, np.ndarray)
    assert small.base.nbytes < LARGE


def test_looking_up_functions_keeps_no_names() -> None:
    functions, kept = library(), list[object]()

    def made() -> int:
        """Bytes that the binding holds after making objects at changing addresses."""
        tracemalloc.start()
        try:
            for _ in range(1000):
                functions.layout((2, 3), np.dtype(np.float32))
                kept.append(bytes(41))  # of the size of a name, so that the next one is elsewhere
            found = tracemalloc.take_snapshot().statistics("filename")
        finally:
            tracemalloc.stop()
        return sum(each.size for each in found if each.traceback[0].filename == binding.__file__)

    made()
    assert made() < 10_000  # 1,000 names would be 80 KB

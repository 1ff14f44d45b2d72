"""Limits: what each option refuses, how the error says so, and that nothing is allocated first."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import BOOL, F32, I32, I64, STRING, GraphBuilder, model
from tests.delegates.partitions import flex_options, kind, node_def
from tflite_cupy import Limits
from tflite_cupy.interpreter.graph import Model
from tflite_cupy.interpreter.ops.text import SkipGram
from tflite_cupy.interpreter.runtime.memory import free_bytes

HUGE = 1 << 20  # a square of this size takes terabytes


def single(name: str, operands: list[tuple[Any, Any]], out: Any, *constants: Any, **attributes: Any) -> Model:
    """A model of one operator; operands as (type, shape), then constants."""
    b = GraphBuilder()
    inputs = [b.input(kind, shape, f"x{i}") for i, (kind, shape) in enumerate(operands)]
    inputs += [b.constant(value) for value in constants]
    y = b.tensor(*out)
    b.op(name, inputs, [y], **attributes)
    names = {f"x{i}": index for i, index in enumerate(inputs[: len(operands)])}
    return model(b.graph([y]), signatures={"s": (0, names, {"y": y})})


def runner(content: Model, limits: Limits | None = None) -> lite.SignatureRunner:
    limits = Limits() if limits is None else limits
    return lite.Interpreter(model_content=lite.write_model(content), device="cpu", limits=limits).get_signature_runner()


def loop(turns: int) -> Model:
    """s(n) -> y: n + 1 until it is `turns`, a node in each body."""
    b, c, d = GraphBuilder(), GraphBuilder("cond"), GraphBuilder("body")
    n, y = b.input(I32, [], "n"), b.tensor(I32)
    b.op("WHILE", [n], [y], cond_subgraph_index=1, body_subgraph_index=2)
    m, less = c.input(I32), c.tensor(BOOL)
    c.op("LESS", [m, c.constant(np.int32(turns))], [less])
    k = d.input(I32)
    after = d.add("ADD", [k, d.constant(np.int32(1))])
    graphs = b.graph([y]), c.graph([less]), d.graph([after])
    return model(*graphs, signatures={"s": (0, {"n": n}, {"y": y})})


def endless() -> Model:
    """A loop without nodes whose condition is a constant."""
    b, c, d = GraphBuilder(), GraphBuilder("cond"), GraphBuilder("body")
    n, y = b.input(I32, [], "n"), b.tensor(I32)
    b.op("WHILE", [n], [y], cond_subgraph_index=1, body_subgraph_index=2)
    c.input(I32)
    k = d.input(I32)
    graphs = b.graph([y]), c.graph([c.constant(np.bool_(True))]), d.graph([k])
    return model(*graphs, signatures={"s": (0, {"n": n}, {"y": y})})


def calls(depth: int, width: int) -> Model:
    """Subgraphs that each call the next one `width` times."""
    graphs = []
    for level in range(depth + 1):
        b = GraphBuilder(f"g{level}")
        x = b.input(F32, [1], "x")
        if level == depth:
            x = b.add("NEG", [x])
        for _ in range(width if level < depth else 0):
            y = b.tensor(F32, [1])
            b.op("CALL", [x], [y], subgraph=level + 1)
            x = y
        graphs.append(b.graph([x]))
    return model(*graphs, signatures={"s": (0, {"x": 0}, {"y": graphs[0].outputs[0]})})


SQUARE, VECTOR = np.int32([HUGE, HUGE]), (F32, [2])
F, ONE = np.float32(1), np.float32([[1]])
SIZED: dict[str, tuple[Model, dict[str, Any]]] = {
    "FILL": (single("FILL", [(I32, [2])], (F32, [None, None]), F), {"x0": SQUARE}),
    "RANGE": (
        single("RANGE", [(I64, [])], (I64, [None]), np.int64(2**31 - 1), np.int64(1)),
        {"x0": np.int64(0)},
    ),
    "TILE": (single("TILE", [(F32, [1, 1]), (I32, [2])], (F32, [None, None])), {"x0": ONE, "x1": SQUARE}),
    "BROADCAST_TO": (
        single("BROADCAST_TO", [(F32, [1, 1]), (I32, [2])], (F32, [None, None])),
        {"x0": ONE, "x1": SQUARE},
    ),
    "ONE_HOT": (
        single("ONE_HOT", [(I32, [None]), (I32, [])], (F32, [None, None]), F, F),
        {"x0": np.zeros(4096, np.int32), "x1": np.int32(1 << 30)},
    ),
    "PAD": (
        single("PAD", [(F32, [1, 1]), (I32, [2, 2])], (F32, [None, None])),
        {"x0": ONE, "x1": np.int32([[0, HUGE]] * 2)},
    ),
    "RESIZE_BILINEAR": (
        single("RESIZE_BILINEAR", [(F32, [1, 1, 1, 1]), (I32, [2])], (F32, [1, None, None, 1])),
        {"x0": np.ones((1, 1, 1, 1), np.float32), "x1": SQUARE},
    ),
    "RANDOM_UNIFORM": (single("RANDOM_UNIFORM", [(I32, [2])], (F32, [None, None])), {"x0": SQUARE}),
    "UNSORTED_SEGMENT_SUM": (
        single("UNSORTED_SEGMENT_SUM", [(F32, [1, 64]), (I32, [1]), (I32, [])], (F32, [None, 64])),
        {"x0": np.ones((1, 64), np.float32), "x1": np.int32([0]), "x2": np.int32(1 << 30)},
    ),
    "SPARSE_TO_DENSE": (
        single("SPARSE_TO_DENSE", [(I32, [1, 2]), (I32, [2])], (F32, [None, None]), np.float32([1]), F),
        {"x0": np.int32([[0, 0]]), "x1": SQUARE},
    ),
    "ADD": (
        single("ADD", [(F32, [None, None]), (F32, [None, None])], (F32, [None, None])),
        {"x0": np.ones((HUGE, 1), np.float32), "x1": np.ones((1, HUGE), np.float32)},
    ),
}


def peak_of(call: Callable[[], Any]) -> int:
    """Bytes that Python and NumPy take at most while `call` runs."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", SIZED)
def test_sizes_are_checked_before_memory_is_taken(name: str) -> None:
    content, inputs = SIZED[name]
    run = runner(content, Limits(max_tensor_bytes=1 << 30))

    def call() -> None:
        with pytest.raises(
            lite.LimitError, match=rf"^{name}#0 has a tensor of \d+ bytes .* max_tensor_bytes = "
        ) as caught:
            run(**inputs)
        assert caught.value.where == "subgraphs[0].operators[0]"

    assert peak_of(call) < 16 << 20


def test_results_that_grow_from_node_to_node() -> None:
    """Shapes that a call finds out go on to the nodes after it."""
    b = GraphBuilder()
    dims = b.input(I32, [2], "dims")
    (column,) = b.op("FILL", [dims, b.constant(F)], [b.tensor(F32, [None, None])])
    row = b.add("TRANSPOSE", [column, b.constant(np.int32([1, 0]))], [None, None])
    y = b.add("MUL", [column, row], [None, None])
    content = model(b.graph([y]), signatures={"s": (0, {"dims": dims}, {"y": y})})
    run = runner(content, Limits(max_tensor_bytes=1 << 30))
    (result,) = run(dims=np.int32([300, 1])).values()
    assert result.shape == (300, 300)
    with pytest.raises(lite.LimitError, match="MUL#2 has a tensor of 4398046511104 bytes"):
        run(dims=np.int32([HUGE, 1]))
    assert run(dims=np.int32([2, 1]))["y"].shape == (2, 2)


def stack(count: int) -> Model:
    """`count` tensors of the input's size that are held at a time, filled in a shape that only the call knows."""
    b = GraphBuilder()
    dims = b.input(I32, [1], "dims")
    held = [b.op("FILL", [dims, b.constant(np.float32(i))], [b.tensor(F32, [None])])[0] for i in range(count)]
    y = b.add("CONCATENATION", held, [None], axis=0)
    return model(b.graph([y]), signatures={"s": (0, {"dims": dims}, {"y": y})})


def test_what_a_call_holds_at_a_time() -> None:
    limits = Limits(max_arena_bytes=32 << 20)
    run = runner(stack(5), limits)
    assert run(dims=np.int32([1000]))["y"].shape == (5000,)
    with pytest.raises(
        lite.LimitError, match=r"FILL#4 needs \d+ bytes at a time, more than max_arena_bytes = 33554432"
    ):
        run(dims=np.int32([2 << 20]))
    b = GraphBuilder()
    x = b.input(F32, [1 << 20], "x")
    y = b.add("ADD", [b.add("EXP", [x]), b.add("SIN", [x])])
    fixed = lite.write_model(model(b.graph([y]), signatures={"s": (0, {"x": x}, {"y": y})}))
    small = lite.Interpreter(model_content=fixed, device="cpu", limits=Limits(max_arena_bytes=(12 << 20) - 1))
    with pytest.raises(lite.LimitError, match=r"ADD#2 needs 12582912 bytes at a time"):
        small.allocate_tensors()
    lite.Interpreter(model_content=fixed, device="cpu", limits=Limits(max_arena_bytes=12 << 20)).allocate_tensors()


def between_calls(count: int, *, waits: bool) -> Model:
    """s(dims) -> y: `count` large results, each negated by a CALL; joined at the end, or each the next one's."""
    b, g = GraphBuilder(), GraphBuilder("negative")
    negative = g.graph([g.add("NEG", [g.input(F32, [None], "x")], [None])])
    dims, held = b.input(I32, [1], "dims"), list[int]()
    for _ in range(count):
        if held and not waits:
            y = b.add("ABS", [held[-1]], [None])
        else:
            (y,) = b.op("FILL", [dims, b.constant(F)], [b.tensor(F32, [None])])
        held += b.op("CALL", [y], [b.tensor(F32, [None])], subgraph=1)
    last = b.add("CONCATENATION", held if waits else held[-1:], [None], axis=0)
    return model(b.graph([last]), negative, signatures={"s": (0, {"dims": dims}, {"y": last})})


@pytest.mark.parametrize("waits", [False, True])
def test_what_waits_between_subgraphs(waits: bool) -> None:
    """Results that are not read any more go at once; those that are count, whichever subgraph made them."""
    run, dims = runner(between_calls(16, waits=waits), Limits(max_arena_bytes=32 << 20)), np.int32([1 << 20])

    def call() -> None:
        if not waits:
            assert run(dims=dims)["y"][0] == -1
            return
        with pytest.raises(lite.LimitError, match=r"needs \d+ bytes at a time, more than max_arena_bytes = 33554432"):
            run(dims=dims)

    assert peak_of(call) < 40 << 20


def test_folded_constants() -> None:
    """Small nodes can't make a plan large: what is too much altogether is left to the call, and its limits."""
    b = GraphBuilder()
    x, side, one = b.input(F32, [512, 512], "x"), b.constant(np.int32([512, 512])), b.constant(F)
    filled = [b.op("FILL", [side, one], [b.tensor(F32, [512, 512])])[0] for _ in range(200)]
    y = b.add("ADD_N", [x, *filled])
    content = model(b.graph([y]), signatures={"s": (0, {"x": x}, {"y": y})})

    def call() -> None:
        with pytest.raises(lite.LimitError, match=r"ADD_N#200 needs \d+ bytes at a time"):
            runner(content, Limits(max_arena_bytes=32 << 20))(x=np.zeros((512, 512), np.float32))

    assert peak_of(call) < 100 << 20


def test_folded_strings() -> None:
    b = GraphBuilder()
    words, order = (
        b.constant(np.array([b"a", b"b"] * 9000, object)),
        b.constant(np.arange(18_000, dtype=np.int32)[::-1]),
    )
    (y,) = b.op("GATHER", [words, order], [b.tensor(STRING, [18_000])], axis=0)
    assert runner(model(b.graph([y]), signatures={"s": (0, {}, {"y": y})}))()["y"].tolist() == [b"b", b"a"] * 9000


def test_a_share_of_the_free_memory() -> None:
    free = free_bytes()
    if free is None:
        pytest.skip("this system does not tell how much memory is free")
    run = runner(single("FILL", [(I32, [1])], (F32, [None]), F), Limits(max_tensor_bytes=None, max_arena_bytes=0.001))
    with pytest.raises(lite.LimitError, match=r"max_arena_bytes = 0.001 of the \d+ bytes that are free"):
        run(x0=np.int32([(free // 1000 + (64 << 20)) // 2]))


def test_variables() -> None:
    """They are zeros from the first call on, so they are checked before there is one."""
    b = GraphBuilder()
    x, v = b.input(F32, [1], "x"), b.variable(F32, [HUGE, HUGE])
    content = model(b.graph([b.add("ADD", [x, v], [HUGE, HUGE])]), signatures={"s": (0, {"x": x}, {"y": v + 1})})
    with pytest.raises(lite.LimitError, match="max_tensor_bytes") as caught:
        runner(content)(x=np.zeros(1, np.float32))
    assert caught.value.where == "subgraphs[0].tensors[1]"


def test_loops() -> None:
    assert runner(loop(5), Limits(max_while_iterations=5))(n=0)["y"] == 5
    with pytest.raises(lite.LimitError, match=r"A loop has made 4 turns .* max_while_iterations = 4.*subgraphs\[0\]"):
        runner(loop(5), Limits(max_while_iterations=4))(n=0)


@pytest.mark.parametrize("content", [loop(2**31 - 1), endless()], ids=["long", "endless"])
def test_deadline(content: Model) -> None:
    run = runner(content, Limits(deadline_ms=100))
    for _ in range(2):
        with pytest.raises(lite.LimitError, match=r"goes on for longer, more than deadline_ms = 100") as caught:
            run(n=0)
        assert caught.value.where.startswith("subgraphs[")


def test_subgraphs() -> None:
    assert runner(calls(8, 1), Limits.untrusted())(x=np.float32([1]))["y"].tolist() == [-1.0]
    with pytest.raises(lite.LimitError, match="max_call_depth = 8"):
        runner(calls(9, 1), Limits.untrusted())(x=np.float32([1]))
    with pytest.raises(lite.LimitError, match=r"come to \d+ operators, more than max_ops = 20000"):
        runner(calls(8, 6), Limits.untrusted())(x=np.float32([1]))  # 6^8 calls


def test_ranks() -> None:
    deep = [1] * 9
    view = single("RESHAPE", [(F32, [1])], (F32, deep), np.int32(deep))
    assert runner(view)(x0=F[None])["y"].shape == (1,) * 9
    with pytest.raises(lite.LimitError, match="NEG#0 has a tensor of 9 dimensions, more than max_rank = 8"):
        runner(single("NEG", [(F32, deep)], (F32, deep)))(x0=np.ones(deep, np.float32))
    with pytest.raises(lite.LimitError, match="max_view_rank = 8"):
        runner(view, Limits.untrusted())


def test_strings() -> None:
    text = b" ".join([b"w"] * 200)
    grams = single("SKIP_GRAM", [(STRING, [1])], (STRING, [None]), ngram_size=10, max_skip_size=100)
    with pytest.raises(lite.LimitError, match=r"^SKIP_GRAM#0 gives strings of \d{15,} bytes"):
        runner(grams)(x0=[text])
    tile = single("TILE", [(STRING, [1])], (STRING, [5]), np.int32([5]))
    assert runner(tile, Limits(max_output_string_bytes=50))(x0=[b"0123456789"])["y"].tolist() == [b"0123456789"] * 5
    with pytest.raises(
        lite.LimitError, match="TILE#0 gives strings of 50 bytes, more than max_output_string_bytes = 49"
    ):
        runner(tile, Limits(max_output_string_bytes=49))(x0=[b"0123456789"])


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize(("size", "skip"), [(1, 0), (2, 0), (2, 3), (3, 1), (4, 2), (9, 1)])
def test_bytes_of_n_grams_are_known_before(size: int, skip: int, everything: bool) -> None:
    op = SkipGram(ngram_size=size, max_skip_size=skip, include_all_ngrams=everything)
    text = np.array([b"the quick brown fox jumps over a dog"], object)
    assert op.string_bytes(text) == sum(map(len, op.run(np, text)))


def test_the_flex_policy() -> None:
    b = GraphBuilder()
    x = b.input(F32, [1], "x")
    y = b.tensor(F32, [1])
    b.op("FlexErf", [x], [y], options=flex_options("Erf", node_def("Erf", {"T": kind(1)})))
    content = lite.write_model(model(b.graph([y])))
    for options in ({"limits": Limits.untrusted()}, {"limits": Limits(flex="off")}, {"flex": "off"}):
        with pytest.raises(lite.PolicyError, match="the flex policy is off"):
            lite.Interpreter(model_content=content, device="cpu", **options).allocate_tensors()
    lite.Interpreter(model_content=content, device="cpu", limits=Limits.untrusted(), flex="pure")


def test_the_presets() -> None:
    untrusted, default = Limits.untrusted(), Limits()
    assert (default.max_rank, default.max_view_rank, default.flex) == (8, 16, "pure")
    for field in fields(Limits):
        mine, theirs = getattr(untrusted, field.name), getattr(default, field.name)
        if isinstance(mine, int) and isinstance(theirs, int):
            assert mine <= theirs, field.name


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_rank": -1}, "max_rank=-1 is no limit"),
        ({"max_ops": None}, "max_ops=None is no limit"),
        ({"max_tensor_bytes": "1 GB"}, "max_tensor_bytes='1 GB' is no limit"),
        ({"max_model_bytes": True}, "max_model_bytes=True is no limit"),
    ],
)
def test_limits_are_numbers(options: dict[str, Any], says: str) -> None:
    with pytest.raises(lite.InputError, match=says):
        Limits(**options)

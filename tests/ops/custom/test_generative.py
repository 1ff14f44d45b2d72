"""LiteRT's operators of language models, against the kernels that its wheel can register."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.build import F32, I64, GraphBuilder, model
from tests.engines import call, engine_of
from tests.litert import call_reference
from tests.ops.custom.graphs import ours
from tests.ops.harness import Case, Operand, check, const, matrix
from tflite_cupy.interpreter.errors import KernelError
from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Graph, Model, TensorType

RNG = np.random.default_rng(14)
ATTENTION, UPDATE = "odml.scaled_dot_product_attention", "odml.update_external_kv_cache"
CACHE_UPDATE = "odml.update_kv_cache"
OPERATORS = (CACHE_UPDATE,)
ELSEWHERE = "no resolver has it by default"


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def attended(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray, scale: float) -> np.ndarray:
    """Head by head, in float64."""
    heads = query.shape[2] // key.shape[2]
    result = np.zeros((*query.shape[:3], value.shape[3]), np.float32)
    whole = np.broadcast_to(mask, (query.shape[0], query.shape[2], query.shape[1], key.shape[1])).astype(float)
    for b, h in np.ndindex(query.shape[0], query.shape[2]):
        logits = scale * query[b, :, h].astype(float) @ key[b, :, h // heads].T + whole[b, h]
        weights = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        result[b, :, h] = weights @ value[b, :, h // heads]
    return result


def attention(label: str, query: Any, key: Any, value: Any, mask: Any, scale: float = 0.3, **more: Any) -> Case:
    expected = None if more.get("raises") else [attended(query, key, value, mask, scale or query.shape[3] ** -0.5)]
    options = {"custom": True, "custom_options": write_flexbuffer({"scale": scale}), "unreferenced": ELSEWHERE}
    return Case(ATTENTION, [query, key, value, mask], label=label, expect=expected, **options, **more)


def update(label: str, position: Any, expect: Any = None, **more: Any) -> Case:
    places = position if isinstance(position, Operand) else np.int32(position)
    inputs = [CACHE, CACHE + 10, places, more.pop("key", SLICES), SLICES + 10]
    expected = None if expect is None else [expect, expect + 10]
    return Case(UPDATE, inputs, outputs=[F32, F32], label=label, expect=expected, custom=True,
                unreferenced=ELSEWHERE, **more)  # fmt: skip


CACHE, SLICES = numbers(1, 6, 2, 3), numbers(1, 3, 2, 3)
QUERY, KEY, VALUE, MASK = numbers(2, 3, 4, 8), numbers(2, 5, 2, 8), numbers(2, 5, 2, 8), numbers(2, 1, 3, 5)


def cached(*entries: tuple[int, int]) -> np.ndarray:
    """CACHE with slices at places."""
    result = CACHE.copy()
    for place, source in entries:
        result[0, place] = SLICES[0, source]
    return result


CASES = [
    attention("groups", QUERY, KEY, VALUE, MASK),
    attention("scale of its own", QUERY, KEY[:, :, :1], VALUE[:, :, :1], MASK[:1], 0.0),
    attention("other width", QUERY, KEY, VALUE[..., :5], MASK[..., :1]),
    attention("heads", QUERY[:, :, :3], KEY, VALUE, MASK, raises="expected .b,t,heads,d."),
    attention("mask", QUERY, KEY, VALUE, MASK[..., :4], raises="got the mask"),
    update("rising", [0, 2, 5], cached((0, 0), (2, 1), (5, 2))),
    update("until they fall", [1, 4, 0], cached((1, 0), (4, 1))),
    update("one place twice", [1, 1, 3], cached((1, 1), (3, 2))),
    update("known beforehand", const(np.int32([3, 4, 5])), cached((3, 0), (4, 1), (5, 2))),
    update("beyond the cache", [1, 2, 6], raises="position 6"),
    update("before the cache", [-1, 2, 3], raises="position -1"),
    update("other slices", [0, 1, 2], key=SLICES[:, :2], raises="equal sizes"),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


def compare_with_litert(operator: str, inputs: list[np.ndarray], outputs: int, options: bytes = b"") -> None:
    """Assert that one node gives what the kernel of LiteRT's wheel gives."""
    from ai_edge_litert.interpreter import InterpreterWithCustomOps, OpResolverType

    kernels = pytest.importorskip("ai_edge_litert.pywrap_genai_ops", reason="this ai_edge_litert has no such kernels")
    b = GraphBuilder()
    ins = [b.input(TensorType.of(x.dtype), x.shape) for x in inputs]
    graph = b.graph(b.op(operator, ins, [b.tensor(F32, inputs[0].shape) for _ in range(outputs)], options=options))
    interpreter = InterpreterWithCustomOps(
        custom_op_registerers=[kernels.GenAIOpsRegisterer],
        model_content=write_model(model(graph)),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    for got, want in zip(ours(graph, *inputs), call_reference(interpreter, *inputs), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.reference
@pytest.mark.parametrize(("queries", "groups"), [(1, 4), (1, 2), (3, 1)])
def test_attention_is_that_of_litert(queries: int, groups: int) -> None:
    inputs = [numbers(1, queries, 4, 8), numbers(1, 5, groups, 8), numbers(1, 5, groups, 8), numbers(1, 1, queries, 5)]
    compare_with_litert(ATTENTION, inputs, 1, write_flexbuffer({"scale": 0.3}))


def cache_graph(slices: int, **options: int) -> Graph:
    """A node that puts slices into the interpreter's caches of 5 entries."""
    b = GraphBuilder()
    ins = [b.input(I64, [slices]), b.input(F32, [1, slices, 2, 3]), b.input(F32, [1, slices, 2, 3])]
    outs = [b.tensor(F32, [1, 5, 2, 3]) for _ in range(2)]
    return b.graph(b.op(CACHE_UPDATE, ins, outs, options=write_flexbuffer({"kv_cache_max": 5, **options})))


@pytest.mark.reference
@pytest.mark.parametrize(
    "positions",
    [
        ([0], [1], [2]),
        ([3, 4], [0, 1], [2, 0]),  # of several positions the first one counts
        ([0, 1, 2], [3, 4, 5], [6, 7, 8], [4, 5, 6]),  # the oldest entries are pushed out
        ([4], [5], [6], [7], [8]),
    ],
)
def test_caches_of_the_interpreter_are_those_of_litert(positions: Sequence[list[int]]) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai_edge_litert is not installed")
    kernels = pytest.importorskip("ai_edge_litert.pywrap_genai_ops", reason="this ai_edge_litert has no such kernels")
    graph = cache_graph(len(positions[0]), num_layers=2, layer_index=1)
    interpreter = litert.InterpreterWithCustomOps(
        custom_op_registerers=[kernels.GenAIOpsRegisterer],
        model_content=write_model(model(graph)),
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    engine = engine_of(model(graph))
    for position in positions:
        values = [np.int64(position), *(numbers(1, len(position), 2, 3) for _ in range(2))]
        for detail, value in zip(interpreter.get_input_details(), values, strict=True):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        for got, detail in zip(call(engine, *values), interpreter.get_output_details(), strict=True):
            np.testing.assert_array_equal(got, interpreter.get_tensor(detail["index"]))


def test_subgraphs_share_the_caches_of_a_layer() -> None:
    prefill, decode = (replace(cache_graph(n), index=i) for i, n in enumerate((3, 1)))
    engine = engine_of(Model(graphs=(prefill, decode, replace(cache_graph(1, layer_index=1), index=2))))
    first, second = numbers(1, 3, 2, 3), numbers(1, 1, 2, 3)
    call(engine, np.int64([0, 1, 2]), first, first + 10)
    keys, values = call(engine, np.int64([3]), second, second + 10, graph=1)
    expected = np.concatenate([first, second, np.zeros_like(second)], axis=1)
    np.testing.assert_array_equal(keys, expected)
    np.testing.assert_array_equal(values[:, :4], expected[:, :4] + 10)
    other, _ = call(engine, np.int64([0]), second, second, graph=2)
    np.testing.assert_array_equal(other[:, 1:], 0)
    engine.state.reset_variable_tensors()
    np.testing.assert_array_equal(call(engine, np.int64([4]), second, second, graph=1)[0][:, :4], 0)


@pytest.mark.parametrize(
    ("position", "options", "message"),
    [
        ([-1], {}, "position -1 for 1 slices; its 5 entries begin with position 0"),
        ([10], {}, "position 10"),
        ([2**62], {}, "position 4611686018427387904"),
        ([0, 1, 2, 3, 4, 5], {}, "position 0 for 6 slices"),
        ([0], {"layer_index": 32}, "layer_index 32 for 32 layers"),
        ([0], {"num_layers": 3, "layer_index": 4}, "layer_index 4 for 3 layers"),
    ],
)
def test_a_cache_refuses_what_lies_outside(position: list[int], options: Mapping[str, int], message: str) -> None:
    slices = numbers(1, len(position), 2, 3)
    with pytest.raises(KernelError, match=message):
        ours(cache_graph(len(position), **options), np.int64(position), slices, slices)


@pytest.mark.reference
@pytest.mark.parametrize("position", [[0, 2, 5], [1, 4, 0], [2, 2, 3]])
def test_updates_are_those_of_litert(position: list[int]) -> None:
    compare_with_litert(UPDATE, [CACHE, CACHE + 10, np.int32(position), SLICES, SLICES + 10], 2)

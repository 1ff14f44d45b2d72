"""LiteRT's operators of language models, against the kernels that its wheel can register."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.build import F32, GraphBuilder, model
from tests.ops.custom.graphs import ours
from tests.ops.harness import Case, Operand, check, const, matrix
from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import TensorType

RNG = np.random.default_rng(14)
ATTENTION, UPDATE = "odml.scaled_dot_product_attention", "odml.update_external_kv_cache"
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
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai_edge_litert is not installed")
    kernels = pytest.importorskip("ai_edge_litert.pywrap_genai_ops", reason="this ai_edge_litert has no such kernels")
    b = GraphBuilder()
    ins = [b.input(TensorType.of(x.dtype), x.shape) for x in inputs]
    graph = b.graph(b.op(operator, ins, [b.tensor(F32, inputs[0].shape) for _ in range(outputs)], options=options))
    interpreter = litert.InterpreterWithCustomOps(
        custom_op_registerers=[kernels.GenAIOpsRegisterer],
        model_content=write_model(model(graph)),
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    for got, detail in zip(ours(graph, *inputs), interpreter.get_output_details(), strict=True):
        np.testing.assert_allclose(got, interpreter.get_tensor(detail["index"]), rtol=1e-4, atol=1e-5)


@pytest.mark.reference
@pytest.mark.parametrize(("queries", "groups"), [(1, 4), (1, 2), (3, 1)])
def test_attention_is_that_of_litert(queries: int, groups: int) -> None:
    inputs = [numbers(1, queries, 4, 8), numbers(1, 5, groups, 8), numbers(1, 5, groups, 8), numbers(1, 1, queries, 5)]
    compare_with_litert(ATTENTION, inputs, 1, write_flexbuffer({"scale": 0.3}))


@pytest.mark.reference
@pytest.mark.parametrize("position", [[0, 2, 5], [1, 4, 0], [2, 2, 3]])
def test_updates_are_those_of_litert(position: list[int]) -> None:
    compare_with_litert(UPDATE, [CACHE, CACHE + 10, np.int32(position), SLICES, SLICES + 10], 2)

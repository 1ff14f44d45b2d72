"""The examples, as they stand there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from examples.generate.generate import generate, launches, sampling
from tests.emulator.device import EmulatedGpuDelegate
from tests.pages import Reader, blocks

FOLDER = Path(__file__).parents[1] / "examples" / "generate"
PROMPT, COUNT = b"A model that", 40


@cache
def trained() -> tuple[Any, bytes]:
    """A decoder in TensorFlow, hardly trained, and its file."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    from examples.generate import train

    decoder = train.Decoder()
    assert train.train(decoder, train.TEXT.read_bytes(), steps=8) < 5
    return decoder, train.convert(decoder)


def in_tensorflow(decoder: Any) -> Iterator[int]:
    """The most likely tokens, by the functions that were converted."""
    functions = decoder.signatures()
    tokens = np.zeros(256, np.int32)
    tokens[: len(PROMPT)] = list(PROMPT)
    outputs = functions["prefill"](tokens=_tensor(tokens), length=_tensor(len(PROMPT)))
    for position in range(len(PROMPT), 256):
        token = int(outputs["logits"].numpy().argmax())
        yield token
        cache = {name: outputs[name] for name in ("k", "v")}
        outputs = functions["decode"](token=_tensor(token), position=_tensor(position), **cache)


def _tensor(value: Any) -> Any:
    import tensorflow as tf

    return tf.constant(value, tf.int32)


@pytest.mark.flex
def test_the_tokens_are_those_of_tensorflow() -> None:
    decoder, content = trained()
    tokens = list(generate(lite.Interpreter(model_content=content, device="cpu"), PROMPT, COUNT))
    assert tokens == list(islice(in_tensorflow(decoder), COUNT))
    assert len(set(tokens)) > 1, "a decoder that repeats itself shows nothing"


@pytest.mark.flex
def test_on_a_device_the_cache_stays_and_is_updated_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every `decode` gives the very arrays back that it was given."""
    _, content = trained()
    delegate = EmulatedGpuDelegate()
    interpreter = lite.Interpreter(model_content=content, device="cpu", delegates=[delegate])
    calls: list[tuple[Any, Any]] = []
    call = lite.SignatureRunner.call

    def watched(runner: lite.SignatureRunner, inputs: Any, **options: Any) -> Any:
        outputs = call(runner, inputs, **options)
        calls.append((inputs, outputs))
        return outputs

    monkeypatch.setattr(lite.SignatureRunner, "call", watched)
    tokens = list(generate(interpreter, PROMPT, 12))
    assert tokens == list(generate(lite.Interpreter(model_content=content, device="cpu"), PROMPT, 12))
    (_, prefilled), *decoded = calls[:13]
    assert len(decoded) == 12
    for name in ("k", "v"):
        assert delegate.space.owns(prefilled[name])
        assert all(inputs[name] is outputs[name] is prefilled[name] for inputs, outputs in decoded)


@pytest.mark.flex
def test_the_file_holds_builtin_operators_alone_and_a_token_is_one_graph() -> None:
    _, content = trained()
    planned = lite.Interpreter(model_content=content, dry_run=True, require="gpu")
    assert {node.name for graph in planned.model.graphs for node in graph.nodes}.isdisjoint({"CUSTOM", "WHILE", "IF"})
    totals = planned.delegation_report().totals()
    assert {name: total.partitions for name, total in totals.items()} == {"gpu": 2, "cpu": 0, "flex": 0}
    kernels, graphs = launches(planned, "decode")
    assert graphs == 1
    assert kernels < 40


@pytest.mark.flex
def test_texts_end_where_the_cache_does() -> None:
    _, content = trained()
    interpreter = lite.Interpreter(model_content=content, device="cpu")
    assert len(list(generate(interpreter, b"x" * 250, 100))) == 6


def test_sampling_follows_the_seed_and_the_temperature() -> None:
    logits = np.float32([0, 1, 2, 3])

    def drawn(temperature: float, seed: int) -> list[int]:
        choose = sampling(temperature, seed)
        return [choose(logits) for _ in range(200)]

    assert drawn(1, seed=1) == drawn(1, seed=1) != drawn(1, seed=2)
    assert set(drawn(0.01, seed=1)) == {3}
    assert set(drawn(100, seed=1)) == {0, 1, 2, 3}


@pytest.mark.slow
@pytest.mark.flex
def test_its_page(tmp_path: Path) -> None:
    """Trains for half a minute; the text is then the one that was learnt."""
    for script in FOLDER.glob("*.*"):
        (tmp_path / script.name).write_bytes(script.read_bytes())
    reader = Reader(tmp_path, unstable=("python ",))
    for block in blocks(FOLDER / "README.md"):
        reader.run(block)

"""Whole networks: launched one by one, captured and replayed, in several sizes; against the CPU delegate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from networks import bert, decoder, efficientnet_b0, mobilenet_v2, resnet50

import tflite_cupy as lite
from tflite_cupy.interpreter.graph import Model

from .combined import logits_of
from .progress import Progress
from .target import Target, inputs_of, on_host, relative_error, runner, same_bits

LIMITS = {"strict": 1e-4, "tf32": 1e-2, "fp16": 1e-2}
"""Relative RMS error against the CPU delegate. Integer networks give equal results."""

TURNS = ("launched", "captured", "replayed")
STEPS = 20


@dataclass(frozen=True, slots=True)
class Network:
    """make(batch=...) gives the model; sides: of the image, the second of which it is resized to."""

    make: Callable[..., Model]
    batches: tuple[int, ...] = (1, 8)
    sides: tuple[int, int] | None = None
    is_exact: bool = False


def networks(*, is_small: bool) -> dict[str, Network]:
    """What is checked; small ones for the emulated device."""
    sides = (32, 48) if is_small else (224, 160)
    batches = (1,) if is_small else (1, 8)
    image: dict[str, Any] = {"resolution": sides[0]}
    text: dict[str, Any] = {"layers": 1, "width": 32, "heads": 2, "tokens": 8, "words": 1000} if is_small else {}
    found = {
        "MobileNetV2": Network(partial(mobilenet_v2, **image), (1, 2) if is_small else (1, 8, 64), sides),
        "MobileNetV2 int8": Network(partial(mobilenet_v2, quantized=True, **image), batches, sides, is_exact=True),
        "EfficientNet-B0": Network(partial(efficientnet_b0, **image), batches, sides),
        "BERT": Network(partial(bert, **text), batches),
    }
    if not is_small:
        found["ResNet50"] = Network(partial(resnet50, **image), batches, sides)
    return found


LEAST = 5.0
"""Seconds without which no row is begun."""


def run(target: Target, progress: Progress) -> None:
    """The decoder first, since it is small; then each network at its first batch size, and so on."""
    known = networks(is_small=not target.is_real)
    keys: list[dict[str, Any]] = [{"model": "decoder", "batch": 1, "precision": name} for name in LIMITS]
    sizes = sorted((place, name) for name, network in known.items() for place in range(len(network.batches)))
    for place, name in sizes:
        is_strict = known[name].is_exact or (not target.is_real and name != "MobileNetV2")
        found = {"model": name, "batch": known[name].batches[place]}
        keys += [found | {"precision": precision} for precision in (["strict"] if is_strict else LIMITS)]
    wants: dict[tuple[str, int], dict[int, Any]] = defaultdict(dict)
    for key in progress.while_time(progress.missing("models", keys), LEAST):
        with progress.attempt("models", **key) as row:
            if key["model"] == "decoder":
                _decoder(target, key["precision"], row)
            else:
                network, size = known[key["model"]], (key["model"], key["batch"])
                _network(target, _content(network, key["batch"]), network, key["precision"], wants[size], row)
    progress.finish()


@lru_cache(maxsize=1)
def _content(network: Network, batch: int) -> bytes:
    return lite.write_model(logits_of(network.make(batch=batch)))


def _network(
    target: Target, content: bytes, network: Network, precision: str, wants: dict[int, Any], row: dict[str, Any]
) -> None:
    """wants: results of the CPU by the side of the image, kept between calls."""
    there, here = runner(target.interpreter(content, precision)), runner(on_host(content, exact=network.is_exact))
    sides = network.sides or (0, 0)
    errors: list[float] = []
    first: dict[int, Any] = {}
    row["differing"] = []
    for side in dict.fromkeys(sides):
        inputs = _inputs(here, side)
        if side not in wants:
            wants[side] = here(**inputs)
        on_device = target.put(inputs)
        for turn in TURNS:
            got = target.get(there(**on_device))
            errors.append(relative_error(got, wants[side]))
            if not same_bits(got, first.setdefault(side, got)):
                row["differing"].append(turn)
    if not same_bits(there(**_inputs(here, sides[0])), first[sides[0]]):
        row["differing"].append("back at the first size, from host arrays")
    row["error"] = max(errors)
    row["passed"] = max(errors) <= (0.0 if network.is_exact else LIMITS[precision]) and not row["differing"]


def _inputs(runner: lite.SignatureRunner, side: int) -> dict[str, np.ndarray]:
    details = runner.get_input_details()
    shapes = {name: (d["shape"][0], side, side, 3) for name, d in details.items() if side}
    found: dict[str, np.ndarray] = inputs_of(runner, 1, shapes)
    return found


def _decoder(target: Target, precision: str, row: dict[str, Any]) -> None:
    """A prompt and twenty tokens, the cache on the device throughout; every result against the CPU's."""
    model = decoder() if target.is_real else decoder(**_SMALL_DECODER)
    content = lite.write_model(model)
    here, there = on_host(content), target.interpreter(content, precision)
    fed = inputs_of(runner(here, "prefill"), 2) | {"position": np.array([0], np.int32)}
    prompt = fed["tokens"].shape[1]
    empty = {name: np.zeros_like(v) for name, v in fed.items() if name not in ("tokens", "position")}
    cpu: Mapping[str, Any] = runner(here, "prefill")(**fed | empty)
    gpu: Mapping[str, Any] = runner(there, "prefill")(**fed | target.put(empty))
    errors, token, stayed = [relative_error(target.get(gpu), cpu)], 1, True
    for step in range(STEPS if target.is_real else 4):
        fed = {"tokens": np.array([[token]], np.int32), "position": np.array([prompt + step], np.int32)}
        cpu = runner(here, "decode")(**fed, **{n: v for n, v in cpu.items() if n != "logits"})
        gpu = runner(there, "decode")(**fed, **{n: v for n, v in gpu.items() if n != "logits"})
        stayed = stayed and all(target.space.owns(value) for value in gpu.values())
        errors.append(relative_error(target.get(gpu), cpu))
        token = int(np.argmax(cpu["logits"]))
    row |= {"error": max(errors), "on_device": stayed, "passed": max(errors) <= LIMITS[precision] and stayed}


_SMALL_DECODER: Any = {"layers": 1, "width": 32, "heads": 2, "longest": 16, "prompt": 4, "words": 50}

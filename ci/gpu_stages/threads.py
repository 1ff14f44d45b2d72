"""Eight threads over one interpreter of four signatures, with arrays of several libraries; every output is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from networks import bert, efficientnet_b0, mobilenet_v2

import tflite_cupy as lite
from tflite_cupy.interpreter.graph import Model

from .combined import combined
from .models import LIMITS
from .progress import Progress
from .target import Target, inputs_of, on_host, relative_error, same_bits

THREADS, VARIANTS = 8, 4
"""Threads, and inputs of each signature that they take in turn."""


@dataclass(frozen=True, slots=True)
class Library:
    """How callers hold arrays."""

    name: str
    put: Callable[[np.ndarray], Any]
    get: Callable[[Any], np.ndarray]


def libraries(target: Target, progress: Progress) -> list[Library]:
    """Host arrays, the device's own, and what else is installed there."""
    device = Library("device", target.space.put, lambda a: target.space.get([a])[0])
    found = [Library("numpy", np.array, np.asarray), device]
    for name, make in (("torch", _torch), ("jax", _jax)) if target.is_real else ():
        if find_spec(name) is None:
            progress.note(**{name: "not installed"})
            continue
        found.append(make())
    return found


def _torch() -> Library:
    import torch

    def put(array: np.ndarray) -> Any:
        tensor = torch.from_numpy(array).cuda()
        torch.cuda.synchronize()
        return tensor

    return Library("torch", put, lambda a: torch.from_dlpack(a).cpu().numpy())


def _jax() -> Library:
    import jax.dlpack

    return Library(
        "jax", lambda a: jax.device_put(a).block_until_ready(), lambda a: np.asarray(jax.dlpack.from_dlpack(a))
    )


def run(target: Target, progress: Progress) -> None:
    """Results must be, to the bit, those of a thread alone, which are held against the CPU delegate."""
    models = _models(is_small=not target.is_real)
    content = lite.write_model(combined(models))
    interpreter, host = target.interpreter(content), on_host(content, exact=True)
    feeds = {key: [inputs_of(host.get_signature_runner(key), seed) for seed in range(VARIANTS)] for key in models}
    wants: dict[tuple[str, int], Any] = {}
    for key, inputs in feeds.items():
        for variant, feed in enumerate(inputs):
            wants[key, variant] = want = interpreter.get_signature_runner(key)(**feed)
            error = relative_error(want, host.get_signature_runner(key)(**feed))
            if error > LIMITS["strict"]:
                progress.row("single", signature=key, variant=variant, error=error, passed=False)
    known, rounds = libraries(target, progress), 200 if target.is_real else 3

    def work(thread: int) -> None:
        library = known[thread % len(known)]
        with progress.attempt("threads", thread=thread, library=library.name, calls=0, wrong=0) as row:
            for is_right in _calls(interpreter, feeds, wants, library, rounds, thread):
                row["calls"] += 1
                row["wrong"] += not is_right
                if progress.left < 0:
                    break
            row["passed"] = row["calls"] > 0 and not row["wrong"]

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    progress.finish(calls=sum(row["calls"] for row in progress.result["threads"]))


def _models(*, is_small: bool) -> dict[str, Model]:
    """By signature; small ones for the emulated device."""
    if is_small:
        text: dict[str, Any] = {"layers": 1, "width": 16, "heads": 2, "words": 1000}
        return {"short": bert(tokens=4, **text), "long": bert(tokens=8, seed=1, **text)}
    return {
        "image": mobilenet_v2(resolution=64),
        "integer": mobilenet_v2(resolution=64, quantized=True),
        "squeeze": efficientnet_b0(resolution=64),
        "text": bert(layers=2, width=128, heads=2, tokens=32, words=1000),
    }


def _calls(
    interpreter: lite.Interpreter,
    feeds: Mapping[str, Any],
    wants: Mapping[tuple[str, int], Any],
    library: Library,
    rounds: int,
    thread: int,
) -> Iterator[bool]:
    """Whether outputs were right. Each signature in turn, `rounds` times, in an order of this thread's own; the same
    inputs three times, so that it is launched, captured and replayed."""
    keys = list(feeds)
    runners = {key: interpreter.get_signature_runner(key) for key in keys}
    held = {
        (key, v): {name: library.put(a) for name, a in feeds[key][v].items()} for key in keys for v in range(VARIANTS)
    }
    for turn in range(rounds * len(keys)):
        key = keys[(turn + thread) % len(keys)]
        variant = (turn // (3 * len(keys)) + thread) % VARIANTS
        got = runners[key](**held[key, variant])
        yield same_bits({name: library.get(value) for name, value in got.items()}, wants[key, variant])

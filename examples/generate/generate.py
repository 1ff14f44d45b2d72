"""Streams text from the decoder that train.py makes: `python generate.py decoder.tflite --prompt "The Zen of"`.

Needs NumPy and this package only. `prefill` takes the prompt, `decode` one token at a time; the cache goes from each
call to the next. On a GPU it stays there and is updated in place, and a token costs one copy of its logits.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import numpy as np

import tflite_cupy as lite

Choose = Callable[[np.ndarray], int]


def greedy(logits: np.ndarray) -> int:
    """The most likely token."""
    return int(logits.argmax())


def sampling(temperature: float, seed: int) -> Choose:
    """Tokens drawn from softmax(logits / temperature); the same ones for the same seed."""
    rng = np.random.default_rng(seed)

    def choose(logits: np.ndarray) -> int:
        odds = np.exp((logits - logits.max()) / temperature)
        return int(rng.choice(len(odds), p=odds / odds.sum(dtype=np.float64)))

    return choose


def generate(interpreter: lite.Interpreter, prompt: bytes, count: int, choose: Choose = greedy) -> Iterator[int]:
    """Up to `count` tokens after a prompt of 1 to `longest(interpreter)` tokens; fewer where the cache is full."""
    prefill, decode = (interpreter.get_signature_runner(key) for key in ("prefill", "decode"))
    where = "device" if on_gpu(interpreter) else "host"
    tokens = np.zeros(longest(interpreter), np.int32)
    tokens[: len(prompt)] = list(prompt)
    outputs = prefill.call({"tokens": tokens, "length": np.int32(len(prompt))}, outputs=where)
    for position in range(len(prompt), min(len(prompt) + count, len(tokens))):
        token = choose(to_host(outputs["logits"]))
        yield token
        inputs = {"token": np.int32(token), "position": np.int32(position), "k": outputs["k"], "v": outputs["v"]}
        outputs = decode.call(inputs, outputs=where, donate=("k", "v"))


def longest(interpreter: lite.Interpreter) -> int:
    """How many tokens the cache has room for."""
    return int(interpreter.get_signature_runner("prefill").get_input_details()["tokens"]["shape"][0])


def on_gpu(interpreter: lite.Interpreter) -> bool:
    """Whether the model's nodes run on a GPU."""
    return interpreter.delegation_report().totals()["gpu"].nodes > 0


def to_host(array: Any) -> np.ndarray:
    """A NumPy array of one that may be CuPy's."""
    return array if isinstance(array, np.ndarray) else array.get()


def launches(interpreter: lite.Interpreter, key: str) -> tuple[int, int]:
    """Kernel launches of a call of a signature on a GPU, and the CUDA graphs that they are sent as."""
    subgraphs = interpreter.delegation_report().reached(key)
    parts: list[Any] = [part.details for subgraph in subgraphs for part in subgraph.partitions]
    return sum(part["launches"] for part in parts), sum(part["segments"] for part in parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the file that train.py wrote")
    parser.add_argument("--prompt", default="The Zen of", help="ASCII text (default: %(default)s)")
    parser.add_argument("--count", type=int, default=200, help="of tokens (default: %(default)s)")
    parser.add_argument("--temperature", type=float, default=0.0, help="0 takes the most likely token (default)")
    parser.add_argument("--seed", type=int, default=0, help="of sampling (default: %(default)s)")
    parser.add_argument("--device", choices=("auto", "gpu", "cpu"), default="auto")
    parser.add_argument("--report", action="store_true", help="say on stderr which node ran where")
    arguments = parser.parse_args()
    choose = sampling(arguments.temperature, arguments.seed) if arguments.temperature else greedy
    interpreter = lite.Interpreter(arguments.model, device=arguments.device)
    if not arguments.prompt.isascii() or not 1 <= len(arguments.prompt) <= longest(interpreter):
        parser.error(f"a prompt has 1 to {longest(interpreter)} ASCII characters")
    print(arguments.prompt, end="", flush=True)
    started, count = perf_counter(), 0
    for token in generate(interpreter, arguments.prompt.encode("ascii"), arguments.count, choose):
        print(chr(token), end="", flush=True)
        count += 1
    print()
    seconds = perf_counter() - started
    where = "GPU" if on_gpu(interpreter) else "CPU"
    print(f"{count} tokens on the {where}, {count / seconds:,.0f} a second, prompt included", file=sys.stderr)
    if arguments.report:
        kernels, graphs = launches(lite.Interpreter(arguments.model, dry_run=True), "decode")
        print(f"a token on a GPU: {kernels} kernel launches, sent as {graphs} CUDA graph(s)\n", file=sys.stderr)
        print(interpreter.delegation_report(), file=sys.stderr)


if __name__ == "__main__":
    main()

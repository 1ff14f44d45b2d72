"""Measures conversions of Keras networks: this package against the converter of TensorFlow Lite.

Each conversion runs in a process of its own, ours and theirs in turn. The process imports everything, builds the
network and converts a tiny one first; then it measures one call of `from_keras_model(network).convert()`: seconds, and
by how much memory in use rises above what it was before, as a multiple of the weights' bytes (Linux counts it).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from machine import RESULTS, forget_peak, machine, memory, spread

OURS, OFFICIAL = "tflite-cupy", "tf.lite"


def networks() -> dict[str, Callable[[Any], Any]]:
    """Builders of Keras models by name."""
    from tests.converter.networks import application, bert, recurrent

    return {
        "MobileNetV2": lambda keras: application(keras, "MobileNetV2", 224, classes=1000),
        "EfficientNetB0": lambda keras: application(keras, "EfficientNetB0", 224, classes=1000),
        "ResNet50": lambda keras: application(keras, "ResNet50", 224, classes=1000),
        "BERT encoder, 4 layers of 256": lambda keras: bert(keras, depth=4, width=256, steps=128, words=30000),
        "LSTM of 512": lambda keras: recurrent(keras, "LSTM", units=512),
    }


NAMES = ("MobileNetV2", "EfficientNetB0", "ResNet50", "BERT encoder, 4 layers of 256", "LSTM of 512")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="conversions by each converter (default: 3)")
    parser.add_argument("--networks", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--json", type=Path, default=RESULTS / "convert.json", help="where the numbers go")
    parser.add_argument("--child", nargs=2, metavar=("CONVERTER", "NETWORK"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(conversion(*options.child)))
        return
    results = []
    for name in options.networks:
        results.append(measure(name, options.rounds))
        print(line(results[-1]), flush=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"machine": machine() | versions(), "results": results}, indent=1) + "\n")
    print(f"numbers: {options.json}")


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Both converters' numbers for a network."""
    seen: dict[str, list[dict[str, Any]]] = {OURS: [], OFFICIAL: []}
    for _ in range(rounds):
        for converter, conversions in seen.items():
            conversions.append(in_a_process(converter, name))
    last = {converter: conversions[-1] for converter, conversions in seen.items()}
    return {
        "network": name,
        "weights": last[OURS]["weights"],
        "seconds": {c: spread([one["seconds"] for one in ones]) for c, ones in seen.items()},
        "processor_seconds": {c: spread([one["processor_seconds"] for one in ones]) for c, ones in seen.items()},
        "memory": {c: spread([one["memory"] / one["weights"] for one in ones]) for c, ones in seen.items()},
        "nodes": {c: one["nodes"] for c, one in last.items()},
        "flex": {c: one["flex"] for c, one in last.items()},
        "bytes": {c: one["bytes"] for c, one in last.items()},
    }


def in_a_process(converter: str, name: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", converter, name]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{converter} failed on {name}:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def conversion(converter: str, name: str) -> dict[str, Any]:
    """One conversion in this process: seconds, bytes of memory beyond what was in use before, and what came out."""
    import keras

    from tflite_cupy.interpreter.format.model import load_model

    convert = {OURS: convert_ours, OFFICIAL: convert_official}[converter]
    keras.utils.set_random_seed(1)
    convert(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    network = networks()[name](keras)
    before = memory("VmRSS")
    forget_peak()
    start, busy = time.perf_counter(), time.process_time()
    content = convert(network)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    peak = memory("VmHWM")
    nodes = [node.name for graph in load_model(content).graphs for node in graph.nodes]
    return {
        "seconds": seconds,
        "processor_seconds": busy,
        "memory": peak - before,
        "weights": sum(int(np.prod(v.shape)) * np.dtype(v.dtype).itemsize for v in network.weights),
        "nodes": len(nodes),
        "flex": sum(node.startswith("Flex") for node in nodes),
        "bytes": len(content),
    }


def convert_ours(network: Any) -> bytes:
    from tflite_cupy import TFLiteConverter

    return TFLiteConverter.from_keras_model(network).convert()


def convert_official(network: Any) -> bytes:
    """With Flex nodes allowed: a recurrent layer for batches of any size needs them there."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    content: bytes = converter.convert()
    return content


def versions() -> dict[str, str]:
    """Of what the official converter is part of."""
    from importlib.metadata import version

    import tensorflow as tf

    return {"tensorflow": tf.__version__, "keras": version("keras")}


def line(result: Mapping[str, Any]) -> str:
    """A result for people."""
    parts = [
        f"{c}: {result['seconds'][c]['median']:.2f} s, {result['processor_seconds'][c]['median']:.2f} s of processors, "
        f"{result['memory'][c]['median']:.2f} x the weights, "
        f"{result['nodes'][c]} nodes ({result['flex'][c]} Flex), {result['bytes'][c]:,} bytes"
        for c in (OURS, OFFICIAL)
    ]
    return "\n  ".join([f"{result['network']}, {result['weights'] / 1e6:.1f} MB of weights", *parts])


if __name__ == "__main__":
    main()

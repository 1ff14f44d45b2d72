"""Small networks, one case after the other, for tools that watch a process: `python sanitized.py gpu`."""

from __future__ import annotations

import sys
from pathlib import Path

CI = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CI.parent), str(CI)]

from collections.abc import Callable
from functools import partial

from networks import bert, decoder, efficientnet_b0, mobilenet_v2
from networks.builder import Builder

import tflite_cupy as lite
from gpu_stages.target import Target, inputs_of, runner
from tflite_cupy.interpreter.graph import Model


def products(*, quantized: bool = False) -> Model:
    """Layers whose blocks share long sums, of windows and of pixels."""
    b = Builder(0, quantized=quantized)
    x = b.conv(b.image((1, 7, 7, 512)), 40, 3)
    return b.model({"y": b.conv(b.conv(x, 960), 160)}, "products")


TEXT = {"layers": 1, "width": 64, "heads": 2, "words": 100}
CASES: list[tuple[str, Callable[[], Model], str]] = [
    ("products", products, "tf32"),
    ("products", products, "fp16"),
    ("products int8", partial(products, quantized=True), "strict"),
    ("MobileNetV2", partial(mobilenet_v2, resolution=32), "strict"),
    ("MobileNetV2", partial(mobilenet_v2, resolution=32), "tf32"),
    ("MobileNetV2", partial(mobilenet_v2, resolution=32), "fp16"),
    ("MobileNetV2 int8", partial(mobilenet_v2, resolution=32, quantized=True), "strict"),
    ("BERT", partial(bert, tokens=16, **TEXT), "strict"),
    ("BERT", partial(bert, tokens=16, **TEXT), "fp16"),
    ("decoder", partial(decoder, longest=16, prompt=4, **TEXT), "tf32"),
    ("EfficientNet-B0", partial(efficientnet_b0, resolution=32), "strict"),
]


def main(name: str) -> None:
    """Each case: launched, captured and replayed."""
    target = Target(name)
    if target.is_real:
        import cupy

        cupy.cuda.set_allocator(None)
    for what, make, precision in CASES:
        interpreter = target.interpreter(lite.write_model(make()), precision, apart=True)
        for key in interpreter.get_signature_list():
            call = runner(interpreter, key)
            inputs = target.put(inputs_of(call, 1))
            for _ in range(3):
                target.get(call(**inputs))
        print(f"case {what} {precision}", flush=True)
    print("all cases ran")


if __name__ == "__main__":
    main(sys.argv[1])

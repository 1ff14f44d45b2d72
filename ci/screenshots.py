"""Pictures for the README, of a model that this package's converter makes: `ci/screenshots`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import tflite_cupy as lite
from tflite_cupy.cli import main as command
from tflite_cupy.commands.report import coloured

IMAGES = ROOT / "docs" / "images"
WIDTH, HEIGHT = 1280, 1100
COLUMNS = 100
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace"


def convert(path: Path) -> None:
    """Write a model of pictures and words: search(image, query) -> score, caption; describe(image) -> vector.

    Convolutions and products are for the GPU, the table of names for the CPU, other strings for TensorFlow.
    """
    import tensorflow as tf

    tower = _tower()
    normal = tf.random.Generator.from_seed(7).normal
    vectors, hidden, classes = (tf.Variable(normal(shape)) for shape in ([4096, 32], [32, 64], [64, 4]))
    ids, names = tf.range(4, dtype=tf.int64), tf.constant(["beach", "city", "forest", "snow"])
    places = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(ids, names), "somewhere")

    def describe(image: Any) -> dict[str, Any]:
        return {"vector": tf.nn.l2_normalize(tower(image / 255.0), axis=1)}

    def search(image: Any, query: Any) -> dict[str, Any]:
        picture = describe(image)["vector"]
        words = tf.gather(vectors, tf.strings.to_hash_bucket_fast(tf.strings.lower(query), 4096))
        score = tf.nn.sigmoid(8.0 * tf.reduce_sum(picture * tf.nn.l2_normalize(words @ hidden, axis=1), axis=1))
        place = places.lookup(tf.argmax(picture @ classes, axis=1))
        percent = tf.strings.as_string(100.0 * score, precision=1)
        return {"score": score, "caption": tf.strings.join([place, ": ", percent, " %"])}

    image, query = tf.TensorSpec([1, 96, 96, 3], tf.float32, "image"), tf.TensorSpec([1], tf.string, "query")
    functions = {
        "search": tf.function(search).get_concrete_function(image, query),
        "describe": tf.function(describe).get_concrete_function(image),
    }
    converter = lite.TFLiteConverter.from_concrete_functions(functions, (tower, vectors, hidden, classes, places))
    converter.target_spec.supported_ops = [lite.OpsSet.TFLITE_BUILTINS, lite.OpsSet.SELECT_TF_OPS]
    path.write_bytes(converter.convert())


def _tower() -> Any:
    """A small convolutional network: image [1, 96, 96, 3] -> vector [1, 64]."""
    import keras

    keras.utils.set_random_seed(7)
    layers = keras.layers
    image = x = keras.Input((96, 96, 3), name="image")
    for filters in (24, 48, 96, 128):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu6")(x)
        for _ in range(2):
            y = layers.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
            x = layers.Add()([x, layers.Conv2D(filters, 1)(y)])
    return keras.Model(image, layers.Dense(64)(layers.GlobalAveragePooling2D()(x)))


def browser() -> str:
    """Path of Chromium or Chrome."""
    names = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        sys.exit("error: neither Chromium nor Chrome is installed; name one: CHROMIUM=/path/to/it ci/screenshots")
    return found


def photograph(page: Path, target: Path, *, dark: bool) -> None:
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    size = f"--window-size={WIDTH},{HEIGHT}"
    finished = ["--run-all-compositor-stages-before-draw", "--virtual-time-budget=3000"]
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *finished, scheme, size]
    subprocess.run([browser(), *options, f"--screenshot={target}", page.as_uri()], check=True, capture_output=True)


def terminal(model: Path, target: Path) -> None:
    """The report as a terminal shows it, as SVG that loads no font."""
    from rich._export_format import CONSOLE_SVG_FORMAT
    from rich.console import Console

    report = lite.Interpreter(model_path=str(model), device="gpu", dry_run=True).delegation_report()
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(f"$ tflite-cupy report {model.name} --assume-gpu --signature search", highlight=False)
        console.print(coloured(report.only("search").to_text(COLUMNS)))
    form = re.sub(r"@font-face \{\{.*?\}\}|<!--.*?-->", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    form = form.replace("Fira Code, monospace", FONT)
    console.save_svg(str(target), title="tflite-cupy report", code_format=form, unique_id="report")


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        model, page = Path(folder) / "photo_search.tflite", Path(folder) / "page.html"
        convert(model)
        command(["visualize", str(model), "--assume-gpu", "-o", str(page)])
        photograph(page, IMAGES / "report-light.png", dark=False)
        photograph(page, IMAGES / "report-dark.png", dark=True)
        terminal(model, IMAGES / "report-terminal.svg")
    for path in sorted(IMAGES.iterdir()):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

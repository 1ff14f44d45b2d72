"""The snippet of the TensorFlow Lite signature guide, with only the import changed, and a classic loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [
    pytest.mark.flex,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

GUIDE = """
import tensorflow as tf

import tflite_cupy as lite


class Model(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec(shape=[None], dtype=tf.float32)])
    def encode(self, x):
        result = tf.strings.as_string(x)
        return {"encoded_result": result}

    @tf.function(input_signature=[tf.TensorSpec(shape=[None], dtype=tf.string)])
    def decode(self, x):
        result = tf.strings.to_number(x)
        return {"decoded_result": result}


model = Model()

tf.saved_model.save(
    model,
    SAVED_MODEL_PATH,
    signatures={
        "encode": model.encode.get_concrete_function(),
        "decode": model.decode.get_concrete_function(),
    },
)

converter = lite.TFLiteConverter.from_saved_model(SAVED_MODEL_PATH)
converter.target_spec.supported_ops = [OPS_SET.TFLITE_BUILTINS, OPS_SET.SELECT_TF_OPS]
tflite_model = converter.convert()

interpreter = lite.Interpreter(model_content=tflite_model)
signatures = interpreter.get_signature_list()

encode = interpreter.get_signature_runner("encode")
decode = interpreter.get_signature_runner("decode")

input = tf.constant([1, 2, 3], dtype=tf.float32)
encoded = encode(x=input)
decoded = decode(x=encoded["encoded_result"])
"""


@pytest.mark.parametrize("ops_set", ["lite", "tf.lite"])
def test_guide(tmp_path: Path, ops_set: str) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    names: dict[str, Any] = {"SAVED_MODEL_PATH": str(tmp_path / "coding")}
    exec(GUIDE.replace("OPS_SET", f"{ops_set}.OpsSet"), names)
    assert names["signatures"] == {
        "decode": {"inputs": ["x"], "outputs": ["decoded_result"]},
        "encode": {"inputs": ["x"], "outputs": ["encoded_result"]},
    }
    assert names["encoded"]["encoded_result"].tolist() == [b"1.000000", b"2.000000", b"3.000000"]
    np.testing.assert_array_equal(names["decoded"]["decoded_result"], np.float32([1, 2, 3]))

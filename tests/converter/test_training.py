"""Training inside the file: signatures that train, infer, save and restore, and share the variables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.converter.oracle import BOTH, pytestmark_converter, weights

pytestmark = pytestmark_converter

X = weights(6, 4, seed=7)
Y = np.int32([0, 1, 2, 0, 1, 2])
STEPS = 3


def keras_optimizer(name: str, **options: Any) -> Callable[[list[Any]], Callable[[list[Any]], Any]]:
    """A Keras optimizer: (variables) -> step(gradients)."""

    def build(variables: list[Any]) -> Callable[[list[Any]], Any]:
        import keras

        optimizer = getattr(keras.optimizers, name)(**options)
        optimizer.build(variables)
        return lambda gradients: optimizer.apply_gradients(zip(gradients, variables, strict=True))

    return build


def raw(name: str, slots: tuple[str, ...], **options: Any) -> Callable[[list[Any]], Callable[[list[Any]], Any]]:
    """An operator of TensorFlow's that makes a step of one variable, with as many slot variables as it has."""

    def build(variables: list[Any]) -> Callable[[list[Any]], Any]:
        import tensorflow as tf

        kept = [{slot: tf.Variable(tf.fill(v.shape, 0.1)) for slot in slots} for v in variables]
        numbers = {k: v if isinstance(v, bool) else tf.constant(v) for k, v in options.items()}

        def step(gradients: list[Any]) -> None:
            for variable, slot, gradient in zip(variables, kept, gradients, strict=True):
                handles = {k: v.handle for k, v in slot.items()}
                grad = {"delta" if name == "ResourceApplyGradientDescent" else "grad": gradient}
                getattr(tf.raw_ops, name)(var=variable.handle, **handles, **numbers, **grad)

        return step

    return build


def assign_sub(variables: list[Any]) -> Callable[[list[Any]], Any]:
    return lambda gradients: [v.assign_sub(0.1 * g) for v, g in zip(variables, gradients, strict=True)]


ADAM = {"beta1_power": 0.9, "beta2_power": 0.99, "lr": 0.01, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-7}
RMS = {"lr": 0.01, "rho": 0.9, "momentum": 0.5, "epsilon": 1e-5}
FTRL = {"lr": 0.1, "l1": 0.0, "l2": 0.0, "lr_power": -0.5}
OPTIMIZERS = {
    "assign_sub": assign_sub,
    "keras SGD": keras_optimizer("SGD", learning_rate=0.1, momentum=0.9, nesterov=True),
    "keras Adam": keras_optimizer("Adam", learning_rate=0.01),
    "gradient descent": raw("ResourceApplyGradientDescent", (), alpha=0.1),
    "momentum": raw("ResourceApplyMomentum", ("accum",), lr=0.1, momentum=0.9),
    "nesterov": raw("ResourceApplyMomentum", ("accum",), lr=0.1, momentum=0.9, use_nesterov=True),
    "keras momentum": raw("ResourceApplyKerasMomentum", ("accum",), lr=0.1, momentum=0.9),
    "keras nesterov": raw("ResourceApplyKerasMomentum", ("accum",), lr=0.1, momentum=0.9, use_nesterov=True),
    "adam": raw("ResourceApplyAdam", ("m", "v"), **ADAM),
    "adam nesterov": raw("ResourceApplyAdam", ("m", "v"), **ADAM, use_nesterov=True),
    "rms": raw("ResourceApplyRMSProp", ("ms", "mom"), **RMS),
    "adagrad": raw("ResourceApplyAdagradV2", ("accum",), lr=0.1, epsilon=1e-5),
    "ftrl": raw("ResourceApplyFtrl", ("accum", "linear"), **FTRL),
}
FLEX_STATE = {"ftrl"}
"""Optimizers that have no builtin form, so that TensorFlow keeps the variables."""


def network(build: Callable[[list[Any]], Callable[[list[Any]], Any]]) -> Any:
    import tensorflow as tf

    class Network(tf.Module):
        def __init__(self) -> None:
            self.hidden, self.bias = tf.Variable(weights(4, 8), name="hidden"), tf.Variable(tf.zeros(8), name="bias")
            self.out = tf.Variable(weights(8, 3, seed=2), name="out")
            self.trained = [self.hidden, self.bias, self.out]
            self.step = build(self.trained)

        def logits(self, x: Any) -> Any:
            return tf.nn.relu(x @ self.hidden + self.bias) @ self.out

        @tf.function(input_signature=[tf.TensorSpec([None, 4]), tf.TensorSpec([None], tf.int32)])
        def train(self, x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=self.logits(x))
                loss = tf.reduce_mean(losses)
            self.step(tape.gradient(loss, self.trained))
            return {"loss": loss}

        @tf.function(input_signature=[tf.TensorSpec([None, 4])])
        def infer(self, x: Any) -> Any:
            return {"p": tf.nn.softmax(self.logits(x))}

        @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
        def save(self, path: Any) -> Any:
            values = [v.read_value() for v in self.trained]
            tf.raw_ops.Save(filename=path, tensor_names=["hidden", "bias", "out"], data=values)
            return {"path": path}

        @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
        def restore(self, path: Any) -> Any:
            for name, v in zip(["hidden", "bias", "out"], self.trained, strict=True):
                value = tf.raw_ops.Restore(file_pattern=path, tensor_name=name, dt=tf.float32)
                v.assign(tf.ensure_shape(value, v.shape))
            return {"path": path}

    return Network()


def converted(module: Any, *keys: str, all_flex: bool = False) -> tuple[bytes, Any]:
    converter = lite.TFLiteConverter.from_concrete_functions({key: getattr(module, key) for key in keys})
    converter.target_spec.supported_ops = BOTH
    converter.all_flex = all_flex
    return converter.convert(), converter.report()


@pytest.mark.parametrize("all_flex", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_as_in_tensorflow(name: str, all_flex: bool) -> None:
    module = network(OPTIMIZERS[name])
    untrained = module.infer(X)["p"].numpy()
    content, report = converted(module, "train", "infer", all_flex=all_flex)
    kept_by_tensorflow = all_flex or name in FLEX_STATE
    assert ("VAR_HANDLE" in report["infer"].builtin) != kept_by_tensorflow, str(report)
    assert any(node.op == "VarHandleOp" for node in report["infer"].flex) == kept_by_tensorflow
    interpreter = lite.Interpreter(model_content=content)
    train, infer = (interpreter.get_signature_runner(key) for key in ("train", "infer"))
    for _ in range(STEPS):
        np.testing.assert_allclose(train(x=X, y=Y)["loss"], module.train(X, Y)["loss"].numpy(), rtol=1e-4)
    np.testing.assert_allclose(infer(x=X)["p"], module.infer(X)["p"].numpy(), rtol=1e-4, atol=1e-6)
    fresh = lite.Interpreter(model_content=content).get_signature_runner("infer")(x=X)["p"]
    np.testing.assert_allclose(fresh, untrained, rtol=1e-4, atol=1e-6)


def test_weights_are_saved_and_restored(tmp_path: Path) -> None:
    module = network(assign_sub)
    content, _ = converted(module, "train", "infer", "save", "restore")
    path = np.array(str(tmp_path / "weights").encode(), object)
    interpreter = lite.Interpreter(model_content=content, flex=["Save", "Restore"])
    train, infer, save, restore = (
        interpreter.get_signature_runner(key) for key in ("train", "infer", "save", "restore")
    )
    train(x=X, y=Y)
    saved = infer(x=X)["p"]
    save(path=path)
    train(x=X, y=Y)
    assert np.abs(infer(x=X)["p"] - saved).max() > 1e-6
    restore(path=path)
    np.testing.assert_array_equal(infer(x=X)["p"], saved)
    another = lite.Interpreter(model_content=content, flex=["Save", "Restore"])
    another.get_signature_runner("restore")(path=path)
    np.testing.assert_array_equal(another.get_signature_runner("infer")(x=X)["p"], saved)


def test_files_are_out_of_reach_unless_the_host_lists_them(tmp_path: Path) -> None:
    module = network(assign_sub)
    content, _ = converted(module, "infer", "save")
    with pytest.raises(lite.PolicyError, match="operator Save is not allowed by the flex policy 'pure'"):
        lite.Interpreter(model_content=content).get_signature_runner("save")(path=np.array(b"/nowhere", object))

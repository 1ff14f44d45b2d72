"""Rows of `converter/rules/reduction.py`, `matmul.py`, `einsum.py`, `spectral.py`, `random.py` and `fake_quant.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.converter.oracle import Case, raw, weights


def reduce(name: str, ops: str) -> Case:
    """Along the last axis and, keeping it, along the first."""
    return Case(
        lambda tf, x: tuple(
            getattr(tf.raw_ops, name)(input=x, axis=a, keep_dims=k) for a, k in (([-1], False), (0, True))
        ),
        ["?,3,4"],
        ops,
    )


def einsum(equation: str, *inputs: str, right: Any = None) -> Case:
    if right is None:
        return Case(lambda tf, *xs: tf.raw_ops.Einsum(inputs=xs, equation=equation), inputs)
    return Case(lambda tf, x: tf.raw_ops.Einsum(inputs=[x, right], equation=equation), inputs)


def running(name: str, ops: str) -> Case:
    flags = ((False, False), (True, False), (False, True), (True, True))
    return Case(
        lambda tf, x: tuple(getattr(tf.raw_ops, name)(x=x, axis=1, exclusive=e, reverse=r) for e, r in flags),
        ["?,5"],
        ops,
    )


def fake_quant(name: str, low: Any, high: Any, **attributes: Any) -> Case:
    return Case(raw(name, "inputs", min=low, max=high, **attributes), ["?,3"])


ROWS = {
    "All": reduce("All", "REDUCE_ALL*2"),
    "Any": reduce("Any", "REDUCE_ANY*2"),
    "Max": reduce("Max", "REDUCE_MAX*2"),
    "Mean": reduce("Mean", "MEAN*2"),
    "Min": reduce("Min", "REDUCE_MIN*2"),
    "Prod": reduce("Prod", "REDUCE_PROD*2"),
    "Sum": reduce("Sum", "SUM*2"),
    "EuclideanNorm": reduce("EuclideanNorm", "SQUARE SUM*2 SQRT*2"),
    "L2Loss": Case(raw("L2Loss", "t"), ["?,3"], "SQUARE SUM MUL"),
    "BiasAddGrad": Case(raw("BiasAddGrad", "out_backprop"), ["?,3,4"], "SUM"),
    "ArgMax": Case(
        lambda tf, x: (tf.argmax(x, -1), tf.argmax(x, 1, tf.int32), tf.argmax(x, 0, tf.int16)), ["?,3,4"]
    ),
    "ArgMin": Case(lambda tf, x: (tf.argmin(x, -1), tf.argmin(x, 1, tf.int32)), ["?,3,4"], "ARG_MIN*2"),
    "Cumsum": running("Cumsum", "CUMSUM*4"),
    "Cumprod": running("Cumprod", ""),
    "MatMul": Case(lambda tf, x, y: (x @ y, tf.matmul(x, y, True), tf.matmul(x, y, False, True)), ["4,4", "4,4"]),
    "MatMul: with weights": Case(lambda tf, x: x @ tf.cast(weights(4, 5), x.dtype), ["?,4"], "FULLY_CONNECTED"),
    "MatMul: with turned weights": Case(
        lambda tf, x: tf.matmul(x, weights(5, 4), transpose_b=True), ["?,4"], "FULLY_CONNECTED"
    ),
    "MatMul: of unknown shapes": Case(lambda tf, x, y: tf.matmul(x, y), ["?,?", "?,?"], "BATCH_MATMUL"),
    "MatMul: with weights on the left": Case(
        lambda tf, x: tf.raw_ops.MatMul(a=tf.cast(weights(4, 5), x.dtype), b=x, transpose_a=True),
        ["4,?"],
        "BATCH_MATMUL",
    ),
    "BatchMatMul": Case(raw("BatchMatMul", "x y", adj_y=True), ["?,3,4", "?,5,4"], "BATCH_MATMUL"),
    "BatchMatMulV2": Case(raw("BatchMatMulV2", "x y", adj_x=True), ["?,2,4,3", "2,4,5"], "BATCH_MATMUL"),
    "BatchMatMulV2: with weights": Case(
        lambda tf, x: tf.raw_ops.BatchMatMulV2(x=x, y=weights(4, 5)), ["?,2,3,4"], "FULLY_CONNECTED"
    ),
    "BatchMatMulV3": Case(
        lambda tf, x, y: tf.raw_ops.BatchMatMulV3(x=x, y=y, Tout=x.dtype), ["?,3,4", "?,4,5"], "BATCH_MATMUL"
    ),
    "Einsum": einsum("bij,bjk->bik", "?,3,4", "?,4,5"),
    "Einsum: of weights": einsum("abc,cde->abde", "?,3,4", right=weights(4, 2, 3)),
    "Einsum: of weights on the left": Case(
        lambda tf, x: tf.raw_ops.Einsum(inputs=[weights(5, 4), x], equation="oc,bc->bo"), ["?,4"], "FULLY_CONNECTED"
    ),
    "Einsum: of two indices": einsum("abcd,cde->abe", "?,3,2,4", right=weights(2, 4, 3)),
    "Einsum: of attention": einsum("aecd,abcd->acbe", "?,3,2,4", "?,5,2,4"),
    "Einsum: of attention's values": einsum("acbe,aecd->abcd", "?,2,5,3", "?,3,2,4"),
    "Einsum: outer": einsum("i,j->ij", "?", "4"),
    "Einsum: inner": einsum("i,i->", "5", "5"),
    "Einsum: elementwise": einsum("ij,ij->ji", "?,4", "?,4"),
    "Einsum: matrix and vector": einsum("bij,bj->bi", "?,3,4", "?,4"),
    "Einsum: of ellipses": einsum("...ij,jk->...ik", "?,2,3,4", right=weights(4, 5)),
    "Einsum: of two ellipses": einsum("...ij,...jk->...ik", "?,2,3,4", "?,2,4,5"),
    "Einsum: of unequal ellipses": einsum("...ij,...jk->...ik", "2,3,4", "5,2,4,3"),
    "Einsum: that sums": einsum("ij,jk->k", "3,4", "4,5"),
    "Einsum: of one": einsum("abc->cb", "?,3,4"),
    "Complex": Case(raw("Complex", "real imag"), ["?,3", "?,3"]),
    "Conj": Case(raw("Conj", "input"), ["?,3"]),
    "RFFT": Case(lambda tf, x: (tf.signal.rfft(x), tf.signal.rfft(x, [8]), tf.signal.rfft(x, [32])), ["?,2,16"]),
    "RFFT2D": Case(lambda tf, x: tf.signal.rfft2d(x), ["?,8,16"], "RFFT2D", tolerance=1e-4),
    "FFT": Case(lambda tf, x: tf.signal.fft(x), ["?,2,8"]),
    "IFFT": Case(lambda tf, x: tf.signal.ifft(x), ["?,8"]),
    "IRFFT": Case(lambda tf, x: (tf.signal.irfft(x), tf.signal.irfft(x, [8])), ["?,9"]),
    "RandomUniform": Case(lambda tf, n: tf.raw_ops.RandomUniform(shape=n, dtype=tf.float32), ["2:int32"], runs=False),
    "RandomStandardNormal": Case(
        lambda tf, n: tf.raw_ops.RandomStandardNormal(shape=n, dtype=tf.float32), ["2:int32"], runs=False
    ),
    "Multinomial": Case(raw("Multinomial", "logits", num_samples=3), ["?,4"], "MULTINOMIAL", runs=False),
    "FakeQuantWithMinMaxArgs": fake_quant("FakeQuantWithMinMaxArgs", -1.0, 2.0),
    "FakeQuantWithMinMaxArgs: narrow": fake_quant("FakeQuantWithMinMaxArgs", -1.0, 1.0, narrow_range=True, num_bits=4),
    "FakeQuantWithMinMaxVars": fake_quant("FakeQuantWithMinMaxVars", -1.0, 2.0),
    "FakeQuantWithMinMaxVarsPerChannel": fake_quant(
        "FakeQuantWithMinMaxVarsPerChannel", np.float32([-1, -2, 0]), np.float32([1, 0.5, 1])
    ),
}  # fmt: skip

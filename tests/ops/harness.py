"""Runs operators as declared cases: our meaning on every array module at hand, against LiteRT on a one-op model.

A test module of a family lists its cases as data and runs them all with one test:

    from tests.ops.harness import Case, check, const, matrix, q

    CASES = [
        Case("ADD", [x, y], {"fused_activation_function": Activation.RELU}),            # output like the first input
        Case("ADD", [q(a, 0.1, 3), q(b, 0.2)], outputs=[q(None, 0.15, -2)], label="int8"),
        Case("SUM", [x, const(np.int32([1]))], {"keep_dims": True}),                    # axes stored in the file
        Case("ARG_MAX", [x, const(np.int32(1))], {"output_type": TensorType.INT64}, outputs=[TensorType.INT64]),
        Case("ADD", [x, np.ones((7, 7), np.float32)], raises="not broadcastable"),      # KernelError, ours and theirs
        Case("ADD", [flags, flags], refused="not supported with bool"),                 # refusal before any run
    ]

    @pytest.mark.parametrize(("case", "backend"), matrix(CASES))
    def test_operator(case: Case, backend: str) -> None:
        check(case, backend)

Operands are arrays, None for an absent one, or `Operand`s made by `const(array)` (stored in the file),
`variable(array)` (the state of a recurrent op, zeros at first) and `q(array, scale, zero_point, type=..., axis=...,
constant=...)` (quantised). `outputs` gives types, or `q(None, scale, zero_point)` for quantised ones; shapes follow
from `infer`, but where the declared shape is what the operator goes by, `Operand(shape=...)` declares it.

Backends: `numpy` binds the op, asks `refusal` and `infer` and runs the body, which must not write to its inputs and
must give the declared dtype, the inferred shape and, where given, `expect`; `device` does so with arrays that host code
can't touch; `gpu` with CuPy; `reference` compares with ai_edge_litert on the bytes that our writer makes of the model.
Ops that need state, subgraphs or random numbers are not run here: their modules name them in a tuple `OPERATORS`,
which counts as having cases (test_coverage.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from tests.fakes import DEVICE
from tests.litert import OPTIMIZED, PLAIN, call_reference, reference_interpreter
from tflite_cupy.delegates.gpu import device_refusal
from tflite_cupy.interpreter.errors import KernelError
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import ABSENT, Graph, Model, Node, Quantization, Tensor, TensorSpec, TensorType
from tflite_cupy.interpreter.ops.base import Op
from tflite_cupy.interpreter.ops.binding import bind
from tflite_cupy.interpreter.ops.checks import evaluate, infer_outputs, refusal
from tflite_cupy.interpreter.runtime.delegate import BoundNode

REFERENCE_LACKS = frozenset({"CEIL", "ELU", "HASHTABLE", "ROUND", "SEGMENT_SUM"})
"""Operators that the resolver of reference kernels does not have; the optimised kernels stand in for them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Operand:
    """A tensor of a case: its value (None for outputs), type, quantisation, and where its value comes from."""

    data: np.ndarray | None = None
    type: TensorType | None = None
    quantization: Quantization | None = None
    constant: bool = False
    variable: bool = False
    shape: tuple[int, ...] | None = None  # of outputs whose declared shape says what the operator makes


def const(data: Any, type: TensorType | None = None) -> Operand:
    """A tensor stored in the file."""
    return Operand(data=np.asarray(data), type=type, constant=True)


def variable(data: Any) -> Operand:
    """A variable tensor; the reference starts it with zeros."""
    return Operand(data=np.asarray(data), variable=True)


def q(
    data: Any, scale: Any, zero_point: Any = 0, *, type: TensorType | None = None, axis: int = 0, constant: bool = False
) -> Operand:
    """A quantised tensor of stored integers, or what describes one for `data` None; lists give scales per channel."""
    scales = np.atleast_1d(np.asarray(scale, np.float32))
    zero_points = np.broadcast_to(np.asarray(zero_point, np.int64), scales.shape).copy()
    array = None if data is None else np.asarray(data)
    return Operand(data=array, type=type, quantization=Quantization(scales, zero_points, axis), constant=constant)


@dataclass(frozen=True, eq=False)
class Case:
    """One operator on given operands, and what is to come of it."""

    operator: str
    inputs: Sequence[np.ndarray | Operand | None]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: Sequence[TensorType | Operand] = ()  # empty: one output of the type and quantisation of the first input
    intermediates: Sequence[Operand] = ()
    label: str = ""
    expect: Sequence[Any] | None = None  # results that are known without a reference
    rtol: float = 1e-5  # of floating-point results
    atol: float = 1e-6
    lsb: int = 0  # steps by which integer results may differ from the reference
    raises: str | None = None  # pattern of the KernelError that these operands cause
    refused: str | None = None  # part of the sentence by which the op is refused
    unreferenced: str = ""  # why the reference is no help here
    optimized: bool = False  # compare with the optimised kernels instead of the reference kernels
    custom: bool = False
    custom_options: bytes = b""
    version: int = 1

    def __str__(self) -> str:
        return f"{self.operator}-{self.label}" if self.label else self.operator


def matrix(cases: Sequence[Case]) -> list[Any]:
    """pytest parameters (case, backend): every case with every backend that it can run on."""
    return [
        pytest.param(case, backend, id=f"{case}-{backend}", marks=_MARKS.get(backend, ()))
        for case in cases
        for backend in _backends(case)
    ]


_MARKS = {"reference": pytest.mark.reference, "gpu": pytest.mark.gpu}


def _backends(case: Case) -> list[str]:
    backends = ["numpy"]
    if case.refused is None and case.raises is None and _refused_by_devices(case) is None:
        backends += ["device", "gpu"]
    if case.refused is None and not case.unreferenced:
        backends += ["reference"]
    return backends


def _refused_by_devices(case: Case) -> str | None:
    graph = one_op_model(case).graphs[0]
    op = bind(graph.nodes[0], graph)
    return device_refusal(BoundNode(graph.nodes[0], op, op.ins, op.outs, None))


def check(case: Case, backend: str = "numpy") -> None:
    """Assert that a case holds on one backend: numpy, device, gpu or reference."""
    if case.refused is not None:
        sentence = refusal(one_op(case), one_op(case).ins)
        assert case.refused in (sentence or ""), f"{case}: refused with {sentence!r}"
    elif backend == "reference":
        _check_reference(case)
    elif case.raises is not None:
        with pytest.raises(KernelError, match=case.raises):
            _run(case, np, np.asarray)
    else:
        _check_array_module(case, backend)


def _check_array_module(case: Case, backend: str) -> None:
    xp, put = _array_module(backend)
    specs, results = _run(case, xp, put)
    for spec, result in zip(specs, results, strict=True):
        assert result.dtype == spec.dtype, f"{case} gives {result.dtype}, declares {spec.dtype}"
        assert spec.shape is None or tuple(result.shape) == spec.shape, f"{case}: {result.shape}, inferred {spec.shape}"
    expected = evaluate(one_op(case), arrays(case)) if backend != "numpy" else case.expect
    if expected is not None:
        for got, want in zip(results, expected, strict=True):
            compare(case, got.get() if hasattr(got, "get") else got, want)


def _array_module(backend: str) -> tuple[Any, Any]:
    if backend == "numpy":
        return np, np.asarray
    if backend == "device":
        return DEVICE.xp, DEVICE.put
    cupy = pytest.importorskip("cupy")
    if not cupy.cuda.is_available():
        pytest.skip("no CUDA device")
    return cupy, cupy.asarray


def _run(case: Case, xp: Any, put: Any) -> tuple[tuple[TensorSpec, ...], list[Any]]:
    """Inferred specs and results of a case, after a trip of its model through the file format."""
    graph = load_model(write_model(one_op_model(case))).graphs[0]
    op = bind(graph.nodes[0], graph)
    assert refusal(op, op.ins) is None
    specs = infer_outputs(op, op.ins)
    with np.errstate(all="ignore"):
        result = op.body(xp, *(None if a is None else put(a) for a in arrays(case)))
    return specs, list(result) if isinstance(result, tuple) else [result]


def _check_reference(case: Case) -> None:
    if case.raises is not None:
        with pytest.raises((RuntimeError, ValueError)):
            reference(case)
        return
    _, results = _run(case, np, np.asarray)
    for got, want in zip(results, reference(case), strict=True):
        compare(case, _bits(np.asarray(got)), want)


def reference(case: Case) -> list[np.ndarray]:
    """Results of the reference runtime on the written model."""
    optimized = case.optimized or case.operator in REFERENCE_LACKS
    interpreter = reference_interpreter(write_model(one_op_model(case)), OPTIMIZED if optimized else PLAIN)
    fed = [o.data for o in _operands(case) if o is not None and not (o.constant or o.variable)]
    return call_reference(interpreter, *(_bits(np.asarray(data)) for data in fed))


def _bits(array: np.ndarray) -> np.ndarray:
    """8-bit floats as int8, as the reference's Python API takes and gives them; other arrays as they are."""
    return array.view(np.int8) if array.dtype.name.startswith("float8") else array


def compare(case: Case, got: np.ndarray, want: Any) -> None:
    """Assert that a result is as expected within the case's tolerance."""
    want = np.asarray(want)
    assert got.shape == want.shape, f"{case}: shape {got.shape}, expected {want.shape}"
    if got.dtype.kind in "fcV":
        wide = np.complex128 if got.dtype.kind == "c" else np.float64
        np.testing.assert_allclose(got.astype(wide), want.astype(wide), rtol=case.rtol, atol=case.atol)
    elif got.dtype.kind in "iu" and case.lsb:
        steps = np.abs(got.astype(np.int64) - want.astype(np.int64))
        assert steps.max(initial=0) <= case.lsb, f"{case}: {steps.max()} steps off"
    else:
        np.testing.assert_array_equal(got, want)


def one_op(case: Case) -> Op:
    """The op of a case, bound to a graph that holds nothing else."""
    graph = one_op_model(case).graphs[0]
    return bind(graph.nodes[0], graph)


def arrays(case: Case) -> list[np.ndarray | None]:
    """Values of all operands, constants included; read-only, so that a body that writes to them fails."""
    return [None if o is None else _frozen(o.data) for o in _operands(case)]


def _frozen(data: Any) -> np.ndarray:
    view = np.asarray(data).view()
    view.flags.writeable = False
    return view


def _operands(case: Case) -> list[Operand | None]:
    return [o if o is None or isinstance(o, Operand) else Operand(data=np.asarray(o)) for o in case.inputs]


def one_op_model(case: Case) -> Model:
    """A model of one node; output shapes are those that the op infers, none where it can't."""
    draft = _graph(case, None)
    op = bind(draft.nodes[0], draft)
    try:
        shapes = [spec.shape for spec in infer_outputs(op, op.ins)] if refusal(op, op.ins) is None else None
    except KernelError:
        shapes = None
    return Model(graphs=(_graph(case, shapes),))


def _graph(case: Case, shapes: Sequence[tuple[int, ...] | None] | None) -> Graph:
    operands = _operands(case)
    given = [o for o in operands if o is not None]
    first = given[0] if given else Operand(type=TensorType.FLOAT32)
    outputs = [_output(o, first) for o in case.outputs or (first,)]
    known = shapes or [None] * len(outputs)
    tensors = [_tensor(f"input{i}", o, np.asarray(o.data).shape) for i, o in enumerate(given)]
    numbers = iter(range(len(given)))
    ins = tuple(ABSENT if o is None else next(numbers) for o in operands)
    outs = tuple(range(len(given), len(given) + len(outputs)))
    declared = [s if o.shape is None else o.shape for o, s in zip(outputs, known, strict=True)]
    tensors += [_tensor(f"output{i}", o, s) for i, (o, s) in enumerate(zip(outputs, declared, strict=True))]
    scratch = tuple(range(len(tensors), len(tensors) + len(case.intermediates)))
    tensors += [_tensor(f"intermediate{i}", o, ()) for i, o in enumerate(case.intermediates)]
    node = Node(
        index=0,
        name=case.operator,
        inputs=ins,
        outputs=outs,
        attributes=case.attributes,
        version=case.version,
        custom=case.custom,
        custom_options=case.custom_options,
        intermediates=scratch,
    )
    fed = tuple(i for i, o in enumerate(given) if not (o.constant or o.variable))
    return Graph(index=0, name="main", tensors=tuple(tensors), nodes=(node,), inputs=fed, outputs=outs)


def _output(output: TensorType | Operand, first: Operand) -> Operand:
    if isinstance(output, TensorType):
        return Operand(type=output)
    kind = output.type if output.type is not None else _type(first)
    return replace(output, data=None, type=kind, constant=False, variable=False)


def _type(operand: Operand) -> TensorType:
    return operand.type if operand.type is not None else TensorType.of(np.asarray(operand.data).dtype)


def _tensor(name: str, operand: Operand, shape: tuple[int, ...] | None) -> Tensor:
    return Tensor(
        name=name,
        type=_type(operand),
        shape=shape or (),
        has_rank=shape is not None,
        quantization=operand.quantization,
        is_variable=operand.variable,
        data=operand.data if operand.constant else None,
    )

"""The interpreter, shaped like `tf.lite.Interpreter`: code written for that one runs with this one."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, NoReturn, Self

import numpy as np

from .details import numpy_class
from .errors import InputError, ModelError, StateError
from .format.model import Source, load_model
from .graph import ABSENT, Graph, Signature
from .limits import DEFAULT_LIMITS, Limits
from .ops.custom_op import CustomOp, known_custom_ops
from .profile import Profile
from .report import DelegationReport, delegation_report
from .runner import SignatureRunner
from .runtime.delegate import Delegate
from .runtime.engine import Engine
from .session import Session

_BYTES = bytes | bytearray | memoryview


class OpResolverType(Enum):
    """Which kernels the reference runtime would use. Here BUILTIN_REF keeps the CPU to those that give its integers."""

    AUTO = 0
    BUILTIN = 1
    BUILTIN_REF = 2
    BUILTIN_WITHOUT_DEFAULT_DELEGATES = 3


class BaseInterpreter:
    """Runs one model on an ordered list of delegates.

    Signature runners may be called from any number of threads at once. The classic calls (`set_tensor`, `invoke`,
    `get_tensor`) share one set of tensors and are for one thread at a time.
    """

    def __init__(
        self,
        model_path: str | os.PathLike[str] | None,
        model_content: bytes | None,
        delegates: Sequence[Delegate],
        *,
        keep_all: bool,
        require: str | None,
        absent: Mapping[str, str],
        custom_ops: Iterable[CustomOp] = (),
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        if require is not None and require not in (known := [*absent, *(d.name for d in delegates)]):
            raise InputError(f"require={require!r} is unknown", hint=f"Delegates are {', '.join(known)}.")
        self.model = load_model(_source(model_path, model_content), limits)
        known_ops = known_custom_ops(custom_ops)
        self._engine = Engine(self.model, delegates, require=require, custom_ops=known_ops, limits=limits)
        self._absent = absent
        self._session = Session(self._engine, self.model.graphs[0], keep_all=keep_all)
        self._signatures = {s.key: s for s in self.model.signatures}
        if require is not None:
            self._engine.check()

    def close(self) -> None:
        """Give back what was made for calls: plans, packed weights. Later calls raise StateError, those in
        flight in other threads end or do the same. The model's own memory goes with the last runner.
        """
        self._engine.close()
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def allocate_tensors(self) -> None:
        """Plan the primary subgraph for the present input shapes. Raises UnsupportedError for a node nobody runs."""
        self._session.allocate()

    def invoke(self) -> None:
        """Run the primary subgraph."""
        self._session.invoke()

    def get_input_details(self) -> list[dict[str, Any]]:
        """Details of the primary subgraph's inputs; see `details.tensor_details`."""
        return [self._session.details(i) for i in self._session.graph.inputs]

    def get_output_details(self) -> list[dict[str, Any]]:
        """Details of the primary subgraph's outputs."""
        return [self._session.details(i) for i in self._session.graph.outputs]

    def get_tensor_details(self, subgraph_index: int = 0) -> list[dict[str, Any]]:
        """Details of every tensor of a subgraph."""
        graph = self._graph(subgraph_index)
        session = self._session if graph.index == 0 else Session(self._engine, graph)
        return [session.details(i) for i in range(len(graph.tensors))]

    def set_tensor(self, tensor_index: int, value: Any) -> None:
        """Copy `value` into an input tensor; its dtype and shape must be the tensor's."""
        self._session.set(_integer(tensor_index), value)

    def get_tensor(self, tensor_index: int, subgraph_index: int = 0) -> Any:
        """A copy of an output, input or constant; a NumPy scalar for a number of rank 0.

        With `experimental_preserve_all_tensors` of any tensor: in a subgraph that control flow runs, what its last run
        in the last `invoke` left.
        """
        graph, index = self._graph(subgraph_index), _integer(tensor_index)
        return self._session.get(index) if graph.index == 0 else self._session.get_in_body(graph, index)

    def tensor(self, tensor_index: int) -> Any:
        """A function that returns a view of a tensor's buffer; do not hold what it returns across other calls."""
        return self._session.view(_integer(tensor_index))

    def resize_tensor_input(self, input_index: int, tensor_size: Sequence[int], strict: bool = False) -> None:
        """Give an input another shape, before `allocate_tensors`. `strict` allows unknown dimensions only."""
        self._session.resize(_integer(input_index), tensor_size, strict=strict)

    def num_subgraphs(self) -> int:
        """Number of subgraphs of the model."""
        return len(self.model.graphs)

    def reset_all_variables(self) -> None:
        """Set variable tensors to zero, and start the streams of nodes anew: random numbers, audio front ends.

        Resource variables and hash tables keep their values, as in the reference.
        """
        self._engine.state.reset_variable_tensors()

    def get_signature_list(self) -> dict[str, dict[str, list[str]]]:
        """{key: {"inputs": [...], "outputs": [...]}}, keys and names sorted; {} for a model without signatures."""
        return {
            key: {"inputs": sorted(s.inputs), "outputs": sorted(s.outputs)}
            for key, s in sorted(self._signatures.items())
        }

    def get_signature_runner(self, signature_key: str | None = None) -> SignatureRunner:
        """The runner of a signature; the key may be left out if there is just one."""
        return SignatureRunner(self._engine, self._signature(signature_key))

    def run_signature(
        self, inputs: Mapping[str, Any], outputs: Mapping[str, np.ndarray], signature_key: str | None = None
    ) -> None:
        """Run a signature and write its results, some or all, into the given arrays (the Java API's call).

        Each output array must have the result's shape and dtype (object for strings). Raises InputError.
        """
        signature = self._signature(signature_key)
        if not isinstance(inputs, Mapping) or not isinstance(outputs, Mapping):
            raise InputError("inputs and outputs are dictionaries by name", where=f"signature {signature.key!r}")
        unknown = [name for name in outputs if name not in signature.outputs]
        if unknown:
            raise InputError(
                f"Invalid Output name ({unknown[0]}) for SignatureDef",
                where=f"signature {signature.key!r}",
                hint=f"Known names: {', '.join(signature.outputs)}.",
            )
        results = SignatureRunner(self._engine, signature).call(inputs, outputs="host")
        for name, target in outputs.items():
            _check_target(name, target, np.asarray(results[name]), f"signature {signature.key!r}")
        for name, target in outputs.items():
            target[...] = results[name]

    def delegation_report(self) -> DelegationReport:
        """Which delegate runs which node, per signature and subgraph, and why others refused."""
        return delegation_report(self._engine, self._absent)

    @contextmanager
    def trace(self) -> Iterator[list[tuple[int, int, str]]]:
        """Record (subgraph, node, delegate) of each node that runs in the block, in the order in which they end."""
        ran: list[tuple[int, int, str]] = []
        before = self._engine.observer
        self._engine.observer = lambda graph, node, delegate: ran.append((graph, node, delegate))
        try:
            yield ran
        finally:
            self._engine.observer = before

    @contextmanager
    def profile(self) -> Iterator[Profile]:
        """Record what the calls in the block spend their time on, signature runners' and classic ones, of any thread.

        The `Profile` that this gives knows of the calls that have ended before the block did. Other calls run at full
        speed again. Raises StateError within another such block of the same interpreter.
        """
        with self._engine.recorded() as recorder:
            yield Profile(self.model, recorder)

    def _signature(self, key: str | None) -> Signature:
        if key is None:
            if len(self._signatures) != 1:
                raise InputError(
                    f"SignatureDef signature_key is None and model has {len(self._signatures)} Signatures. None is "
                    "only allowed when the model has 1 SignatureDef",
                    hint=f"Its signatures are {', '.join(self._signatures) or 'none'}.",
                )
            return next(iter(self._signatures.values()))
        if not isinstance(key, str) or key not in self._signatures:
            raise InputError(
                f'Invalid signature_key provided: "{key}".',
                hint=f"The model's signatures are {', '.join(self._signatures) or 'none'}.",
            )
        return self._signatures[key]

    def __reduce__(self) -> NoReturn:
        raise StateError("an Interpreter can't be pickled or copied.", hint="Make another one from the same model.")

    def _graph(self, index: int) -> Graph:
        index = _integer(index)
        if not 0 <= index < len(self.model.graphs):
            raise InputError(
                f"subgraph_index is out of range: {index} for the model, which has {len(self.model.graphs)} subgraphs."
            )
        return self.model.graphs[index]

    def _get_ops_details(self) -> list[dict[str, Any]]:
        graph = self._session.graph

        def types(indices: Sequence[int]) -> list[Any]:
            return [numpy_class(graph.tensors[i].type) for i in indices if i != ABSENT]

        return [
            {
                "index": node.index,
                "op_name": node.name,
                "inputs": np.array(node.inputs, np.int32),
                "outputs": np.array(node.outputs, np.int32),
                "operand_types": types(node.inputs),
                "result_types": types(node.outputs),
            }
            for node in graph.nodes
        ]


def _source(path: str | os.PathLike[str] | None, content: bytes | None) -> Source:
    """The one of the two that is given. Raises ModelError for none or both, empty ones count as not given."""
    given = [s for s in (path, content) if s is not None and not (isinstance(s, str | _BYTES) and not len(s))]
    if not given:
        raise ModelError("`model_path` or `model_content` must be specified.")
    if len(given) == 2:
        raise ModelError("Can't both provide `model_path` and `model_content`")
    if given[0] is path:
        return os.fsdecode(path) if isinstance(path, bytes) else path
    if not isinstance(content, _BYTES):
        what = f"`model_content` holds the bytes of a model, got {type(content).__name__}."
        raise InputError(what, hint="Pass a path as model_path.")
    return content


def _integer(value: object) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise InputError(f"an index is an integer, got {value!r}") from error


def _check_target(name: str, target: object, result: np.ndarray, where: str) -> None:
    """Raises InputError if `target` is no writeable array of the result's shape and dtype."""
    got = f"a {type(target).__name__}"
    if isinstance(target, np.ndarray):
        if target.shape == result.shape and target.dtype == result.dtype and target.flags.writeable:
            return
        got = f"{target.dtype}{list(target.shape)}{'' if target.flags.writeable else ', read-only'}"
    raise InputError(f"output {name!r} is {result.dtype}{list(result.shape)}, the array to fill is {got}", where=where)

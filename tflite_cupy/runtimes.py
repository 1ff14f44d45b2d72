"""The runtimes that a model can be held against: this package's in its kinds, LiteRT's, and tf.lite of TensorFlow.

    with open_runtime("litert", "model.tflite", threads=1) as runtime:
        print(runtime.title, runtime.call("encode", {"x": x}))

All take and give the same arrays, so that results and times can be compared without a word about whose they are.
"""

from __future__ import annotations

import os
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from importlib import metadata
from threading import Lock
from typing import Any, Self

import numpy as np

from .delegates.cpu import kernels_in_use
from .delegates.gpu import available
from .interpreter.details import OPAQUE, as_array
from .interpreter.errors import InputError, KernelError, MissingDependencyError, StateError, UnsupportedError
from .interpreter.format.model import load_model
from .interpreter.graph import ABSENT, Graph, Model, Signature, Tensor, TensorType
from .interpreter.runner import SignatureRunner
from .interpreter_api import Interpreter
from .version import __version__

OURS = ("auto", "gpu", "cpu", "numpy", "onednn")
LITERT = ("litert", "litert-builtin", "litert-reference")
NAMES = (*OURS, *LITERT, "tensorflow")
"""What `open_runtime` knows: this package (any device; the GPU; the CPU with either kind of kernels), LiteRT with its
default delegate (XNNPACK), without it, with its reference kernels; TensorFlow's own interpreter."""

Source = str | os.PathLike[str] | bytes
Inputs = Mapping[str, Any]
"""What `as_array` takes, by name."""

_RESOLVERS = {
    "litert": ("AUTO", "XNNPACK"),
    "litert-builtin": ("BUILTIN_WITHOUT_DEFAULT_DELEGATES", "builtin"),
    "litert-reference": ("BUILTIN_REF", "reference"),
    "tensorflow": ("AUTO", ""),
}
_FLOAT8 = (TensorType.FLOAT8_E4M3FN, TensorType.FLOAT8_E5M2)
_LACKING = ("unresolved custom op", "Select TensorFlow op", "Didn't find op for builtin")
"""In what the reference says where it has no kernel for an operator."""
_quiet_lock = Lock()


def open_runtime(
    name: str,
    model: Source,
    *,
    threads: int | None = None,
    keep_all: bool = False,
    parsed: Model | None = None,
    **options: Any,
) -> Runtime:
    """A model, given by its path or its bytes, in the runtime `name`, one of `NAMES`.

    threads: how many a kernel may use; None for the runtime's own choice (LiteRT and TensorFlow: one).
    keep_all: whether `Runtime.tensors` will be asked for.
    parsed: what `load_model` gave for it, for runtimes that are not this package's, which otherwise call that.
    options: further ones of `Interpreter`, for the runtimes of this package; the others do not see them.
    Raises InputError for an unknown name, MissingDependencyError for what is not installed, ModelError for no model,
    UnsupportedError for a model that the runtime refuses.
    """
    if name in OURS:
        return _Ours(name, model, threads, keep_all, options)
    if name in _RESOLVERS:
        return _Lite(name, model, threads, keep_all, parsed)
    raise InputError(f"there is no runtime {name!r}", hint=f"Known: {', '.join(NAMES)}.")


def entry(model: Model, key: str | None) -> Signature:
    """The signature `key`; None: the only one, or for a model without any, the primary subgraph as one.

    Its inputs and outputs then have their tensors' names, or `input_0`, `output_1` by position where a name is empty
    or not theirs alone. Raises InputError.
    """
    keys = [signature.key for signature in model.signatures]
    if (len(keys) > 1) if key is None else (key not in keys):
        asked = "no signature is named, of several" if key is None else f"the model has no signature {key!r}"
        raise InputError(asked, hint=f"Its signatures: {', '.join(keys) or 'none'}.")
    if keys:
        return model.signatures[0 if key is None else keys.index(key)]
    graph = model.graphs[0]
    return Signature("", _named(graph, graph.inputs, "input"), _named(graph, graph.outputs, "output"), 0)


class Runtime(ABC):
    """A model in a runtime. For one thread at a time."""

    name: str
    """One of `NAMES`."""
    title: str
    """Name and version for people."""
    model: Model
    """The model as this package reads it."""
    keep_all: bool
    """Whether `tensors` may be asked for."""
    _interpreter: Any

    def __init__(self, name: str, title: str, model: Model, interpreter: Any, keep_all: bool) -> None:
        self.name, self.title, self.model, self.keep_all = name, title, model, keep_all
        self._interpreter = interpreter

    def call(self, key: str | None, inputs: Inputs) -> dict[str, np.ndarray]:
        """Outputs of a signature by name; `key` as in `entry`.

        Raises InputError for wrong names, dtypes and shapes, KernelError for values that the runtime can't work on,
        UnsupportedError for a node that it does not run.
        """
        signature = entry(self.model, key)
        return self._call(signature, self._checked(signature, inputs))

    def tensors(self, key: str | None, inputs: Inputs) -> dict[int, np.ndarray]:
        """Every tensor that one call computes in the signature's subgraph, by index. Raises StateError unless the
        runtime was opened with `keep_all`."""
        if not self.keep_all:
            raise StateError(f"{self.title} keeps no intermediate tensors.", hint="Open it with keep_all=True.")
        signature = entry(self.model, key)
        return self._tensors(signature, self._checked(signature, inputs))

    def prepared(self, key: str | None, inputs: Inputs) -> Callable[[], Any]:
        """A function that runs the signature on these inputs again, until the next call of another method.

        For the primary subgraph it sets nothing and fetches nothing: it is `invoke`. No runtime offers that of other
        subgraphs, so for their signatures it is `repeated`, in every runtime.
        """
        signature = entry(self.model, key)
        values = self._checked(signature, inputs)
        return self._classic(signature, values) if signature.graph == 0 else self._runner(signature, values)

    def repeated(self, key: str | None, inputs: Inputs) -> Callable[[], Any]:
        """A function that calls the signature's runner: it sets these inputs, runs, and gives the outputs.

        Those of several signatures may take turns. Raises InputError for a model without signatures.
        """
        signature = entry(self.model, key)
        if not self.model.signatures:
            raise InputError("the model has no signatures, whose runners could be called.", hint="Use prepared().")
        return self._runner(signature, self._checked(signature, inputs))

    def on_device(self, key: str | None, inputs: Inputs) -> Callable[[], Any] | None:
        """`repeated` with inputs that are on the device and outputs that stay there, until its work is done; None where
        the runtime takes no arrays of a device."""
        return None

    def arena_bytes(self, key: str | None) -> int | None:
        """Memory that one call of a signature has to itself, after the first; None where the runtime does not tell."""
        return None

    def placement(self) -> dict[tuple[int, int], str]:
        """Which delegate runs each node, by (subgraph, node); empty where the runtime does not say."""
        return {}

    def close(self) -> None:
        """Give up the interpreter; the runtime can't be used any more."""
        self._interpreter = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def _call(self, signature: Signature, inputs: Inputs) -> dict[str, np.ndarray]: ...

    @abstractmethod
    def _tensors(self, signature: Signature, inputs: Inputs) -> dict[int, np.ndarray]: ...

    @abstractmethod
    def _runner(self, signature: Signature, inputs: Inputs) -> Callable[[], Any]: ...

    def _classic(self, signature: Signature, inputs: Inputs) -> Callable[[], Any]:
        """The primary subgraph, its inputs set."""
        held = {detail["index"]: detail["shape"] for detail in self._interpreter.get_input_details()}
        for name, value in inputs.items():
            if tuple(held.get(signature.inputs[name], ())) != value.shape:
                self._interpreter.resize_tensor_input(signature.inputs[name], value.shape)
        self._interpreter.allocate_tensors()
        for name, value in inputs.items():
            self._interpreter.set_tensor(signature.inputs[name], value)
        return self._interpreter.invoke  # type: ignore[no-any-return]

    def _checked(self, signature: Signature, inputs: Inputs) -> dict[str, np.ndarray]:
        """The inputs as arrays of their tensors' dtypes, in the signature's order."""
        if set(inputs) != set(signature.inputs):
            raise InputError(
                f"got inputs {', '.join(sorted(inputs)) or 'none'}",
                where=f"signature {signature.key!r}",
                hint=f"Expected: {', '.join(signature.inputs) or 'none'}.",
            )
        tensors = self.model.graphs[signature.graph].tensors
        return {name: as_array(inputs[name], tensors[index], index) for name, index in signature.inputs.items()}


class _Ours(Runtime):
    """This package."""

    def __init__(
        self, name: str, model: Source, threads: int | None, keep_all: bool, options: Mapping[str, Any]
    ) -> None:
        device = name if name in ("auto", "gpu") else "cpu"
        kernels = name if name in ("numpy", "onednn") else "auto"
        chosen = {"device": device, "cpu_kernels": kernels} | dict(options)
        interpreter = Interpreter(**_given(model), num_threads=threads, **chosen)
        on_gpu = device != "cpu" and available()[0]
        detail = "GPU" if on_gpu else {"onednn": "oneDNN", "numpy": "NumPy"}[kernels_in_use(kernels)]
        super().__init__(name, f"tflite-cupy {__version__} ({detail})", interpreter.model, interpreter, keep_all)

    def placement(self) -> dict[tuple[int, int], str]:
        graphs = self._interpreter.delegation_report().subgraphs
        return {(g.index, n.index): n.delegate for g in graphs for n in g.nodes if n.delegate is not None}

    def close(self) -> None:
        if self._interpreter is not None:
            self._interpreter.close()
        super().close()

    def _call(self, signature: Signature, inputs: Inputs) -> dict[str, np.ndarray]:
        return {name: np.asarray(value) for name, value in self._of(signature).call(inputs, outputs="host").items()}

    def _tensors(self, signature: Signature, inputs: Inputs) -> dict[int, np.ndarray]:
        computed = {index for node in self.model.graphs[signature.graph].nodes for index in node.outputs}
        found = self._of(signature).tensors(inputs).items()
        return {index: np.asarray(value) for index, value in found if index in computed}

    def _runner(self, signature: Signature, inputs: Inputs) -> Callable[[], Any]:
        runner = self._of(signature)
        return lambda: runner(**inputs)

    def arena_bytes(self, key: str | None) -> int | None:
        report = self._interpreter.delegation_report()
        parts = [
            part for subgraph in report.reached(entry(self.model, key).key or None) for part in subgraph.partitions
        ]
        known = [part.details["arena_bytes"] for part in parts if "arena_bytes" in part.details]
        return sum(known) if known else None

    def on_device(self, key: str | None, inputs: Inputs) -> Callable[[], Any] | None:
        spaces, signature = self._interpreter._engine.device_spaces, entry(self.model, key)
        if not spaces:
            return None
        space, runner = spaces[0], self._of(signature)
        values = self._checked(signature, inputs).items()
        held = {name: value if value.dtype == object else space.put(value) for name, value in values}

        def run() -> None:
            runner.call(held, outputs="device")
            space.wait()

        return run

    def _of(self, signature: Signature) -> SignatureRunner:
        return SignatureRunner(self._interpreter._engine, signature)


class _Lite(Runtime):
    """An interpreter that is shaped like tf.lite's: LiteRT's, or TensorFlow's own."""

    def __init__(self, name: str, model: Source, threads: int | None, keep_all: bool, parsed: Model | None) -> None:
        resolver, kernels = _RESOLVERS[name]
        module, title = _tensorflow() if name == "tensorflow" else _litert()
        title += f" ({kernels})" if kernels else ""
        ours = parsed or load_model(_given(model).get("model_path", model))
        kind = module.OpResolverType if name != "tensorflow" else module.experimental.OpResolverType
        with _failing(title, "the model", UnsupportedError), _quietly():
            interpreter = module.Interpreter(
                **_given(model),
                num_threads=threads,
                experimental_op_resolver_type=kind[resolver],
                experimental_preserve_all_tensors=keep_all,
            )
        super().__init__(name, title, ours, interpreter, keep_all)
        self._has_run = False

    def _call(self, signature: Signature, inputs: Inputs) -> dict[str, np.ndarray]:
        self._invoke(signature, inputs)
        return {name: self._read(signature.graph, index) for name, index in signature.outputs.items()}

    def _tensors(self, signature: Signature, inputs: Inputs) -> dict[int, np.ndarray]:
        self._invoke(signature, inputs)
        graph, found = self.model.graphs[signature.graph], {}
        for index in (i for node in graph.nodes for i in node.outputs if i != ABSENT):
            if graph.tensors[index].type not in OPAQUE:
                with suppress(KernelError):  # never allocated: a result of what did not run
                    found[index] = self._read(signature.graph, index)
        return found

    def _classic(self, signature: Signature, inputs: Inputs) -> Callable[[], Any]:
        with _failing(self.title, _place(signature)), self._news():
            return super()._classic(signature, inputs)

    def _runner(self, signature: Signature, inputs: Inputs) -> Callable[[], Any]:
        with _failing(self.title, _place(signature)):
            runner = self._interpreter.get_signature_runner(signature.key)
        return lambda: runner(**inputs)

    def _invoke(self, signature: Signature, inputs: Inputs) -> None:
        run = self._classic(signature, inputs) if signature.graph == 0 else self._runner(signature, inputs)
        with _failing(self.title, _place(signature)), self._news():
            run()
        self._has_run = True

    def _news(self) -> AbstractContextManager[None]:
        """The first run says which delegates there are."""
        return nullcontext() if self._has_run else _quietly()

    def _read(self, graph: int, index: int) -> np.ndarray:
        """A tensor as this package would give it."""
        tensor = self.model.graphs[graph].tensors[index]
        with _failing(self.title, f"subgraphs[{graph}].tensors[{index}]"):
            value = self._get(graph, index)
        array = np.asarray(value, object if tensor.type is TensorType.STRING else None)
        return array.view(tensor.type.dtype) if tensor.type in _FLOAT8 else array

    def _get(self, graph: int, index: int) -> Any:
        """A tensor's value. LiteRT has none for tensors without elements, only their shapes."""
        try:
            return self._interpreter.get_tensor(index, graph)
        except ValueError:
            details = self._interpreter.get_tensor_details(graph)
            shape = next((tuple(each["shape"]) for each in details if each["index"] == index), ())
            if 0 not in shape:
                raise
            return np.empty(shape, self.model.graphs[graph].tensors[index].type.dtype)

    def _checked(self, signature: Signature, inputs: Inputs) -> dict[str, np.ndarray]:
        tensors = self.model.graphs[signature.graph].tensors
        values = super()._checked(signature, inputs)
        return {name: _as_litert_takes_it(value, tensors[signature.inputs[name]]) for name, value in values.items()}


def _as_litert_takes_it(value: np.ndarray, tensor: Tensor) -> np.ndarray:
    """8-bit floats as integers of their bits, and lone strings as bytes of NumPy: of objects it reads the address."""
    if tensor.type in _FLOAT8:
        return value.view(np.int8)
    return np.array(value[()]) if tensor.type is TensorType.STRING and not value.ndim else value


def _litert() -> tuple[Any, str]:
    """LiteRT's interpreter module and its title."""
    try:
        from ai_edge_litert import interpreter
    except ImportError as error:
        hint = "pip install ai-edge-litert"
        raise MissingDependencyError(f"LiteRT can't be imported: {error}.", hint=hint) from error
    return interpreter, f"LiteRT {metadata.version('ai-edge-litert')}"


def _tensorflow() -> tuple[Any, str]:
    """tf.lite and its title."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with _quietly():
            import tensorflow as tf

            lite = tf.lite
    except (ImportError, AttributeError) as error:
        hint = "pip install 'tflite-cupy[flex]'"
        raise MissingDependencyError(f"TensorFlow can't be imported: {error}.", hint=hint) from error
    return lite, f"TensorFlow {tf.__version__}"


def _given(model: Source) -> dict[str, Any]:
    """A source as interpreters take it."""
    return {"model_content": model} if isinstance(model, bytes) else {"model_path": os.fspath(model)}


def _named(graph: Graph, tensors: tuple[int, ...], way: str) -> dict[str, int]:
    names = [graph.tensors[index].name for index in tensors]
    return {
        name if name and names.count(name) == 1 else f"{way}_{position}": index
        for position, (name, index) in enumerate(zip(names, tensors, strict=True))
    }


def _place(signature: Signature) -> str:
    """As errors name it."""
    return f"signature {signature.key!r}" if signature.key else "subgraphs[0]"


@contextmanager
def _failing(title: str, where: str, kind: type[KernelError | UnsupportedError] = KernelError) -> Iterator[None]:
    """What an interpreter of others raises becomes an error of ours that names it."""
    try:
        yield
    except (ValueError, RuntimeError, TypeError) as error:
        text = str(error).strip() or type(error).__name__
        kind = UnsupportedError if any(words in text for words in _LACKING) else kind
        raise kind(f"{title}: {text}", where=where) from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Without warnings, and without what C++ code writes to stderr meanwhile (the news that a delegate is used)."""
    with _quiet_lock, warnings.catch_warnings(), open(os.devnull, "wb") as nowhere:
        warnings.simplefilter("ignore")
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)

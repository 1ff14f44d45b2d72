"""Which runtime a model is held against where nobody says."""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from ..delegates.cpu import kernels_in_use
from ..delegates.gpu import available
from ..interpreter.errors import MissingDependencyError
from ..interpreter.graph import Model
from ..runtimes import LITERT

FIRST_WITHOUT_FLEX = (2, 20)
"""From this version on, wheels of TensorFlow do not link the Flex delegate into `tf.lite`."""


def default_reference(candidate: str, model: Model) -> str:
    """The runtime to hold `candidate` against: the CPU for a GPU; TensorFlow for a model with its operators, if its
    `tf.lite` has them; else LiteRT, which has not; else the other kind of kernels for the CPU, oneDNN's or NumPy's.
    Raises MissingDependencyError where none of them is there."""
    if candidate in ("auto", "gpu") and available()[0]:
        return "cpu"
    flex = any(node.custom and node.name.startswith("Flex") for graph in model.graphs for node in graph.nodes)
    if flex and candidate != "tensorflow" and _has_flex():
        return "tensorflow"
    if not flex and candidate not in LITERT and find_spec("ai_edge_litert") is not None:
        return "litert"
    other = _other_kernels(candidate)
    if other is None:
        raise MissingDependencyError(
            f"there is no second runtime to hold {candidate!r} against.",
            hint="pip install ai-edge-litert, or pip install 'tflite-cupy[fast]', or give saved outputs.",
        )
    return other


def _other_kernels(candidate: str) -> str | None:
    """NumPy's kernels, or for those, oneDNN's if they are there."""
    ours = candidate not in (*LITERT, "tensorflow")
    if not ours or (
        candidate != "numpy" and kernels_in_use("auto" if candidate != "onednn" else candidate) == "onednn"
    ):
        return "numpy"
    try:
        return kernels_in_use("onednn")
    except MissingDependencyError:
        return None


def _has_flex() -> bool:
    """Whether a TensorFlow is installed whose `tf.lite` runs TensorFlow's operators."""
    for name in ("tensorflow", "tensorflow-cpu"):
        with suppress(PackageNotFoundError):
            return tuple(map(int, version(name).split(".")[:2])) < FIRST_WITHOUT_FLEX
    return False

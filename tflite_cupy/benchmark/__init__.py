"""Benchmarks: times, memory and loading of a model in this package and in other runtimes, by turns.

    from tflite_cupy.benchmark import benchmark

    found = benchmark("model.tflite", {"x": x}, against=["litert"], batches=[1, 8])
    print(found.text())

`turns` times any functions against each other, `loading` loads in a process of its own, `agreement` says whether
results are the same.
"""

from .measure import benchmark
from .results import Benchmark
from .turns import Effort

__all__ = ["Benchmark", "Effort", "benchmark"]

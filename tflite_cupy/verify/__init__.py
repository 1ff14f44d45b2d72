"""Holding a model on one runtime against another one, or against outputs that were saved.

comparison = compare_runtimes("model.tflite", "gpu", "litert")
print(comparison)           # a verdict for each output, and the first node that diverges where one fails
assert comparison.passed
"""

from .compare import compare_runtimes
from .result import CallFailure, Comparison, Divergence, OutputVerdict

__all__ = ["CallFailure", "Comparison", "Divergence", "OutputVerdict", "compare_runtimes"]

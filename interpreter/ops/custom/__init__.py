"""Custom operators that models in circulation carry, by the custom code that their converters write.

Users register their own with `tflite_cupy.custom_op`.
"""

from . import (
    argmax_pool,
    audio,
    detection,
    generative,
    mediapipe,
    ragged,
    rotation,
    signal,
    signal_filters,
    signal_streams,
    text,
    verify,
    warp,
)

__all__ = [
    "argmax_pool",
    "audio",
    "detection",
    "generative",
    "mediapipe",
    "ragged",
    "rotation",
    "signal",
    "signal_filters",
    "signal_streams",
    "text",
    "verify",
    "warp",
]

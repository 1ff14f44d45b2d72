"""Pictures as inputs: `--input image=@cat.png`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..interpreter.errors import MissingDependencyError
from .arguments import UsageError
from .output import note

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}


def load_image(path: Path, name: str, detail: Mapping[str, Any]) -> np.ndarray:
    """A picture, resized (bilinear) to an input of shape [height, width, channels], with or without a batch axis.

    Values are 0 to 255 for unsigned integers, shifted by -128 for int8, and 0 to 1 for floats. What was done is told on
    stderr. Raises UsageError for other inputs and for what is no picture.
    """
    image_module = _pillow()
    declared = detail.get("shape_signature", detail["shape"])
    shape = [int(n) for n in (declared if len(declared) else detail["shape"])]
    *batch, height, width, channels = shape if len(shape) in (3, 4) else (0, 0, 0, 0)
    if channels not in _CHANNELS or batch not in ([], [1], [-1]):
        raise UsageError(f"input {name!r} has shape {shape}, a picture needs [height, width, 1, 3 or 4 channels].")
    try:
        with image_module.open(path) as file:
            picture = file.convert(_CHANNELS[channels])
    except (OSError, ValueError, image_module.DecompressionBombError) as error:
        raise UsageError(f"{path} is no picture that can be read: {error}") from error
    was = picture.size
    size = (width if width > 0 else was[0], height if height > 0 else was[1])
    if size != was:
        picture = picture.resize(size, image_module.Resampling.BILINEAR)
    pixels = np.asarray(picture, np.uint8).reshape(*([1] if batch else []), size[1], size[0], channels)
    values, bounds = _scaled(name, pixels, np.dtype(detail["dtype"]))
    note(f"{name}: {path}, {_by(was)}{f' resized to {_by(size)}' if size != was else ''}, values {bounds}")
    return values


def _scaled(name: str, pixels: np.ndarray, dtype: np.dtype[Any]) -> tuple[np.ndarray, str]:
    if dtype == np.int8:
        return (pixels.astype(np.int16) - 128).astype(np.int8), "-128 to 127"
    if dtype.kind in "iu":
        return pixels.astype(dtype), "0 to 255"
    if dtype.kind in "fV":
        return (pixels / np.float32(255)).astype(dtype), "0 to 1"
    raise UsageError(f"input {name!r} takes {dtype.name}, which no picture can be.")


def _by(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]}"


def _pillow() -> Any:
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        what = "pictures as inputs need Pillow, which is not installed."
        raise MissingDependencyError(what, hint="pip install 'tflite-cupy[cli]'") from error
    return Image

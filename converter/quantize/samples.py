"""Calibration data in the forms that people have it in, as pairs of a signature's key and its named inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from ...interpreter.errors import ConversionError
from ...interpreter.graph import Model, Signature

Calibration: TypeAlias = Mapping[str, Any] | Callable[[], Any] | Iterable[Any]
"""{signature key: samples}, or samples with their keys, or a function that gives either.

A sample is {input name: array}, or arrays in the order of the subgraph's inputs; with its key it is a pair
(key, sample), which may be left out where the model has one signature.
"""


def samples_of(calibration: Calibration, model: Model) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every sample with its signature's key, in the order given. Raises ConversionError for any other form."""
    given = calibration() if callable(calibration) else calibration
    signatures = {signature.key: signature for signature in model.signatures}
    for key, sample in _keyed(given, signatures):
        if key not in signatures:
            known = ", ".join(signatures) or "none"
            raise ConversionError(f"calibration data is for {key!r}, which is no signature; known are {known}.")
        yield key, _named(sample, signatures[key], model)


def _keyed(given: Any, signatures: Mapping[str, Signature]) -> Iterator[tuple[str, Any]]:
    if isinstance(given, Mapping):
        for key, samples in given.items():
            for sample in _items(samples() if callable(samples) else samples, f"calibration[{key!r}]"):
                yield key, sample
        return
    for item in _items(given, "the calibration data"):
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
            yield item
        elif len(signatures) == 1:
            yield next(iter(signatures)), item
        else:
            raise ConversionError(
                f"the model has {len(signatures)} signatures, and a calibration sample does not say for which it is.",
                hint="Give (signature key, sample) pairs, or a dictionary of samples by signature key.",
            )


def _items(samples: Any, what: str) -> Iterable[Any]:
    if isinstance(samples, Iterable) and not isinstance(samples, Mapping | str | bytes):
        return samples
    raise ConversionError(
        f"{what} is a {type(samples).__name__}, expected samples one after another.",
        hint="Give a list, or a generator function.",
    )


def _named(sample: Any, signature: Signature, model: Model) -> Mapping[str, Any]:
    """A sample by input name."""
    if isinstance(sample, Mapping):
        return sample
    where = f"signature {signature.key!r}"
    if not isinstance(sample, Sequence) or isinstance(sample, str | bytes):
        raise ConversionError(
            f"a calibration sample is a {type(sample).__name__}, expected a dictionary or a list of inputs.",
            where=where,
        )
    names = {index: name for name, index in signature.inputs.items()}
    order = [names[index] for index in model.graphs[signature.graph].inputs if index in names]
    if len(sample) != len(order):
        raise ConversionError(
            f"a calibration sample holds {len(sample)} inputs, expected {len(order)}: {', '.join(order)}.", where=where
        )
    return dict(zip(order, sample, strict=True))

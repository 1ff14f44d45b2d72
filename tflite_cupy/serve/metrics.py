"""What is counted, in Prometheus' text format."""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from .repository import Repository

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper ends, in seconds."""


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = self._counter("requests", "Requests for inference that were answered.", ["model", "code"])
        self.queue_seconds = self._histogram("queue_seconds", "Seconds that requests waited for a thread.")
        self.compute_seconds = self._histogram("compute_seconds", "Seconds that calls of signatures took.")
        self.request_seconds = self._histogram("request_seconds", "Seconds from a request's head to its answer.")

    def describe(self, repository: Repository, version: str) -> None:
        """Tell what is served, and by what."""
        nodes = self._gauge("nodes", "Nodes of a model that a delegate runs.", ["model", "delegate"])
        for model in repository.models.values():
            for delegate, count in model.nodes.items():
                nodes.labels(model.name, delegate).set(count)
        build = self._gauge("build_info", "Versions; the value is 1.", ["version", "python", "numpy"])
        build.labels(version, platform.python_version(), np.__version__).set(1)

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that is asked for its value."""
        self._gauge(name, text, []).set_function(value)

    def text(self) -> tuple[bytes, str]:
        """All of it, and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def _counter(self, name: str, text: str, labels: Collection[str]) -> Counter:
        return Counter(name, text, labels, namespace="tflite_cupy", registry=self._registry)

    def _gauge(self, name: str, text: str, labels: Collection[str]) -> Gauge:
        return Gauge(name, text, labels, namespace="tflite_cupy", registry=self._registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, ["model"], namespace="tflite_cupy", registry=self._registry, buckets=BUCKETS)

"""A server for signatures over HTTP: the Open Inference Protocol (KServe v2) and TensorFlow Serving's REST.

    repository = Repository.load({"guide": "guide.tflite"}, device="cpu")
    serve(Service(repository, Settings()), listen("127.0.0.1", 8000))  # until SIGTERM

A request is admitted, read, waits for a thread, and is decoded, computed and encoded there:

    faults.py       what a request is refused with: status and text
    repository.py   models by name, signatures as what requests are for
    strict_json.py  JSON of strangers
    tensors.py      tensors of the v2 protocol, as JSON and as bytes
    v2.py           the v2 protocol: requests and answers as plain data
    predict.py      the same of TensorFlow Serving
    workers.py      threads, and the line before them
    metrics.py      what is counted, in Prometheus' form
    service.py      from admission to the answer: deadlines, counts, the log
    app.py          routes of both protocols: an ASGI application
    server.py       listening, and ending well

It needs the extra `serve` (starlette, uvicorn, prometheus_client); this module itself does not.
"""

from __future__ import annotations

from importlib.util import find_spec

from ..interpreter.errors import MissingDependencyError

_NEEDED = ("starlette", "uvicorn", "prometheus_client")


def check_installed() -> None:
    """Raises MissingDependencyError where a package that the server needs is not installed."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        what = f"the server needs {', '.join(missing)}, not installed here."
        raise MissingDependencyError(what, hint="pip install 'tflite-cupy[serve]'")

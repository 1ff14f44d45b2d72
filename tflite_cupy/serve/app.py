"""The ASGI application: routes of both protocols, readiness, metrics."""

from __future__ import annotations

from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..version import __version__
from . import predict, v2
from .faults import Refused
from .repository import VERSION, Served, ServedModel
from .service import Service, Trace, Work, error_response, json_response


def create_app(service: Service) -> Starlette:
    """The application, for any ASGI server; `server.serve` runs it and ends it well."""
    app = Starlette(
        routes=[*_V2(service).routes(), *_Predict(service).routes(), Route("/metrics", partial(_metrics, service))],
        exception_handlers={Refused: _refused, HTTPException: _http_error, Exception: _internal_error},
    )
    app.router.redirect_slashes = False
    return app


async def _metrics(service: Service, request: Request) -> Response:
    text, content_type = service.metrics.text()
    return Response(text, headers={"Content-Type": content_type})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return error_response(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(Refused(error.status_code, f"{error.detail}.", error.headers))


async def _internal_error(request: Request, error: Exception) -> Response:
    """For what nobody foresaw; the ASGI server logs its traceback."""
    return error_response(Refused(500, "internal error."))


def _check_version(request: Request) -> None:
    version = request.path_params.get("version", VERSION)
    if version != VERSION:
        raise Refused(404, f"there is no version {version[:40]!r} of a model, only {VERSION!r}.")


class _V2:
    """Open Inference Protocol."""

    def __init__(self, service: Service) -> None:
        self._service, self._repository = service, service.repository

    def routes(self) -> list[Route]:
        routes = [
            Route("/v2", self.server),
            Route("/v2/", self.server),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            Route("/v2/repository/index", self.index, methods=["GET", "POST"]),
        ]
        model = "/v2/models/{name:path}"
        for path in (f"{model}/versions/{{version}}", model):
            routes.append(Route(f"{path}/infer", self.infer, methods=["POST"]))
            routes += [Route(f"{path}/ready", self.model_ready), Route(path, self.model)]
        return routes

    async def server(self, request: Request) -> Response:
        return json_response(v2.server_metadata(__version__))

    async def live(self, request: Request) -> Response:
        return json_response({"live": True})

    async def ready(self, request: Request) -> Response:
        is_ready = self._service.is_ready
        return json_response({"ready": is_ready}, 200 if is_ready else 503)

    async def index(self, request: Request) -> Response:
        return json_response(v2.index(self._repository, is_ready=self._service.is_ready))

    async def model(self, request: Request) -> Response:
        return json_response(v2.model_metadata(self._find(request), request.path_params["name"]))

    async def model_ready(self, request: Request) -> Response:
        self._find(request)
        is_ready = self._service.is_ready
        return json_response({"name": request.path_params["name"], "ready": is_ready}, 200 if is_ready else 503)

    async def infer(self, request: Request) -> Response:
        return await self._service.infer(request, partial(self._prepare, request))

    def _find(self, request: Request) -> Served:
        served = self._repository.find(request.path_params["name"])
        _check_version(request)
        return served

    def _prepare(self, request: Request, trace: Trace) -> Work:
        served = self._find(request)
        trace.model = served.name
        header_length = request.headers.get(v2.HEADER_LENGTH)

        def work(body: bytes, trace: Trace) -> tuple[bytes, dict[str, str]]:
            asked = v2.read(body, header_length, served)
            results = trace.call(served, asked.inputs, asked.timeout_ms)
            return v2.answer(asked, served, request.path_params["name"], results)

        return work


class _Predict:
    """TensorFlow Serving's REST."""

    def __init__(self, service: Service) -> None:
        self._service, self._repository = service, service.repository

    def routes(self) -> list[Route]:
        routes, model = [], "/v1/models/{name:path}"
        for path in (f"{model}/versions/{{version}}", model):
            routes.append(Route(f"{path}:predict", self.predict, methods=["POST"]))
            routes += [Route(f"{path}/metadata", self.metadata), Route(path, self.status)]
        return routes

    async def predict(self, request: Request) -> Response:
        return await self._service.infer(request, partial(self._prepare, request))

    async def metadata(self, request: Request) -> Response:
        return json_response(predict.metadata(self._find(request)))

    async def status(self, request: Request) -> Response:
        self._find(request)
        return json_response(predict.status(is_ready=self._service.is_ready))

    def _find(self, request: Request) -> ServedModel:
        model = self._repository.find_model(request.path_params["name"])
        _check_version(request)
        return model

    def _prepare(self, request: Request, trace: Trace) -> Work:
        model = self._find(request)
        trace.model = model.name

        def work(body: bytes, trace: Trace) -> tuple[bytes, dict[str, str]]:
            asked = predict.read(body, model)
            return predict.answer(asked, trace.call(asked.served, asked.inputs)), {"Content-Type": "application/json"}

        return work

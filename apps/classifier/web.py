"""The service's paths: /classify, /healthz, /readyz, /metrics. Errors are JSON: {"error": {"code", "message"}}."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from classifier.metrics import CONTENT_TYPE, Metrics
from classifier.model import SIDE, Answer, Model
from classifier.pictures import PictureError, pixels
from classifier.settings import Settings


class Service:
    """One model, and who waits for it."""

    def __init__(self, settings: Settings, model: Model) -> None:
        self._settings, self._model = settings, model
        self._metrics = Metrics(model.provider)
        self._turns = asyncio.Semaphore(settings.concurrency)
        self._under_way = 0
        self._ready = False

    @asynccontextmanager
    async def running(self, _: Starlette) -> AsyncIterator[None]:
        """Ready from the first answer on: a GPU's kernels are loaded by it."""
        await asyncio.to_thread(self._model.classify, np.zeros((SIDE, SIDE)))
        self._ready = True
        yield
        self._ready = False

    async def classify(self, request: Request) -> Response:
        """POST a picture as the body."""
        self._under_way += 1
        self._metrics.in_flight.set(self._under_way)
        try:
            response = await self._answer(request)
        except PictureError as error:
            response = _error(error.status, error.code, str(error))
        except ClientDisconnect:
            response = _error(400, "gone", "the request ended before its body did")
        finally:
            self._under_way -= 1
            self._metrics.in_flight.set(self._under_way)
        self._metrics.requests.labels(str(response.status_code)).inc()
        return response

    async def _answer(self, request: Request) -> Response:
        if self._under_way > self._settings.concurrency + self._settings.queue:
            return _error(503, "busy", "too many pictures wait already", {"Retry-After": "1"})
        data = await self._body(request)
        began = time.perf_counter()
        async with self._turns:
            answer = await asyncio.to_thread(self._classified, data)
        took = time.perf_counter() - began
        self._metrics.seconds.observe(took)
        return JSONResponse({**asdict(answer), "provider": self._model.provider, "milliseconds": round(took * 1000, 1)})

    def _classified(self, data: bytes) -> Answer:
        return self._model.classify(pixels(data, self._settings.max_pixels))

    async def _body(self, request: Request) -> bytes:
        most = self._settings.max_bytes
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > most:
                raise PictureError(413, "too_large", f"is larger than {most:,} bytes")
        if not data:
            raise PictureError(400, "empty", "send a picture as the body of the request")
        return bytes(data)

    async def healthz(self, _: Request) -> Response:
        """Whether the process answers."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, _: Request) -> Response:
        """Whether it takes pictures, and what computes them."""
        if not self._ready:
            return _error(503, "not_ready", "the model is not loaded, or the service ends")
        known = {"provider": self._model.provider, "accuracy": self._model.accuracy, "classes": self._model.classes}
        return JSONResponse({"status": "ready", **known})

    async def metrics(self, _: Request) -> Response:
        """Figures for Prometheus."""
        return Response(self._metrics.text(), media_type=CONTENT_TYPE)


def create_app(settings: Settings, model: Model) -> Starlette:
    """The application."""
    service = Service(settings, model)
    routes = [
        Route("/classify", service.classify, methods=["POST"]),
        Route("/healthz", service.healthz),
        Route("/readyz", service.readyz),
        Route("/metrics", service.metrics),
    ]
    handlers = {HTTPException: _refused, 500: _failed}
    return Starlette(routes=routes, lifespan=service.running, exception_handlers=handlers)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
    return _error(error.status_code, code, error.detail, error.headers)


async def _failed(_: Request, __: Exception) -> Response:
    return _error(500, "internal", "the service failed; its log says why")


def _error(status: int, code: str, message: str, headers: object = None) -> Response:
    body = {"error": {"code": code, "message": message}}
    return JSONResponse(body, status, headers)  # type: ignore[arg-type]

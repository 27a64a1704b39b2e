"""Runs the service on uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from dialogue import audit
from dialogue.hub import Hub
from dialogue.metrics import CONTENT_TYPE
from dialogue.settings import LOOPBACK, Settings, SettingsError
from dialogue.web import create_app
from dialogue.wire import PatientProtocol

#: Seconds; conversations are stopped and streams ended at once, so nothing should need them.
_SHUTDOWN_SECONDS = 10


class Server(uvicorn.Server):
    """Ends the conversations before uvicorn waits for their watchers to go."""

    def __init__(self, config: uvicorn.Config, hub: Hub, figures: uvicorn.Config | None = None) -> None:
        super().__init__(config)
        self._hub = hub
        self._figures = figures

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve, and beside it the figures where they have a port."""
        if self._figures is None:
            await super().serve(sockets)
            return
        figures = _Beside(self._figures)
        beside = asyncio.create_task(figures.serve())
        try:
            await super().serve(sockets)
        finally:
            figures.should_exit = True
            await beside

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop conversations, end streams, then close connections."""
        await self._hub.close()
        await super().shutdown(sockets)


class _Beside(uvicorn.Server):
    """A second server of the process, which leaves signals to the first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def make(settings: Settings, *, log_level: str = "info") -> Server:
    """The server, ready to run. Raises `SettingsError` and `KeysError`."""
    if not settings.guarded and settings.host not in LOOPBACK:
        raise SettingsError(
            f"host: {settings.host} can be reached from elsewhere, so keys_file is needed (DIALOGUE_KEYS_FILE); "
            "only a service on 127.0.0.1 or ::1 may go without"
        )
    hub = Hub(settings)
    config = uvicorn.Config(
        create_app(settings, hub),
        host=settings.host,
        port=settings.port,
        log_level=log_level,
        access_log=False,  # it would hold the ids of conversations, which let people watch them
        server_header=False,
        date_header=False,
        ws="none",
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        http=PatientProtocol,
    )
    figures = None
    if settings.metrics_port is not None:
        figures = uvicorn.Config(
            Starlette(routes=[Route("/metrics", lambda _: Response(hub.metrics.text(), media_type=CONTENT_TYPE))]),
            host=settings.host,
            port=settings.metrics_port,
            log_level="warning",
            access_log=False,
            ws="none",
            lifespan="off",
            http=PatientProtocol,
        )
    return Server(config, hub, figures)


def serve(settings: Settings) -> None:
    """Run until the process is told to end. Raises `SettingsError` and `KeysError`."""
    _log_to_the_console()
    asyncio.run(make(settings).serve())


def _log_to_the_console() -> None:
    """Audit lines to standard output, each a JSON object; what is said about the service itself to standard error."""
    lines = logging.StreamHandler(sys.stdout)
    lines.setFormatter(logging.Formatter("%(message)s"))
    audit.LOG.addHandler(lines)
    audit.LOG.setLevel(logging.INFO)
    audit.LOG.propagate = False
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)

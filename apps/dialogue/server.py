"""Runs the service on uvicorn."""

from __future__ import annotations

import asyncio
import socket

import uvicorn

from dialogue.hub import Hub
from dialogue.settings import LOOPBACK, Settings, SettingsError
from dialogue.web import create_app

#: Seconds; conversations are stopped and streams ended at once, so nothing should need them.
_SHUTDOWN_SECONDS = 10


class Server(uvicorn.Server):
    """Ends the conversations before uvicorn waits for their watchers to go."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop conversations, end streams, then close connections."""
        await self._hub.close()
        await super().shutdown(sockets)


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
    )
    return Server(config, hub)


def serve(settings: Settings) -> None:
    """Run until the process is told to end. Raises `SettingsError` and `KeysError`."""
    asyncio.run(make(settings).serve())

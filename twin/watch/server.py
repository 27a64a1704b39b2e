"""`slices watch --web`: the page, on this machine alone."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket

import click
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twin.errors import TwinError
from twin.watch.page import FOLDER, page
from twin.watch.picture import picture, style
from twin.watch.source import Scenes
from twin.watch.sse import Board, event_stream

_FILES = {
    "watch.css": "text/css; charset=utf-8",
    "box.css": "text/css; charset=utf-8",
    "watch.js": "text/javascript; charset=utf-8",
    "mark.svg": "image/svg+xml",
}
#: What a request may call this server: a page of elsewhere could reach it by a name that points here (DNS rebinding).
#: The port may be another one here than there: people forward ports.
_OURS = ["127.0.0.1", "localhost"]
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class SecurityHeaders:
    """Adds the headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)


def create_app(scenes: Scenes, board: Board) -> Starlette:
    """The ASGI application."""

    def show(_: Request) -> Response:
        return HTMLResponse(page(scenes.scene()))

    async def events(_: Request) -> Response:
        return event_stream(board)

    def still(_: Request) -> Response:
        rules = base64.b64encode(hashlib.sha256(f"\n{style()}".encode()).digest()).decode()
        policy = {"content-security-policy": f"default-src 'none'; style-src 'sha256-{rules}'"}
        return Response(picture(scenes.scene()), media_type="image/svg+xml", headers=policy)

    def file(name: str, media_type: str) -> Route:
        content = (FOLDER / name).read_bytes()
        return Route(f"/{name}", lambda _: Response(content, media_type=media_type))

    return Starlette(
        routes=[
            Route("/", show),
            Route("/events", events),
            Route("/picture.svg", still),
            *(file(name, media_type) for name, media_type in _FILES.items()),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=_OURS, www_redirect=False),
        ],
    )


class Server(uvicorn.Server):
    """Ends the streams before uvicorn waits for those who watch to go."""

    def __init__(self, scenes: Scenes) -> None:
        self.board = Board(scenes, self._stop)
        config = uvicorn.Config(
            create_app(scenes, self.board),
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            ws="none",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)

    def _stop(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and begin to paint."""
        await super().startup(sockets)
        self.board.open()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then close connections."""
        self.board.close()
        await super().shutdown(sockets)


def listen(port: int) -> socket.socket:
    """A loopback socket; port 0 is any that is free. Raises TwinError when it cannot be had."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise TwinError(
            f"port {port} cannot be had ({error.strerror}): choose another one, or leave --port out for a free one"
        ) from error
    return listener


def serve(scenes: Scenes, stack: str, port: int) -> None:
    """Serve the page until Ctrl-C, or until the twin is stopped. Raises TwinError when the port cannot be had."""
    with listen(port) as listener:
        server = Server(scenes)
        click.echo(f"The twin of {stack}: http://127.0.0.1:{listener.getsockname()[1]}/  (Ctrl-C ends)")
        asyncio.run(server.serve(sockets=[listener]))
    if server.board.failure:
        raise server.board.failure
    if server.board.ended:
        click.echo(server.board.ended)

"""The service: its routes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dialogue import transcript
from dialogue.conversation import Conversation
from dialogue.guard import MOST_BYTES, Guard, SecurityHeaders, answer
from dialogue.hub import Hub, RequestError
from dialogue.keys import FixedKeys, Keys
from dialogue.settings import MOST_SPEAKERS, Settings
from dialogue.sse import EventStream

#: Names of a service without keys: a page of elsewhere could reach it by a name that it points here (DNS rebinding).
_OURS = ["127.0.0.1", "[::1]", "localhost"]
#: For a body of at most MOST_BYTES.
_BODY_SECONDS = 15.0
PAGE = Path(__file__).parent / "page"


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Start(_Body):
    """Body of `POST /api/conversations`."""

    topic: str
    speakers: list[str] = []
    personas: dict[str, str] = {}
    turns: int = 0


class Guest(_Body):
    """Body of `POST /api/conversations/{id}/guests`."""

    speaker: str
    persona: str = ""


_T = TypeVar("_T", bound=_Body)


def create_app(settings: Settings, hub: Hub | None = None) -> Starlette:
    """The ASGI application. Raises `KeysError` where the file of keys is wrong."""
    hub = hub or Hub(settings)
    hub.keys = _keys(settings)
    routes = _Routes(hub, settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with hub.open():
            yield

    one = "/api/conversations/{id}"
    app = Starlette(
        routes=[
            Route("/", routes.page),
            Route("/healthz", routes.health),
            Route("/api/session", routes.session),
            Route("/api/conversations", routes.start, methods=["POST"]),
            Route("/api/conversations", routes.mine),
            Route(one, routes.show),
            Route(f"{one}/events", routes.events),
            Route(f"{one}/transcript", routes.transcript),
            Route(f"{one}/stop", routes.stop, methods=["POST"]),
            Route(f"{one}/resume", routes.resume, methods=["POST"]),
            Route(f"{one}/guests", routes.join, methods=["POST"]),
            Mount("/page", StaticFiles(directory=PAGE)),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            *([] if hub.keys else [Middleware(TrustedHostMiddleware, allowed_hosts=_OURS, www_redirect=False)]),
            Middleware(Guard, hub=hub),
        ],
        exception_handlers={RequestError: _problem},  # type: ignore[dict-item]  # Starlette's types know `Exception` only
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # it would send people to whatever host the request names
    return app


def _keys(settings: Settings) -> FixedKeys | None:
    if settings.keys_file:
        return Keys(settings.keys_file)
    return FixedKeys(settings.api_keys.get_secret_value()) if settings.api_keys else None


class _Routes:
    def __init__(self, hub: Hub, settings: Settings) -> None:
        self._hub = hub
        self._settings = settings

    async def page(self, _: Request) -> Response:
        return FileResponse(PAGE / "index.html")

    async def health(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def session(self, _: Request) -> Response:
        """What the page needs to know."""
        limits = self._settings.limits
        speakers = [
            {"name": each.name, "model": each.model, "persona": each.persona, "guest": each.guest}
            for each in self._settings.speakers
        ]
        shown = ("topic_chars", "persona_chars", "turns", "most_turns", "unwatched_seconds", "keep_seconds")
        return JSONResponse(
            {
                "title": self._settings.title,
                "notice": self._settings.notice,
                "store": {"kept": self._hub.keeper.kept, "problem": bool(self._hub.keeper.problem)},
                "speakers": speakers,
                "limits": {**{name: getattr(limits, name) for name in shown}, "speakers": MOST_SPEAKERS},
            }
        )

    async def start(self, request: Request) -> Response:
        body = await _body(request, Start)
        owner = request.state.owner
        conversation = self._hub.start(owner, body.topic, body.speakers, body.personas, body.turns)
        return JSONResponse(conversation.snapshot(), 201, {"location": f"/api/conversations/{conversation.id}"})

    async def mine(self, request: Request) -> Response:
        """The conversations of this key, newest first."""
        return JSONResponse({"conversations": self._hub.belonging_to(request.state.owner)})

    async def show(self, request: Request) -> Response:
        conversation = self._find(request)
        return JSONResponse({**conversation.snapshot(), "yours": conversation.owner == request.state.owner})

    async def events(self, request: Request) -> Response:
        conversation = self._find(request)
        last = request.headers.get("last-event-id", "")
        position = int(last) if last.isdecimal() and len(last) < 16 else 0
        limits = self._settings.limits
        if conversation.at_rest(limits.unwatched_seconds) and position >= conversation.log.last:
            return Response(status_code=204)  # tells an EventSource not to come back
        if request.method == "HEAD":  # nobody watches
            return Response(media_type="text/event-stream")
        self._hub.admit_watcher(request.state.owner)
        self._hub.go_on(conversation)
        return EventStream(self._hub, conversation, request.state.owner, position, limits)

    async def transcript(self, request: Request) -> Response:
        conversation = self._find(request)
        chosen = request.query_params.get("format", "md")
        if chosen not in transcript.FORMATS:
            raise RequestError(422, "format", f"there are {', '.join(transcript.FORMATS)}")
        media_type, write = transcript.FORMATS[chosen]
        name = transcript.file_name(conversation, chosen)
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(write(conversation), media_type=media_type, headers=headers)

    async def stop(self, request: Request) -> Response:
        conversation = self._find(request, own=True)
        await self._hub.stop(conversation)
        return JSONResponse({"state": conversation.state})

    async def resume(self, request: Request) -> Response:
        conversation = self._find(request, own=True)
        self._hub.resume(conversation)
        return JSONResponse({"state": "running"})

    async def join(self, request: Request) -> Response:
        body = await _body(request, Guest)
        conversation = self._find(request, own=True)
        self._hub.join(conversation, body.speaker, body.persona)
        return JSONResponse({"speakers": [speaker.name for speaker in conversation.speakers]})

    def _find(self, request: Request, *, own: bool = False) -> Conversation:
        """Everybody with a key may watch a conversation whose id they know; steer it may who started it."""
        return self._hub.find(request.path_params["id"], request.state.owner if own else None)


async def _body(request: Request, kind: type[_T]) -> _T:
    content = b""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                content += chunk
                if len(content) > MOST_BYTES:
                    raise RequestError(413, "size", f"at most {MOST_BYTES} bytes are taken")
        value: Any = json.loads(content)
        json.dumps(value, ensure_ascii=False).encode()
        return kind.model_validate(value)
    except TimeoutError as error:
        raise RequestError(408, "slow", f"the body did not come within {_BODY_SECONDS:.0f} s") from error
    except UnicodeEncodeError as error:
        raise RequestError(400, "text", "a text holds half of a character (a lone surrogate)") from error
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise RequestError(422, "body", f"{place or 'the body'}: {problem['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise RequestError(400, "json", "the body is not JSON") from error


async def _problem(request: Request, problem: RequestError) -> Response:
    request.state.code = problem.code
    return answer(problem)

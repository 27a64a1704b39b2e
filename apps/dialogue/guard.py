"""Who may come in: keys, rate limits, request sizes, and the headers that every answer has."""

from __future__ import annotations

import math
from collections import OrderedDict

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dialogue.hub import RequestError
from dialogue.keys import FixedKeys, RateLimit
from dialogue.settings import Limits

#: Bytes of a request's body.
MOST_BYTES = 65_536
#: Without keys everybody is the same one.
NOBODY = "local"
_REMEMBERED = 1000
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def answer(problem: RequestError) -> JSONResponse:
    """A problem as a response."""
    body = {"error": {"code": problem.code, "message": str(problem), **problem.details}}
    response = JSONResponse(body, problem.status)
    wait = problem.details.get("retry_after")
    if isinstance(wait, int):
        response.headers["retry-after"] = str(wait)
    if problem.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


class SecurityHeaders:
    """Adds the headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store" if scope["path"].startswith("/api/") else "no-cache")
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


class Guard:
    """Lets into /api/ who has a key, as `request.state.owner`. Without keys, everybody."""

    def __init__(self, app: ASGIApp, keys: FixedKeys | None, limits: Limits) -> None:
        self._app = app
        self._keys = keys
        self._failures = RateLimit(limits.failures_per_minute)
        self._requests = RateLimit(limits.requests_per_minute)
        self._welcome: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with 401, 403, 413, 415 or 429."""
        if scope["type"] == "http" and scope["path"].startswith("/api/"):
            headers = Headers(scope=scope)
            try:
                owner = self._owner(scope, headers)
                if scope["method"] not in ("GET", "HEAD"):
                    self._check_change(owner, headers)
            except RequestError as problem:
                await answer(problem)(scope, receive, send)
                return
            scope.setdefault("state", {})["owner"] = owner
        await self._app(scope, receive, send)

    def _owner(self, scope: Scope, headers: Headers) -> str:
        if self._keys is None:
            return NOBODY
        address = scope["client"][0] if scope.get("client") else ""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            raise RequestError(401, "key", "an API key is needed")
        owner = self._keys.name(given.strip())
        # Whoever tries keys learns nothing once the limit is reached: the right one is turned away as well. Not so
        # somebody who has come in from there before: many may share the address of a gateway.
        if (owner is None or (address, owner) not in self._welcome) and (wait := self._failures.wait(address)):
            raise _too_many(wait)
        if owner is None:
            self._failures.take(address)
            raise RequestError(401, "key", "the API key is not valid")
        self._welcome[address, owner] = None
        self._welcome.move_to_end((address, owner))
        if len(self._welcome) > _REMEMBERED:
            self._welcome.popitem(last=False)
        return owner

    def _check_change(self, owner: str, headers: Headers) -> None:
        # Forms of other sites cannot send JSON without asking first, and are refused then.
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise RequestError(415, "type", "send application/json")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            raise RequestError(413, "size", f"at most {MOST_BYTES} bytes are taken")
        if wait := self._requests.wait(owner):
            raise _too_many(wait)
        self._requests.take(owner)


def _too_many(wait: float) -> RequestError:
    seconds = math.ceil(wait)
    return RequestError(429, "rate", f"too many requests: try again in {seconds} s", retry_after=seconds)

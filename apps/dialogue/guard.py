"""Who may come in: keys, rate limits, request sizes, and the headers that every answer has."""

from __future__ import annotations

import ipaddress
import math

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dialogue import audit
from dialogue.hub import Hub, RequestError
from dialogue.keys import RateLimit

#: Bytes of a request's body.
MOST_BYTES = 65_536
#: Without keys everybody is the same one.
NOBODY = "local"
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
    """Lets into /api/ who has a key, as `request.state.owner`; without keys, everybody. Logs and counts who came."""

    def __init__(self, app: ASGIApp, hub: Hub) -> None:
        self._app = app
        self._hub = hub
        limits = hub.settings.limits
        self._failures = RateLimit(limits.failures_per_minute)
        self._told = RateLimit(limits.failures_per_minute)
        self._changes = RateLimit(limits.requests_per_minute)
        self._reads = RateLimit(limits.reads_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with 401, 413, 415, 429 or 503."""
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        address = _address(scope, headers, self._hub.settings.trusted_hops)
        sender = _sender(address)
        action, identifier = audit.told(scope["method"], scope["path"])
        owner = None
        try:
            owner = self._owner(headers, sender)
            self._check(owner, scope["method"], headers)
        except RequestError as problem:
            self._hub.metrics.refused(problem.code)
            # Whoever knocks on and on does not fill the log.
            if not self._told.wait(sender):
                self._told.take(sender)
                audit.write(
                    who=owner,
                    action=action,
                    conversation=identifier,
                    address=address,
                    status=problem.status,
                    code=problem.code,
                )
            await answer(problem)(scope, receive, send)
            return
        state["owner"] = owner

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                status = message["status"]
                self._hub.metrics.request(owner, action, status)
                audit.write(
                    who=owner,
                    action=action,
                    conversation=identifier,
                    address=address,
                    status=status,
                    code=state.get("code", ""),
                )
            await send(message)

        await self._app(scope, receive, told)

    def _owner(self, headers: Headers, sender: str) -> str:
        keys = self._hub.keys
        if keys is None:
            return NOBODY
        if not keys.readable:
            raise RequestError(503, "keys", "nobody is let in: the keys cannot be read; the service's log says why")
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            raise RequestError(401, "key", "an API key is needed")
        owner = keys.name(given.strip())
        if owner is None:
            # A right key is let in whatever others send from its address, which many may share. That it can be tried
            # for costs nothing: of twenty random characters nobody finds one by trying.
            if wait := self._failures.wait(sender):
                raise _too_many("too many wrong keys came from your address", wait)
            self._failures.take(sender)
            raise RequestError(401, "key", "the API key is not valid")
        return owner

    def _check(self, owner: str, method: str, headers: Headers) -> None:
        limit = self._reads
        if method not in ("GET", "HEAD"):
            limit = self._changes
            # Forms of other sites cannot send JSON without asking first, and are refused then.
            if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                raise RequestError(415, "type", "send application/json")
            length = headers.get("content-length", "0")
            if not length.isdecimal() or int(length) > MOST_BYTES:
                raise RequestError(413, "size", f"at most {MOST_BYTES} bytes are taken")
        if wait := limit.wait(owner):
            raise _too_many("too many requests came with your key", wait)
        limit.take(owner)


def _address(scope: Scope, headers: Headers, hops: int) -> str:
    """Who really sends: each trusted proxy added whom it had the request from to X-Forwarded-For, at its end."""
    client = scope["client"][0] if scope.get("client") else ""
    if not hops:
        return str(client)
    given = [part.strip() for line in headers.getlist("x-forwarded-for") for part in line.split(",")]
    return given[-hops] if len(given) >= hops else str(client)


def _sender(address: str) -> str:
    """Who counts as one: an address, or the /64 of IPv6, of which one machine has all addresses."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address


def _too_many(what: str, wait: float) -> RequestError:
    seconds = math.ceil(wait)
    return RequestError(429, "rate", f"{what}: try again in {seconds} s", retry_after=seconds)

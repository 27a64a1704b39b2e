"""One Ollama server as a model's door: asks whether it is awake, streams an answer, and says how things failed."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from enum import Enum
from typing import Any, NamedTuple, assert_never

import httpx
import ollama

from dialogue.ndjson import LONGEST_LINE, MalformedError, objects
from dialogue.settings import LOOPBACK, Limits, Speaker

Message = dict[str, str]
#: What a gateway answers for a server that is not there yet; 429 says the same of one that is busy.
NOT_YET = (429, 502, 503, 504)
_CONNECT_SECONDS = 10
#: How Kubernetes ends the names of its Services.
_CLUSTER_DOMAIN = ".svc.cluster.local"
#: Ollama gives up on a model that says the same token so many times over, and ends the stream silently (llm/server.go).
_REPEATS = 30
#: Characters of what a server says about an error.
_MOST_WORDS = 200
#: A node that vanishes says no goodbye: without these a held request would wait for its answer for ever.
_KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *((socket.IPPROTO_TCP, getattr(socket, name), value)
      for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
      if hasattr(socket, name)),
]  # fmt: skip


class Place(Enum):
    """Where a model's server is, as its address tells."""

    HERE = "this machine"
    CLUSTER = "the cluster"
    ELSEWHERE = "another machine"


class AnswerError(Exception):
    """An answer could not be had; the message says what was seen."""


class AsleepError(AnswerError):
    """Nothing is there yet that could answer: worth waiting for."""

    def __init__(self, seen: str, *, connected: bool = True, retry_after: float = 0) -> None:
        super().__init__(seen)
        self.connected = connected
        self.retry_after = retry_after


class BrokenError(AnswerError):
    """An answer broke off, or was none: worth a few more tries."""


class RefusedError(AnswerError):
    """The server does not take the request: it would not take it again either."""


class Chunk(NamedTuple):
    """Part of an answer. The last one is `done` and holds Ollama's own count of tokens and time (seconds)."""

    text: str
    thinking: bool = False
    done: bool = False
    reason: str = ""
    tokens: int = 0
    seconds: float = 0.0
    load_seconds: float = 0.0


class Endpoint:
    """The model of one speaker on its server; shared by all conversations, so that each knows when it last spoke."""

    def __init__(self, speaker: Speaker, limits: Limits) -> None:
        self.speaker = speaker
        self._place = _place(speaker.url)
        self._continues: bool | None = None
        self._last_heard = float("-inf")
        key = os.environ.get("OLLAMA_API_KEY")
        settings: dict[str, Any] = {
            "headers": {"accept-encoding": "identity", **({"authorization": f"Bearer {key}"} if key else {})},
            "follow_redirects": False,
            "event_hooks": {"response": [_somebody_is_there]},
            # A connection an answer: a pooled one would lead to a pod that has long been scaled away.
            "transport": httpx.AsyncHTTPTransport(
                verify=speaker.url.startswith("https:"),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
                socket_options=_KEEPALIVE,
            ),
        }
        held = httpx.Timeout(_CONNECT_SECONDS, read=limits.wake_seconds, pool=None)
        self._stall_seconds = limits.stall_seconds
        self._client = httpx.AsyncClient(base_url=speaker.url, timeout=held, **settings)
        self._ollama = ollama.AsyncClient(speaker.url, timeout=held, **settings)

    async def close(self) -> None:
        """Close what is open."""
        await self._client.aclose()
        await self._ollama.close()  # type: ignore[no-untyped-call]

    @property
    def silent_seconds(self) -> float:
        """Seconds since the model last said something to anyone."""
        return time.monotonic() - self._last_heard

    async def loaded(self) -> bool | None:
        """Whether the server has the model in memory, or None where it does not say. A sleeping server is woken.

        Raises `AsleepError` and `BrokenError`.
        """
        try:
            answer = await self._ollama.ps()
        except ollama.ResponseError as error:
            if error.status_code >= 500:
                raise BrokenError(f"the server answers {error.status_code}") from error
            return None  # a gateway may let nothing but chats through
        except (ConnectionError, httpx.TransportError) as error:
            raise self._not_there(error) from error
        except (ValueError, RecursionError):
            return None
        return any(_tagged(model.model or "") == _tagged(self.speaker.model) for model in answer.models)

    async def continues(self, messages: Sequence[Message]) -> bool:
        """Whether the server would go on with the last message, the assistant's, instead of answering it.

        That depends on the model's template. Ollama shows the prompt that it would make, without running the model.
        Raises `AsleepError` where the server is not there.
        """
        if self._continues is None:
            body = {**self._body(messages, {"num_predict": 1}), "stream": False, "_debug_render_only": True}
            try:
                response = await self._client.post("/api/chat", json=body)
                answer = response.json()
                prompt = answer["_debug_info"]["rendered_template"]
            except httpx.TransportError as error:
                raise self._not_there(error) from error
            except (ValueError, KeyError, TypeError, RecursionError):
                prompt = ""
            self._continues = str(prompt).endswith(messages[-1]["content"])
        return self._continues

    async def chat(self, messages: Sequence[Message], options: Mapping[str, Any]) -> AsyncGenerator[Chunk, None]:
        """Stream an answer. Raises `AsleepError` before the first byte, `BrokenError` or `RefusedError` at any time."""
        body = {**self._body(messages, options), "stream": True}
        request = self._client.build_request("POST", "/api/chat", json=body)
        try:
            response = await self._client.send(request, stream=True)
        except httpx.TransportError as error:
            raise self._not_there(error) from error
        try:
            await self._check(response)
            last, repeats = "", 0
            async with aclosing(objects(response.aiter_bytes())) as lines:
                while line := await self._next(lines):
                    chunk = _chunk(line)
                    yield chunk
                    if chunk.done:
                        return
                    repeats = repeats + 1 if chunk.text.strip() == last else 0
                    last = chunk.text.strip()
            if repeats >= _REPEATS:
                yield Chunk("", done=True, reason="repeat")
                return
        except httpx.TransportError as error:
            raise BrokenError(f"the connection was lost: {_words(error)}") from error
        except MalformedError as error:
            raise BrokenError(str(error)) from error
        finally:
            await response.aclose()
        raise BrokenError("the stream ended in the middle of the answer")

    async def _next(self, lines: AsyncIterator[dict[str, Any]]) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(self._stall_seconds):
                line = await anext(lines, None)
        except TimeoutError as error:
            raise BrokenError(f"silence for {self._stall_seconds:.0f} s in the middle of the answer") from error
        self._last_heard = time.monotonic()
        return line

    async def _check(self, response: httpx.Response) -> None:
        if response.status_code == 200:
            return
        content = b""
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > LONGEST_LINE:
                break
        try:
            message = str(json.loads(content)["error"])
        except (ValueError, KeyError, TypeError, RecursionError):
            message = content.decode("utf-8", "replace").strip() or response.reason_phrase
        message = message[:_MOST_WORDS].encode("utf-8", "replace").decode()
        seen = f"the server answers {response.status_code}: {message}"
        if response.status_code == 404 and self._place is Place.HERE:
            seen += f"; `ollama pull {self.speaker.model}` fetches it"
        raise (BrokenError if response.status_code >= 500 or response.status_code == 408 else RefusedError)(seen)

    def _not_there(self, error: Exception) -> AsleepError:
        if isinstance(error, ConnectionError | httpx.ConnectError | httpx.ConnectTimeout):
            return AsleepError(_refusal(self._place, self.speaker.url, error), connected=False)
        return AsleepError(f"the request was dropped without an answer: {_words(error)}")

    def _body(self, messages: Sequence[Message], options: Mapping[str, Any]) -> dict[str, Any]:
        # A model that can reason would do so unheard, on the turn's tokens, unless it is told not to.
        return {
            "model": self.speaker.model,
            "messages": list(messages),
            "think": False,
            "options": {**self.speaker.options, **options},
        }


async def _somebody_is_there(response: httpx.Response) -> None:
    """Called by httpx with every response. Raises `AsleepError`."""
    if response.status_code in NOT_YET:
        wait = response.headers.get("retry-after", "")
        seconds = float(wait) if wait.isdecimal() else 0
        raise AsleepError(f"the gateway answers {response.status_code}", retry_after=seconds)


def _chunk(line: Mapping[str, Any]) -> Chunk:
    if "error" in line:
        if "token repeat limit" in str(line["error"]):  # newer servers say so
            return Chunk("", done=True, reason="repeat")
        raise BrokenError(f"the server says: {str(line['error'])[:_MOST_WORDS]}")
    message = line.get("message")
    text = message.get("content", "") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(text, str):
        raise BrokenError(f"an answer without a message: {str(line)[:120]}")
    if not line.get("done"):
        return Chunk(text, thinking=bool(message.get("thinking")) and not text)
    return Chunk(
        text,
        done=True,
        reason=str(line.get("done_reason") or "stop"),
        tokens=_number(line, "eval_count"),
        seconds=_number(line, "eval_duration") / 1e9,
        load_seconds=_number(line, "load_duration") / 1e9,
    )


def _number(line: Mapping[str, Any], key: str) -> int:
    value = line.get(key)
    return value if isinstance(value, int) and value > 0 else 0


def _place(url: str) -> Place:
    host = httpx.URL(url).host
    if host in LOOPBACK:
        return Place.HERE
    return Place.CLUSTER if host.endswith((".svc", _CLUSTER_DOMAIN)) else Place.ELSEWHERE


def _refusal(place: Place, url: str, error: Exception) -> str:
    """What to do where no connection is made. People who may watch read it: it names no address but this machine's."""
    match place:
        case Place.HERE:
            return f"Ollama does not answer at {url}: is it running? `ollama serve`"
        case Place.CLUSTER if _nameless(error):
            return "the cluster has no service of that name; `kubectl get ksvc -A` lists those it has"
        case Place.CLUSTER:
            return "the gateway before the models does not answer; `kubectl get pods -n knative-serving` shows it"
        case Place.ELSEWHERE if _nameless(error):
            return "there is no host of the name in this speaker's `url`"
        case Place.ELSEWHERE:
            return "nothing answers there: is Ollama running, and for others too? `OLLAMA_HOST=0.0.0.0 ollama serve`"
    assert_never(place)


def _nameless(error: BaseException | None) -> bool:
    """Whether the name was not found, which clients tell only by what caused their error."""
    while error is not None:
        if isinstance(error, socket.gaierror):
            return True
        error = error.__cause__ or error.__context__
    return False


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _tagged(model: str) -> str:
    return model if ":" in model.rsplit("/", 1)[-1] else f"{model}:latest"

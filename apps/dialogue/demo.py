"""`python -m dialogue demo`: the page in a minute, with a local Ollama, or else with a model that only pretends.

The demonstration model speaks Ollama's chat API as far as the dialogue uses it, in the same process. It is no language
model: it puts sentences that were written beforehand around the topic, and says so on the page and in each transcript.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from dialogue import server
from dialogue.settings import Settings

OLLAMA_PORT = 11434
MODEL = "demonstration"
NOTICE = "Demonstration: no model speaks here. The sentences were written beforehand; start Ollama to hear real models."
_TOKENS_PER_SECOND = 14
_LOOK_SECONDS = 2.0
_OPENINGS = (
    "Let us begin with what we can agree on.",
    "I see it the other way round.",
    "That is a fair point, but it leaves something out.",
    "Suppose for a moment that you are right.",
    "Here I have to disagree.",
    "You make me think of an old question.",
)
_MIDDLES = (
    "What “{topic}” asks depends on what we want to do with the answer.",
    "Whoever asks “{topic}” has usually decided already.",
    "Take any example: it looks simple from afar, and less so from near.",
    "A definition would settle it, and that is why I do not trust one.",
    "Most people would say it differs from case to case, and stop there.",
    "I would rather look at what happens than at what it is called.",
)
_ENDINGS = (
    "What would change your mind?",
    "So where would you draw the line?",
    "Or is there a case that I have missed?",
    "I should like to hear your strongest reason.",
    "That much, at least, seems certain to me.",
)


def local_ollama() -> tuple[str, list[str]] | None:
    """Address and models of the Ollama on this machine (OLLAMA_HOST, else port 11434), or None."""
    url = (os.environ.get("OLLAMA_HOST") or "127.0.0.1").replace("0.0.0.0", "127.0.0.1").rstrip("/")
    if "://" not in url:
        url = f"http://{url}" if ":" in url else f"http://{url}:{OLLAMA_PORT}"
    try:
        models = httpx.get(f"{url}/api/tags", timeout=_LOOK_SECONDS).raise_for_status().json()["models"]
        return url, [str(model["name"]) for model in models if "embed" not in str(model["name"])]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return None


def speakers(url: str, models: Sequence[str]) -> list[dict[str, Any]]:
    """Two speakers and, where there is a third model, a guest; one model speaks with itself under two names."""
    first = models[0]
    chosen = [(models[0], models[0]), (models[1], models[1])] if len(models) > 1 else [("Ada", first), ("Bob", first)]
    guests = [(name, name) for name in models[2:3]] or ([("Cleo", MODEL)] if first == MODEL else [])
    return [
        {"name": name, "model": model, "url": url, "guest": (name, model) in guests}
        for name, model in (*chosen, *guests)
    ]


def model() -> Starlette:
    """The demonstration model."""
    return Starlette(routes=[Route("/api/ps", _loaded), Route("/api/chat", _chat, methods=["POST"])])


async def _loaded(_: Request) -> Response:
    return JSONResponse({"models": [{"name": f"{MODEL}:latest", "model": f"{MODEL}:latest"}]})


async def _chat(request: Request) -> Response:
    body = await request.json()
    if body.get("_debug_render_only"):  # it begins each answer anew
        return JSONResponse({"_debug_info": {"rendered_template": ""}})
    return StreamingResponse(_lines(body["messages"]), media_type="application/x-ndjson")


async def _lines(messages: Sequence[dict[str, str]]) -> AsyncIterator[bytes]:
    topic = messages[0]["content"].partition(" Its topic:\n")[2].partition("\n")[0] or "it"
    chance = random.Random(json.dumps(messages))
    parts = [chance.choice(_OPENINGS), *chance.sample(_MIDDLES, 2), chance.choice(_ENDINGS)]
    words = " ".join(parts).replace("{topic}", topic[:120]).split(" ")
    for number, word in enumerate(words):
        await asyncio.sleep(1 / _TOKENS_PER_SECOND)
        yield _line({"message": {"role": "assistant", "content": word if not number else f" {word}"}, "done": False})
    spent = int(len(words) / _TOKENS_PER_SECOND * 1e9)
    end = {"done": True, "done_reason": "stop", "eval_count": len(words), "eval_duration": spent}
    yield _line({"message": {"role": "assistant", "content": ""}, **end})


def _line(data: dict[str, Any]) -> bytes:
    return json.dumps({"model": MODEL, **data}).encode() + b"\n"


def listen(port: int) -> socket.socket:
    """A socket on this machine, on the port or any other that is free where it is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.bind(("127.0.0.1", 0))
    return listener


def run(settings: Settings, listener: socket.socket) -> None:
    """Serve the page on a socket until Ctrl-C or SIGTERM. Raises `SettingsError` and `KeysError`."""
    service = server.make(settings, log_level="warning")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(service.serve(sockets=[listener]))


def start_model() -> str:
    """Serve the demonstration model until the process ends; gives its address."""
    listener = listen(0)
    config = uvicorn.Config(model(), log_level="error", access_log=False, ws="none")
    # In a thread it leaves Ctrl-C to the page.
    threading.Thread(target=uvicorn.Server(config).run, kwargs={"sockets": [listener]}, daemon=True).start()
    return address(listener)


def address(listener: socket.socket) -> str:
    """The URL of a socket on this machine."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"

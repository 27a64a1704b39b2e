"""A double of Ollama's chat API, for where the real server cannot be built, and for answers that must be known.

Strict where the real one is lenient: an unknown field, option or role is a 400. `python -m tests.apps.ollama_double`
with a port serves the models tiny-a, tiny-b and tiny-c. test_ollama_double.py holds it against the real server.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

MODELS = ("tiny-a", "tiny-b", "tiny-c")
#: Ends the name of a model whose template closes the assistant's last message instead of leaving it open.
CLOSED = "-closed"
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "model": str,
    "messages": list,
    "stream": bool,
    "think": bool,
    "options": dict,
    "_debug_render_only": bool,
}
_OPTIONS: dict[str, type | tuple[type, ...]] = {
    "num_predict": int,
    "temperature": (int, float),
    "seed": int,
    "repeat_penalty": (int, float),
    "repeat_last_n": int,
    "num_thread": int,
}
_ROLES = ("system", "user", "assistant")
_LENGTHS = (20, 60)

Answer = Callable[[str, list[dict[str, str]]], list[str]]


def babble(model: str, messages: list[dict[str, str]]) -> list[str]:
    """Tokens that depend on the model and on all that was said, and on nothing else."""
    digest = hashlib.sha256(json.dumps([model, messages]).encode()).hexdigest()
    chance = random.Random(digest)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 8))) for _ in range(60)]
    return [(" " if index else "") + word for index, word in enumerate(words[: chance.randint(*_LENGTHS)])]


class Double:
    """The application, and what it saw."""

    def __init__(self, answer: Answer = babble, tokens_per_second: float = 0, models: tuple[str, ...] = MODELS) -> None:
        self.answer = answer
        self.tokens_per_second = tokens_per_second
        self.models = models
        self.keeps_limits = True
        self.speaks = asyncio.Event()
        """While it is cleared, no further word is said."""
        self.speaks.set()
        self.loaded: set[str] = set()
        self.requests: list[dict[str, Any]] = []
        self.answering = 0
        self.app = Starlette(
            routes=[
                Route("/", lambda _: PlainTextResponse("Ollama is running")),
                Route("/api/version", lambda _: JSONResponse({"version": "0.0.0"})),
                Route("/api/ps", self.ps),
                Route("/api/tags", lambda _: JSONResponse({"models": [{"name": name} for name in self.models]})),
                Route("/api/chat", self.chat, methods=["POST"]),
            ]
        )

    async def ps(self, _: Request) -> Response:
        """What is in memory."""
        models = [
            {"name": f"{name}:latest", "model": f"{name}:latest", "size": 1, "size_vram": 0} for name in self.loaded
        ]
        return JSONResponse({"models": models})

    async def chat(self, request: Request) -> Response:
        """Check the request and stream an answer."""
        try:
            body = json.loads(await request.body())
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        if problem := _problem(body):
            return JSONResponse({"error": problem}, 400)
        if problem := _wrong_option(body.get("options", {})):
            return JSONResponse({"error": problem}, 500)
        model = body["model"]
        if model.removesuffix(CLOSED) not in self.models:
            return JSONResponse({"error": f"model '{model}' not found"}, 404)
        self.requests.append(body)
        self.loaded.add(model)
        messages = body["messages"]
        is_open = messages[-1]["role"] == "assistant" and not model.endswith(CLOSED)
        beginning = messages[-1]["content"] if is_open else ""
        if body.get("_debug_render_only"):
            shown = {"role": "", "content": ""}
            return JSONResponse(
                _line(model, shown, done=False, _debug_info={"rendered_template": _render(messages, is_open)})
            )
        tokens = _after(self.answer(model, messages[:-1] if beginning else messages), beginning)
        most = body.get("options", {}).get("num_predict", 128) if self.keeps_limits else len(tokens)
        reason = "length" if len(tokens) > most else "stop"
        lines = self._lines(model, tokens[:most], reason, len(str(messages)) // 4)
        if body.get("stream", True):
            return StreamingResponse(lines, media_type="application/x-ndjson")
        last = [json.loads(line) async for line in lines][-1]
        last["message"]["content"] = "".join(tokens[:most])
        return JSONResponse(last)

    async def _lines(self, model: str, tokens: list[str], reason: str, prompt_tokens: int) -> AsyncIterator[bytes]:
        began = time.perf_counter()
        self.answering += 1
        try:
            for number in range(len(tokens)):
                if self.tokens_per_second:
                    due = began + (number + 1) / self.tokens_per_second
                    await asyncio.sleep(max(due - time.perf_counter(), 0))
                await self.speaks.wait()
                yield _encode(_line(model, {"role": "assistant", "content": tokens[number]}, done=False))
                await asyncio.sleep(0)
        finally:
            self.answering -= 1
        spent = max(int((time.perf_counter() - began) * 1e9), 1)
        counts = {"prompt_eval_count": prompt_tokens, "prompt_eval_duration": 1000, "eval_count": len(tokens)}
        durations = {"total_duration": spent + 2000, "load_duration": 1000, "eval_duration": spent}
        end = _line(model, {"role": "assistant", "content": ""}, done=True, done_reason=reason, **counts, **durations)
        yield _encode(end)


def _render(messages: list[dict[str, str]], is_open: bool) -> str:
    text = "".join(f"[{message['role']}] {message['content']}\n" for message in messages)
    return text[:-1] if is_open else f"{text}[assistant] "


def _after(tokens: list[str], beginning: str) -> list[str]:
    """The tokens that follow a beginning; all of them where the answer begins otherwise."""
    text = ""
    for number, token in enumerate(tokens):
        if text.rstrip() == beginning:
            return tokens[number:]
        text += token
    return [] if text.rstrip() == beginning else tokens


def _problem(body: Any) -> str:
    if not isinstance(body, dict):
        return "the body is not an object"
    for name, value in body.items():
        if name not in _FIELDS or not isinstance(value, _FIELDS[name]):
            return f"unexpected field {name}: {value!r}"
    if not body.get("model"):
        return "model is required"
    messages = body.get("messages") or []
    for message in messages:
        if (
            set(message) != {"role", "content"}
            or message["role"] not in _ROLES
            or not isinstance(message["content"], str)
        ):
            return f"unexpected message: {message!r}"
    return (
        "" if messages and any(message["role"] == "user" for message in messages) else "a message of the user is needed"
    )


def _wrong_option(options: dict[str, Any]) -> str:
    for name, value in options.items():
        if name not in _OPTIONS or not isinstance(value, _OPTIONS[name]) or isinstance(value, bool):
            return f"option {name!r} is unknown or of a wrong type"
    return ""


def _line(model: str, message: dict[str, str], **more: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {"model": model, "created_at": now, "message": message, **more}


def _encode(line: dict[str, Any]) -> bytes:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"


if __name__ == "__main__":
    uvicorn.run(Double(tokens_per_second=400).app, port=int(sys.argv[1]), log_level="error")

"""The double says what a real Ollama says: statuses, fields and their types. Skipped where no real one can be built."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.apps import rig
from tests.apps.ollama_double import Double
from tests.apps.ollama_server import ModelServer
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio

USER = {"role": "user", "content": "hello"}
OPEN = {"role": "assistant", "content": "abc"}
FEW = {"num_predict": 5}
REQUESTS: dict[str, dict[str, Any]] = {
    "stream": {"model": "tiny-a", "messages": [USER], "options": FEW, "think": False, "stream": True},
    "prefill": {"model": "tiny-a", "messages": [USER, OPEN], "options": FEW},
    "whole": {"model": "tiny-a", "messages": [USER], "options": FEW, "stream": False},
    "unknown model": {"model": "nobody", "messages": [USER]},
    "no model": {"messages": [USER]},
    "wrong option": {"model": "tiny-a", "messages": [USER], "options": {"num_predict": "five"}},
    "rendered": {"model": "tiny-a", "messages": [USER, OPEN], "_debug_render_only": True, "stream": False},
    "rendered closed": {
        "model": "tiny-a-closed",
        "messages": [USER, OPEN],
        "_debug_render_only": True,
        "stream": False,
    },
}


def shape(value: Any) -> Any:
    """A JSON value without its particulars."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return type(value).__name__


async def ask(url: str, body: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        response = await client.post("/api/chat", json=body)
        return response.status_code, [json.loads(line) for line in response.text.splitlines() if line]


@pytest.mark.parametrize("name", REQUESTS)
async def test_the_double_answers_as_the_real_one(name: str, models: ModelServer) -> None:
    if models.why_double:
        pytest.skip(models.why_double)
    body = REQUESTS[name]
    async with rig.serving(Double().app) as url:
        status, lines = await ask(url, body)
    real_status, real_lines = await ask(models.url, body)
    assert status == real_status
    assert (shape(lines[0]), shape(lines[-1])) == (shape(real_lines[0]), shape(real_lines[-1]))
    if status == 200 and body.get("stream", True):
        assert len(lines) == len(real_lines)
        assert [line["done"] for line in lines] == [line["done"] for line in real_lines]
        assert lines[-1]["done_reason"] == real_lines[-1]["done_reason"] == "length"
        assert lines[-1]["eval_count"] == real_lines[-1]["eval_count"] == 5
    if "_debug_info" in lines[0]:
        ending = [answer[0]["_debug_info"]["rendered_template"].endswith("abc") for answer in (lines, real_lines)]
        assert ending == [not body["model"].endswith("closed")] * 2


async def test_what_is_in_memory_is_told_alike(models: ModelServer) -> None:
    if models.why_double:
        pytest.skip(models.why_double)
    body = {**REQUESTS["whole"], "model": "tiny-c"}
    await ask(models.url, body)
    double = Double()
    async with rig.serving(double.app) as url, httpx.AsyncClient() as client:
        await ask(url, body)
        doubles = (await client.get(f"{url}/api/ps")).json()["models"]
        reals = (await client.get(f"{models.url}/api/ps")).json()["models"]
    assert "tiny-c:latest" in [each["model"] for each in doubles]
    assert "tiny-c:latest" in [each["model"] for each in reals]
    assert set(doubles[0]) <= set(reals[0])

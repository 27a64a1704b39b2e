"""What the service writes down of who did what, and the figures that it gives Prometheus."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dialogue import audit
from tests.apps import rig
from tests.apps.ollama_double import Double
from tests.apps.ollama_server import ROOT, free_port
from tests.apps.rig import KEY, dialogue, settings
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio
OTHER = "another-key-for-tests-0123456789"
BOB = {"authorization": f"Bearer {OTHER}"}
WRONG = {"authorization": "Bearer wrong-key-of-some-length"}


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"ada:{KEY}\nbob:{OTHER}\n")
    return path


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    """The audit's lines so far, each read as JSON."""
    caplog.set_level(logging.INFO, "dialogue.audit")
    return lambda: [json.loads(each.getMessage()) for each in caplog.records if each.name == "dialogue.audit"]


async def test_each_request_that_matters_has_a_line(key_file: Path, lines: Any) -> None:
    async with rig.serving(Double(tokens_per_second=50).app) as url:
        chosen = settings(url, "Ada@tiny-a", "Bob@tiny-b").model_copy(update={"keys_file": key_file})
        async with dialogue(chosen) as browser:
            await browser.http.get("/", headers=WRONG)
            await browser.http.get("/healthz")
            identifier = await browser.start()
            await browser.listen(identifier, "token")
            path = f"/api/conversations/{identifier}"
            await browser.http.post(f"{path}/stop", json={}, headers=BOB)
            await browser.post(identifier, "stop")
            await browser.http.get(f"{path}/transcript", headers=WRONG)
            await browser.http.get("/api/conversations/%0a%22x", headers=BOB)
    said = [(each["who"], each["action"], each["status"], each["result"]) for each in lines()]
    assert said == [
        ("ada", "start", 201, "Created"),
        ("ada", "watch", 200, "OK"),
        ("bob", "stop", 403, "not_yours"),
        ("ada", "stop", 200, "OK"),
        (None, "transcript", 401, "key"),
        ("bob", "show", 404, "unknown"),
    ]
    assert all(each["from"] == "127.0.0.1" and each["time"].endswith("+00:00") for each in lines())
    assert {each["conversation"] for each in lines()[1:5]} == {audit.digest(identifier)}
    text = json.dumps(lines())
    assert not any(secret in text for secret in (identifier, KEY, OTHER, "wrong-key"))


async def test_whoever_knocks_on_and_on_does_not_fill_the_log(key_file: Path, lines: Any) -> None:
    chosen = settings("http://127.0.0.1:9", "Ada@a", "Bob@b", failures_per_minute=3)
    async with dialogue(chosen.model_copy(update={"keys_file": key_file})) as browser:
        for headers in [WRONG, {"authorization": ""}] * 10:
            await browser.http.get("/api/session", headers=headers)
        assert len(lines()) == 3
        await browser.http.get("/api/session")
        assert (lines()[-1]["who"], lines()[-1]["status"]) == ("ada", 200)


def test_lines_are_whole_whatever_is_asked_for(lines: Any) -> None:
    for path in ("/api/", "/api/conversations//events", "/api/x/y/z", "/api/conversations/\ud800", "/api/session/"):
        action, identifier = audit.told("GET", path)
        audit.write(who=None, action=action, conversation=identifier, address="::1", status=404)
    assert [each["action"] for each in lines()] == ["other", "watch", "other", "show", "other"]


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Every sample, by its name and the values of its labels; read by Prometheus' own library."""
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation and family.type in ("counter", "gauge") for family in families)
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


async def test_figures_are_by_the_names_of_keys_on_a_port_of_their_own(key_file: Path) -> None:
    key_file.write_text(f'a"d\\a:{KEY}\nbob:{OTHER}\n')
    port = free_port()
    async with rig.serving(Double(tokens_per_second=500).app) as url:
        chosen = settings(url, "Ada@tiny-a", "Bob@tiny-b")
        chosen = chosen.model_copy(update={"keys_file": key_file, "metrics_port": port})
        async with dialogue(chosen) as browser, httpx.AsyncClient() as prometheus:
            assert (await browser.http.get("/metrics")).status_code == 404, "not where people come"
            done = await browser.start(turns=2)
            await browser.listen(done)
            stopped = await browser.start(turns=40)
            await browser.listen(stopped, "token")
            async with browser.http.stream("GET", f"/api/conversations/{stopped}/events") as stream:
                watching = stream.aiter_bytes()
                await anext(watching)
                await browser.http.get("/api/session", headers=WRONG)
                await browser.http.post("/api/conversations", json={}, headers=BOB)
                response = await prometheus.get(f"http://127.0.0.1:{port}/metrics")
            assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
            found = samples(response.text)
            ada = 'key=a"d\\a'
            assert found["dialogue_conversations_running", ada] == 1
            assert found["dialogue_conversations_kept", ada] == 2
            assert found["dialogue_watchers", ada] == 1
            assert found["dialogue_keys_readable",] == 1
            assert found["dialogue_runs_ended_total", ada, "reason=turns"] == 1
            assert found["dialogue_requests_total", "action=start", ada, "status=201"] == 2
            assert found["dialogue_requests_total", "action=start", "key=bob", "status=422"] == 1
            assert found["dialogue_refused_total", "code=key"] == 1
            said = (await browser.show(done))["tokens"]
            assert found["dialogue_tokens_total", ada] >= said > 0
            await browser.post(stopped, "stop")
            again = samples((await prometheus.get(f"http://127.0.0.1:{port}/metrics")).text)
            both = said + (await browser.show(stopped))["tokens"]
            assert again["dialogue_tokens_total", ada] == both
            assert again["dialogue_runs_ended_total", ada, "reason=asked"] == 1
            assert again["dialogue_watchers", ada] == 0
            assert not any(secret in response.text for secret in (KEY, OTHER, done, stopped))
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")


async def test_the_program_writes_its_lines_to_standard_output_and_ends_with_both_ports(
    key_file: Path, tmp_path: Path
) -> None:
    port, figures = free_port(), free_port()
    speakers = [{"name": name, "model": name, "url": "http://127.0.0.1:9"} for name in ("Ada", "Bob")]
    config = tmp_path / "dialogue.json"
    config.write_text(json.dumps({"speakers": speakers, "keys_file": str(key_file), "metrics_port": figures}))
    command = [sys.executable, "-m", "dialogue", "serve", "--config", str(config), "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "apps")}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        async with asyncio.timeout(PATIENCE), httpx.AsyncClient() as http:
            while True:
                try:
                    await http.get(f"http://127.0.0.1:{figures}/metrics")
                    await http.get(f"http://127.0.0.1:{port}/api/session", headers=BOB)
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
    assert [json.loads(line)["who"] for line in out.splitlines()] == ["bob"]
    assert "Traceback" not in err

"""`python -m dialogue` as people start it: in the terminal and as a service."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.apps import rig
from tests.apps.ollama_double import Double
from tests.apps.ollama_server import ROOT, ModelServer, free_port
from tests.apps.rig import KEY
from tests.patience import PATIENCE, eventually

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def command(*arguments: str) -> AsyncIterator[Process]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "apps")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dialogue", *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def outcome(process: Process) -> tuple[int, str, str]:
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def speakers(url: str) -> list[str]:
    return ["--speaker", f"Ada@tiny-a={url}", "--speaker", f"Bob@tiny-b={url.removeprefix('http://')}"]


async def test_a_conversation_in_the_terminal(models: ModelServer, tmp_path: Path) -> None:
    saved = tmp_path / "talk.md"
    limits = ["--turns", "3", "--turn-tokens", "20", "--save", str(saved), "--persona", "Ada=A sailor."]
    async with command("--topic", "the sea", *speakers(models.url), *limits) as process:
        code, out, err = await outcome(process)
    assert code == 0, err
    paragraphs = [line for line in out.split("\n") if line]
    assert [line.split(":")[0] for line in paragraphs if ": " in line] == ["Ada", "Bob", "Ada"]
    text = saved.read_text()
    assert "# the sea" in text
    assert "A sailor." in text
    assert "## 3. Ada" in text


async def test_interrupting_it_frees_the_model_and_keeps_what_was_said(tmp_path: Path) -> None:
    double = Double(answer=lambda *_: [f" word{number}" for number in range(10_000)], tokens_per_second=50)
    saved = tmp_path / "talk.json"
    async with rig.serving(double.app) as url:
        limits = ["--turn-tokens", "5000", "--save", str(saved)]
        async with command("--topic", "the sea", *speakers(url), *limits) as process:
            assert process.stdout
            await process.stdout.readuntil(b"word3")
            process.send_signal(signal.SIGINT)
            code, _, err = await outcome(process)
        assert code == 130
        assert "Traceback" not in err
        await eventually(lambda: double.answering == 0, "the end of the model's answer")
    assert "word3" in json.loads(saved.read_text())["said"][0]["text"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--topic"),
        (["demo", "--config", "nowhere.json"], "nowhere.json"),
        (["--topic", "x"], "two or more --speaker"),
        (["--topic", "x", "--speaker", "mistral"], "--speaker mistral: write it as [NAME@]MODEL=URL"),
        (["serve", "--guest", "mistral"], "--guest mistral: write it as [NAME@]MODEL=URL"),
        (["demo", "--port", "80000"], "argument --port: 80000 is no port: 0 to 65535"),
        (["serve", "--port", "-1"], "argument --port: -1 is no port"),
        (["demo", "--port", "http"], "argument --port: http is no port"),
        (["--topic", "x", "--speaker", "a=http://a"], "at least two"),
        (["--topic", "x", "--speaker", "a=http://a", "--speaker", "a=http://b"], "two are named a"),
        (["--topic", "x", "--speaker", "a=ftp://a", "--speaker", "b=http://b"], "http://host:port"),
        (["--topic", "x", "--speaker", "a=h", "--speaker", "b=h", "--turns", "0"], "turns"),
        (["--topic", "x", "--speaker", "a=h", "--speaker", "b=h", "--persona", "c=x"], "c does not take part"),
        (["--topic", " ", "--speaker", "a=h", "--speaker", "b=h"], "a topic is needed"),
        (["--topic", "x", "--speaker", "a=h", "--speaker", "b=h", "--save", "x.pdf"], "ends in .md, .txt, .json"),
        (["--topic", "x", "--speaker", "a=h", "--speaker", "b=h", "--save", "nowhere/x.md"], "nowhere/x.md"),
        (["serve", "--speaker", "a=h", "--speaker", "b=h", "--host", "0.0.0.0"], "keys_file is needed"),
        (["serve", "--config", "nowhere.json"], "nowhere.json"),
        (["serve", "--speaker", "a=h", "--speaker", "b=h", "--keys-file", "nowhere"], "nowhere"),
    ],
)
async def test_a_wrong_command_is_told_in_a_line(arguments: list[str], words: str) -> None:
    async with command(*arguments) as process:
        code, out, err = await outcome(process)
    assert code == 2
    assert words in err
    assert "Traceback" not in err
    assert not out


async def test_the_service_starts_with_a_config_file_and_ends_when_told(models: ModelServer, tmp_path: Path) -> None:
    config, key_file, port = tmp_path / "dialogue.json", tmp_path / "keys", free_port()
    names = (("Ada", "tiny-a"), ("Bob", "tiny-b"))
    chosen = {"speakers": [{"name": name, "model": model, "url": models.url} for name, model in names]}
    config.write_text(json.dumps({**chosen, "limits": {"turn_tokens": 1500, "unwatched_seconds": 600}}))
    key_file.write_text(f"ada:{KEY}\n")
    arguments = ["--config", str(config), "--keys-file", str(key_file), "--host", "0.0.0.0", "--port", str(port)]
    async with command("serve", *arguments) as process:
        browser = rig.Browser(f"http://127.0.0.1:{port}", KEY)
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    await browser.http.get("/healthz")
                    break
                await asyncio.sleep(0.05)
        identifier = await browser.start()
        await browser.listen(identifier, "token")
        listening = await browser.listening(identifier, "state:stopped")
        process.send_signal(signal.SIGTERM)
        assert (await listening)[-1].data["reason"] == "shutdown"
        await browser.http.aclose()
        code, _, err = await outcome(process)
        assert code in (0, -signal.SIGTERM)
        assert "Traceback" not in err
        assert KEY not in err
        assert identifier not in err


async def test_the_demonstration_is_marked_and_ends_with_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{free_port()}")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with command("demo", "--port", str(port), "--store", str(tmp_path / "talks")) as process:
            assert process.stdout
            lines = [(await process.stdout.readline()).decode() for _ in range(3)]
            assert lines[:2] == [
                "No Ollama answers on this machine: a demonstration model speaks.\n",
                f"Port {port} is taken.\n",
            ]
            (url,) = re.findall("http://127.0.0.1:[0-9]+", lines[2])
            browser = rig.Browser(url)
            async with asyncio.timeout(PATIENCE):
                while True:
                    with contextlib.suppress(httpx.TransportError):
                        session = (await browser.http.get("/api/session")).json()
                        break
                    await asyncio.sleep(0.05)
            assert session["notice"].startswith("Demonstration: no model speaks here.")
            identifier = await browser.start("Is a hot dog a sandwich?", turns=2)
            await browser.listen(identifier, "turn_end")
            text = (await browser.http.get(f"/api/conversations/{identifier}/transcript")).text
            assert "> Demonstration: no model speaks here." in text
            process.send_signal(signal.SIGINT)
            code, out, err = await outcome(process)
            await browser.http.aclose()
    assert (code, out, err) == (0, "\nEnded.\n", "")


async def test_the_demonstration_talks_with_the_ollama_of_this_machine(
    models: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", models.url)
    async with command("demo", "--port", "0") as process:
        assert process.stdout
        assert (await process.stdout.readline()).startswith(f"Ollama at {models.url} has tiny-".encode())
        opened = await process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        code, _, err = await outcome(process)
    assert opened.startswith(b"Open http://127.0.0.1:")
    assert code in (0, -signal.SIGTERM)
    assert not err

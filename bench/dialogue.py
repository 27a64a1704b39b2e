"""Measures the dialogue: `python -m bench.dialogue`. With --check the exit code is 1 where a target is missed.

The service runs as its own process, as in production. Its model server is a double that paces its tokens and writes
into each the moment (CLOCK_MONOTONIC, nanoseconds) at which it was sent; whoever reads it knows how long it was under
way.
With --ollama the rate is also measured on a real Ollama with a tiny model, which speaks far faster than real ones do.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvicorn

from tests.apps import rig
from tests.apps.ollama_double import Double
from tests.apps.ollama_server import ROOT, ModelServer, free_port

FIRST_TOKEN_MS, OVERHEAD_PERCENT, WATCHERS_MIB, WATCHERS = 50, 5, 100, 200
TOKENS = 300


class Stamped(list[str]):
    """Tokens that are made when they are taken."""

    def __getitem__(self, key: Any) -> Any:
        """The list itself for a part of it; for one token the time."""
        return self if isinstance(key, slice) else f"{time.monotonic_ns()} "


def upstream(port: int, rate: float) -> None:
    """Serve the double."""
    double = Double(answer=lambda *_: Stamped([""] * TOKENS), tokens_per_second=rate)
    uvicorn.run(double.app, port=port, log_level="error")


@contextlib.asynccontextmanager
async def running(*arguments: str, port: int) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A Python program that serves on a port."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'apps'}"}
    silent = subprocess.DEVNULL
    process = subprocess.Popen([sys.executable, "-m", *arguments], env=environment, stdout=silent, stderr=silent)
    try:
        async with httpx.AsyncClient() as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    await client.get(f"http://127.0.0.1:{port}/")
                    break
                await asyncio.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.asynccontextmanager
async def service(url: str, model: str) -> AsyncIterator[tuple[rig.Browser, int]]:
    """The dialogue before a model server; gives who uses it and the process id."""
    port = free_port()
    limits = {"turn_tokens": TOKENS, "total_tokens": 10**6, "conversations_per_key": 50, "requests_per_minute": 10**4}
    limits |= {"reads_per_minute": 10**4, "watchers_per_key": 500}
    speakers = [{"name": name, "model": model, "url": url} for name in ("Ada", "Bob")]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "dialogue.json"
        config.write_text(json.dumps({"speakers": speakers, "limits": limits}))
        async with running("dialogue", "serve", "--config", str(config), "--port", str(port), port=port) as process:
            browser = rig.Browser(f"http://127.0.0.1:{port}")
            yield browser, process.pid
            await browser.http.aclose()


async def direct(url: str, model: str) -> float:
    """Tokens per second of a model, asked without the service, from the first token to the last."""
    body = {"model": model, "messages": [{"role": "user", "content": "the sea"}], "options": {"num_predict": TOKENS}}
    times: list[float] = []
    async with httpx.AsyncClient() as client, client.stream("POST", f"{url}/api/chat", json=body) as response:
        async for chunk in response.aiter_bytes():
            times += [time.monotonic()] * chunk.count(b"\n")
    return (len(times) - 2) / (times[-2] - times[0])


async def through(browser: rig.Browser) -> tuple[float, list[float]]:
    """The same through the service; and for stamped tokens, how long (ms) each was under way."""
    identifier = await browser.start(turns=1)
    counts, times, delays = 0, [], []
    async with contextlib.aclosing(browser.watch(identifier)) as events:  # type: ignore[type-var]
        async for event in events:
            if event.kind == "token":
                now = time.monotonic_ns()
                counts += event.data["tokens"]
                times.append(time.monotonic())
                stamps = [word for word in event.data["text"].split() if word.isdecimal()]
                delays += [(now - int(stamp)) / 1e6 for stamp in stamps]
            if event.kind == "state" and event.data["state"] == "finished":
                break
    return (counts - 1) / (times[-1] - times[0]), delays


def resident_mib(process: int) -> float:
    """Memory of a process (MiB)."""
    return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(process)])) / 1024


async def delays_and_rate(rate: float, rounds: int) -> tuple[list[str], bool]:
    """First token, all tokens, and what the service takes from the rate, at a model's usual pace."""
    port = free_port()
    async with running("bench.dialogue", "--upstream", str(port), "--rate", str(rate), port=port):
        url = f"http://127.0.0.1:{port}"
        async with service(url, "tiny-a") as (browser, _):
            await through(browser)
            plain = [await direct(url, "tiny-a") for _ in range(rounds)]
            ours = [await through(browser) for _ in range(rounds)]
    first = [delays[0] for _, delays in ours]
    every = sorted(delay for _, delays in ours for delay in delays)
    cost = 100 * (1 - statistics.median(each for each, _ in ours) / statistics.median(plain))
    lines = [
        f"first token to the browser   median {statistics.median(first):6.1f} ms   longest {max(first):6.1f} ms"
        f"   (target {FIRST_TOKEN_MS} ms)",
        f"every token                  median {statistics.median(every):6.1f} ms   99 %    "
        f"{every[len(every) * 99 // 100]:6.1f} ms",
        f"cost at {rate:.0f} tokens/s          {cost:6.2f} % of the rate   (target {OVERHEAD_PERCENT} %)",
    ]
    return lines, statistics.median(first) < FIRST_TOKEN_MS and cost < OVERHEAD_PERCENT


async def rate_on_ollama(rounds: int) -> list[str]:
    """What the service takes from the rate of a real server with a tiny model, all on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        server = ModelServer(Path(folder))
        if server.why_double:
            return [f"real Ollama: not measured: {server.why_double}"]
        server.start()
        try:
            server.create_models()
            async with service(server.url, "tiny-a") as (browser, _):
                await through(browser)
                pairs = [(await direct(server.url, "tiny-a"), (await through(browser))[0]) for _ in range(rounds)]
        finally:
            server.kill()
    plain, ours = (statistics.median(values) for values in zip(*pairs, strict=True))
    return [f"real Ollama, tiny model      {plain:6.0f} tokens/s direct, {ours:6.0f} through the service"]


async def load(count: int, rate: float, seconds: float = 15) -> str:
    """What one conversation at a model's pace costs with so many watchers: memory and processor time of the service."""
    port = free_port()
    async with (
        running("bench.dialogue", "--upstream", str(port), "--rate", str(rate), port=port),
        service(f"http://127.0.0.1:{port}", "tiny-a") as (browser, pid),
    ):
        identifier = await browser.start(turns=40)
        host, own = browser.http.base_url.host, browser.http.base_url.port
        request = f"GET /api/conversations/{identifier}/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        watchers = [await asyncio.open_connection(host, own) for _ in range(count)]
        for _, writer in watchers:
            writer.write(request)
        reading = [asyncio.create_task(_drain(reader)) for reader, _ in watchers]
        process = psutil.Process(pid)
        before, began = process.cpu_times(), time.monotonic()
        most = 0.0
        while time.monotonic() - began < seconds:
            await asyncio.sleep(0.5)
            most = max(most, resident_mib(pid))
        after, took = process.cpu_times(), time.monotonic() - began
        for task in reading:
            task.cancel()
        for _, writer in watchers:
            writer.close()
    cpu = 1000 * (after.user + after.system - before.user - before.system) / took
    return f"{count:3} watchers at {rate:.0f} tokens/s   {most:6.1f} MiB at most   {cpu:5.0f} millicores"


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(65_536):
        pass


async def memory() -> tuple[list[str], bool]:
    """What watchers of a stopped conversation cost."""
    port = free_port()
    async with (
        running("bench.dialogue", "--upstream", str(port), "--rate", "200", port=port),
        service(f"http://127.0.0.1:{port}", "tiny-a") as (browser, process),
    ):
        identifier = await browser.start(turns=2)
        await browser.listen(identifier, "turn_end")
        await browser.post(identifier, "stop")
        before = resident_mib(process)
        host, own = browser.http.base_url.host, browser.http.base_url.port
        request = f"GET /api/conversations/{identifier}/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        watchers = [await asyncio.open_connection(host, own) for _ in range(WATCHERS)]
        for reader, writer in watchers:
            writer.write(request)
            await reader.readuntil(b"event: state")
        await asyncio.sleep(12)  # a heartbeat later
        after = resident_mib(process)
        for _, writer in watchers:
            writer.close()
    lines = [
        f"service without watchers     {before:6.1f} MiB",
        f"{WATCHERS} idle watchers            {after - before:6.1f} MiB more   (target {WATCHERS_MIB} MiB)",
    ]
    return lines, after - before < WATCHERS_MIB


async def measure(rate: float, rounds: int, ollama: bool) -> bool:
    """Measure and print; whether all targets are met."""
    print(f"processors {os.cpu_count()}, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    lines, fast = await delays_and_rate(rate, rounds)
    print("\n".join(lines))
    if ollama:
        print("\n".join(await rate_on_ollama(rounds)))
    lines, small = await memory()
    print("\n".join(lines))
    for count in (1, 50, WATCHERS):
        print(await load(count, 50))
    return fast and small


def main() -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.dialogue", description="Measure the dialogue.")
    parser.add_argument("--rate", type=float, default=100, help="tokens per second of the model server (default 100)")
    parser.add_argument("--rounds", type=int, default=5, help="turns that are measured (default 5)")
    parser.add_argument("--ollama", action="store_true", help="also on a real Ollama, built if need be")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--upstream", type=int, metavar="PORT", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.upstream:
        upstream(given.upstream, given.rate)
        return 0
    met = asyncio.run(measure(given.rate, given.rounds, given.ollama))
    return 0 if met or not given.check else 1


if __name__ == "__main__":
    sys.exit(main())

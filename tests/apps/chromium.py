"""Drives headless Chromium over its debugging pipe: no driver, no further package. Debian: `apt install chromium`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import itertools
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.built import unavailable
from tests.patience import PATIENCE

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # containers have no user namespaces; only our own page is opened
    "--remote-debugging-pipe",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)


def command() -> str:
    """Path of Chromium. Skips the test where there is none; with REQUIRE_CHROMIUM=1 it fails."""
    chosen = os.environ.get("CHROMIUM")
    found = chosen or next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        message = "NO CHROMIUM here: the page is not tested (Debian: apt install chromium; or set CHROMIUM to its path)"
        unavailable("CHROMIUM", message)
    return found


class Page:
    """One tab."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._session: str | None = None
        self.complaints: list[str] = []
        """Errors and warnings of the console, and breaches of the content security policy."""

    async def attach(self) -> None:
        """Open the tab."""
        target = await self.send("Target.createTarget", url="about:blank")
        attached = await self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Accessibility"):
            await self.send(f"{domain}.enable")

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Make a call of the DevTools protocol."""
        number = next(self._numbers)
        call: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            call["sessionId"] = self._session
        self._answers[number] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps(call).encode() + b"\0")
        async with asyncio.timeout(PATIENCE):
            return await self._answers[number]

    def receive(self, message: dict[str, Any]) -> None:
        """Take an answer or an event."""
        if waiting := self._answers.pop(message.get("id", 0), None):
            if "error" in message:
                waiting.set_exception(RuntimeError(message["error"]["message"]))
            else:
                waiting.set_result(message["result"])
        elif message.get("method") == "Log.entryAdded":
            self.complaints.append(message["params"]["entry"]["text"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(message["params"]["exceptionDetails"])[:1000])

    async def size(self, width: int, height: int, *, dark: bool = False, scale: float = 1) -> None:
        """Be a screen of so many CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600}
        await self.send("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        motion = {"name": "prefers-reduced-motion", "value": "reduce"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme, motion])

    async def goto(self, url: str) -> None:
        """Load a page."""
        await self.send("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def js(self, expression: str) -> Any:
        """The value of an expression."""
        # An element has no value of its own.
        wrapped = f"Promise.resolve({expression}).then((value) => value instanceof Node || value)"
        arguments = {"expression": wrapped, "returnByValue": True, "awaitPromise": True}
        answer = await self.send("Runtime.evaluate", **arguments)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until an expression is true, and return its value."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while True:
            with contextlib.suppress(RuntimeError):  # a page on its way to another one
                if value := await self.js(expression):
                    return value
            assert asyncio.get_running_loop().time() < end, f"never so: {expression}; {self.complaints}"
            await asyncio.sleep(0.02)

    async def press(self, key: str, modifiers: int = 0) -> None:
        """Press a key: one that is named (Tab, Enter, Escape), or a character."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        common = {"key": key, "windowsVirtualKeyCode": codes.get(key, 0), "modifiers": modifiers}
        await self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    async def write(self, text: str) -> None:
        """Type into what has the focus."""
        await self.send("Input.insertText", text=text)

    async def names(self, role: str) -> list[str]:
        """What a screen reader calls the visible things of a role."""
        tree = await self.send("Accessibility.getFullAXTree")
        nodes = [node for node in tree["nodes"] if not node.get("ignored")]
        return [node.get("name", {}).get("value", "") for node in nodes if node.get("role", {}).get("value") == role]

    async def screenshot(self, path: Path) -> None:
        """Write a PNG."""
        shot = await self.send("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Page]:
    """A Chromium of its own, with one tab."""
    to_read, from_us = os.pipe()
    to_us, from_read = os.pipe()
    # Chromium reads from 3 and writes to 4: out of the way with the originals, which may be just these.
    given = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (to_read, from_read)]
    os.close(to_read)
    os.close(from_read)
    log = (str(folder / "chromium.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    actions: list[Any] = [(os.POSIX_SPAWN_OPEN, stream, *log) for stream in (1, 2)]
    actions += [(os.POSIX_SPAWN_DUP2, given[0], 3), (os.POSIX_SPAWN_DUP2, given[1], 4)]
    arguments = [command(), *_OPTIONS, f"--user-data-dir={folder / 'profile'}"]
    # Not in the folder: a socket goes there, whose path has 107 characters at most.
    scratch = tempfile.mkdtemp(prefix="chromium-")
    environment = {**os.environ, "HOME": str(folder), "TMPDIR": scratch, "TZ": "UTC", "LANG": "C.UTF-8"}
    process = os.posix_spawn(arguments[0], arguments, environment, file_actions=actions, setpgroup=0)
    for fd in given:
        os.close(fd)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 26)
    reading, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(to_us, "rb"))
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(from_us, "wb"))
    page = Page(asyncio.StreamWriter(transport, protocol, None, loop))

    async def receive() -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                page.receive(json.loads((await reader.readuntil(b"\0"))[:-1]))

    receiving = asyncio.create_task(receive())
    try:
        await page.attach()
        yield page
    finally:
        receiving.cancel()
        transport.close()
        reading.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        await asyncio.to_thread(os.waitpid, process, 0)
        shutil.rmtree(scratch, ignore_errors=True)
        await asyncio.sleep(0)

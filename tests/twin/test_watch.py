"""`slices watch` on a real twin: the page in headless Chromium, the terminal, a pipe, a picture, and how each ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.apps import chromium
from tests.apps.chromium import Page
from tests.twin.pseudoterminal import Terminal
from twin.machine import launch
from twin.machine.state import TwinState
from twin.plan import TwinPlan
from twin.scenarios.play import Play, playing

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
_OURS = ("alpha", "beta", "stuck")


def project_of(state: TwinState) -> Path:
    """A project whose `.twin` is this one's."""
    for name in ("Pulumi.yaml", "__main__.py"):
        (state.root.parent / name).write_text((ROOT / name).read_text())
    return state.root.parent


def command(state: TwinState, *options: str) -> list[str]:
    arguments = ["watch", state.stack, "--cwd", str(project_of(state)), *options]
    return [sys.executable, "-c", "from cli.main import main; main()", *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}


@pytest.fixture(scope="module")
def played(twin: TwinState) -> Iterator[Play]:
    """Three slots of one node taken by two workloads, and a pod that nobody can help."""
    with playing(twin, lambda _: None) as play:
        pool = play.pool("mps")
        play.deploy("alpha", pool.name, pool.resource, 2)
        play.deploy("beta", pool.name, pool.resource, 1)
        play.deploy("stuck", "no-such-pool", pool.resource, 1)
        play.wait(lambda: (play.running("alpha"), play.running("beta")) == (2, 1), 150, "three pods on slots")
        yield play


@contextlib.contextmanager
def serving(state: TwinState, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`slices watch --web`, and the address that it says."""
    process = subprocess.Popen(
        command(state, "--web", *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert found, process.communicate()
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


def on_page(
    tmp_path: Path, test: Callable[[Page], Coroutine[Any, Any, None]], *, width: int = 1280, height: int = 900
) -> None:
    async def run() -> None:
        async with chromium.opened(tmp_path) as page:
            await page.size(width, height)
            await test(page)

    asyncio.run(run())


#: What a page's boxes show: occupants of each node's slots, by the node's name.
_SEATS = """Object.fromEntries([...document.querySelectorAll('li > svg')].map((box) => [
  box.querySelector('title').textContent,
  [...box.querySelectorAll('.slot text')].map((text) => text.textContent).sort(),
]))"""


def seats(play: Play) -> dict[str, list[str]]:
    """The same as the API server has it."""
    nodes = play.view.gpu_nodes
    return {
        node.name: sorted([*(pod.owner for pod in node.pods), *["free"] * (node.slots - node.used_slots)])
        for node in nodes
    }


def test_the_page_shows_who_sits_where_and_follows_without_a_reload(
    twin: TwinState, played: Play, tmp_path: Path
) -> None:
    async def test(page: Page) -> None:
        await page.goto(url)
        await page.until("document.getElementById('state').textContent === 'live'")
        shown = await page.js(_SEATS)
        expected = seats(played)
        assert sorted(expected.values()) == [["alpha", "alpha", "beta"]]
        assert expected.items() <= shown.items()
        waits = await page.js("document.getElementById('waiting').textContent")
        assert "stuck" in waits
        assert "no-such-pool" in waits or "didn't match" in waits
        await page.js("window.loaded_once = true")
        pool = played.pool("mps")
        played.deploy("alpha", pool.name, pool.resource, 1)
        await page.until(f'JSON.stringify(Object.values({_SEATS})).includes(\'["alpha","beta","free"]\')')
        played.deploy("alpha", pool.name, pool.resource, 2)
        await page.until(f'JSON.stringify(Object.values({_SEATS})).includes(\'["alpha","alpha","beta"]\')')
        assert await page.js("window.loaded_once") is True
        for width in (1280, 800, 390, 320):
            await page.size(width, 900)
            wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert await page.js(wider) == 0, width
        assert page.complaints == []

    with serving(twin) as (_, url):
        on_page(tmp_path, test)


def test_the_page_shows_the_picture_without_javascript(twin: TwinState, played: Play, tmp_path: Path) -> None:
    async def test(page: Page) -> None:
        await page.send("Emulation.setScriptExecutionDisabled", value=True)
        await page.goto(url)
        assert (await page.js(_SEATS)).items() >= seats(played).items()
        assert str(await page.js("document.getElementById('state').textContent")).startswith("as of ")
        assert page.complaints == []

    with serving(twin) as (_, url):
        on_page(tmp_path, test)


def test_ctrl_c_ends_the_server_at_once_and_the_page_says_so(twin: TwinState, played: Play, tmp_path: Path) -> None:
    async def test(page: Page) -> None:
        await page.goto(url)
        await page.until("document.getElementById('state').textContent === 'live'")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        status = await asyncio.to_thread(process.wait, 20)
        # At once: who waited for the page to go would wait for ever. The rest is this machine's load.
        assert (status, time.monotonic() - began < 10) == (0, True)
        await page.until("document.getElementById('state').textContent.startsWith('connection lost')")
        assert await page.js("document.querySelectorAll('li > svg').length") > 0

    with serving(twin) as (process, url):
        on_page(tmp_path, test)
        assert process.stderr is not None
        assert process.stderr.read() == ""
        port = int(url.rsplit(":", 1)[1].strip("/"))
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def test_a_port_is_taken_only_once(twin: TwinState, played: Play) -> None:
    with serving(twin) as (_, url):
        port = url.rsplit(":", 1)[1].strip("/")
        second = command(twin, "--web", "--port", port)
        other = subprocess.run(second, check=False, capture_output=True, text=True, env=environment())
        assert other.returncode == 1
        assert f"error: port {port} cannot be had" in other.stderr


def test_the_terminal_shows_the_nodes_until_ctrl_c(twin: TwinState, played: Play) -> None:
    with Terminal(command(twin), environment(), columns=120, lines=40) as terminal:
        screen = terminal.until(lambda text: "alpha  ● alpha  ● beta" in text and "stuck" in text)
        assert "$" in screen
        terminal.press("\x03")
        assert terminal.wait() == 0
        assert terminal.output.endswith("\x1b[?1049l") or "\x1b[?1049l" in terminal.output[-40:]
        assert terminal.output.rindex("\x1b[?25h") > terminal.output.rindex("\x1b[?25l")
        assert "Traceback" not in terminal.output


def test_a_dumb_terminal_gets_lines(twin: TwinState, played: Play) -> None:
    with Terminal(command(twin), {**environment(), "TERM": "dumb"}, columns=60, lines=24) as terminal:
        terminal.until(lambda text: "waits: stuck" in text and "alpha × 2, beta" in text.replace("\r\n", ""))
        terminal.press("\x03")
        assert terminal.wait() == 0
        assert "\x1b" not in terminal.output


def test_a_pipe_gets_lines_until_nobody_reads(twin: TwinState, played: Play) -> None:
    with subprocess.Popen(
        command(twin), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert " per hour, " in process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_the_picture_has_a_box_for_each_node(twin: TwinState, played: Play, tmp_path: Path) -> None:
    target = tmp_path / "twin.svg"
    subprocess.run(command(twin, "--svg", str(target)), check=True, env=environment())
    root = ElementTree.parse(target).getroot()
    shown = {
        group.findtext(f"{SVG}title"): sorted(
            str(slot.findtext(f"{SVG}text")) for slot in group.findall(f"{SVG}g") if "slot" in slot.get("class", "")
        )
        for group in root.iter(f"{SVG}g")
        if group.findtext(f"{SVG}title")
    }
    assert seats(played).items() <= shown.items()
    piped = subprocess.run(command(twin, "--svg", "-"), check=True, env=environment(), capture_output=True)
    assert ElementTree.fromstring(piped.stdout).tag == f"{SVG}svg"


def test_a_twin_that_dies_is_told_and_one_that_is_stopped_ends_every_view(
    tmp_path: Path, bring_up: Callable[..., TwinPlan], plan: TwinPlan
) -> None:
    state = TwinState(tmp_path / ".twin", "local")
    try:
        bring_up(state, plan)
        with serving(state) as (server, _), Terminal(command(state), environment(), columns=100, lines=40) as terminal:
            terminal.until(lambda text: "System nodes" in text)
            os.kill(launch.status(state)["supervisor"], signal.SIGKILL)
            terminal.until(lambda text: "died: this is how it was last" in text)
            bring_up(state, plan)
            terminal.clear()
            terminal.until(lambda text: "Twin of local" in text and "died" not in text)
            launch.stop(state)
            assert (terminal.wait(), server.wait(20)) == (0, 0)
            assert "The twin of local was stopped." in terminal.output
            assert server.stdout is not None
            assert "The twin of local was stopped." in server.stdout.read()
    finally:
        launch.stop(state)


def test_status_and_watch_agree(twin: TwinState, played: Play) -> None:
    code = [sys.executable, "-c", "from cli.main import main; main()", "status", "local", "--json"]
    out = subprocess.run(
        [*code, "--cwd", str(project_of(twin))], capture_output=True, text=True, check=True, env=environment()
    )
    told = json.loads(out.stdout)
    svg = subprocess.run(command(twin, "--svg", "-"), check=True, env=environment(), capture_output=True, text=True)
    assert f"${told['usdPerHour']:.3f}" in svg.stdout
    assert {node["name"] for node in told["nodes"]} <= set(re.findall(r"<title>([^<:]+)</title>", svg.stdout))

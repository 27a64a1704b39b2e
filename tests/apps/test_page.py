"""The page in headless Chromium: desktop and phone, keyboard, what a screen reader hears, and hostile models."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.apps import chromium, rig
from tests.apps.chromium import Page
from tests.apps.gateway import Cut, Fault, Gateway, Hold, Refuse
from tests.apps.ollama_double import Double
from tests.apps.ollama_server import ModelServer
from tests.apps.rig import KEY, Browser, Clock, dialogue, settings
from tests.apps.test_survival import Service, ended
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio
EVIL = [
    "<script>window.evil=1</script>",
    '<img src=x onerror="window.evil=1">',
    "</textarea></div><svg onload=window.evil=1>",
    "**<b onclick=evil()>bold</b>** `<iframe srcdoc='<script>parent.evil=1</script>'>`\n\n",
    "- <a href=javascript:evil()>x</a>\n- *<a href=//evil>y</a>*\n\n",
    "\u202e\u0000\ud800 &lt;b&gt; {{7*7}} ${7*7}",
]


@contextlib.asynccontextmanager
async def shown(
    folder: Path, url: str, width: int = 1280, height: int = 900, **more: Any
) -> AsyncIterator[tuple[Page, Browser]]:
    """The page of a dialogue with two speakers and a guest."""
    keys = more.pop("keys_file", None)
    speaker = more.pop("speaker", None)
    chosen = settings(url, "Ada@tiny-a", "Bob@tiny-b", guests=("Cleo@tiny-c",), speaker=speaker, **more)
    async with dialogue(chosen.model_copy(update={"keys_file": keys})) as browser, chromium.opened(folder) as page:
        await page.size(width, height)
        await page.goto(str(browser.http.base_url))
        yield page, browser


async def begin(page: Page, topic: str = "the sea") -> None:
    await page.until("document.activeElement.id === 'topic'")
    await page.write(topic)
    await page.press("Enter", modifiers=2)
    await page.until("!document.querySelector('#talk-view').hidden")


def text(selector: str) -> str:
    return f"(document.querySelector({json.dumps(selector)})?.textContent ?? '')"


async def overflow(page: Page) -> int:
    """CSS pixels by which something is wider than the screen."""
    return int(await page.js("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


async def test_a_conversation_from_topic_to_transcript(tmp_path: Path, models: ModelServer) -> None:
    async with shown(tmp_path, models.url, turn_tokens=40, turns=3) as (page, browser):
        for width, height in ((1280, 900), (390, 844), (320, 640)):
            await page.size(width, height)
            await page.until("!document.querySelector('#start-view').hidden")
            assert await overflow(page) == 0
            await page.js("document.querySelector('#topic').value = ''")
            await begin(page, "Is a hot dog a sandwich? " + "Really, " * 30)
            await page.until(f"{text('#progress')}.includes('All turns are taken')")
            identifier = await page.js("location.hash.slice(1)")
            assert await spoken(page) == [turn["text"].split() for turn in (await browser.show(identifier))["said"]]
            names = await page.js("[...document.querySelectorAll('article h2')].map((each) => each.textContent)")
            assert names == ["Ada", "Bob", "Ada"]
            rates = await page.js("[...document.querySelectorAll('article .rate')].map((each) => each.textContent)")
            assert all("tokens/s" in rate for rate in rates)
            assert await overflow(page) == 0
            await page.js("(window.old = true, location.reload())")
            await page.until("!window.old && document.querySelectorAll('article .text.formatted').length === 3")
            assert page.complaints == []
            await page.js("document.querySelector('#new').click()")


async def spoken(page: Page) -> list[list[str]]:
    """The words of each turn."""
    texts = await page.js("[...document.querySelectorAll('article .text')].map((each) => each.innerText)")
    return [each.split() for each in texts]


async def test_everything_can_be_done_with_the_keyboard(tmp_path: Path) -> None:
    double = Double(tokens_per_second=30)
    async with rig.serving(double.app) as url, shown(tmp_path, url, turns=30) as (page, browser):
        await page.until("document.activeElement.id === 'topic'")
        await page.write("keys only")
        focused: list[str] = []
        while not focused or focused[-1] != "begin":
            await page.press("Tab")
            focused.append(await page.js("document.activeElement.id || document.activeElement.ariaLabel || ''"))
            assert len(focused) < 40
        assert "Persona of Ada" in focused
        assert "turns" in focused
        await page.press("Enter")
        await page.until("document.activeElement.id === 'talk-topic'")
        await page.until("document.querySelector('article .text')?.textContent")

        async def tab_to(expression: str) -> None:
            for _ in range(40):
                if await page.js(expression):
                    return
                await page.press("Tab")
            raise AssertionError(f"Tab never came to {expression}")

        await tab_to("document.activeElement.id === 'stop'")
        await page.press("Enter")
        await page.until(f"{text('#stop')} === 'Resume'")
        identifier = await page.js("location.hash.slice(1)")
        assert (await browser.show(identifier))["state"] == "stopped"
        await page.press("Enter")
        await page.until(f"{text('#stop')} === 'Stop'")
        await tab_to("document.activeElement.matches('#invite-menu summary')")
        await page.press("Enter")
        await page.press("Tab")
        await page.press("Enter")
        await page.until("document.querySelectorAll('#people li').length === 3")
        await tab_to("document.activeElement.matches('details:not(#invite-menu) summary')")
        await page.press("Enter")
        assert await page.js("document.querySelectorAll('details.menu[open]').length") == 1
        await page.press("Escape")
        assert await page.js("document.querySelectorAll('details.menu[open]').length") == 0
        assert await page.js("document.activeElement.matches('summary')")


async def test_what_a_screen_reader_is_told(tmp_path: Path) -> None:
    double = Double(tokens_per_second=60)
    async with rig.serving(double.app) as url, shown(tmp_path, url, turns=2) as (page, _):
        await page.until("document.activeElement.id === 'topic'")
        assert "What shall they talk about?" in await page.names("textbox")
        boxes = await page.names("checkbox")
        assert [box.split()[0] for box in boxes] == ["Ada", "Bob", "Cleo"]
        assert "Turns" in await page.names("spinbutton")
        assert {"Begin the conversation", "Theme: auto"} <= set(await page.names("button"))
        assert all(await page.names("button"))
        await page.js(
            "(window.told = [], new MutationObserver(() => told.push(document.querySelector('#live').textContent))"
            ".observe(document.querySelector('#live'), { childList: true }))"
        )
        await begin(page)
        await page.until(f"{text('#progress')}.includes('All turns')")
        assert await page.names("log") == ["Conversation"]
        assert "Conversation controls" in await page.names("group")
        assert await page.names("listitem") == ["Ada: tiny-a", "Bob: tiny-b"]
        assert "Download" in await page.names("DisclosureTriangle")
        assert "New conversation" in await page.names("button")
        articles = await page.names("article")
        assert articles == ["Ada", "Bob"]
        assert (await page.names("heading"))[0] == "the sea"
        told = await page.js("told")
        heard = [message.split() for message in told if " said: " in message]
        said = zip(("Ada", "Bob"), await spoken(page), strict=True)
        assert heard == [[name, "said:", *words] for name, words in said]
        assert told[-1] == "All turns are taken."
        assert await page.js("[...document.querySelectorAll('article')].every((each) => each.ariaBusy === 'false')")


async def test_text_of_a_model_stays_text(tmp_path: Path) -> None:
    double = Double(answer=lambda model, messages: list(EVIL))
    async with rig.serving(double.app) as url, shown(tmp_path, url, turns=2) as (page, _):
        await begin(page, EVIL[0] + EVIL[1])
        await page.until(f"{text('#progress')}.includes('All turns')")
        made = "main :is(script, img, svg, iframe, a, b)"
        assert await page.js(f"document.querySelectorAll('{made}').length") == 0
        assert await page.js("window.evil") is None
        assert "<script>window.evil=1</script>" in await page.js(text("article .text"))
        assert await page.js(text("#talk-topic")) == EVIL[0] + EVIL[1]
        assert page.complaints == []


async def test_the_policy_of_the_page_stops_what_slips_through(tmp_path: Path) -> None:
    async with shown(tmp_path, "http://127.0.0.1:9") as (page, _):
        await page.until("!document.querySelector('#start-view').hidden")
        thrown = await page.js(
            "(() => { try { document.body.innerHTML = '<b>x</b>' } catch (error) { return error.name } })()"
        )
        assert thrown == "TypeError"
        await page.js(
            "(() => { const made = document.createElement('img'); made.src = 'http://127.0.0.1:9/pixel.gif';"
            " document.body.append(made) })()"
        )
        async with asyncio.timeout(PATIENCE):
            while not any("Content Security Policy" in complaint for complaint in page.complaints):
                await asyncio.sleep(0.02)


async def test_the_wait_is_told_by_name_and_an_interruption_is_seen(tmp_path: Path, models: ModelServer) -> None:
    wake = {"wake": {"node": 2.0, "image": 600}}
    plan: list[Fault] = [Refuse(), Refuse(), Hold(3.0), Cut(10)]
    async with (
        Gateway(models.url, plan, also_others=True) as gateway,
        rig.serving(gateway) as url,
        shown(tmp_path, url, turns=1, turn_tokens=60, speaker=wake) as (page, _),
    ):
        await page.js(
            "(window.seen = new Set(), new MutationObserver(() => {"
            " const label = document.querySelector('.wait .now span:nth-of-type(2)');"
            " if (label) seen.add(label.textContent)"
            " }).observe(document.querySelector('#feed'), { childList: true, subtree: true }))"
        )
        await begin(page)
        await page.until("document.querySelector('.wait .steps [aria-current=step]')")
        await page.until(f"{text('.wait .why')}.includes('estimated')")
        await page.until(f"{text('#progress')}.includes('All turns')")
        seen = set(await page.js("[...seen]"))
        assert {"starting a GPU node", "fetching the image", "the answer broke off, picking it up again"} <= seen
        assert await page.js("document.querySelector('.wait').hidden")


async def test_a_key_is_asked_for_and_kept_out_of_the_address(tmp_path: Path) -> None:
    key_file = tmp_path / "keys"
    key_file.write_text(f"ada:{KEY}\n")
    async with (
        rig.serving(Double().app) as url,
        shown(tmp_path, url, turns=1, keys_file=key_file) as (page, _),
    ):
        await page.until("document.activeElement.id === 'key'")
        assert await page.js("document.querySelector('#banner').hidden")
        await page.write("a-wrong-key-of-some-length")
        await page.press("Enter")
        await page.until(f"{text('#banner')}.includes('not valid')")
        await page.write(KEY)
        await page.press("Enter")
        await begin(page)
        await page.until(f"{text('#progress')}.includes('All turns')")
        assert KEY not in await page.js("location.href + document.documentElement.outerHTML + document.cookie")


async def test_the_page_comes_back_after_the_connection_is_lost(tmp_path: Path) -> None:
    double = Double(tokens_per_second=40)
    async with (
        rig.serving(double.app) as url,
        dialogue(settings(url, "Ada@tiny-a", "Bob@tiny-b", turns=2)) as browser,
        Gateway(str(browser.http.base_url)) as passing,
        rig.serving(passing) as outside,
        chromium.opened(tmp_path) as page,
    ):
        await page.size(1280, 900)
        await page.goto(outside)
        await page.until("document.activeElement.id === 'topic'")
        passing.concerns = lambda path, _: path.endswith("/events")
        passing.plan.append(Cut(60))
        await begin(page)
        await page.until(f"{text('#progress')}.includes('All turns')")
        identifier = await page.js("location.hash.slice(1)")
        assert await spoken(page) == [turn["text"].split() for turn in (await browser.show(identifier))["said"]]
        assert len([path for path, _ in passing.seen if path.endswith("/events")]) >= 2


async def test_an_open_page_lets_the_service_sleep_and_goes_on_when_asked(tmp_path: Path, clock: Clock) -> None:
    """A stopped conversation's stream is closed; the service ends meanwhile, and a new one goes on with the page."""
    limits: dict[str, Any] = {"turns": 2, "unwatched_seconds": 100, "watchers": 1}
    async with (
        rig.serving(Double(tokens_per_second=60).app) as url,
        chromium.opened(tmp_path) as page,
        contextlib.AsyncExitStack() as pod,
    ):
        chosen = settings(url, "Ada@tiny-a", "Bob@tiny-b", **limits)
        chosen = chosen.model_copy(update={"store": tmp_path / "talks.sqlite"})
        first = await pod.enter_async_context(dialogue(chosen))
        await page.size(1280, 900)
        async with Gateway(str(first.http.base_url)) as passing, rig.serving(passing) as outside:
            await page.goto(outside)
            await begin(page)
            await page.until("document.querySelector('article .text')?.textContent.length > 20")
            await page.js("document.querySelector('#stop').click()")
            await page.until(f"{text('#stop')} === 'Resume'")
            identifier = await page.js("location.hash.slice(1)")
            await clock.passes(101)
            async with asyncio.timeout(PATIENCE):
                # The page's stream is the only one that there may be.
                while (await first.http.get(f"/api/conversations/{identifier}/events")).status_code == 503:
                    await asyncio.sleep(0.1)
            await asyncio.sleep(2)
            before = await page.js("document.querySelector('#feed').innerText")
            asked = len(passing.seen)
            await asyncio.sleep(3)
            assert len(passing.seen) == asked, "nothing that would keep a pod awake, or wake it"

            await pod.aclose()
            await page.js("document.querySelector('#formats button').click()")
            await page.until(f"{text('#banner')}.includes('The file has what this page has shown')")
            assert await page.js("document.querySelector('#feed').innerText") == before
            async with dialogue(chosen) as second:
                passing.lead_to(str(second.http.base_url))
                await page.js("document.querySelector('#stop').click()")
                await page.until(f"{text('#progress')}.includes('All turns')")
                assert await page.js("document.querySelector('#banner').hidden")
                said = [turn["text"].split() for turn in (await second.show(identifier))["said"]]
                assert await spoken(page) == said
                assert len(said) == 2


async def test_a_service_that_is_killed_takes_nothing_from_the_page_and_says_nothing_twice(tmp_path: Path) -> None:
    """SIGKILL in the middle of a turn, three times: what was shown stays, and can be written down while it is gone."""
    async with rig.serving(Double(tokens_per_second=40).app) as url, chromium.opened(tmp_path) as page:
        service = Service(tmp_path, url)
        address = f"http://127.0.0.1:{service.port}"
        async with ended(await service.start()) as processes:
            await page.size(390, 844)
            await page.goto(address)
            await page.until("document.activeElement.id === 'topic'")
            await page.js("document.querySelector('#turns').value = 5")
            await begin(page)
            identifier = await page.js("location.hash.slice(1)")
            for number in range(1, 4):
                await page.until(f"document.querySelectorAll('article').length > {number}")
                await page.until("document.querySelector('article:last-child .text').textContent.length > 10")
                shown_before = await page.js("document.querySelector('article .text').textContent")
                processes[-1].kill()
                await processes[-1].wait()
                await page.until(f"{text('#banner')}.includes('Trying again')")
                assert await page.js("document.querySelector('article .text').textContent") == shown_before
                await page.js("document.querySelector('#formats button').click()")
                await page.until(f"{text('#live')}.includes('is downloaded')")
                await page.js("document.querySelector('#live').replaceChildren()")
                processes.append(await service.start())
            await page.until(f"{text('#progress')}.includes('All turns')")
            async with httpx.AsyncClient(base_url=address) as client:
                said = (await client.get(f"/api/conversations/{identifier}")).json()["said"]
            assert await spoken(page) == [turn["text"].split() for turn in said]
            assert len(said) == 5
            await page.until("document.querySelector('#banner').hidden")


async def test_who_may_not_resume_can_look_again(tmp_path: Path, clock: Clock) -> None:
    key_file = tmp_path / "keys"
    key_file.write_text(f"ada:{KEY}\nbob:another-key-for-tests-0123456789\n")
    async with (
        rig.serving(Double(tokens_per_second=60).app) as url,
        shown(tmp_path, url, turns=2, unwatched_seconds=100, keys_file=key_file) as (page, browser),
    ):
        identifier = await browser.start()
        await browser.post(identifier, "stop")
        await clock.passes(101)
        await page.until("document.activeElement.id === 'key'")
        await page.write("another-key-for-tests-0123456789")
        await page.press("Enter")
        await page.until("!document.querySelector('#start-view').hidden")
        await page.js(f"location.hash = {json.dumps(identifier)}")
        await page.until(f"{text('#stop')} === 'Look again' && !document.querySelector('#stop').hidden")
        assert "Look again" in await page.names("button")
        await browser.post(identifier, "resume")
        await page.js("document.querySelector('#stop').click()")
        await page.until(f"{text('#progress')}.includes('All turns')")
        assert await page.js("document.querySelector('#stop').hidden")


async def test_words_stand_out_from_their_background(tmp_path: Path) -> None:
    """WCAG 2.2 AA: 4.5 to 1 for text."""
    async with rig.serving(Double().app) as url, shown(tmp_path, url, turns=2) as (page, _):
        for dark in (False, True):
            await page.size(1280, 900, dark=dark)
            assert await page.js(CONTRAST) == []
        await begin(page)
        await page.until(f"{text('#progress')}.includes('All turns')")
        for dark in (False, True):
            await page.size(1280, 900, dark=dark)
            assert await page.js(CONTRAST) == []


CONTRAST = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => rgb(colour).slice(0, 3).map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const background = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (rgb(colour)[3] > 250) return colour;
    }
    return 'white';
  };
  const pale = [];
  for (const node of document.querySelectorAll('main *, header *')) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.disabled) continue;
    const [one, other] = [light(getComputedStyle(node).color), light(background(node))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < 4.5) pale.push(`${node.tagName}.${node.className}: ${ratio.toFixed(2)}`);
  }
  return pale;
})()"""

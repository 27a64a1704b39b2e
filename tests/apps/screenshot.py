"""Takes the picture of the page for the documentation: `python -m tests.apps.screenshot docs/images/dialogue.png`.

The words are written by hand and spoken by the double; the waiting model is behind a gateway that holds its request.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from pathlib import Path

from dialogue.settings import Limits, Settings, Speaker
from tests.apps import chromium, rig
from tests.apps.gateway import Gateway, Hold
from tests.apps.ollama_double import Double

TOPIC = "Is a hot dog a sandwich?"
WORDS = (
    "A hot dog is a sandwich in the way a square is a rectangle: filling, held by bread, eaten by hand. The bun is "
    "merely a roll that was never cut all the way through. If a submarine may keep its hinge, why not this one?",
    "You are letting geometry overrule breakfast. Nobody who orders a sandwich and is handed a sausage feels "
    "understood! A word means what people do with it:\n\n- you **build** a sandwich,\n- you **dress** a hot dog.\n\n"
    "But what would our little friend here call a taco?",
)


async def take(path: Path) -> None:
    """Hold the conversation and write the picture."""
    models = ("mistral:7b", "llama2:7b", "llama3.2:3b")
    double = Double(lambda model, _: re.findall(r"\s*\S+", WORDS[models.index(model)]), 45, models)
    async with (
        Gateway("http://127.0.0.1:9", [Hold(600)], also_others=True) as waking,
        rig.serving(double.app) as awake,
        rig.serving(waking) as asleep,
    ):
        speakers = (
            Speaker(name="Mistral", model=models[0], url=awake, persona="A precise logician with a dry humour."),
            Speaker(name="Llama", model=models[1], url=awake, persona="A warm cook who trusts experience."),
            Speaker(name="Little Llama", model=models[2], url=asleep, guest=True),
        )
        settings = Settings(speakers=speakers, limits=Limits(turns=9))
        with tempfile.TemporaryDirectory() as folder:
            async with rig.dialogue(settings) as browser, chromium.opened(Path(folder)) as page:
                await page.size(1180, 860)
                await page.goto(str(browser.http.base_url))
                await page.until("document.activeElement.id === 'topic'")
                await page.write(TOPIC)
                await page.press("Enter", modifiers=2)
                await page.until("document.querySelector('#guests button')")
                await page.js("document.querySelector('#guests button').click()")
                await page.until("document.querySelector('.wait:not([hidden]) .steps')")
                await asyncio.sleep(7)
                await page.js("scrollTo(0, 0)")
                await asyncio.sleep(0.5)
                await page.screenshot(path)


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1])))

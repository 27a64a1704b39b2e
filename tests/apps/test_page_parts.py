"""The page's own modules in node, on the little of a document that they use: what needs no browser to be judged."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.apps.ollama_server import ROOT
from tests.patience import PATIENCE

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
PAGE = ROOT / "apps" / "dialogue" / "page"
#: A document of which only the tree is there.
DOCUMENT = """
class Node {
  constructor(tag) { Object.assign(this, { tag, attributes: {}, children: [], dataset: {}, hidden: false, own: "" });
    this.classList = { add() {}, toggle() {} }; }
  setAttribute(name, value) { this.attributes[name] = value; }
  append(...nodes) { for (const each of nodes) {
    const node = typeof each === "string" ? new Text(each) : each;
    node.parent = this; this.children.push(node); } }
  prepend(node) { this.children.unshift(node); }
  replaceChildren(...nodes) { this.children = []; this.own = ""; this.append(...nodes); }
  remove() { this.parent.children = this.parent.children.filter((node) => node !== this); }
  get firstChild() { return this.children[0]; }
  get lastChild() { return this.children.at(-1); }
  get textContent() { return this.own + this.children.map((node) => node.textContent).join(""); }
  set textContent(text) { this.replaceChildren(text); }
  addEventListener() {}
}
class Text extends Node {
  constructor(text) { super("#text"); this.own = text; }
  appendData(text) { this.own += text; globalThis.laidOut += this.own.length; }
}
const byId = {};
globalThis.laidOut = 0;
globalThis.document = { createElement: (tag) => new Node(tag), getElementById: (id) => byId[id] ??= new Node(id),
  documentElement: new Node("html"), title: "" };
let frames = [];
globalThis.requestAnimationFrame = (callback) => frames.push(callback);
globalThis.frame = () => { passes(1); const now = frames; frames = []; now.forEach((callback) => callback()); };
let clock = 0;
let timers = [];
globalThis.setTimeout = (callback, pause) => timers.push({ callback, at: clock + pause });
globalThis.passes = (milliseconds) => { clock += milliseconds; const due = timers.filter(({ at }) => at <= clock);
  timers = timers.filter(({ at }) => at > clock); due.forEach(({ callback }) => callback()); };
"""


def run(script: str) -> Any:
    """What the script gives to `result`."""
    modules = "".join(
        f"const {name} = await import({json.dumps((PAGE / f'{name}.js').as_uri())});"
        for name in ("text", "turn", "transcript", "talk")
    )
    whole = f"{DOCUMENT}{modules}{script}\nconsole.log(JSON.stringify(result)); process.exit(0);"
    done = subprocess.run(
        ["node", "--input-type=module"], input=whole, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


TALK = """
const said = new talk.Talk("id", { speakers: [], tell() {}, announce() {} });
const people = ["Ada", "Bob"].map((name) => ({ name, model: name.toLowerCase(), persona: "" }));
said.on_conversation({ topic: "the sea", speakers: people, turns: 4, began: "2026-11-29T12:00:00+00:00",
  notice: "Demonstration." });
said.on_state({ state: "running", reason: "" });
const speak = (turn, speaker, text, over = true) => {
  said.on_turn({ turn, speaker });
  for (const word of text.split(/(?= )/)) said.on_token({ turn, text: word, tokens: 1 });
  if (over) said.on_turn_end({ turn, reason: "stop", message: "", tokens: 3, tokens_per_second: 9 });
  frame();
};
const spoken = () => document.getElementById("feed").children.map((each) => each.children[1].children[1].textContent);
"""


def test_what_was_shown_beyond_what_is_kept_is_said_again_once() -> None:
    spoken = run(f"""{TALK}
      speak(1, "Ada", "one two three"); speak(2, "Bob", "four five six"); speak(3, "Ada", "sev", false);
      said.on_restored({{ turn: 2 }});
      speak(3, "Ada", "seven eight");
      speak(4, "Bob", "nine ten", false);
      said.on_restored({{ turn: 4, text: "nine", tokens: 1 }});
      said.on_resumed({{ turn: 4, how: "continued" }});
      said.on_token({{ turn: 4, text: " eleven", tokens: 1 }});
      frame();
      const result = spoken();""")
    assert spoken == ["one two three", "four five six", "seven eight", "nine eleven"]


def test_the_page_writes_its_transcript_without_the_service() -> None:
    files = run(f"""{TALK}
      speak(1, "Ada", "one two three"); speak(2, "Bob", "four fi", false);
      const result = {{}};
      for (const format of ["md", "txt", "json"]) {{
        const {{ name, content }} = transcript.write(said, format);
        result[name] = await content.text();
      }}""")
    assert set(files) == {"dialogue.md", "dialogue.txt", "dialogue.json"}
    assert files["dialogue.md"] == (
        "# the sea\n\n> Demonstration.\n\n- **Ada** (ada)\n- **Bob** (bob)\n\n"
        "## 1. Ada\n\none two three\n\n## 2. Bob\n\nfour fi [not over]\n"
    )
    assert json.loads(files["dialogue.json"])["turns"][1]["text"] == "four fi"


def test_a_long_unbroken_answer_takes_time_in_proportion() -> None:
    """A change lays out all that was said: four times the text may cost four times as much in all, not sixteen times.

    Dressing it up takes twice the time for twice the text.
    """
    result = run("""
      const spoken = (chars) => {
        const one = new turn.Turn(1, { name: "Ada" }, 0);
        laidOut = 0;
        let shown = 0;
        for (let token = 0; token < chars; token += 1) {
          one.say("x", 1); passes(1);
          if (token % 16 === 15) frame();
          if (token === chars >> 1) shown = one.text.textContent.length;
        }
        one.end({ reason: "stopped", tokens: chars });
        return { cost: laidOut, shown, whole: one.text.textContent.length };
      };
      const time = (text_, size) => {
        const long = text_.repeat(size / text_.length);
        let best = Infinity;
        for (let each = 0; each < 3; each += 1) {
          const began = process.cpuUsage(); text.format(long);
          best = Math.min(best, process.cpuUsage(began).user / 1000);
        }
        return best;
      };
      const kinds = ["x", "*", "`", "**", "*a ", "`a", "\\n", "- a\\n", " "];
      const result = { spoken: [7500, 30000].map(spoken),
        ratios: kinds.map((kind) => [kind, time(kind, 240000) / Math.max(time(kind, 60000), 5)]) };""")
    short, long = result["spoken"]
    assert (short["whole"], long["whole"]) == (7_500, 30_000)
    assert long["cost"] < 5 * short["cost"]
    assert long["shown"] > 14_500, "it is never far behind what was said: half a second here"
    assert {kind: ratio for kind, ratio in result["ratios"] if ratio > 9} == {}, "four times the text"


def test_right_to_left_text_is_laid_out_by_its_own_direction() -> None:
    directions = run("""
      const one = new turn.Turn(1, { name: "Ada" }, 0);
      one.say("שלום עולם\\n\\n- אחת\\n- שתיים", 1);
      const before = one.text.attributes.dir;
      one.end({ reason: "stop", message: "", tokens: 1, tokens_per_second: 1 });
      const result = [before, ...one.text.children.map((each) => each.attributes.dir)];""")
    assert directions == ["auto", "auto", "auto"]


def test_what_models_write_most_is_dressed_up() -> None:
    said = (
        "Look:\n- one\n- **two**\n\n## Why\n```python\nif a:\n\n    b()\n```\nThen\n```inline``` stays\n"
        "1. first\n   more\n2. second\n``` \nleft open\n# no heading"
    )
    result = run(f"""
      const shape = (node) => node.tag === "#text" ? node.own : [node.tag, node.children.map(shape)];
      const result = text.format({json.dumps(said)}).map(shape);""")
    assert result == [
        ["p", ["Look:"]],
        ["ul", [["li", ["one"]], ["li", ["", ["strong", ["two"]], ""]]]],
        ["p", ["Why"]],
        ["pre", [["code", ["if a:\n\n    b()"]]]],
        ["p", ["Then", ["br", []], "``", ["code", ["inline"]], "`` stays"]],
        ["ol", [["li", ["first"]]]],
        ["p", ["   more"]],
        ["ol", [["li", ["second"]]]],
        ["pre", [["code", ["left open\n# no heading"]]]],
    ]


@pytest.mark.parametrize("identifier", ["mine", "feed", "key-view", "start-view", "talk-view", "people"])
def test_parts_have_names_for_screen_readers(identifier: str) -> None:
    tag = next(part for part in (PAGE / "index.html").read_text().split("<") if f'id="{identifier}"' in part)
    assert "aria-label=" in tag or "aria-labelledby=" in tag


def test_every_module_can_be_read() -> None:
    for module in PAGE.glob("*.js"):
        command = ["node", "--check", "--input-type=module"]
        assert subprocess.run(command, input=module.read_bytes(), check=False).returncode == 0, module
    assert Path(PAGE / "app.js").exists()

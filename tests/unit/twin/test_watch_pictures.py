"""Terminal, page and SVG: the same scene in each, in whatever room and alphabet there is, and nobody breaks out."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len
from rich.console import Console, Group

from tests.unit.twin.cluster import Cluster, claimed, crowd, everyday
from twin.plan import PlannedPool
from twin.watch.changes import changes
from twin.watch.page import page, parts, places
from twin.watch.picture import picture
from twin.watch.scene import MOST_BOXES, Scene
from twin.watch.terminal import frame
from twin.watch.words import SIGNS, clean, dollars, duration, in_ascii, writes_signs

SVG = "{http://www.w3.org/2000/svg}"
EVIL = "<script>evil()</script>&\"'>]]><!--\x1b[2J\x1b]0;t\x07\x9b31m\r\n\x00\ufffe\ud800\u202e[red]x[/]"


def hostile() -> Scene:
    """Everything that anybody could name is hostile."""
    made = Cluster()
    made.pool(f"p{EVIL}", "mps", problem=f"problem{EVIL}")
    node = made.node(f"n{EVIL}", f"p{EVIL}", type=f"t{EVIL}", zone=f"z{EVIL}", gpu=f"g{EVIL}", capacity=f"c{EVIL}")
    made.pod(f"pod{EVIL}", node, f"o{EVIL}", namespace=f"ns{EVIL}")
    cpu = made.node(f"cpu{EVIL}", "other", slots=0, gpu="")
    made.pod(f"other{EVIL}", cpu, f"w{EVIL}", slots=0)
    made.pod(f"waits{EVIL}", owner=f"w{EVIL}", reason=f"reason{EVIL}")
    made.event(f"r{EVIL}", f"message{EVIL}", f"pod{EVIL}", f"k{EVIL}", warning=True, source=f"s{EVIL}")
    for number in range(MOST_BOXES + 1):
        made.pod(f"many{number}", made.node(f"many{number}", "crowd", type=f"t{EVIL}"), f"m{EVIL}")
    made.pool(f"empty{EVIL}", "mps")
    shared = PlannedPool(name="", resource=f"resource{EVIL}", slots={}, capacity_type="spot")
    return made.scene(stack=f"stack{EVIL}", stale=f"stale{EVIL}", gpu_pools={f"empty{EVIL}": shared})


def shown(scene: Scene, width: int = 120, height: int = 60, *, signs: bool = True) -> str:
    return "\n".join(line.plain for line in frame(scene, width, height, signs=signs))


class Html(HTMLParser):
    """Elements and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


# --- SVG --------------------------------------------------------------------------------------------------------------


def groups(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [each for each in root.iter(f"{SVG}g") if name in each.get("class", "").split()]


def test_the_svg_has_a_box_for_each_node_with_its_slots() -> None:
    scene = everyday().scene()
    root = ElementTree.fromstring(picture(scene))
    titles = [group.findtext(f"{SVG}title") for group in root.iter(f"{SVG}g")]
    assert {t for t in titles if t and t.startswith("node-of-")} == {
        f"node-of-{name}" for name in ("mps-aaaaa", "mps-bbbbb", "mps-ccccc", "mps-ddddd", "general-eeeee")
    }
    box = next(g for g in root.iter(f"{SVG}g") if g.findtext(f"{SVG}title") == "node-of-mps-aaaaa")
    found = [(g.findtext(f"{SVG}title"), g.findtext(f"{SVG}text")) for g in groups(box, "slot")]
    assert found == [
        ("models/llama2-0: ready", "llama2"),
        ("models/llama3-2-0: ready", "llama3-2"),
        ("models/mistral-0: ready", "mistral"),
    ]
    assert len(groups(root, "slot")) == scene.slots
    words = "".join(root.itertext())
    for expected in ("$2.216", "$0.0123", "7 of 10", "no instance type has 8 slots", "mig", "Nominated"):
        assert expected in words


def test_the_svg_stays_on_its_paper_and_needs_nothing_else() -> None:
    drawn = picture(everyday().scene())
    root = ElementTree.fromstring(drawn)
    height = float(root.get("height", "0"))
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    assert all(float(text.get("y", "0")) < height for text in root.iter(f"{SVG}text"))
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")
    assert "url(" not in drawn


def test_a_pool_of_hundreds_is_drawn_as_tiles() -> None:
    root = ElementTree.fromstring(picture(crowd(4 * MOST_BOXES + 4).scene()))
    assert not groups(root, "slot")
    (tiles,) = [p for p in root.iter(f"{SVG}path") if p.get("class") == "card"]
    assert tiles.get("d", "").count("M") == MOST_BOXES + 1
    assert "100 of 100 slots" in "".join(root.itertext())


def test_nobody_breaks_out_of_the_svg() -> None:
    root = ElementTree.fromstring(picture(hostile()).encode())
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
        *("svg", "title", "desc", "style", "rect", "text", "circle", "path", "g")
    }
    words = "".join(root.itertext())
    assert "<script>evil()</script>" in words
    assert words.isprintable() or all(c.isprintable() or c == "\n" for c in words)


# --- Page -------------------------------------------------------------------------------------------------------------


def test_the_page_is_whole_without_javascript() -> None:
    scene = everyday().scene()
    html = page(scene)
    found = Html(html)
    assert found.tags.count("svg") == scene.nodes
    for expected in ("$2.216", "7 of 10", "no instance type has 8 slots", "mistral", "NodeClass not ready", "Launched"):
        assert expected in found.text
    assert '<noscript><meta http-equiv="refresh"' in html
    assert "<!--" not in html
    assert html.count("<script") == 1
    assert " style=" not in html


def test_each_part_of_the_page_is_one_element_with_its_name_and_has_a_place() -> None:
    drawn = parts(everyday().scene())
    for name, html in drawn.items():
        root = ElementTree.fromstring(html)  # well-formed: a script can swap it in as it stands
        assert (root.tag, root.get("id")) == ("section", name)
    assert sorted(name for names in places(drawn).values() for name in names) == sorted(drawn)
    assert list(drawn) == ["figures", "pool:mps", "pool:general", "pool:System_nodes", "empty", "waiting", "events"]


def test_only_parts_that_changed_are_different() -> None:
    made = everyday()
    before = made.scene()
    made.event("Evicted", "it had to go", "qwen-0", ago=1)
    one, other = parts(before), parts(made.scene(before))
    assert [name for name in one if one[name] != other[name]] == ["events"]


def test_a_screen_reader_hears_who_sits_where() -> None:
    html = parts(everyday().scene())["pool:mps"]
    labels = [each.get("aria-label") for each in ElementTree.fromstring(html).iter("svg")]
    assert (
        "mps-aaaaa: g6.xlarge, Spot, L4, us-east-1a; ready; $0.402 per hour. "
        "3 of 3 slots taken: llama2, llama3-2, mistral." in labels
    )


def test_nobody_breaks_out_of_the_page() -> None:
    found, harmless = Html(page(hostile())), Html(page(everyday().scene()))
    assert set(found.tags) <= set(harmless.tags)
    assert found.tags.count("script") == 1
    assert set(found.attributes) <= set(harmless.attributes) | {"role"}
    assert "<script>evil()</script>" in found.text


def test_the_page_says_that_it_is_stale() -> None:
    assert "The twin died." in parts(replace(everyday().scene(), stale="The twin died."))["figures"]
    assert "It was stopped." in parts(everyday().scene(), "It was stopped.")["figures"]


# --- Terminal ---------------------------------------------------------------------------------------------------------


def test_a_large_window_has_boxes_with_who_sits_where() -> None:
    text = shown(everyday().scene())
    for expected in (
        "╭─ mps-aaaaa · g6.xlarge ─",
        "│ ● llama2  ● llama3-2  ● mistral ",
        "│ ◐ qwen  ○ free  ○ free ",
        "│ ◌ gemma  ◌ for a pod ",
        "╰─ ◔ booting · $0.493/h · Spot ",
        "$2.216 per hour now",
        "Karpenter: Failed to schedule pod, no instance type has 8 slots",
        "Not ready: NodeClass not ready",
        "Launched",
    ):
        assert expected in text


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 24), (120, 40), (60, 10), (24, 8), (200, 100), (1, 1)])
@pytest.mark.parametrize("many", [False, True])
def test_every_window_is_kept_to(width: int, height: int, many: bool) -> None:
    scenes = [crowd(400).scene()] if many else [everyday().scene(), claimed().scene(), hostile(), Cluster().scene()]
    for scene in scenes:
        lines = frame(scene, width, height)
        assert len(lines) <= height
        assert max(line.cell_len for line in lines) <= width


def test_a_small_window_still_says_the_most_important_things() -> None:
    text = shown(everyday().scene(), 60, 24)
    for expected in ("$2.216 per hour now", "2 pods wait", "no instance type", "●●● llama2", "Events", "more lines"):
        assert expected in text


def test_wide_characters_do_not_shift_the_frame() -> None:
    made = Cluster()
    made.pod("a-0", made.node("mps-aaaaa"), "模型模型模型")
    edges = [line for line in shown(made.scene(), 40, 30).splitlines() if line[:1] in "╭│╰" and line]
    assert len(edges) == 3
    assert len({cell_len(line) for line in edges}) == 1


def test_a_terminal_without_our_signs_gets_ascii_of_the_same_length() -> None:
    text, plain = shown(everyday().scene()), shown(everyday().scene(), signs=False)
    assert plain.isascii()
    assert [len(line) for line in plain.splitlines()] == [len(line) for line in text.splitlines()]
    assert "* llama2  * llama3-2  * mistral" in plain
    assert (writes_signs("utf-8"), writes_signs("latin-1"), writes_signs("ascii")) == (True, False, False)


def test_every_state_has_a_sign_of_its_own_where_it_matters() -> None:
    for states in (("starting", "ready", "leaving", "coming", "free", "not offered yet"),):
        assert len({SIGNS[state] for state in states}) == len(states)
        assert len({in_ascii(SIGNS[state]) for state in states}) == len(states)


def test_nobody_gives_orders_to_the_terminal() -> None:
    console = Console(
        force_terminal=True, width=100, height=60, markup=False, highlight=False, color_system="truecolor"
    )
    with console.capture() as captured:
        console.print(Group(*frame(hostile(), 100, 60)))
    for order in ("\x1b[2J", "\x1b]", "\x9b", "\x07", "\x00", "\r", "\u202e"):
        assert order not in captured.get()
    assert "[red]x[/]" in shown(hostile(), 300, 100)


def test_without_colour_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(force_terminal=True, width=100, height=60)
    with console.capture() as captured:
        console.print(Group(*frame(everyday().scene(), 100, 60)))
    assert "\x1b[3" not in captured.get()  # bold and dim alone


# --- Lines ------------------------------------------------------------------------------------------------------------


def said(before: Scene | None, after: Scene) -> list[str]:
    return [line.partition("  ")[2] for line in changes(before, after)]


def test_lines_tell_everything_first_and_then_what_changed() -> None:
    made = everyday()
    before = made.scene()
    first = said(None, before)
    assert first[0].startswith("$2.216 per hour, $0.0123 since the start; 7 of 10 GPU slots taken on 4 GPU nodes")
    assert "waits: huge: Karpenter: Failed to schedule pod, no instance type has 8 slots" in first
    assert sum(line.startswith("mps-") for line in first) == 4
    assert said(before, made.scene(before)) == []

    made.objects["NodeClaim"] = [c for c in made.objects["NodeClaim"] if c["metadata"]["name"] != "mps-ddddd"]
    made.objects["Node"] = [n for n in made.objects["Node"] if n["metadata"]["name"] != "node-of-mps-ddddd"]
    made.pod("tiny-0", "node-of-mps-ccccc", "tiny")
    made.event("SpotInterrupted", "2 minutes left", "mps-aaaaa", "NodeClaim", ago=1, warning=True)
    told = said(before, made.scene(before))
    assert told[1:] == [
        "mps-ddddd: gone.",
        "mps-ccccc: g6.xlarge, on-demand, L4, us-east-1b; ready; $0.805 per hour. "
        "2 of 3 slots taken: qwen (starting), tiny.",
        "SpotInterrupted: NodeClaim mps-aaaaa: 2 minutes left",
    ]


def test_lines_are_lines_whoever_is_named() -> None:
    for line in changes(None, hostile()):
        assert line == clean(line)
        assert len(line.splitlines()) == 1


def test_figures_in_words() -> None:
    assert [dollars(usd) for usd in (0, 0.4024, 12.3456, 1234.5)] == ["$0.000", "$0.402", "$12.35", "$1,234"]
    assert dollars(0.01234, fine=True) == "$0.0123"
    assert [duration(s) for s in (-1, 59, 60, 7500, 90000)] == ["0 s", "59 s", "1 min", "2 h 5 min", "1 d 1 h"]


# --- GPUs whose memory pods claim -------------------------------------------------------------------------------------


def test_the_svg_draws_a_gpu_as_a_bar_to_scale() -> None:
    root = ElementTree.fromstring(picture(claimed().scene()))
    box = next(g for g in root.iter(f"{SVG}g") if g.findtext(f"{SVG}title") == "node-of-memory-aaaaa")
    drawn = {
        g.findtext(f"{SVG}title"): g.find(f"{SVG}rect")
        for g in groups(box, "slot")
        if g.find(f"{SVG}title") is not None
    }
    widths = {hint: float(rect.get("width", "0")) for hint, rect in drawn.items() if hint and rect is not None}
    assert list(widths) == [
        "models/mistral-0: ready, 6.4 GiB of gpu-0",
        "models/phi-0: starting, 3.2 GiB of gpu-0",
        "nobody: free, 12.9 GiB of gpu-0",
    ]
    first, second, rest = widths.values()
    assert first / second == pytest.approx(6554 / 3277, rel=0.05)
    assert first + second + rest == pytest.approx(296 - 2 * 14, abs=3)
    words = "".join(root.itertext())
    for expected in (
        "23.5 of 90.0",
        "GiB of GPUs claimed",
        "9.6 of 22.5 GiB",
        "memory claims · at most 4 GPUs",
        "a claimed GiB",
    ):
        assert expected in words
    assert "slot" not in "".join(text for g in root.iter(f"{SVG}text") for text in g.itertext())


def test_a_gpu_with_many_claims_tells_the_largest() -> None:
    made = Cluster()
    node = made.node("memory-aaaaa", "memory", slots=0, sharing="memory")
    made.devices(node, 23034)
    for number in range(12):
        made.claim(f"m{number}-0", 1000 + number, node, f"m{number}")
    words = "".join(ElementTree.fromstring(picture(made.scene())).itertext())
    assert "and 6 more" in words
    assert "m11" in words


def test_the_page_and_the_screen_reader_hear_who_claims_what() -> None:
    html = parts(claimed().scene())["pool:memory"]
    labels = [each.get("aria-label") for each in ElementTree.fromstring(html).iter("svg")]
    assert (
        "memory-aaaaa: g6.xlarge, Spot, L4, us-east-1a; ready; $0.402 per hour. "
        "9.6 of 22.5 GiB of gpu-0 claimed: mistral 6.4 GiB, phi 3.2 GiB (starting)." in labels
    )


def test_the_terminal_draws_bars_and_names_below() -> None:
    text = shown(claimed().scene())
    for expected in (
        "● mistral 6.4 GiB  ◐ phi 3.2 GiB",
        "◌ llama2 10.0 GiB",
        "23.5 of 90.0 GiB of GPUs claimed",
        "huge · 23.4 GiB",
    ):
        assert expected in text
    bar = next(line for line in text.splitlines() if "█" in line)
    inside = bar.split("│")[1 if "█" in bar.split("│")[1] else 3]
    assert inside.count("█") == round(6554 / 23034 * len(inside.strip()))
    assert shown(claimed().scene(), signs=False).isascii()


def test_changes_of_claims_are_told() -> None:
    made = claimed()
    before = made.scene()
    made.claim("new-0", 2048, "node-of-memory-aaaaa", "new")
    said = changes(before, made.scene(before))
    assert any("25.5 of 90.0 GiB of GPU memory claimed" in line for line in said)
    assert any("new 2.0 GiB" in line for line in said)

"""`slices init`: what it asks, what it refuses, and that it leaves a stack that can be planned or nothing."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from config.starter import Choices, Starter, starter, starters, text
from gpu.catalog import REGIONS
from plan.make import make_plan
from tests.patience import until
from tests.twin.pseudoterminal import Terminal

pytestmark = pytest.mark.parts

ROOT = Path(__file__).parents[3]
PAIR = ("mistral:7b", "llama3.2:3b")
ALL = ("--region", "eu-central-1", "--model", "mistral", "--gpu", "g6", "--sharing", "mps")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout without stacks."""
    for name in ("Pulumi.yaml", "__main__.py"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "config.json").write_text((ROOT / "policy" / "config.json").read_text())
    return tmp_path


def init(project: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["init", "-C", str(project), *arguments])


def stacks(project: Path) -> list[str]:
    return sorted(path.name for path in project.glob("*Pulumi.*.yaml*"))


def test_without_a_terminal_it_says_which_options_it_needs(project: Path) -> None:
    result = init(project, "mine", "--region", "eu-central-1")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: nobody can be asked here: add --model, --gpu and --sharing, or --yes for what is suggested\n"
    )
    assert stacks(project) == []


@pytest.mark.parametrize("arguments", [("--yes",), ("mine", *ALL), ("--stack", "mine", "--yes", "--sharing", "mig")])
def test_what_it_writes_can_be_planned(project: Path, arguments: tuple[str, ...]) -> None:
    result = init(project, *arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        f"Wrote Pulumi.mine.yaml. What it would build and cost, without an account:\n  slices plan mine -C {project}\n"
    )
    assert (project / "Pulumi.mine.yaml").read_text().startswith("# yaml-language-server: $schema=docs/stack.schema")
    planned = CliRunner().invoke(main, ["plan", "-C", str(project), "--stack", "mine"])
    assert planned.exit_code == 0, planned.output


def offered() -> list[Starter]:
    """Each family with each strategy once, and each region once."""
    every = [
        made
        for region in sorted(REGIONS, key=lambda region: (region != "us-east-1", region))
        for made in starters(region, PAIR)
    ]
    once: dict[object, Starter] = {}
    for made in every:
        once.setdefault((made.choices.families, made.choices.strategy), made)
        once.setdefault(made.choices.region, made)
    return list({id(made): made for made in once.values()}.values())


@pytest.mark.parametrize(
    "made", offered(), ids=lambda made: "-".join((made.choices.region, *made.choices.families, made.choices.strategy))
)
def test_the_program_and_the_policies_take_what_is_offered(project: Path, made: Starter) -> None:
    (project / "Pulumi.mine.yaml").write_text(text(made))
    plan = make_plan(project, "mine")
    assert [verdict for verdict in plan.verdicts if verdict.mandatory] == []


def test_the_budget_is_written_with_its_address(project: Path) -> None:
    assert init(project, "mine", *ALL, "--email", "me@acme.io", "--monthly-usd", "900").exit_code == 0
    content = (project / "Pulumi.mine.yaml").read_text()
    assert '    monthlyUsd: 900\n    emails: ["me@acme.io"]\n' in content


def test_memory_is_a_way_to_share_as_others_are(project: Path) -> None:
    """The examples' job asks for a slot, which claims do not have: no file could be written."""
    assert init(project, "claims", "--sharing", "memory", "--yes").exit_code == 0
    content = (project / "Pulumi.claims.yaml").read_text(encoding="utf-8")
    assert "strategy: memory" in content
    assert "gpu-slices:examples: false" in content


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("../x",), "is no name of a stack"),
        (("Big",), "its cluster is called gpu-slices-Big"),
        (("x", "--region", "mars-1"), "'mars-1' is no region in which GPUs are known"),
        (("x", "--model", "llama9"), "did you mean llama2:7b?"),
        (("x", "--model", "mistral", "--model", "mistral"), "a model is named twice"),
        (("x", "--gpu", "g99"), '"g99" is no family with NVIDIA GPUs'),
        (("x", "--gpu", "g7"), '"g7" is not supported'),
        (("x", "--gpu", "g6", "--sharing", "mig"), "needs GPUs with MIG, unlike NVIDIA L4"),
        (("x", "--sharing", "halves"), "'halves' is no way to share GPUs"),
        (
            ("x", "--region", "eu-south-1", "--model", "llama3.1:70b"),
            "no GPU that is known in eu-south-1 holds llama3.1:70b",
        ),
        (("x", "--email", "nobody"), "must be an e-mail address"),
        (("x", "--monthly-usd", "5"), "--monthly-usd goes with --email"),
        (("x", "--email", "me@acme.io", "--monthly-usd", "5"), "a budget of 5.0 cannot hold: the stack costs"),
    ],
)
def test_what_does_not_go_together_is_said_and_nothing_is_written(
    project: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = init(project, *arguments, "--yes")
    assert result.exit_code == 2
    assert message in result.stderr
    assert stacks(project) == []


def test_an_unknown_model_leads_to_the_page_of_all(project: Path) -> None:
    told = init(project, "x", "--model", "qwen9", "--yes").stderr
    assert "did you mean qwen" in told
    assert "docs/models.md lists them" in told
    assert "llama2:13b" not in told, "seventy names in a line help nobody"


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_what_it_offers_has_80_columns_at_most(project: Path, region: str) -> None:
    with asked(project) as terminal:
        shown = ""
        for question, answer in (
            ("Name of the stack", "talk"),
            ("AWS region [", region),
            ("Models, with commas", ""),
            ("GPU families, with", ""),
            ("How the GPUs are shared [", ""),
            ("E-mail", "\x03"),
        ):
            shown = terminal.until(says(question))
            terminal.press(f"{answer}\n")
    lines = [line.rstrip() for line in shown.splitlines() if line.startswith("  ")]
    assert len(lines) > 80
    assert [line for line in lines if len(line) > 80 and "`slices" not in line] == [], "a command stays whole"
    models = [line for line in lines if ":" in line and line[-2:-1] == "."]
    assert len(models) > 60
    assert len({len(line) for line in models}) == 1, "figures stand below each other"


def test_it_overwrites_nothing(project: Path) -> None:
    (project / "Pulumi.mine.yaml").write_text("mine")
    result = init(project, "mine", "--yes")
    assert (result.exit_code, "is not overwritten" in result.stderr) == (2, True)
    assert (project / "Pulumi.mine.yaml").read_text() == "mine"


class FullDisk(io.StringIO):
    """A new file of which nothing can be written."""

    def write(self, _: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_half_a_file_is_none(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, mode: str, **_: str) -> FullDisk:
        assert mode == "x"
        path.touch()
        return FullDisk()

    whole = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, mode="r", *rest, **more: (full if mode == "x" else whole)(path, mode, *rest, **more)
    )
    result = init(project, "mine", "--yes")
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert stacks(project) == []


def says(words: str) -> Callable[[str], bool]:
    return lambda output: words in output


def asked(project: Path) -> Terminal:
    command = [sys.executable, "-m", "cli", "init", "-C", str(project)]
    return Terminal(command, {**os.environ, "PYTHONPATH": str(ROOT)}, columns=100, lines=40)


def test_it_asks_and_asks_again_where_an_answer_does_not_do(project: Path) -> None:
    with asked(project) as terminal:
        for question, answer in (
            ("Name of the stack", "talk"),
            ("AWS region", "mars-1"),
            ("is no region", "eu-west-1"),
            ("Models, with commas", ""),
            ("GPU families", "g4dn"),
            ("How the GPUs are shared", "mig"),
            ("needs GPUs with MIG", "mps"),
            ("E-mail", "me@acme.io"),
            ("Budget of a month", ""),
        ):
            terminal.until(says(question))
            terminal.press(f"{answer}\n")
        assert terminal.wait() == 0
    chosen = Choices(region="eu-west-1", models=PAIR, families=("g4dn",), strategy="mps", emails=("me@acme.io",))
    assert (project / "Pulumi.talk.yaml").read_text() == text(starter(chosen))


@pytest.mark.parametrize("answers", range(6))
def test_ctrl_c_leaves_nothing_at_any_question(project: Path, answers: int) -> None:
    questions = ("Name of", "AWS region", "Models,", "GPU families", "How the GPUs", "E-mail")
    with asked(project) as terminal:
        for question in questions[:answers]:
            terminal.until(says(question))
            terminal.press("\n")
        terminal.until(says(questions[answers]))
        # Between the question and the reading of its answer Python keeps a signal until the next one.
        until(lambda: terminal.ended_after("\x03"), "the end after Ctrl-C")
        assert terminal.wait() == 130
    assert stacks(project) == []

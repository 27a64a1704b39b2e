"""Prints what `slices check` found, for people: by topic, what is missing with the command that mends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from account.commands import Command, shell_text
from account.preflight.requirement import Finding, Status
from account.session import login
from cli.console import command, write
from plan.make import Plan

#: Word and style of each status.
_MARKS: dict[Status, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "missing": ("MISSING", "bold red"),
    "note": ("note", "yellow"),
    "unseen": ("not seen", "magenta"),
    "unasked": ("look", "cyan"),
}
#: What a finding that is not ok is, in a sentence.
_WORDS: dict[Status, str] = {
    "missing": "missing",
    "unseen": "could not be looked at",
    "unasked": "to be looked at by hand",
    "note": "to know",
}
_MARK_WIDTH = max(len(word) for word, _ in _MARKS.values())
#: Columns before a command, which a shell passes over.
_INDENT = _MARK_WIDTH + 1


def render(plan: Plan, found: Sequence[Finding], *, asked: bool) -> None:
    """Print the findings to standard output. asked: whether there were credentials to ask AWS with."""
    write(lambda console: _print(console, plan, found, asked))


def _print(console: Console, plan: Plan, found: Sequence[Finding], asked: bool) -> None:
    recording = plan.recording
    console.print(Text(f"Check of {recording.project}, stack {recording.stack}, region {recording.region}", "bold"))
    if not asked:
        missing = login()
        console.print(Text(f"{missing.problem}. AWS was not asked. Sign in, or look by hand with the commands below:"))
        for words in missing.mend:
            command(console, shell_text(words), _INDENT, "cyan")
    for topic, group in groupby(found, key=lambda finding: finding.requirement.topic):
        console.print(Text(f"\n{topic}", style="bold"))
        for finding in group:
            _finding(console, finding)
    console.print()
    console.print(Text(summary(found)))


def _finding(console: Console, finding: Finding) -> None:
    word, style = _MARKS[finding.status]
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=_MARK_WIDTH, no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text(word, style=style), Text(finding.requirement.what))
    if finding.detail:
        table.add_row("", Text(finding.detail, style="" if finding.status in ("missing", "unseen") else "dim"))
    console.print(table)
    for words in _commands(finding):
        command(console, shell_text(words, console.width - _INDENT), _INDENT, "cyan")


def _commands(finding: Finding) -> Sequence[Command]:
    """What mends it, or how to look where nobody could."""
    if finding.mend or finding.status not in ("unseen", "unasked"):
        return finding.mend
    return finding.requirement.look


def summary(found: Sequence[Finding]) -> str:
    """How many of each, in a sentence."""
    count = Counter(finding.status for finding in found)
    parts = [f"{count['ok']} of {len(found)} ok"]
    for status, words in _WORDS.items():
        if count[status]:
            parts.append(f"{count[status]} {words}")
    return f"{', '.join(parts)}."

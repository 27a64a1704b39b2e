"""Prints what the policies say: by rule, each finding with its place, and the remedy once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from cli.console import heading, printable
from config.errors import counted
from policy.analyzer import Verdict
from policy.pack import RULES


def print_verdicts(
    console: Console, verdicts: Sequence[Verdict], where: Callable[[Verdict], str], disabled: int = 0
) -> None:
    """Print all verdicts, mandatory ones first. where: the place of one, for people. disabled: rules that were off."""
    judged = f"{counted(len(RULES) - disabled, 'rule')} judged{f' ({disabled} disabled)' if disabled else ''}"
    mandatory = [verdict for verdict in verdicts if verdict.mandatory]
    advisory = [verdict for verdict in verdicts if not verdict.mandatory]
    heading(console, "Policies")
    if not verdicts:
        console.print(f"{judged}, none violated.")
        return
    for title, style, level in (("mandatory", "bold red", mandatory), ("advisory", "yellow", advisory)):
        for rule in dict.fromkeys(verdict.rule for verdict in level):
            _print_rule(console, Text(title, style), [verdict for verdict in level if verdict.rule == rule], where)
    console.print(f"{judged}: {len(mandatory)} mandatory, {len(advisory)} advisory violations.")


def _print_rule(console: Console, title: Text, verdicts: Sequence[Verdict], where: Callable[[Verdict], str]) -> None:
    places: dict[str, list[str]] = {}
    for verdict in verdicts:
        places.setdefault(where(verdict), []).append(verdict.message)
    for place, messages in places.items():
        head = Text.assemble(title, f" {verdicts[0].rule}:")
        where_it_is = printable(place)
        together = len(head) + 1 + len(where_it_is) <= console.width
        # A path or a URN that is broken over lines cannot be pasted.
        console.print(Text.assemble(head, " " if together else "\n  ", where_it_is), soft_wrap=True)
        console.print(Padding(Text(printable("\n".join(messages))), (0, 0, 0, 4)))
    console.print(Padding(Text(f"fix: {verdicts[0].fix}"), (0, 0, 1, 4)))

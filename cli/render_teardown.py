"""Prints what is left of a stack, and what to do about it: 80 columns are enough, commands are never wrapped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from account.commands import shell_text
from account.session import Identity, Unseen
from account.teardown.guide import Advice
from account.teardown.kinds import Leftover
from account.teardown.pulumi_state import PulumiState, Unread
from account.teardown.survey import Survey
from account.teardown.table import KINDS
from account.teardown.target import Target
from cli.console import command, hanging, write
from gpu import prices
from plan.errors import as_called


@dataclass(frozen=True)
class Report:
    """What is said about a stack. caller, survey: None where AWS did not take the credentials.

    failed: AWS' words about what it did not delete.
    """

    target: Target
    state: PulumiState | Unread
    caller: Identity | None
    survey: Survey | None
    failed: Mapping[Leftover, str] = field(default_factory=dict)


def render(report: Report, advice: Sequence[Advice], refused: Unseen | None = None) -> None:
    """Print everything to standard output. refused: why AWS could not be asked at all."""
    write(lambda console: _print(console, report, advice, refused))


def _print(console: Console, report: Report, advice: Sequence[Advice], refused: Unseen | None) -> None:
    target = report.target
    _bold(console, f"End of stack {target.stack}: cluster {target.marks.cluster}, {target.marks.region}")
    if report.caller:
        console.print(Text(f"in account {report.caller.account}, as {report.caller.arn}"))
    _say_state(console, report.state)
    if report.survey:
        _say_survey(console, report, report.survey)
    _say_advice(console, advice)
    console.print()
    for line in _verdict(report, refused):
        _bold(console, line)
    if refused and refused.login:
        console.print(Text("Sign in, and run it again:"))
        for words in refused.login.mend:
            command(console, shell_text(words), 2)


def _say_state(console: Console, state: PulumiState | Unread) -> None:
    match state:
        case PulumiState(resources=0):
            text = "Pulumi's state is empty"
        case PulumiState(resources=count):
            text = f"Pulumi's state holds {count} resources: what is in it is for pulumi destroy"
        case Unread(reason):
            text = f"Pulumi's state was not read: {reason}"
    console.print(Text(text))


def _say_survey(console: Console, report: Report, survey: Survey) -> None:
    if survey.left:
        _bold(console, "\nLeft in the account")
        _things(console, survey.left, report)
        _costs(console, survey.left, report.target.marks.region)
    if survey.scheduled:
        _bold(console, "\nScheduled for deletion: nothing to do, no charge")
        _things(console, survey.scheduled, report)
    if survey.others:
        _bold(console, "\nNot the stack's, but in its VPC, which cannot go before them")
        _things(console, survey.others, report)
    if survey.unseen:
        _bold(console, "\nCould not be looked at")
        for kind, unseen in survey.unseen.items():
            for text in dict.fromkeys(str(each).removeprefix("could not be looked at: ") for each in unseen):
                _indented(console, f"{kind}: {text}", 2)
    found = {thing.kind for thing in survey.found} | survey.unseen.keys()
    nothing = [kind.name for kind in KINDS if kind.name not in found]
    if nothing:
        _bold(console, "\nLooked for, and nothing found")
        _indented(console, ", ".join(nothing), 2)
    commands = [line for thing in survey.left if (line := _command(thing, report))]
    if commands and survey.cluster_is_gone:
        _bold(console, "\nWhat deletes it, in this order")
        for line in commands:
            command(console, line, 2)


def _things(console: Console, things: Sequence[Leftover], report: Report) -> None:
    for kind, group in groupby(things, key=lambda thing: thing.kind):
        console.print(Text(f"  {kind}"))
        for thing in group:
            money = f"{thing.usd_per_month:,.2f} USD/month" if thing.usd_per_month is not None else ""
            _columns(console, thing.id, thing.state, money)
            for text in (thing.name, thing.owner, thing.why, _ending(thing), report.failed.get(thing, "")):
                if text:
                    _indented(console, text, 6, style="dim")


def _ending(thing: Leftover) -> str:
    return "AWS is deleting it: look again in some minutes" if thing.fate == "ending" else ""


def _columns(console: Console, id_: str, state: str, money: str) -> None:
    """One line where it fits, the figure at the right edge."""
    room = console.width - 4
    line = f"    {id_}  {state}"
    if len(id_) + len(state) + len(money) + 4 > room:
        console.print(Text(f"    {id_}"), soft_wrap=True)
        line = f"      {state}"
    if line.strip() or money:
        console.print(Text(f"{line.ljust(console.width - len(money))}{money}".rstrip()), soft_wrap=True)


def _costs(console: Console, left: Sequence[Leftover], region: str) -> None:
    known = [thing.usd_per_month for thing in left if thing.usd_per_month]
    if known:
        total = f"{sum(known):,.2f} USD/month"
        console.print(Text("  together".ljust(console.width - len(total)) + total), soft_wrap=True)
    known_here = prices.of(region)
    dates = [f"instances {known_here.on_demand_date}, on demand" if known_here.on_demand_date else ""]
    dates.append(f"services {known_here.services.date}" if known_here.services.date else "")
    if not any(dates):
        ask = as_called(f"`slices prices refresh --region {region}`")
        _indented(console, f"No prices of {region} are known; {ask} asks AWS for them.", 2, style="dim")
    elif known:
        of = "; ".join(filter(None, dates))
        _indented(console, f"List prices of {region} ({of}), without what is paid by use.", 2, style="dim")


def _command(thing: Leftover, report: Report) -> str:
    known = report.state.names if isinstance(report.state, PulumiState) else frozenset()
    if not known.isdisjoint(thing.names):
        return ""
    return thing.command(report.target.marks.region)


def _say_advice(console: Console, advice: Sequence[Advice]) -> None:
    if not advice:
        return
    _bold(console, "\nWhat to do")
    for number, step in enumerate(advice, 1):
        hanging(console, f"  {number}. ", step.title)
        _indented(console, step.text, 5, style="dim")
        for line in step.commands:
            command(console, line, 7)


def _verdict(report: Report, refused: Unseen | None) -> Iterator[str]:
    survey = report.survey
    if survey is None:
        yield f"Not proven: nothing was looked at. {_why(refused)}"
        return
    if survey.left:
        yield f"Not ended: {len(survey.left)} things are left."
    elif not survey.unseen:
        yield f"Ended: of {len(KINDS)} kinds of things nothing is left."
    if survey.unseen:
        what = ", ".join(survey.unseen)
        yield f"Not proven: {what} could not be looked at."


def _why(refused: Unseen | None) -> str:
    """Why AWS could not be asked who is asking."""
    if refused is None:
        return ""
    if refused.login:
        words = refused.login.problem
        return f"{words[0].upper()}{words[1:]} ({refused.detail})."
    return f"Who asks {refused}."


def _bold(console: Console, text: str) -> None:
    console.print(Text(text, style="bold"))


def _indented(console: Console, text: str, columns: int, style: str = "") -> None:
    console.print(Padding(Text(text, style=style), (0, 0, 0, columns)))
